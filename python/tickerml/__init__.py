"""TickerML: record, replay and paper-trade crypto order books with one deterministic engine.

Importing this module imports nothing heavy; `tickerml.engine.run` is the system on one screen.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
