"""Event files: where they stand and what they are called (contract.md "Event files", rules.md 8).

What is in them is written by `_native.EventWriter`, so that neither `data convert` nor `data import` loads pyarrow:
that takes longer than their work. Reading (`events.py`) stays with pyarrow. A file is written beside its place, synced
and renamed, so that a reader sees a whole file or none.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Container, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from tickerml._native import EventRows, EventWriter
from tickerml.errors import UnsoundDataError
from tickerml.schema import COLUMNS, DAY_NS, EVENT_FORMAT_VERSION, METADATA_HASH, Columns, metadata_hash
from tickerml.writing import replacing, sync_folder

ROW_GROUP_ROWS: Final = 1 << 19
"""22 MB of columns: what a writer or a reader holds at a time. Larger groups make files no smaller (measured)."""

EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


class Segment(NamedTuple):
    """Where rows come from: a tape's segment and the hash by which it is known."""

    epoch: int
    segment: int
    sha256: str = ""

    @property
    def number(self) -> str:
        """Epoch and segment as the digits of a file's name."""
        return f"{self.epoch:04d}{self.segment:06d}"


class EventFiles:
    """Writes the event files of one run and instrument. Use it as a context: only a clean end replaces older files.

    Parameters
    ----------
    data : the data folder; files go to `events/venue=../symbol=../date=..`, the manifest to `runs/<run>/events.json`.
    run : name of the run.
    instrument : the INSTRUMENT record's JSON: venue, symbol, precisions, tick, lot and the rest.
    source, code_version : go into the files' metadata.

    Attributes
    ----------
    rows, bytes : of the files written by this object.
    """

    def __init__(self, data: Path, run: str, instrument: Mapping[str, Any], *, source: str, code_version: str) -> None:
        self._data, self._run = data, run
        self._instrument = dict(instrument)
        self._meta = {"source": source, "code_version": code_version}
        venue, symbol = str(instrument["venue"]), str(instrument["symbol"])
        self._id = f"{venue}:{symbol}"
        self._folder = data / "events" / f"venue={quote(venue, safe='')}" / f"symbol={quote(symbol, safe='')}"
        for left in self._folder.glob(f"date=*/.{run}-*.tmp"):
            left.unlink()  # a convert of this run was killed
        self._written: list[_Writer] = []
        self._open: _Writer | None = None
        self._count = 0
        self.rows = self.bytes = 0

    def add(self, segment: Segment, columns: Columns) -> None:
        """Takes the next rows of a segment, in order. A new segment or a new UTC day of `ts_recv_ns` starts a new
        file.
        """
        _check(columns)
        ts = columns["ts_recv_ns"]
        if len(ts) == 0:
            return
        days = ts // DAY_NS
        cuts = [0, *((days[1:] != days[:-1]).nonzero()[0] + 1).tolist(), len(ts)]
        for start, end in itertools.pairwise(cuts):
            part = {name: column[start:end] for name, column in columns.items()}
            self.add_rows(segment, int(days[start]), EventRows(part))

    def add_rows(self, segment: Segment, day: int, rows: EventRows) -> None:
        """The same of rows that are of one day, counted since 1970."""
        if len(rows):
            self._writer(segment, day).add(rows)

    def describe(self, instrument: Mapping[str, Any]) -> None:
        """The venue changed the instrument's metadata (tick, lot): rows from here on go to a new file."""
        if dict(instrument) != self._instrument:
            self._finish_file()
            self._instrument = dict(instrument)

    def __enter__(self) -> EventFiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._finish_file()
            self._replace_older()
        for writer in self._written:
            writer.discard()
        if self._open is not None:
            self._open.discard()

    def glob(self) -> str:
        """The files as one string, for a result."""
        return str(self._folder / "date=*" / f"*-{self._run}-*.parquet")

    def _writer(self, segment: Segment, day: int) -> _Writer:
        if self._open is None or (self._open.segment, self._open.day) != (segment, day):
            self._finish_file()
            self._count += 1
            meta = self._metadata(segment)
            self._open = _Writer(self._folder, self._run, segment, day, count=self._count, metadata=meta)
        return self._open

    def _metadata(self, segment: Segment) -> dict[str, str]:
        return {
            "format_version": str(EVENT_FORMAT_VERSION),
            "instrument": json.dumps(self._instrument, sort_keys=True),
            "price_precision": str(self._instrument["price_precision"]),
            "qty_precision": str(self._instrument["qty_precision"]),
            "run": self._run,
            "tape_sha256": segment.sha256,
            **self._meta,
        }

    def _finish_file(self) -> None:
        if self._open is not None:
            self._open.finish()
            self._written.append(self._open)
            self._open = None

    def _replace_older(self) -> None:
        """Puts the files in their places, writes the manifest, then removes this run's files that are not in it."""
        manifest = self._data / "runs" / self._run / "events.json"
        files = [f for f in read_manifest(manifest) if f["instrument"] != self._id]
        ours: set[Path] = set()
        while self._written:
            path, row = self._written[0].place(ours)
            del self._written[0]
            ours.add(path)
            self.rows += row["rows"]
            self.bytes += row["bytes"]
            files.append({"path": str(path.relative_to(self._data)), "instrument": self._id, **row})
        manifest.parent.mkdir(parents=True, exist_ok=True)
        with replacing(manifest) as draft:
            draft.write_text(json.dumps({"format_version": EVENT_FORMAT_VERSION, "files": files}, indent=1))
        for path in self._folder.glob(f"date=*/*-{self._run}-*.parquet"):
            if path not in ours:
                path.unlink()


