"""Where results go. A sink never changes a decision."""

from tickerml.sinks.base import Sink, Sinks, Tally

__all__ = ["Sink", "Sinks", "Tally"]
