"""What we have: positions and money in exact integers, double entry."""

from tickerml.portfolio.account import Broken, Portfolio, Snapshot

__all__ = ["Broken", "Portfolio", "Snapshot"]