class _Writer:
    """One file: its name is known when the last row is."""

    def __init__(
        self, folder: Path, run: str, segment: Segment, day: int, *, count: int, metadata: dict[str, str]
    ) -> None:
        self.segment, self.day = segment, day
        self._run = run
        self._folder = folder / f"date={date.fromordinal(EPOCH_DAY + day)}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path = self._folder / f".{run}-{segment.number}-{count}.tmp"
        self._metadata = metadata
        self._file = EventWriter(self._path, ROW_GROUP_ROWS)
        self._rows = 0
        self._first_ns = self._last_ns = 0

    def add(self, rows: EventRows) -> None:
        if self._rows == 0:
            self._first_ns = rows.first_ns
        self._last_ns = rows.last_ns
        self._rows += len(rows)
        self._file.add(rows)

    def finish(self) -> None:
        """Completes the file beside its place, on disk."""
        meta = {**self._metadata, "rows": str(self._rows)}
        self._file.finish([*meta.items(), (METADATA_HASH, metadata_hash(meta))])

    def place(self, taken: Container[Path]) -> tuple[Path, dict[str, Any]]:
        """Gives the finished file its name: where it is, and what the manifest says of it.

        Parameters
        ----------
        taken : names given before. Files of one segment around a change of metadata may share both stamps: the
            later one's name then ends a nanosecond later.
        """
        last_ns = self._last_ns
        while (path := self._folder / f"{self._first_ns}-{last_ns}-{self._run}-{self.segment.number}.parquet") in taken:
            last_ns += 1
        self._path.rename(path)
        sync_folder(self._folder)
        row = {"segment": self.segment.number, "tape_sha256": self.segment.sha256, "rows": self._rows}
        return path, {**row, "bytes": path.stat().st_size}

    def discard(self) -> None:
        """Leaves nothing of a file that has no name yet."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def read_manifest(path: Path) -> list[dict[str, Any]]:
    """The files that convert made of a run; none where there is no manifest."""
    try:
        found: list[dict[str, Any]] = json.loads(path.read_bytes())["files"]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError) as error:
        raise UnsoundDataError(f"{path}: not a manifest of event files: {error}") from error
    return found


def _check(columns: Columns) -> None:
    """The seven columns, their types, one length, and time that never goes back."""
    assert list(columns) == list(COLUMNS), f"columns are {list(COLUMNS)}, not {list(columns)}"
    lengths = {len(column) for column in columns.values()}
    assert len(lengths) == 1, f"columns of {lengths} rows"
    for name, dtype in COLUMNS.items():
        assert columns[name].dtype == dtype, f"{name} is {columns[name].dtype}, not {dtype}"
    ts = columns["ts_recv_ns"]
    if (ts[1:] < ts[:-1]).any():
        raise UnsoundDataError("ts_recv_ns goes back within a segment")
