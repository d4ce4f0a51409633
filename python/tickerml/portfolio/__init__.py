"""What we have: positions and money in exact integers, double entry."""

from tickerml.portfolio.account import Portfolio, Snapshot
from tickerml.portfolio.state import Broken

__all__ = ["Broken", "Portfolio", "Snapshot"]
