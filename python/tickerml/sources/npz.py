"""Import of hftbacktest's arrays: event files without a tape, for an array has no frames that a tape could hold.

The rows of the local clock are the events, in their order. Rows of the exchange's clock must be the same rows in a
stable sort by `exch_ts`, for that is how our simulator derives them (simulation.md 2). A clear up to a price becomes
the deletes of the levels that it reaches. Depth before the first snapshot belongs to no true book: it is left out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tickerml import _native
from tickerml.errors import NotFoundError, UnsoundDataError
from tickerml.schema import CAUSES, COLUMNS, FLAGS, KINDS, LIVE, UNDEF_I64, Columns
from tickerml.sinks.npz import BUY, CLEAR, DEPTH, DTYPE, SELL, SNAPSHOT, TRADE
from tickerml.sinks.parquet import EventFiles, Segment
from tickerml.sources.npz_rows import Clocks, checked, load
from tickerml.sources.runs import new_name, write_run
from tickerml.version import code_version

__all__ = ["FORMAT", "import_npz"]

FORMAT: Final = "hftbacktest-npz"

Array = npt.NDArray[Any]


def import_npz(data: Path, files: Sequence[Path], instrument: str, steps: Mapping[str, str]) -> dict[str, Any]:
    """Makes the event files of one instrument's arrays, one after the other; the keys of `data import`.

    What fails a check leaves nothing behind.

    Parameters
    ----------
    steps : tick and lot, and min_notional where it was given, as text.

    Raises
    ------
    NotFoundError, ConfigError, UnsoundDataError
    """
    missing = [f"{path}: no such file" for path in files if not path.is_file()]
    if missing:
        raise NotFoundError("\n".join(missing))
    begin = time.perf_counter()
    made = json.loads(_native.instrument_json(instrument, steps["tick"], steps["lot"], steps.get("min_notional", "0")))
    run, counts = new_name(), _Counts()
    events = EventFiles(data, run, made, source=FORMAT, code_version=code_version())
    try:
        with events:
            for n, columns in _parts(files, made, counts):
                counts.take(columns)
                events.add(Segment(0, n, _native.file_sha256(files[n])), columns)
            if not counts.snapshots:
                raise UnsoundDataError(
                    f"{files[0]}: no snapshot, so no book is true; give hftbacktest's snapshot file as the first FILE"
                )
    except BaseException:
        _remove_empty(data, Path(events.glob()).parent.parent)
        raise
    write_run(data, run, {"command": "import", "source": "import", "format": FORMAT, "code_version": code_version()})
    return {
        "run": run, "tape": None, "events": events.glob(), "instrument": made, "frames": 0, "rows": events.rows,
        "bytes": sum(path.stat().st_size for path in files), **counts.result(), "rejected": [], "rejected_count": 0,
        "gaps": [], "cpu_s": round(time.process_time(), 6), "wall_s": round(time.perf_counter() - begin, 6),
    }  # fmt: skip


def _remove_empty(data: Path, symbol: Path) -> None:
    """The folders that drafts stood in, where there is nothing else."""
    for folder in (*symbol.glob("date=*"), symbol, symbol.parent, data / "events"):
        with suppress(OSError):
            folder.rmdir()


@dataclass
class _Counts:
    """What was met, and where one file's rows go on from another's."""

    levels: int = 0
    trades: int = 0
    snapshots: int = 0
    discarded_diffs: int = 0
    first_ns: int = 0
    pos: int = 0
    clocks: Clocks = field(default_factory=Clocks)
    book: dict[bool, dict[int, None]] = field(default_factory=lambda: {True: {}, False: {}})

    def take(self, columns: Columns) -> None:
        """Counts the span of a file's rows."""
        if len(columns["ts_recv_ns"]):
            self.first_ns = self.first_ns or int(columns["ts_recv_ns"][0])

    def result(self) -> dict[str, int]:
        """The counts in the words of contract.md."""
        return {
            "levels": self.levels, "trades": self.trades, "snapshots": self.snapshots,
            "discarded_diffs": self.discarded_diffs, "skipped": self.clocks.skipped, "first_ts_recv_ns": self.first_ns,
            "last_ts_recv_ns": self.clocks.local_ns,
        }  # fmt: skip


def _parts(files: Sequence[Path], instrument: dict[str, Any], counts: _Counts) -> Iterator[tuple[int, Columns]]:
    """Each file's number and columns. A snapshot file, whose stamps are 0, is put before the rows of the next one."""
    held: Array = np.zeros(0, DTYPE)
    for n, path in enumerate(files):
        rows = load(path)
        if len(rows) and not rows["local_ts"].any() and n + 1 < len(files):
            held = np.concatenate([held, rows])
            continue
        if len(held) and len(rows):
            held["local_ts"], held["exch_ts"] = rows["local_ts"].min(), rows["exch_ts"].min()
            rows, held = np.concatenate([held, rows]), held[:0]
        yield n, _columns(path, rows, instrument, counts)


def _columns(path: Path, rows: Array, instrument: dict[str, Any], counts: _Counts) -> Columns:
    """The events of one file's rows."""
    found = checked(path, rows, counts.clocks)
    local, what = found.rows, found.what
    asks = local["ev"] & SELL != 0
    kind = np.select(
        [what == CLEAR, (what == TRADE) & ~asks, (what == TRADE) & asks, asks],
        [KINDS["clear"], KINDS["buy_trade"], KINDS["sell_trade"], KINDS["ask"]],
        KINDS["bid"],
    ).astype("u1")
    px = found.ticks(instrument["tick"], instrument["price_precision"])
    qty = found.lots(instrument["lot"], instrument["qty_precision"])
    image = np.isin(what, [CLEAR, SNAPSHOT])
    flags = np.where(image, FLAGS["snapshot"], 0) | np.where((what == CLEAR) & asks, FLAGS["ask_side"], 0)
    table = {
        "pos": _messages(local, what, image), "ts_recv_ns": local["local_ts"], "ts_event_ns": local["exch_ts"],
        "kind": kind, "px": px, "qty": qty, "flags": flags,
    }  # fmt: skip
    counts.trades += int((what == TRADE).sum())
    counts.levels += int((what == DEPTH).sum())
    columns = {name: table[name].astype(dtype) for name, dtype in COLUMNS.items()}
    columns = _cleared(columns, local, counts)
    return _ended(_with_state(columns, counts), counts)


