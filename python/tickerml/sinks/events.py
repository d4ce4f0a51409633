"""Event files (contract.md) read back: as NumPy columns, a row group at a time, or as what a backtest takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tickerml.errors import UnsoundDataError
from tickerml.schema import COLUMNS, EVENT_FORMAT_VERSION, FLAGS, KINDS, UNDEF_I64, Columns


class EventFile:
    """One event file, open for reading.

    Attributes
    ----------
    rows, groups : number of rows, and of row groups.
    run, source, tape_sha256, code_version : from its metadata.
    instrument : the instrument's metadata as a dict; `instrument_id` is `venue:SYMBOL`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = pq.ParquetFile(path, memory_map=True)
        except (pa.ArrowInvalid, OSError) as error:
            raise UnsoundDataError(f"{path}: not a Parquet file that can be read: {error}") from error
        self.rows, self.groups = self._file.metadata.num_rows, self._file.metadata.num_row_groups
        meta = {k.decode(): v.decode() for k, v in (self._file.metadata.metadata or {}).items()}
        if self._file.schema_arrow.names != list(COLUMNS) or "format_version" not in meta:
            raise UnsoundDataError(f"{path}: not an event file: its columns are {self._file.schema_arrow.names}")
        if int(meta["format_version"]) > EVENT_FORMAT_VERSION:
            version = meta["format_version"]
            raise UnsoundDataError(f"{path}: format {version}, this program reads up to {EVENT_FORMAT_VERSION}")
        self.instrument: dict[str, Any] = json.loads(meta["instrument"])
        self.instrument_id = f"{self.instrument['venue']}:{self.instrument['symbol']}"
        self.run, self.source = meta["run"], meta["source"]
        self.tape_sha256, self.code_version = meta["tape_sha256"], meta["code_version"]

    def chunks(self) -> Iterator[Columns]:
        """The columns, one row group at a time."""
        return (self.chunk(group) for group in range(self.groups))

    def chunk(self, group: int) -> Columns:
        """The columns of one row group."""
        table = self._file.read_row_group(group, use_threads=False)
        return {name: _numpy(table.column(name), dtype) for name, dtype in COLUMNS.items()}

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class EventChunks(Sequence[tuple[Any, ...]]):
    """Files as a backtest takes them: items (instrument JSON, then the seven columns), each read when it is asked for.

    So no more than one file is open and one row group held here, however many and however long the files are.

    Attributes
    ----------
    events : levels of diffs, trades and best bid/asks in what was read (contract.md, `events`).
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._groups: list[tuple[Path, int]] = []
        self._file: EventFile | None = None
        self.events = 0
        for path in paths:
            self._groups += [(path, group) for group in range(self._opened(path).groups)]

    def __len__(self) -> int:
        return len(self._groups)

    @overload
    def __getitem__(self, index: int) -> tuple[Any, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[Any, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[Any, ...] | list[tuple[Any, ...]]:
        if isinstance(index, slice):
            return [self[n] for n in range(len(self))[index]]
        path, group = self._groups[index]
        file = self._opened(path)
        columns = file.chunk(group)
        self.events += count_events(columns)
        return json.dumps(file.instrument, sort_keys=True), *columns.values()

    def close(self) -> None:
        """Closes the file that is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self, path: Path) -> EventFile:
        if self._file is None or self._file.path != path:
            self.close()
            self._file = EventFile(path)
        return self._file


def count_events(columns: Columns) -> int:
    """Levels of diffs, trades, and best bid/asks, which are two rows each; rows that no frame carried are none."""
    kind, flags = columns["kind"], columns["flags"]
    level = (kind <= KINDS["ask"]) & (flags & (FLAGS["snapshot"] | FLAGS["derived"]) == 0)
    trade = (kind == KINDS["buy_trade"]) | (kind == KINDS["sell_trade"])
    touch = (kind == KINDS["touch"]) & (flags & FLAGS["last"] != 0)
    return int(np.count_nonzero(level | trade | touch))


def read_events(paths: Sequence[Path]) -> Columns:
    """All rows of some files, in the order given, as one chunk of 42 bytes a row: into arrays made once, no copy kept.

    Raises
    ------
    UnsoundDataError
        For a file that cannot be read, or files of more than one instrument.
    """
    files = [EventFile(path) for path in paths]
    if len(ids := sorted({file.instrument_id for file in files})) > 1:
        raise UnsoundDataError(f"these files hold {', '.join(ids)}: read one instrument at a time")
    rows = sum(file.rows for file in files)
    columns: Columns = {name: np.empty(rows, dtype) for name, dtype in COLUMNS.items()}
    start = 0
    for file in files:
        for chunk in file.chunks():
            end = start + len(chunk["pos"])
            for name, column in columns.items():
                column[start:end] = chunk[name]
            start = end
        file.close()
    return columns


def _numpy(column: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    if column.null_count:
        column = column.fill_null(UNDEF_I64)
    found: npt.NDArray[Any] = column.to_numpy()
    return found.astype(dtype, copy=False)
