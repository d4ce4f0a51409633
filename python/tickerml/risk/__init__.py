"""What may be sent: approvals and refusals with reasons. There is no default that approves everything."""

from tickerml.risk.limits import UNBOUND, Account, Limits, Reason, Risk
from tickerml.risk.margin import Margin, tiers_of

__all__ = ["UNBOUND", "Account", "Limits", "Margin", "Reason", "Risk", "tiers_of"]
