"""hftbacktest's arrays read and proved: the type of the rows, the order of both clocks, whole ticks and lots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tickerml.errors import UnsoundDataError
from tickerml.sinks.npz import BUY, CLEAR, DEPTH, DTYPE, EXCH, LOCAL, SELL, SNAPSHOT, TRADE
from tickerml.sources.arrays import read_array

__all__ = ["Clocks", "LocalRows", "checked", "load"]

TYPE_MASK: Final = 0xFF
ORDER_TYPES: Final = (10, 11, 12, 13)
"""Rows of single orders: add, cancel, modify, fill."""

UNMARKED: Final = np.uint64(~(EXCH | LOCAL) & (2**64 - 1))
"""A row without what says which clock it is of."""

STEP_TOLERANCE: Final = 1e-3
"""How far a float may lie from a multiple of its step, in steps: sums of floats do, another step does not."""

STEPS_MAX: Final = 2**50
"""Beyond it a float no longer tells two steps apart well enough."""

SORTED_BY: Final = "hftbacktest's correct_event_order makes a file that is in order"

Array = npt.NDArray[Any]


@dataclass
class Clocks:
    """Where one file's rows must go on from another's, and how many were of no use.

    Attributes
    ----------
    local_ns, exch_ns : the last stamp of each clock so far.
    skipped : local rows that a book of levels has no place for.
    """

    local_ns: int = 0
    exch_ns: int = -(2**63)
    skipped: int = 0


@dataclass(frozen=True)
class LocalRows:
    """The rows of a file that are events, as they were learned.

    Attributes
    ----------
    rows : array of `DTYPE`.
    numbers : their places in the file.
    """

    path: Path
    rows: Array
    numbers: Array

    @property
    def what(self) -> npt.NDArray[np.int64]:
        """DEPTH, TRADE, CLEAR or SNAPSHOT."""
        return (self.rows["ev"] & TYPE_MASK).astype(np.int64)

    def ticks(self, tick: int, precision: int) -> npt.NDArray[np.int64]:
        """Prices as scaled integers; a clear without one has 0."""
        clear = self.what == CLEAR
        return self._steps("price", self.rows["px"], clear, clear, size=(tick, precision))

    def lots(self, lot: int, precision: int) -> npt.NDArray[np.int64]:
        """Quantities as scaled integers."""
        return self._steps("quantity", self.rows["qty"], self.what == CLEAR, True, size=(lot, precision))

    def _steps(
        self, name: str, values: Array, endless: Array, nought: Array | bool, *, size: tuple[int, int]
    ) -> npt.NDArray[np.int64]:
        """Whole steps of floats that are multiples of one.

        Parameters
        ----------
        endless, nought : where no number, or 0, is right.
        """
        step = size[0] / 10.0 ** size[1]
        finite = np.isfinite(values)
        count = np.where(finite, values, 0) / step
        whole = np.rint(count)
        good = (finite | endless) & (count >= 0) & (whole <= STEPS_MAX) & (np.abs(count - whole) <= STEP_TOLERANCE)
        good &= (whole > 0) | nought
        if (wrong := np.flatnonzero(~good)).size:
            where, option = f"{self.path}: row {self.numbers[wrong[0]]}", "--tick" if name == "price" else "--lot"
            raise UnsoundDataError(f"{where}: {name} {values[wrong[0]]!s} is no multiple of {option} {step:g}")
        return whole.astype(np.int64) * size[0]


def load(path: Path) -> Array:
    """The rows of a file.

    Raises
    ------
    UnsoundDataError
    """
    rows = read_array(path)
    if rows.dtype != DTYPE or rows.ndim != 1:
        names = ", ".join(DTYPE.names or ())
        raise UnsoundDataError(
            f"{path}: rows are {rows.dtype} of shape {rows.shape}, not hftbacktest 2's ({names}); write it again by "
            "one of its converters"
        )
    return rows


def checked(path: Path, rows: Array, clocks: Clocks) -> LocalRows:
    """The rows of the local clock that are events, and their numbers in the file; both clocks' orders are proved.

    Raises
    ------
    UnsoundDataError
    """
    ev, what = rows["ev"], rows["ev"] & TYPE_MASK
    if (orders := np.flatnonzero(np.isin(what, ORDER_TYPES))).size:
        raise UnsoundDataError(f"{path}: row {orders[0]} is of a single order; only rows of levels are taken")
    sided = (ev & BUY != 0) != (ev & SELL != 0)
    kept = ((what == DEPTH) | (what == TRADE) | (what == SNAPSHOT)) & sided | (what == CLEAR)
    clocks.skipped += int((~kept & (ev & LOCAL != 0)).sum())
    numbers, places = np.flatnonzero(kept & (ev & LOCAL != 0)), np.flatnonzero(kept & (ev & EXCH != 0))
    local, exch = rows[numbers], rows[places]
    stamps = local["local_ts"]
    if len(local) and (stamps[0] <= 0 or stamps[0] < clocks.local_ns):
        before = f"the file before ends at {clocks.local_ns}" if clocks.local_ns else "only a snapshot has no time"
        raise UnsoundDataError(f"{path}: row {numbers[0]}: local_ts is {stamps[0]}, but {before}")
    if (back := np.flatnonzero(np.diff(stamps) < 0)).size:
        raise UnsoundDataError(f"{path}: row {numbers[back[0] + 1]}: local_ts goes back; {SORTED_BY}")
    _check_exchange(path, local, exch, places, clocks)
    if len(local):
        clocks.local_ns, clocks.exch_ns = int(stamps[-1]), int(exch["exch_ts"][-1])
    return LocalRows(path, local, numbers)


def _check_exchange(path: Path, local: Array, exch: Array, places: Array, clocks: Clocks) -> None:
    """The exchange's rows are the local ones in a stable sort by `exch_ts`."""
    due = local[np.argsort(local["exch_ts"], kind="stable")]
    both = min(len(due), len(exch))
    ours, theirs = due[:both], exch[:both]
    differs = (ours["ev"] ^ theirs["ev"]) & UNMARKED != 0
    for name in ("exch_ts", "local_ts", "px", "qty"):
        unlike = ours[name] != theirs[name]
        if name in ("px", "qty"):
            unlike &= ~(np.isnan(ours[name]) & np.isnan(theirs[name]))
        differs |= unlike
    wrong = np.flatnonzero(differs)
    if wrong.size or len(due) != len(exch):
        row = places[wrong[0] if wrong.size else both] if wrong.size or len(exch) > both else len(exch)
        raise UnsoundDataError(
            f"{path}: row {row}: the rows of the exchange's clock are not the local ones in a stable sort by exch_ts; "
            f"{SORTED_BY}"
        )
    if len(exch) and exch["exch_ts"][0] < clocks.exch_ns:
        raise UnsoundDataError(f"{path}: row {places[0]}: exch_ts lies before the end of the file before")
