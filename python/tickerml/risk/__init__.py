"""What may be sent: approvals and refusals with reasons. There is no default that approves everything."""

from tickerml.risk.limits import UNBOUND, Account, Limits, Reason, Risk

__all__ = ["UNBOUND", "Account", "Limits", "Reason", "Risk"]
