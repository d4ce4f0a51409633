"""Event files as they are written: read back, cut by day and segment, whole or not at all, as small as promised."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from event_files import DAY_NS, META, NOON, RUN, columns, convert, instrument, paths, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tape_reader import CONFIG, CONNECT, EPOCH, FRAME, INSTRUMENT, STOP
from tickerml.errors import UnsoundDataError
from tickerml.schema import COLUMNS, EVENT_FILE, UNDEF_I64, Columns
from tickerml.sinks import parquet
from tickerml.sinks.events import EventFile, read_events
from tickerml.sinks.parquet import EventFiles, Segment, read_manifest


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=6),
    group=st.sampled_from([100, 1024, 1 << 19]),
    extreme=st.sampled_from([2**63 - 1, -(2**63) + 1, 0]),
)
def test_any_chunks_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], group: int, extreme: int
) -> None:
    data = tmp_path_factory.mktemp("events")
    whole = columns(sum(sizes))
    whole["px"][::7] = extreme
    edges = np.cumsum([0, *sizes]).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "ROW_GROUP_ROWS", group)
        parts = [{n: c[a:b] for n, c in whole.items()} for a, b in itertools.pairwise(edges)]
        files = convert(data, *((Segment(0, 0), part) for part in parts))
    assert files.rows == sum(sizes)
    assert files.bytes == sum(path.stat().st_size for path in paths(data))
    assert same(read_events(paths(data)), whole)


def test_names_partitions_and_metadata(tmp_path: Path) -> None:
    part = columns(1000)
    files = convert(tmp_path, (Segment(2, 31, "ab12"), part))
    (path,) = paths(tmp_path)
    first, last = part["ts_recv_ns"][0], part["ts_recv_ns"][-1]
    where = "events/venue=kraken_spot/symbol=BTC%2FUSD/date=2024-08-08"
    assert str(path.relative_to(tmp_path)) == f"{where}/{first}-{last}-{RUN}-0002000031.parquet"
    assert EVENT_FILE.fullmatch(path.name)
    assert [str(p) for p in Path("/").glob(files.glob().lstrip("/"))] == [str(path)]
    file = EventFile(path)
    assert (file.rows, file.instrument, file.instrument_id) == (1000, META, "kraken_spot:BTC/USD")
    assert (file.run, file.source, file.tape_sha256, file.code_version) == (RUN, "import", "ab12", "test")
    file.close()


def test_a_new_day_and_a_new_segment_are_new_files(tmp_path: Path) -> None:
    midnight = (NOON // DAY_NS + 1) * DAY_NS
    late = columns(100, midnight - 20 * 10**6)
    next_ = columns(10, midnight + DAY_NS)
    convert(tmp_path, (Segment(0, 0), late), (Segment(0, 1), next_))
    found = [(p.parent.name, EventFile(p).rows) for p in paths(tmp_path)]
    before = int((late["ts_recv_ns"] < midnight).sum())
    assert 0 < before < 100
    assert found == [("date=2024-08-08", before), ("date=2024-08-09", 100 - before), ("date=2024-08-10", 10)]
    manifest = read_manifest(tmp_path / "runs" / RUN / "events.json")
    assert [(f["segment"], f["rows"]) for f in manifest] == [
        ("0000000000", before), ("0000000000", 100 - before), ("0000000001", 10),
    ]  # fmt: skip


def test_a_second_convert_replaces_its_own_files_alone(tmp_path: Path) -> None:
    other = "20250101T000000Z-0002"
    convert(tmp_path, (Segment(0, 0), columns(50)), run=other)
    convert(tmp_path, (Segment(0, 0), columns(50)), (Segment(0, 1), columns(60, NOON + 10**10)))
    convert(tmp_path, (Segment(0, 0), columns(70)))
    assert sorted((EventFile(p).run, EventFile(p).rows) for p in paths(tmp_path)) == [(RUN, 70), (other, 50)]
    assert len(read_manifest(tmp_path / "runs" / RUN / "events.json")) == 1


def test_a_convert_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    convert(tmp_path, (Segment(0, 0), columns(50)))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    back = columns(10)
    back["ts_recv_ns"][5] = 0
    with pytest.raises(UnsoundDataError, match="goes back"):
        convert(tmp_path, (Segment(0, 0), columns(20)), (Segment(0, 1), columns(5)), (Segment(0, 1), back))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


ENCODINGS = {
    "pos": "DELTA_BINARY_PACKED",
    "ts_recv_ns": "PLAIN",
    "ts_event_ns": "PLAIN",
    "px": "BYTE_STREAM_SPLIT",
    "qty": "PLAIN",
}
"""3.68 bytes a row on USD-M and 3.95 on spot with zstd 3; pyarrow's defaults give 5.6 and 6.6."""


def test_the_encodings_are_the_measured_ones(tmp_path: Path) -> None:
    convert(tmp_path, (Segment(0, 0), columns(5000)))
    group = pq.ParquetFile(paths(tmp_path)[0]).metadata.row_group(0)
    for k, name in enumerate(COLUMNS):
        column = group.column(k)
        assert column.compression == "ZSTD"
        dictionary = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"} & set(column.encodings)
        assert bool(dictionary) == (name in ("kind", "flags")), name
        assert name in ("kind", "flags") or ENCODINGS[name] in column.encodings


