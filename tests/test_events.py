"""Event files as they are read: what no tape gives is refused with the file's name, and any flipped bit is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import import_capture, tickerml
from event_files import META, NOON, RUN, columns, convert, instrument, paths, same
from tickerml.errors import UnsoundDataError
from tickerml.schema import COLUMNS, UNDEF_I64
from tickerml.sinks import events, parquet
from tickerml.sinks.events import EventChunks, EventFile, count_events, read_events
from tickerml.sinks.parquet import EventFiles, Segment, read_manifest

FLIP_STEP = 13
"""Bits from one flip to the next: coprime to 8, so that each of a byte's bits has its turn."""


@pytest.mark.parametrize("damage", ["garbage", "other", "newer"])
def test_what_is_no_event_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.parquet"
    if damage == "garbage":
        path.write_bytes(os.urandom(100))
    else:
        table = pa.table(dict(columns(3)))
        meta = {"format_version": "99"} if damage == "newer" else {}
        pq.write_table(table.replace_schema_metadata(meta), path)
    with pytest.raises(UnsoundDataError, match=str(path)):
        EventFile(path)


def contract_file(path: Path, table: pa.Table, row_group_size: int = 100, **more: str) -> Path:
    """A file as another program may write it by contract.md; pages without checksums, metadata without a hash."""
    meta = {"format_version": "1", "instrument": json.dumps(instrument("BTCUSDT")), "price_precision": "2",
            "qty_precision": "3", "run": RUN, "source": "import", "tape_sha256": "", "code_version": "x"}  # fmt: skip
    pq.write_table(
        table.replace_schema_metadata({k: v for k, v in {**meta, **more}.items() if v != "-"}),
        path,
        row_group_size=row_group_size,
    )
    return path


def rows(**changed: Any) -> pa.Table:
    plain = {"pos": [1, 2, 3], "ts_recv_ns": [NOON, NOON, NOON + 1], "ts_event_ns": [None, NOON, NOON],
             "kind": [1, 2, 3], "px": [10_000, 10_001, 10_001], "qty": [5, 5, 5], "flags": [0, 1, 1]}  # fmt: skip
    types = {name: pa.from_numpy_dtype(np.dtype(dtype)) for name, dtype in COLUMNS.items()}
    given = {**plain, **changed}
    return pa.table({n: v if isinstance(v, pa.Array) else pa.array(v, types[n]) for n, v in given.items()})


WRONG: dict[str, dict[str, Any]] = {
    "its columns are": {"px": pa.array([1.0, 2.0, 3.0])},
    "px has nulls": {"px": [1, None, 3]},
    "a quantity below 0": {"qty": [1, -1, 1]},
    "an unknown kind": {"kind": [1, 10, 1]},
    "unknown flags": {"flags": [1, 32, 1]},
    "ts_recv_ns goes back": {"ts_recv_ns": [NOON, NOON + 1, NOON]},
}


@pytest.mark.parametrize("what", WRONG)
def test_rows_that_no_tape_gives_are_refused_with_the_files_name(tmp_path: Path, what: str) -> None:
    assert len(read_events([contract_file(tmp_path / "good.parquet", rows())])["pos"]) == 3
    path = contract_file(tmp_path / "bad.parquet", rows(**WRONG[what]))
    with pytest.raises(UnsoundDataError, match=f"{path}: .*{what}.*data convert"):
        read_events([path])
    assert str(path) in tickerml(tmp_path, "backtest", str(path), "--policy", "hold", code=6)


def test_time_that_goes_back_between_row_groups_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = rows(ts_recv_ns=[NOON + 5, NOON + 5, NOON])
    contract_file(path, table, row_group_size=2)
    with pytest.raises(UnsoundDataError, match="row group 1: ts_recv_ns goes back"):
        read_events([path])


def test_a_price_that_no_row_can_hold_is_refused_with_the_files_name(tmp_path: Path) -> None:
    path = contract_file(tmp_path / "bad.parquet", rows(px=[1, 2**60, 3]))
    error = tickerml(tmp_path, "backtest", str(path), "--policy", "hold", code=6)
    assert f"{path}: row 1: a price above 54 bits" in error


BAD_METADATA: list[dict[str, str]] = [
    {"instrument": "-"}, {"instrument": "{"}, {"instrument": "[]"}, {"instrument": "{}"}, {"format_version": "-"},
    {"format_version": "x"}, {"run": "-"},
]  # fmt: skip


