"""Order-by-order recordings: the events that an order book with true queues is made of.

Bitstamp: one ``<recv_ms> <event> <json>`` a line, plain, .gz or .xz: order_created, order_changed, order_deleted.
An order that shrinks, or ends with nothing left, was executed; one that ends with something left was cancelled. The
feed has no snapshot: what rested before it began is not known, and is passed over.
"""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from tickerml.errors import NotFoundError, UnsoundDataError

__all__ = ["CANCEL", "FILL", "OPEN", "SCALE", "L3Columns", "L3Row", "bitstamp_columns", "bitstamp_rows"]

OPEN, FILL, CANCEL = 1, 2, 3
"""The `kind` of a row, as `_native.queue_fit_l3` numbers them."""

SCALE = 8
"""Decimals of prices and quantities."""


class L3Row(NamedTuple):
    """What happened to one order: `qty` opened, filled or cancelled; scaled by 10^`SCALE`."""

    ts_ns: int
    kind: int
    order_id: int
    side: int
    px: int
    qty: int
    known: bool
    """False for an order that rested before the recording began: then how much of it is gone is not known, and `qty`
    of a fill or cancel is 0."""


@dataclass
class L3Columns:
    """Rows as lists of equal length."""

    rows: list[L3Row] = field(default_factory=list)

    def arrays(self) -> tuple[Any, Any, Any, Any, Any, Any]:
        """The columns that `_native.queue_fit_l3` takes."""
        import numpy as np

        types = (np.int64, np.uint8, np.uint64, np.int8, np.int64, np.int64)
        ts, kind, ids, side, px, qty = (
            np.array([row[n] for row in self.rows], dtype=dtype) for n, dtype in enumerate(types)
        )
        return ts, kind, ids, side, px, qty


def bitstamp_columns(path: Path) -> L3Columns:
    """The rows of orders that the recording saw from their beginning.

    Raises
    ------
    NotFoundError, UnsoundDataError
    """
    found = L3Columns([row for row in bitstamp_rows(path) if row.known])
    if not found.rows:
        raise UnsoundDataError(f"{path}: holds no order of Bitstamp's order events, `<recv_ms> order_created {{..}}`")
    return found


def bitstamp_rows(path: Path) -> Iterator[L3Row]:
    """Every order event, in the order of arrival.

    Raises
    ------
    NotFoundError, UnsoundDataError
    """
    left: dict[int, int] = {}
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, 1):
                stamp, _, rest = line.partition(" ")
                event, _, text = rest.partition(" ")
                if event in ("order_created", "order_changed", "order_deleted"):
                    try:
                        yield from _rows(int(stamp) * 1_000_000, event, json.loads(text), left)
                    except (ValueError, KeyError, TypeError) as error:
                        raise UnsoundDataError(f"{path}:{number}: cannot be read: {error!r}") from None
    except FileNotFoundError:
        raise NotFoundError(f"{path}: there is no such file") from None
    except (lzma.LZMAError, EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise UnsoundDataError(f"{path}: cannot be read: {error}") from None


def _rows(ts_ns: int, event: str, order: dict[str, Any], left: dict[int, int]) -> Iterator[L3Row]:
    order_id, side = int(order["id"]), (-1 if order["order_type"] else 1)
    px, qty = _scaled(order["price"]), _scaled(order["amount"])
    if event == "order_created":
        left[order_id] = qty
        yield L3Row(ts_ns, OPEN, order_id, side, px, qty, True)
        return
    known, filled = order_id in left, event == "order_changed" or not qty
    before = left.pop(order_id, qty)
    if known and event == "order_changed":
        left[order_id] = qty
    gone = max(before - qty, 0) if filled else before
    yield L3Row(ts_ns, FILL if filled else CANCEL, order_id, side, px, gone if known else 0, known)


def _scaled(text: str) -> int:
    """Decimal text as an integer; Bitstamp prints at most eight decimals."""
    whole, _, part = str(text).partition(".")
    if len(part) > SCALE:
        raise ValueError(f"{text} has more than {SCALE} decimals")
    return int(whole + part.ljust(SCALE, "0"))


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8")
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")
