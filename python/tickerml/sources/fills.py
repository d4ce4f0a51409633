"""Fills read back: from a run's ledger, or from a file of `--fills`."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

from tickerml.errors import NotFoundError, UnsoundDataError
from tickerml.sinks.committed import read_only

__all__ = ["FillRow", "fills_of_file", "fills_of_ledger"]

NAMES: Final = ("ts_event_ns", "instrument", "order_id", "side", "px", "qty", "maker", "ahead_ratio")
TS_NS_MAX: Final = 1 << 62
SIDES: Final = {"buy": 1, "sell": -1, 1: 1, -1: -1}


class FillRow(NamedTuple):
    """One fill; price and quantity as decimal text, `ahead_ratio` None where it is not known."""

    ts_event_ns: int
    instrument: str
    order_id: int
    side: int
    px: str
    qty: str
    maker: bool
    ahead_ratio: float | None


def fills_of_ledger(path: Path, run: str) -> list[FillRow]:
    """All fills of a run.

    Raises
    ------
    NotFoundError
        Where there is no ledger.
    UnsoundDataError
        Where it cannot be read.
    """
    if not path.is_file():
        raise NotFoundError(f"{run}: this run traded nothing (no {path}); give its fills with --fills FILE")
    try:
        with closing(read_only(path)) as db:
            found = db.execute(f"SELECT {', '.join(NAMES)} FROM fills WHERE run=? ORDER BY view, n", (run,)).fetchall()
    except sqlite3.DatabaseError as e:
        raise UnsoundDataError(f"{path}: its fills cannot be read: {e}") from e
    return [_row(dict(zip(NAMES, row, strict=True)), path, n) for n, row in enumerate(found, 1)]


def fills_of_file(path: Path) -> list[FillRow]:
    """All fills of a `.csv` or `.parquet` file that `--fills` wrote.

    Raises
    ------
    NotFoundError, UnsoundDataError
    """
    if not path.is_file():
        raise NotFoundError(f"--fills {path}: no such file; `replay` and `backtest` write one with --fills")
    return [_row(row, path, n) for n, row in enumerate(_rows(path), 1)]


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            yield from pq.read_table(path).to_pylist()
        except (pa.ArrowInvalid, OSError) as e:
            raise UnsoundDataError(f"--fills {path}: not a Parquet file that can be read: {e}") from e
        return
    try:
        with path.open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)
    except (csv.Error, UnicodeDecodeError) as e:
        raise UnsoundDataError(f"--fills {path}: not a CSV file that can be read: {e}") from e


def _row(row: Mapping[str, Any], path: Path, n: int) -> FillRow:
    try:
        ratio, ts_ns, px = row.get("ahead_ratio"), int(row["ts_event_ns"]), str(row["px"])
        if not 0 <= ts_ns < TS_NS_MAX or Fraction(px) <= 0:
            raise ValueError(f"ts_event_ns={ts_ns} px={px}")
        return FillRow(
            ts_ns, str(row["instrument"]), int(row["order_id"]), SIDES[row["side"]], px, str(row["qty"]),
            row["maker"] in (True, 1, "true"), None if ratio in (None, "") else float(ratio),
        )  # fmt: skip
    except (KeyError, ValueError, TypeError, ZeroDivisionError) as e:
        raise UnsoundDataError(f"{path}: fill {n} is none of ours: {e!r}; its columns are those of --fills") from e