def test_other_readers_find_schema_ranges_and_nulls(tmp_path: Path) -> None:
    """What Arrow reads is what Arrow wrote before: types, which column may be absent, and what a filter can skip by."""
    part = columns(5000)
    convert(tmp_path, (Segment(0, 0), part))
    file = pq.ParquetFile(paths(tmp_path)[0])
    assert file.schema_arrow.remove_metadata() == pa.schema(
        [pa.field(name, pa.from_numpy_dtype(np.dtype(t)), name == "ts_event_ns") for name, t in COLUMNS.items()]
    )
    absent = part["ts_event_ns"] == UNDEF_I64
    for k, (name, column) in enumerate(part.items()):
        found = file.metadata.row_group(0).column(k).statistics
        present = column[~absent] if name == "ts_event_ns" else column
        assert (found.min, found.max, found.null_count) == (present.min(), present.max(), len(column) - len(present))
    table = pq.read_table(paths(tmp_path)[0], filters=[("px", "==", int(part["px"][17]))])
    assert table.num_rows == (part["px"] == part["px"][17]).sum()


def test_rows_of_many_pages_and_no_pattern_come_back(tmp_path: Path) -> None:
    """Every width of a difference, runs of every length, and a column without one value."""
    count = 300_000
    rng = np.random.default_rng(5)
    wild = rng.integers(-(2**63) + 1, 2**63, count) >> rng.integers(0, 64, count)
    part: Columns = {
        "pos": wild, "ts_recv_ns": np.arange(count) + NOON, "ts_event_ns": np.full(count, UNDEF_I64),
        "kind": np.repeat(rng.integers(1, 10, 30_000), rng.integers(1, 40, 30_000))[:count].astype(np.uint8),
        "px": wild[::-1].copy(), "qty": np.abs(np.roll(wild, 1)), "flags": np.full(count, 7, np.uint8),
    }  # fmt: skip
    convert(tmp_path, (Segment(0, 0), part))
    assert same(read_events(paths(tmp_path)), part)


def trade(symbol: str, trade_id: int, price: str) -> dict[str, Any]:
    data = {
        "e": "trade",
        "E": 1,
        "s": symbol,
        "t": trade_id,
        "p": price,
        "q": "0.500",
        "T": 1_760_000_000_000,
        "m": True,
    }
    return {"stream": f"{symbol.lower()}@trade", "data": data}


def test_metadata_that_changes_within_a_run_starts_a_new_file(tmp_path: Path) -> None:
    """Rows before the change keep the scale under which they were read; no row is lost on either side of it."""
    pytest.importorskip("tickerml._native", reason="the native module is not built")
    from tape_writer import write_tape
    from tickerml.sources.tapes import convert_tape, verify_tape

    slots = ["/control", "binance_spot/public/0/a"]
    btc, eth = "BTCUSDT", "ETHUSDT"
    records: list[tuple[int, dict[str, Any]]] = [
        (EPOCH, {"epoch": 0, "code_version": "test", "clock_unsynced": False}),
        (CONFIG, {"run": RUN, "command": "collect", "slots": slots, "instruments": [], "settings": {}}),
        (INSTRUMENT, instrument(btc)), (INSTRUMENT, instrument(eth)), (CONNECT, {"slot": slots[1]}),
        (FRAME, trade(btc, 1, "100.25")), (FRAME, trade(eth, 1, "10.25")), (FRAME, trade(btc, 2, "100.50")),
        (INSTRUMENT, instrument(btc, price_precision=4)),
        (FRAME, trade(btc, 3, "100.7501")), (FRAME, trade(eth, 2, "10.50")),
        (INSTRUMENT, instrument(btc, price_precision=4) | {"min_notional": "10"}),
        (FRAME, trade(btc, 4, "100.7502")),
        (STOP, {"reason": "test"}),
    ]  # fmt: skip
    tape = write_tape(
        tmp_path, RUN, [(k, 1 if k in (CONNECT, FRAME) else 0, NOON + n, what) for n, (k, what) in enumerate(records)]
    )
    assert verify_tape(tmp_path, str(tape), strict=False)[1] == 0
    for _ in range(2):
        made = convert_tape(tmp_path, str(tape))
        files = [EventFile(path) for path in paths(tmp_path)]
        prices = {
            (f.instrument["symbol"], f.instrument["price_precision"], f.instrument["min_notional"]): [
                int(px) for part in f.chunks() for px in part["px"][part["kind"] == 4]
            ]
            for f in files
        }
        assert prices == {
            (btc, 2, "5"): [10025, 10050], (btc, 4, "5"): [1007501],
            (btc, 4, "10"): [1007502], (eth, 2, "5"): [1025, 1050],
        }  # fmt: skip
        assert made["rows"] == sum(f.rows for f in files)
        assert made["bytes"] == sum(path.stat().st_size for path in paths(tmp_path))
    assert list(tmp_path.rglob("*.tmp")) == []


def test_files_of_one_segment_that_share_their_stamps_have_two_names(tmp_path: Path) -> None:
    one = {name: column[:1] for name, column in columns(1).items()}
    with EventFiles(tmp_path, RUN, META, source="import", code_version="test") as files:
        files.add(Segment(0, 0), one)
        files.describe({**META, "price_precision": 2})
        files.add(Segment(0, 0), one)
    assert [EventFile(path).rows for path in paths(tmp_path)] == [1, 1]