def _messages(local: Array, what: Array, image: Array) -> Array:
    """The message of each row, from 0: a print is one by itself, rows of a book are one with equal stamps and kind."""
    trade = what == TRADE
    begins = np.ones(len(local), bool)
    same = (local["local_ts"][1:] == local["local_ts"][:-1]) & (local["exch_ts"][1:] == local["exch_ts"][:-1])
    begins[1:] = ~same | trade[1:] | trade[:-1] | (image[1:] != image[:-1])
    found: Array = np.cumsum(begins) - 1
    return found


def _cleared(columns: Columns, local: Array, counts: _Counts) -> Columns:
    """Clears as rows: of a whole side, of both where a row names none, or of the levels up to a price."""
    kind = columns["kind"]
    clears = np.flatnonzero(kind == KINDS["clear"])
    parts, start = [], 0
    for at in [*clears.tolist(), len(kind)]:
        part = {name: column[start:at] for name, column in columns.items()}
        _follow(part, counts)
        parts.append(part)
        start = at + 1
        if at == len(kind):
            break
        row = local[at]
        sides = [bool(row["ev"] & BUY)] if bool(row["ev"] & BUY) != bool(row["ev"] & SELL) else [True, False]
        parts += [_clear({n: c[at : at + 1] for n, c in columns.items()}, row, side, counts) for side in sides]
    return _joined(parts)


def _follow(part: Columns, counts: _Counts) -> None:
    """Keeps which levels there are, for a clear that ends at a price."""
    for bids, kind in ((True, KINDS["bid"]), (False, KINDS["ask"])):
        mine = part["kind"] == kind
        book = counts.book[bids]
        px, last = np.unique(part["px"][mine][::-1], return_index=True)
        sizes = part["qty"][mine][::-1][last]
        book.update(dict.fromkeys(px[sizes > 0].tolist()))
        for gone in px[sizes == 0].tolist():
            book.pop(gone, None)


def _clear(row: Columns, given: Any, bids: bool, counts: _Counts) -> Columns:
    book = counts.book[bids]
    limit = int(row["px"][0])
    # Without a side, or with no number for a price, the clear has no end.
    whole = not np.isfinite(given["px"]) or not given["ev"] & (BUY | SELL)
    reached = sorted(px for px in book if whole or (px >= limit if bids else px <= limit))
    for px in reached:
        del book[px]
    gone: npt.NDArray[np.int64] = np.array(reached if book else [0], np.int64)
    kind, flags = KINDS["bid" if bids else "ask"], FLAGS["snapshot"] | FLAGS["derived"]
    if not book:
        kind, flags = KINDS["clear"], FLAGS["snapshot"] | (0 if bids else FLAGS["ask_side"])
    made = {name: np.repeat(column, len(gone)) for name, column in row.items()}
    made["kind"][:], made["flags"][:], made["px"][:], made["qty"][:] = kind, flags, gone, 0
    return made


def _with_state(columns: Columns, counts: _Counts) -> Columns:
    """The book is true from the first snapshot's end on; depth before it is left out."""
    image = columns["flags"] & FLAGS["snapshot"] != 0
    begins = image & np.append(True, columns["pos"][1:] != columns["pos"][:-1])
    known = counts.snapshots > 0
    counts.snapshots += int(begins.sum())
    if known:
        return columns
    first = int(np.flatnonzero(image)[0]) if image.any() else len(image)
    early = np.isin(columns["kind"], [KINDS["bid"], KINDS["ask"]]) & (np.arange(len(image)) < first)
    counts.discarded_diffs += int(early.sum())
    if not image.any():
        return {name: column[~early] for name, column in columns.items()}
    message = columns["pos"][first]
    end = int(np.flatnonzero(columns["pos"] == message)[-1]) + 1
    live = {name: column[end - 1 : end].copy() for name, column in columns.items()}
    live["kind"][:], live["px"][:], live["qty"][:] = KINDS["state"], LIVE, CAUSES.index("snapshot")
    live["ts_event_ns"][:], live["flags"][:] = UNDEF_I64, FLAGS["last"] | FLAGS["derived"]
    before = {name: column[:end][~early[:end]] for name, column in columns.items()}
    # The state is a message of its own of the same number: what ends the snapshot is marked here.
    before["flags"][-1] |= FLAGS["last"]
    return _joined([before, live, {name: column[end:] for name, column in columns.items()}])


def _ended(columns: Columns, counts: _Counts) -> Columns:
    """Marks each message's last row, numbers the messages on from the file before, and drops prints of nothing."""
    trade = np.isin(columns["kind"], [KINDS["buy_trade"], KINDS["sell_trade"]])
    columns = {name: column[~trade | (columns["qty"] != 0)] for name, column in columns.items()}
    pos = columns["pos"]
    if len(pos):
        columns["flags"][np.append(pos[1:] != pos[:-1], True)] |= FLAGS["last"]
        columns["pos"] = pos + counts.pos
        counts.pos = int(columns["pos"][-1]) + 1
    return columns


def _joined(parts: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]).astype(dtype) for name, dtype in COLUMNS.items()}
