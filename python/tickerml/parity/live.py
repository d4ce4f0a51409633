"""What a live run left: its ledger, copied, and how far that was committed."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tickerml.errors import NotFoundError, UnsoundDataError
from tickerml.sinks.committed import committed, read_only
from tickerml.sources.runs import read_run

__all__ = ["Live", "live_run", "money", "readable"]

MEND = "the run can be replayed, not compared"


@dataclass(frozen=True)
class Live:
    """What the live run left.

    Attributes
    ----------
    ledger, source : a copy of it, to read, and itself, to name.
    last_view, last_ns : how far its ledger was committed.
    digest, digest_view : of the last account in it; empty and -1 for none.
    """

    run: str
    ledger: Path
    source: Path
    last_view: int
    last_ns: int
    digest: str
    digest_view: int
    info: Mapping[str, Any]


def live_run(tape: Path, place: Path) -> Live:
    """The ledger as the run left it, copied, so that reading it changes nothing under the data folder.

    Raises
    ------
    NotFoundError
        For a run that decided nothing.
    UnsoundDataError
        For a ledger or a `run.json` that cannot be read.
    """
    run = tape.name
    folder = tape.parent.parent / "runs" / run
    source, copy = folder / "ledger.sqlite", place / "live.sqlite"
    if not source.is_file():
        raise NotFoundError(f"{run}: no ledger, for nothing was decided; give a run of `tickerml run`")
    for end in ("", "-wal"):
        if (path := source.with_name(source.name + end)).is_file():
            shutil.copyfile(path, copy.with_name(copy.name + end))
    with readable(run, copy, source):
        last = committed(copy, run, MEND)
        if last is None:
            raise NotFoundError(f"{run}: its ledger is empty: the run was killed before the first row was on disk")
        with closing(read_only(copy)) as db:
            (last_ns,) = db.execute("SELECT ts_ns FROM cursor WHERE run=?", (run,)).fetchone()
            view, text = db.execute("SELECT view, state FROM account WHERE run=?", (run,)).fetchone() or (-1, "{}")
        try:
            digest = json.loads(text).get("digest", "")
        except (ValueError, TypeError, AttributeError) as error:
            raise UnsoundDataError(_unreadable(run, source, error)) from error
    return Live(run, copy, source, last.view, last_ns, digest, view, read_run(folder / "run.json"))


@contextmanager
def readable(run: str, copy: Path, source: Path) -> Iterator[None]:
    """Around what reads a live ledger's copy: what is wrong with it is said of the ledger itself."""
    try:
        yield
    except sqlite3.Error as error:
        raise UnsoundDataError(_unreadable(run, source, error)) from error
    except UnsoundDataError as error:
        raise UnsoundDataError(str(error).replace(str(copy), str(source))) from error


def _unreadable(run: str, source: Path, error: Exception) -> str:
    return f"{source}: the ledger of run {run} cannot be read ({error}); {MEND}"


def money(ledger: Path, until_ns: int) -> dict[str, Any]:
    """Orders sent, fills and profit of a ledger up to a time."""
    with closing(read_only(ledger)) as db:
        sent = (
            "SELECT count(*) FROM orders WHERE ts_ns<=? AND event LIKE 'sent\\_%' ESCAPE '\\' AND event<>'sent_cancel'"
        )
        orders = db.execute(sent, (until_ns,)).fetchone()[0]
        fills = db.execute("SELECT count(*) FROM fills WHERE ts_recv_ns<=?", (until_ns,)).fetchone()[0]
        query = "SELECT pnl_quote FROM portfolio WHERE ts_ns<=? ORDER BY view DESC LIMIT 1"
        pnl = db.execute(query, (until_ns,)).fetchone()
    return {"orders": orders, "fills": fills, "pnl_quote": pnl[0] if pnl else "0"}
