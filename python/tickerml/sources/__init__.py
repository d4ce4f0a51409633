"""Where events come from: tapes, event files, sockets. Only here do live, replay and backtest differ."""

BATCH_EVENTS = 65_536
"""Events decoded at a time where nothing else is asked for; no result depends on it."""
