"""Event files (contract.md) read back: as NumPy columns, a row group at a time, or as what a backtest takes.

Nothing is believed that does not prove itself: each page by its CRC-32, the metadata by the hash that stands among
them, and every row by the rules that a tape's rows follow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tickerml._native import sha256_hex
from tickerml.errors import UnsoundDataError
from tickerml.schema import (
    COLUMNS,
    EVENT_FORMAT_VERSION,
    FLAGS,
    KINDS,
    LAYOUT_HASH,
    METADATA_HASH,
    UNDEF_I64,
    Columns,
    metadata_hash,
)

BROKEN = (pa.ArrowException, OSError, ValueError, IndexError, OverflowError, MemoryError)
"""What pyarrow raises for bytes that are no Parquet."""

NULLABLE = "ts_event_ns"
KIND_MAX = max(KINDS.values())
FLAGS_ALL = sum(FLAGS.values())


class EventFile:
    """One event file, open for reading.

    Attributes
    ----------
    rows, groups : number of rows, and of row groups.
    run, source, tape_sha256, code_version : from its metadata.
    instrument : the instrument's metadata as a dict; `instrument_id` is `venue:SYMBOL`.

    Raises
    ------
    UnsoundDataError
        With the file's name, here and where rows are read, for everything that convert does not write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[int, int] = (-1, 0)
        try:
            self._file = pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
        except BROKEN as error:
            raise self._unsound(f"not a Parquet file that can be read: {_line(error)}") from error
        self.rows, self.groups = self._file.metadata.num_rows, self._file.metadata.num_row_groups
        found = {field.name: str(field.type) for field in self._file.schema_arrow}
        if list(found) != list(COLUMNS) or found != COLUMNS:
            raise self._unsound(f"not an event file: its columns are {found}")
        try:
            self._take(self._file.metadata.metadata or {})
        except (ValueError, KeyError, TypeError) as error:
            raise self._unsound(f"not an event file: its metadata cannot be read ({_line(error)})") from error

    def chunks(self) -> Iterator[Columns]:
        """The columns, one row group at a time."""
        return (self.chunk(group) for group in range(self.groups))

    def chunk(self, group: int) -> Columns:
        """The columns of one row group."""
        try:
            table = self._file.read_row_group(group, use_threads=False)
        except BROKEN as error:
            raise self._unsound(f"row group {group} is damaged: {_line(error)}") from error
        for name in COLUMNS:
            if table.column(name).null_count and name != NULLABLE:
                raise self._unsound(f"row group {group}: {name} has nulls")
        columns = {name: _numpy(table.column(name), dtype) for name, dtype in COLUMNS.items()}
        before, last_ns = self._read
        if problem := _problem(columns, last_ns if before == group - 1 else None):
            raise self._unsound(f"row group {group}: {problem}")
        self._read = group, int(columns["ts_recv_ns"][-1]) if len(table) else last_ns
        return columns

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _take(self, raw: Mapping[bytes, bytes]) -> None:
        meta = {key.decode(): value.decode() for key, value in raw.items()}
        version = int(meta["format_version"])
        if version > EVENT_FORMAT_VERSION:
            raise self._unsound(f"format {version}, this program reads up to {EVENT_FORMAT_VERSION}")
        proof = meta.pop(METADATA_HASH, None)  # other writers of this schema give none
        layout = meta.pop(LAYOUT_HASH, None)
        if proof is not None and (proof != metadata_hash(meta) or int(meta["rows"]) != self.rows):
            raise self._unsound("its metadata are damaged")
        if layout is not None and layout != layout_hash(self._file.metadata):
            raise self._unsound("its footer is damaged")
        self.instrument: dict[str, Any] = json.loads(meta["instrument"])
        self.instrument_id = f"{self.instrument['venue']}:{self.instrument['symbol']}"
        self.run, self.source = meta["run"], meta["source"]
        self.tape_sha256, self.code_version = meta["tape_sha256"], meta["code_version"]

    def _unsound(self, what: str) -> UnsoundDataError:
        return UnsoundDataError(f"{self.path}: {what}; `tickerml data convert RUN` makes it again from its tape")


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

    @property
    def path(self) -> Path | None:
        """The file that is open: the one that was read last."""
        return self._file.path if self._file else None

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


def layout_hash(meta: Any) -> str:
    """What `parquet::footer::layout_hash` of the Rust side makes of the same footer."""
    lines = ["".join(str(meta.schema.column(n).max_definition_level) for n in range(meta.num_columns))]
    for group in map(meta.row_group, range(meta.num_row_groups)):
        parts = map(group.column, range(meta.num_columns))
        lines.append(" ".join([str(group.num_rows), *map(_place, parts)]))
    return sha256_hex("\n".join(lines).encode())


def _place(column: Any) -> str:
    dictionary = column.dictionary_page_offset if column.has_dictionary_page else 0
    return f"{column.data_page_offset}:{dictionary}:{column.total_compressed_size}:{column.num_values}"


def _problem(columns: Columns, last_ns: int | None) -> str:
    """What no tape gives in these rows; empty where they are as they should be.

    Parameters
    ----------
    last_ns : `ts_recv_ns` of the row before them, if that was read.
    """
    kind, ts = columns["kind"], columns["ts_recv_ns"]
    if not len(kind):
        return ""
    if kind.min() < 1 or kind.max() > KIND_MAX:
        return "an unknown kind"
    if columns["flags"].max() > FLAGS_ALL:
        return "unknown flags"
    if columns["qty"].min() < 0:
        return "a quantity below 0"
    if (ts[1:] < ts[:-1]).any() or (last_ns is not None and ts[0] < last_ns):
        return "ts_recv_ns goes back"
    return ""


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _numpy(column: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The column's buffers as an array, a null as `UNDEF_I64`. pyarrow's own way loads pandas where it is installed."""
    parts = [_values(chunk, np.dtype(dtype)) for chunk in column.chunks if len(chunk)]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([np.empty(0, dtype), *parts])


def _values(chunk: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    known, values = chunk.buffers()
    found = np.frombuffer(values, dtype, len(chunk), chunk.offset * dtype.itemsize)
    if not chunk.null_count:
        return found
    bits = np.unpackbits(np.frombuffer(known, np.uint8), bitorder="little")[chunk.offset : chunk.offset + len(chunk)]
    return np.where(bits, found, UNDEF_I64)
