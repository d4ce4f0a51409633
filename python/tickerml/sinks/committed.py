"""What a run's ledger last committed, read without writing: the cursor that a checkpoint must not pass, and the account
that a later run goes on from.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tickerml.errors import UnsoundDataError
from tickerml.sinks.store import VERSION

__all__ = ["Committed", "committed", "read_only"]


class Committed(NamedTuple):
    """The last view that is on file, its record, and the account then; None where the ledger keeps none."""

    view: int
    pos: int
    account: str | None


def committed(path: Path, run: str, mend: str) -> Committed | None:
    """What a ledger says of a run; None where nothing was committed: no file, no table or no row yet.

    Parameters
    ----------
    mend : what to do about a ledger that cannot be read, for the error's text.

    Raises
    ------
    UnsoundDataError
        For what is no ledger or is damaged: what it held is then not known.
    """
    if not path.exists():
        return None
    try:
        with closing(read_only(path)) as db:
            return _read(db, run)
    except (sqlite3.Error, ValueError) as error:
        what = "it is a folder" if path.is_dir() else error
        raise UnsoundDataError(f"{path}: the ledger of run {run} cannot be read ({what}); {mend}") from error


def read_only(path: Path) -> sqlite3.Connection:
    """A ledger for reading, whatever its name: in a URI `#` and `?` mean something, and an empty file would be made."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _read(db: sqlite3.Connection, run: str) -> Committed | None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, VERSION):
        raise ValueError(f"version {version}; this program reads {VERSION}")
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    cursor = db.execute("SELECT view, pos FROM cursor WHERE run=?", (run,)).fetchone() if "cursor" in tables else None
    if cursor is None:
        return None
    view, pos = (int(number) for number in cursor)
    found = db.execute("SELECT state FROM account WHERE run=?", (run,)).fetchone() if "account" in tables else None
    return Committed(view, pos, str(found[0]) if found else None)