@pytest.mark.parametrize("more", BAD_METADATA, ids=str)
def test_bad_metadata_is_told_with_the_files_name_and_the_way_out(tmp_path: Path, more: dict[str, str]) -> None:
    path = contract_file(tmp_path / "bad.parquet", rows(), **more)
    for words in (
        ("backtest", str(path), "--policy", "hold"),
        ("data", "export", "hftbacktest-npz", str(path), "-o", "o"),
    ):
        error = tickerml(tmp_path, *words, code=6)
        assert str(path) in error
        assert "data convert" in error
        assert error.count("\n") == 1


def test_no_flipped_bit_changes_what_is_read(tmp_path: Path) -> None:
    """Every bit of a small file: it is found, or it changes nothing that is read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "ROW_GROUP_ROWS", 64)
        convert(tmp_path, (Segment(0, 0), columns(100)))
    (path,) = paths(tmp_path)
    whole, wanted = path.read_bytes(), EventFile(path)
    kept, bad = read_events([path]), tmp_path / "bad.parquet"
    found = 0
    for bit in range(0, len(whole) * 8, FLIP_STEP):
        body = bytearray(whole)
        body[bit // 8] ^= 1 << bit % 8
        bad.write_bytes(body)
        try:
            file = EventFile(bad)
            read = read_events([bad])
        except UnsoundDataError:
            found += 1
            continue
        assert same(read, kept), f"bit {bit % 8} of byte {bit // 8}"
        assert (file.instrument, file.run, file.source) == (wanted.instrument, wanted.run, wanted.source), bit
    assert found > 0.8 * len(whole) * 8 / FLIP_STEP


def test_two_instruments_are_not_one_stream(tmp_path: Path) -> None:
    convert(tmp_path, (Segment(0, 0), columns(5)))
    with EventFiles(tmp_path, RUN, {**META, "symbol": "ETH/USD"}, source="import", code_version="test") as files:
        files.add(Segment(0, 0), columns(5))
    assert len(read_manifest(tmp_path / "runs" / RUN / "events.json")) == 2
    with pytest.raises(UnsoundDataError, match=r"kraken_spot:BTC/USD, kraken_spot:ETH/USD"):
        read_events(paths(tmp_path))


def test_a_backtest_reads_a_group_at_a_time(tmp_path: Path) -> None:
    whole = columns(250)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "ROW_GROUP_ROWS", 100)
        convert(tmp_path, (Segment(0, 0), whole))
    chunks = EventChunks(paths(tmp_path))
    assert [len(chunk[1]) for chunk in chunks] == [100, 100, 50]
    assert json.loads(chunks[-1][0]) == META
    assert [len(chunk[7]) for chunk in chunks[1:]] == [100, 50]
    assert np.array_equal(np.concatenate([chunk[5] for chunk in chunks]), whole["px"])
    chunks.close()


def test_a_torn_manifest_is_told(tmp_path: Path) -> None:
    (tmp_path / "events.json").write_text('{"files": [')
    with pytest.raises(UnsoundDataError, match="not a manifest"):
        read_manifest(tmp_path / "events.json")


def test_events_are_levels_of_diffs_trades_and_best_bid_asks() -> None:
    """Of each kind a few rows: of a snapshot and without a frame none counts, of a best bid/ask one in two."""
    rows = [(1, 0), (2, 1), (1, 2), (2, 3), (1, 4), (3, 1), (4, 1), (5, 5), (6, 2), (7, 0), (7, 9), (8, 1), (9, 0)]
    kind, flags = (np.array(column, dtype=np.uint8) for column in zip(*rows, strict=True))
    assert count_events({"kind": kind, "flags": flags}) == 2 + 2 + 1


@pytest.mark.parametrize("seed", range(20))
def test_columns_are_what_pyarrow_says(seed: int) -> None:
    """Several chunks, slices that begin anywhere, and nulls."""
    chance = np.random.default_rng(seed)
    values = [None if chance.random() < 0.2 else int(chance.integers(-9, 9)) for _ in range(100)]
    cut = sorted(int(n) for n in chance.integers(0, 100, 4))
    chunks = [pa.array(values, pa.int64())[a:b] for a, b in zip([0, *cut], [*cut, 100], strict=True)]
    column = pa.chunked_array(chunks[seed % 2 :], pa.int64())
    read = events._numpy(column, "int64")
    assert read.tolist() == column.fill_null(UNDEF_I64).to_pylist()


def test_reading_events_loads_no_pandas(tmp_path: Path) -> None:
    """It may be there, and costs a command a third of a second."""
    import_capture(tmp_path)
    code = (
        "import sys, pathlib; from tickerml.sources.recorded import load_events;"
        "load_events(sorted(pathlib.Path(sys.argv[1]).rglob('*.parquet'))); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
