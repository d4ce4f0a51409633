"""The fold of a tape: its replay with a ledger into a fresh file, and ledgers compared row by row."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from tickerml import config
from tickerml.sinks.ledger import Ledger
from tickerml.sinks.store import TABLES
from tickerml.sources.recorded import recorded_config, tape_session
from tickerml.trader import make_trader

END = 2**63 - 1
"""A durable mark beyond every record: a tape that is read is on disk."""

Rows = dict[str, list[tuple[Any, ...]]]


def fold(tape: Path, into: Path, *, batch_events: int = 65_536) -> str:
    """Replays a tape as it was recorded, with a ledger; the digest."""
    loaded = partial(config.load, environ={})(recorded=recorded_config(tape)).config
    session = tape_session(tape, loaded, batch_events=batch_events, allow_damage=False)
    ledger = Ledger(into, tape.name, session.instruments, lambda: END)
    with make_trader(loaded, session.instruments, [ledger], carry=session.carry) as trader:
        trader.trade(session)
    return str(session.digest)


def ledger_rows(path: Path) -> tuple[Rows, tuple[Any, ...]]:
    """Every row of every table by its key, and the cursor."""
    with closing(sqlite3.connect(path)) as db:
        rows = {table: db.execute(f"SELECT * FROM {table} ORDER BY run, view, kind, n").fetchall() for table in TABLES}
        return rows, db.execute("SELECT * FROM cursor").fetchone()


def fingerprint(rows: Rows) -> str:
    """One short text that stands for all rows."""
    return hashlib.sha256(repr(sorted(rows.items())).encode()).hexdigest()


def up_to(rows: Rows, view: int) -> Rows:
    """The rows of views up to this one."""
    return {table: [row for row in found if row[1] <= view] for table, found in rows.items()}
