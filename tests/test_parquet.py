"""Event files: what is written is read back, cut by day and segment, whole or not at all, as small as promised."""

from __future__ import annotations

import csv
import itertools
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
from engine_fakes import FakeFill, FakeReport, Info, view
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tape_reader import CONFIG, CONNECT, EPOCH, FRAME, INSTRUMENT, STOP
from tickerml.cost import USUAL
from tickerml.errors import TickerError, UnsoundDataError
from tickerml.schema import CANCEL, COLUMNS, EVENT_FILE, POST_ONLY, UNDEF_I64, Columns, Intent, Sent
from tickerml.sinks import events, parquet
from tickerml.sinks.events import EventChunks, EventFile, count_events, read_events
from tickerml.sinks.files import FILLS, ORDERS, FillsFile, OrdersFile
from tickerml.sinks.parquet import EventFiles, Segment, read_manifest

RUN = "20240808T235415Z-0001"
META: dict[str, Any] = {
    "venue": "kraken_spot", "symbol": "BTC/USD", "base": "BTC", "quote": "USD", "kind": "spot",
    "price_precision": 1, "qty_precision": 8, "tick": 1, "lot": 1,
}  # fmt: skip
DAY_NS = 86_400 * 10**9
FLIP_STEP = 13
"""Bits from one flip to the next: coprime to 8, so that each of a byte's bits has its turn."""
NOON = 1_723_118_400 * 10**9


def columns(count: int, first_ns: int = NOON, step_ns: int = 10**6, seed: int = 1) -> Columns:
    """Rows like a feed's: messages of a few levels, times that never go back, some without a venue time."""
    rng = np.random.default_rng(seed)
    message = np.cumsum(rng.integers(0, 2, count))
    found: Columns = {
        "pos": message + 7,
        "ts_recv_ns": first_ns + message * step_ns,
        "ts_event_ns": np.where(message % 5 == 0, UNDEF_I64, first_ns + message * step_ns - 3_000_000),
        "kind": rng.integers(1, 10, count),
        "px": 600_000 + rng.integers(-500, 500, count),
        "qty": rng.integers(0, 10**9, count),
        "flags": rng.integers(0, 32, count),
    }
    return {name: found[name].astype(dtype) for name, dtype in COLUMNS.items()}


def convert(data: Path, *parts: tuple[Segment, Columns], run: str = RUN) -> EventFiles:
    with EventFiles(data, run, META, source="import", code_version="test") as files:
        for segment, part in parts:
            files.add(segment, part)
    return files


def paths(data: Path) -> list[Path]:
    return sorted(data.rglob("*.parquet"))


def same(a: Columns, b: Columns) -> bool:
    return all(np.array_equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in COLUMNS)


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


def instrument(symbol: str, **steps: int) -> dict[str, Any]:
    return {
        "venue": "binance_spot", "symbol": symbol, "base": symbol[:3], "quote": "USDT", "kind": "spot",
        "price_precision": 2, "qty_precision": 3, "tick": 1, "lot": 1, "min_notional": "5", "contract_size": "1",
        "funding_interval_h": None, "metadata_source": "venue", **steps,
    }  # fmt: skip


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


def test_fills_and_orders_as_csv_and_parquet(tmp_path: Path) -> None:
    fill = FakeFill(-1, 100_005, 12, -5 * 10**15, order_id=4, ts_event_ns=1, ts_recv_ns=2, ahead_qty=3)
    shown = view(
        ts_ns=9, fills=(fill,), reports=(FakeReport("accepted", 4, 8, px=100_005, qty=12, leaves=12, ts_ns=5),)
    )
    sent = [Intent(POST_ONLY, 0, 1, 100_000, 10, 7), Intent(CANCEL, 0, -1, 0, 0, 8, 4)]
    for ending in ("csv", "parquet"):
        fills_file = FillsFile(tmp_path / f"f.{ending}", [Info()], USUAL)
        for sink in (fills_file, OrdersFile(tmp_path / f"o.{ending}", [Info()])):
            sink.write(shown, sent, (), None)
            sink.close()
    with (tmp_path / "f.csv").open() as file:
        rows = list(csv.reader(file))
    row = ["1", "2", Info().id, "4", "sell", "10000.5", "0.012", "true", "-0.005", "0.003"]
    assert (rows[0], rows[1][: len(row)]) == (list(FILLS), row)
    costs = dict(zip(FILLS, rows[1], strict=True))
    assert {costs[f"{part}_quote"] for part in ("delay", "wait", "spread", "depth")} == {""}, "no book was told"
    with (tmp_path / "o.csv").open() as file:
        orders = list(csv.reader(file))
    assert orders[0] == list(ORDERS)
    assert [r[4] for r in orders[1:]] == ["accepted", "sent_post_only", "sent_cancel"]
    kept = pq.read_table(tmp_path / "f.parquet").to_pylist()
    told = [str(v).lower() if k == "maker" else str(v) for k, v in kept[0].items()]
    assert told[: len(row)] == row
    assert len(pq.read_table(tmp_path / "o.parquet")) == 3
    with pytest.raises(TickerError, match=r"\.csv or \.parquet"):
        FillsFile(tmp_path / "f.txt", [Info()], USUAL)
    assert json.dumps(kept)


def test_what_was_sent_has_the_order_that_it_makes(tmp_path: Path) -> None:
    sink = OrdersFile(tmp_path / "orders.csv", [Info()])
    approved = Sent([Intent(POST_ONLY, 0, 1, 99_000, 5), Intent(CANCEL, 0, 1, 0, 0, 7, 3)], (12, 3))
    sink.write(view(), approved, (), None)
    sink.close()
    assert [row["order_id"] for row in csv.DictReader((tmp_path / "orders.csv").read_text().splitlines())] == [
        "12",
        "3",
    ]


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
