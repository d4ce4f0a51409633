"""Where events come from: tapes, event files, sockets. Only here do live, replay and backtest differ."""
