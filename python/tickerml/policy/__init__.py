"""What decides: policies by name. `make_policy` builds one from the parameters of a command or a configuration."""

from tickerml.policy.base import BadParameter, Policy, make_policy, policy_names
from tickerml.policy.rules import Grid, Hold, Imbalance

__all__ = ["BadParameter", "Grid", "Hold", "Imbalance", "Policy", "make_policy", "policy_names"]
