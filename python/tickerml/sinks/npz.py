"""Event files as hftbacktest's arrays: so that its fills can be held against ours, row for row (simulation.md 2).

Rows keep their order of arrival; `exch_ts` is the corrected venue time. A row whose place in venue time is another one
stands twice, once for each clock, as hftbacktest wants it (lessons.md 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tickerml.errors import UnsoundDataError
from tickerml.schema import POW10, UNDEF_I64, Columns
from tickerml.sinks.events import EventFile, read_events
from tickerml.writing import replacing

__all__ = ["DTYPE", "export_npz", "hftbacktest_rows"]

DTYPE: Final = np.dtype(
    [("ev", "u8"), ("exch_ts", "i8"), ("local_ts", "i8"), ("px", "f8"), ("qty", "f8"), ("order_id", "u8"),
     ("ival", "i8"), ("fval", "f8")],
    align=True,
)  # fmt: skip
"""hftbacktest's event: 64 bytes."""

DEPTH, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4
EXCH, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28
BID_ROW, ASK_ROW, BUY_ROW, SELL_ROW, CLEAR_ROW = 1, 2, 3, 4, 6
FLAG_SNAPSHOT, FLAG_ASK = 2, 8
BASE_LATENCY_MS: Final = 5
"""One way, of the fastest message: the same default as `base_latency_ms`."""

Array = npt.NDArray[Any]


def export_npz(files: Sequence[Path], out: Path, base_latency_ms: float = BASE_LATENCY_MS) -> dict[str, int]:
    """Writes the rows of one instrument's event files; gives `rows` and `bytes`.

    Raises
    ------
    UnsoundDataError
        For files of several instruments, or without a depth or trade row.
    """
    first = EventFile(files[0])
    precisions = int(first.instrument["price_precision"]), int(first.instrument["qty_precision"])
    first.close()
    rows = hftbacktest_rows(read_events(files), *precisions, round(base_latency_ms * 1e6))
    with replacing(out) as draft, draft.open("wb") as file:
        np.savez_compressed(file, data=rows)
    return {"rows": len(rows), "bytes": out.stat().st_size}


def hftbacktest_rows(columns: Columns, price_precision: int, qty_precision: int, base_latency_ns: int) -> Array:
    """Rows of `DTYPE` from columns of event files: levels, clears and prints; the rest has no place there."""
    kept = np.isin(columns["kind"], [BID_ROW, ASK_ROW, BUY_ROW, SELL_ROW, CLEAR_ROW])
    kind, flags = columns["kind"][kept], columns["flags"][kept]
    local, event = columns["ts_recv_ns"][kept], columns["ts_event_ns"][kept]
    rows = np.zeros(len(kind), DTYPE)
    rows["local_ts"] = local
    rows["exch_ts"] = _corrected(local, event, kind, base_latency_ns)
    rows["px"] = np.where(kind == CLEAR_ROW, np.nan, columns["px"][kept] / float(POW10[price_precision]))
    rows["qty"] = columns["qty"][kept] / float(POW10[qty_precision])
    what = np.select([kind == CLEAR_ROW, np.isin(kind, [BUY_ROW, SELL_ROW])], [CLEAR, TRADE], DEPTH)
    what[(what == DEPTH) & (flags & FLAG_SNAPSHOT != 0)] = SNAPSHOT
    sells = np.isin(kind, [ASK_ROW, SELL_ROW]) | ((kind == CLEAR_ROW) & (flags & FLAG_ASK != 0))
    rows["ev"] = what.astype("u8") | np.where(sells, SELL, BUY).astype("u8")
    return _both_orders(rows)


def _corrected(local: Array, event: Array, kind: Array, base_latency_ns: int) -> Array:
    """Venue stamp + offset, the offset being that of the quickest depth or trade row less the base latency."""
    stamped = event != UNDEF_I64
    counted = stamped & (kind != CLEAR_ROW)
    if not counted.any():
        raise UnsoundDataError("no depth or trade row with a venue time: there is no order to export")
    offset = (local[counted] - event[counted]).min() - base_latency_ns
    at = np.where(stamped, np.where(stamped, event, 0) + offset, local - base_latency_ns)
    # A diff acts no earlier than the snapshot before it: the one that straddles it is older.
    snapshot = np.maximum.accumulate(np.where(kind == CLEAR_ROW, at, UNDEF_I64))
    return np.where(np.isin(kind, [BID_ROW, ASK_ROW]), np.maximum(at, snapshot), at)


def _both_orders(rows: Array) -> Array:
    """Marks each row for the clocks in whose order it stands; the others stand again where venue time has them."""
    exch = rows["exch_ts"]
    least_later = np.append(np.minimum.accumulate(exch[::-1])[::-1][1:], np.iinfo(np.int64).max)
    in_place = (exch >= np.maximum.accumulate(exch)) & (exch <= least_later)
    rows["ev"] |= np.where(in_place, EXCH | LOCAL, LOCAL).astype("u8")
    moved = np.flatnonzero(~in_place)
    if not len(moved):
        return rows
    moved = moved[np.argsort(exch[moved], kind="stable")]
    stay = np.flatnonzero(in_place)
    low, high = np.searchsorted(exch[stay], exch[moved], "left"), np.searchsorted(exch[stay], exch[moved], "right")
    # Of one venue time the earlier arrival comes first.
    before = np.clip(np.searchsorted(stay, moved), low, high)
    copies = rows[moved]
    copies["ev"] = (copies["ev"] & ~np.uint64(LOCAL)) | np.uint64(EXCH)
    places = np.append(stay, len(rows))[before]
    found: Array = np.insert(rows, places, copies)
    return found
