"""The ledger's file: its tables, its cursor, and the comparison of rows that are made again after a restart."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tickerml import cost
from tickerml.errors import UnsoundDataError

VERSION: Final = 3

KEY: Final = "run TEXT NOT NULL, view INTEGER NOT NULL, kind TEXT NOT NULL, n INTEGER NOT NULL"
MEASURED: Final = {
    "ahead_ratio": "REAL", "toxic": "INTEGER", "age_ns": "INTEGER", "imbalance": "REAL", "participation_frac": "REAL",
}  # fmt: skip
"""What is measured of a fill and is no exact text."""

_WHAT: Final = "instrument TEXT, side INTEGER, px TEXT, qty TEXT"
TABLES: Final[dict[str, str]] = {
    "orders": "ts_ns INTEGER, event TEXT, order_id INTEGER, tag INTEGER, " + _WHAT + ", leaves TEXT, reason TEXT",
    "fills": "ts_event_ns INTEGER, ts_recv_ns INTEGER, order_id INTEGER, tag INTEGER, "
    + _WHAT
    + ", maker INTEGER, fee_quote TEXT, ahead_qty TEXT, "
    + ", ".join(f"{name} {MEASURED.get(name, 'TEXT')}" for name in cost.COLUMNS)
    + ", fee_asset TEXT, fee_qty TEXT",
    "refusals": "ts_ns INTEGER, instrument TEXT, side INTEGER, reason TEXT, detail TEXT, count INTEGER",
    "portfolio": "ts_ns INTEGER, equity_quote TEXT, pnl_quote TEXT, realised_quote TEXT, fees_quote TEXT, "
    "funding_quote TEXT, drawdown_frac REAL, max_drawdown_frac REAL, cash TEXT, positions TEXT",
    "funding": "ts_ns INTEGER, instrument TEXT, qty TEXT, mark_px TEXT, rate TEXT, correction INTEGER",
    "gaps": "instrument TEXT, from_ts_ns INTEGER, to_ts_ns INTEGER, cause TEXT",
}
"""Columns of each table after its key, `cause_pos` and `gate_pos`. Prices, quantities and money are exact decimal
text.
"""


class Step(NamedTuple):
    """One view's rows: (table, n, values from `cause_pos` on), and where it changed, the account as text."""

    view: int
    gate_pos: int
    ts_ns: int
    rows: list[tuple[str, int, tuple[Any, ...]]]
    account: str = ""


def disk_full(error: sqlite3.Error) -> bool:
    """Whether there was no room: nothing was written, and the same commit may be tried again."""
    return error.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)


class Store:
    """One run's rows in a ledger file. Opened in one thread and used in another, never in two at once.

    Attributes
    ----------
    cursor : (view, pos) of the last step committed; (-1, -1) before the first.
    last_view : the last view that this process committed or compared.
    """

    def __init__(self, path: Path, run: str, first_view: int) -> None:
        self._path, self._run, self._first_view = path, run, first_view
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except sqlite3.OperationalError as error:
            raise UnsoundDataError(f"{path}: not a ledger that can be opened: {error}") from error
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise UnsoundDataError(f"{path}: not a ledger that can be read: {error}") from error
        self._met_view = self.cursor[0]
        self._met = 0
        self.last_view = first_view - 1
        self._all_met = self._met_view < first_view

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise UnsoundDataError(f"{self._path}: ledger of version {version}; this program writes {VERSION}")
        self._db.execute("BEGIN IMMEDIATE")
        for table, columns in TABLES.items():
            self._db.execute(
                f"CREATE TABLE IF NOT EXISTS {table} ({KEY}, cause_pos INTEGER, gate_pos INTEGER, {columns},"
                " PRIMARY KEY (run, view, kind, n)) WITHOUT ROWID"
            )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS cursor (run TEXT PRIMARY KEY, view INTEGER, pos INTEGER, ts_ns INTEGER)"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS account (run TEXT PRIMARY KEY, view INTEGER, state TEXT)")
        self._db.execute(f"PRAGMA user_version={VERSION}")
        self._db.execute("COMMIT")
        found = self._db.execute("SELECT view, pos FROM cursor WHERE run=?", (self._run,)).fetchone()
        self.cursor: tuple[int, int] = found or (-1, -1)

    def commit(self, steps: Sequence[Step]) -> None:
        """Writes steps and cursor in one transaction; steps that an earlier process committed are compared instead.

        Raises
        ------
        UnsoundDataError
            When a row differs from the one on file, or the file has one that was not made again.
        """
        before = self._met, self._all_met
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for step in steps:
                if step.view <= self._met_view:
                    self._meet(step)
                else:
                    self.check_all_met(step.view)
                    self._insert(step)
            last = steps[-1]
            cursor = max(self.cursor, (last.view, last.gate_pos))
            if cursor != self.cursor:
                self._db.execute("REPLACE INTO cursor VALUES (?, ?, ?, ?)", (self._run, *cursor, last.ts_ns))
            if accounts := [step for step in steps if step.account and step.view > self._met_view]:
                row = (self._run, accounts[-1].view, accounts[-1].account)
                self._db.execute("REPLACE INTO account VALUES (?, ?, ?)", row)
            self._db.execute("COMMIT")
        except BaseException:
            self._met, self._all_met = before
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self.cursor, self.last_view = cursor, last.view

    def check_all_met(self, last_view: int) -> None:
        """Every row that an earlier process committed for views up to `last_view` has been made again."""
        if self._all_met:
            return
        last = min(last_view, self._met_view)
        on_file = sum(self._count(table, last) for table in TABLES)
        if on_file != self._met:
            raise UnsoundDataError(
                f"{self._path}: views {self._first_view} to {last} of {self._run} have {on_file} rows on file,"
                f" but the tape gave {self._met}"
            )
        self._all_met = last == self._met_view

    def close(self) -> None:
        """Closes the file; SQLite folds the write-ahead log into it."""
        self._db.close()

    def _count(self, table: str, last: int) -> int:
        where = "run=? AND view BETWEEN ? AND ?"
        found = self._db.execute(f"SELECT count(*) FROM {table} WHERE {where}", (self._run, self._first_view, last))
        count: int = found.fetchone()[0]
        return count

    def _insert(self, step: Step) -> None:
        for table, n, values in step.rows:
            holes = ", ".join("?" * (4 + len(values)))
            self._db.execute(f"INSERT INTO {table} VALUES ({holes})", (self._run, step.view, table, n, *values))

    def _meet(self, step: Step) -> None:
        for table, n, values in step.rows:
            query = f"SELECT * FROM {table} WHERE run=? AND view=? AND kind=? AND n=?"
            found = self._db.execute(query, (self._run, step.view, table, n)).fetchone()
            if found is None or found[4:] != values:
                what = "is not on file" if found is None else _differences(table, found[4:], values)
                raise UnsoundDataError(
                    f"{self._path}: {table} row {n} of view {step.view}, as the tape gives it now, {what}"
                )
            self._met += 1


def _differences(table: str, was: Sequence[Any], now: Sequence[Any]) -> str:
    """The columns in which a row differs, as words."""
    names = ["cause_pos", "gate_pos", *(column.split()[0] for column in TABLES[table].split(", "))]
    told = [f"{name} {b} instead of {a}" for name, a, b in zip(names, was, now, strict=True) if a != b]
    return f"has {', '.join(told)}"
