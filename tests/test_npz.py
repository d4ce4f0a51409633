"""Import of `hftbacktest-npz`: what was exported comes back with the same fills, hftbacktest's own files are read as it
reads them, and rows that cannot be leave nothing behind (`test_bad_input.py` has the wrong types and orders).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import import_capture, tickerml
from tickerml.schema import FLAGS, KINDS, LIVE, STATES
from tickerml.sinks.events import EventFile, read_events
from tickerml.sinks.npz import ASK_ROW, BID_ROW, BUY, CLEAR, DEPTH, DTYPE, EXCH, LOCAL, SELL, SNAPSHOT, TRADE

pytest.importorskip("tickerml._native", reason="the native module is not built")

HERE = Path(__file__).parent
RECORDINGS = Path(os.environ.get("TICKERML_RECORDINGS", HERE.parent.parent / "shared" / "data"))
USDM = RECORDINGS / "binance_usdm" / "usdm_btcusdt_20240808.gz"
STEPS = {"binance_spot": ("0.01", "0.00001"), "binance_usdm": ("0.1", "0.001")}
GRID = ("qty=0.1", "half_spread_ticks=1", "interval_ticks=1", "position_max=0.45")
SAME = ("digest", "views", "orders", "fills", "refused", "pnl_quote", "fees_quote", "rows")
BOTH = EXCH | LOCAL
NS = 1_700_000_000 * 10**9
Change = Callable[[Any], Any]


def import_npz(data: Path, instrument: str, *files: Path, code: int = 0, steps: tuple[str, str] | None = None) -> Any:
    tick, lot = steps or STEPS[instrument.partition(":")[0]]
    data.mkdir(exist_ok=True)
    words = ["--instrument", instrument, "--tick", tick, "--lot", lot]
    return tickerml(data, "data", "import", "hftbacktest-npz", *map(str, files), *words, code=code)


def backtest(data: Path, run: str, fills: Path, *sets: str, profile: bool = True) -> Any:
    words = [word for text in (*GRID, *sets) for word in ("--set", text)]
    words += ["--profile", "hftbacktest"] if profile else []
    return tickerml(data, "backtest", run, "--policy", "grid", "--fills", str(fills), *words)


def rows_of(*parts: tuple[int, int, int, float, float]) -> Any:
    """Rows of (ev, exch, local, px, qty); stamps are ms after `NS`."""
    made = np.zeros(len(parts), DTYPE)
    for row, (ev, exch, local, px, qty) in zip(made, parts, strict=True):
        row["ev"], row["exch_ts"], row["local_ts"] = ev, NS + exch * 10**6, NS + local * 10**6
        row["px"], row["qty"] = px, qty
    return made


def good() -> Any:
    """A snapshot, a diff, a print."""
    return rows_of(
        (BOTH | CLEAR | BUY, 0, 10, 99.0, 0),
        (BOTH | SNAPSHOT | BUY, 0, 10, 100.0, 1),
        (BOTH | SNAPSHOT | BUY, 0, 10, 99.0, 2),
        (BOTH | CLEAR | SELL, 0, 10, 102.0, 0),
        (BOTH | SNAPSHOT | SELL, 0, 10, 101.0, 1),
        (BOTH | SNAPSHOT | SELL, 0, 10, 102.0, 3),
        (BOTH | DEPTH | BUY, 5, 15, 100.0, 0.5),
        (BOTH | TRADE | SELL, 6, 16, 100.0, 0.25),
    )


def save(path: Path, rows: Any, name: str = "data") -> Path:
    np.savez_compressed(path, **{name: rows})
    return path


@pytest.mark.parametrize("venue", ["binance_spot", "binance_usdm"])
def test_what_was_exported_comes_back_with_the_same_fills(tmp_path: Path, venue: str) -> None:
    instrument, first = f"{venue}:DEMOUSDT", tmp_path / "first"
    first.mkdir()
    run = import_capture(first, venue)
    fills = [tmp_path / f"{n}.csv" for n in range(3)]
    results = [backtest(first, run, fills[0])]
    for n in (1, 2):
        before = (first, tmp_path / "gen1")[n - 1]
        out = tmp_path / f"{n}.npz"
        tickerml(before, "data", "export", "hftbacktest-npz", run, "-o", str(out))
        made = import_npz(tmp_path / f"gen{n}", instrument, out)
        run = made["run"]
        results.append(backtest(tmp_path / f"gen{n}", run, fills[n]))
    assert results[0]["fills"] > 100
    assert fills[0].read_text() == fills[1].read_text() == fills[2].read_text()
    assert {key: results[1][key] for key in SAME} == {key: results[2][key] for key in SAME}
    shared = [backtest(tmp_path / f"gen{n}", "events", fills[n], "clock=fixed:0", profile=False) for n in (1, 2)]
    assert {key: shared[0][key] for key in SAME} == {key: shared[1][key] for key in SAME}
    assert shared[0]["fills"] > 10
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


def test_the_result_and_the_files_say_where_they_are_from(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", good())
    made = import_npz(tmp_path / "data", "binance_usdm:DEMOUSDT", path)
    assert (made["tape"], made["frames"], made["levels"], made["trades"], made["snapshots"]) == (None, 0, 1, 1, 1)
    assert (made["first_ts_recv_ns"], made["last_ts_recv_ns"]) == (NS + 10**7, NS + 16 * 10**6)
    assert made.keys() >= {"run", "events", "bytes", "rejected", "gaps", "cpu_s", "wall_s"}
    (found,) = sorted((tmp_path / "data").glob("events/**/*.parquet"))
    file = EventFile(found)
    assert (file.source, file.run, file.instrument["metadata_source"]) == ("hftbacktest-npz", made["run"], "given")
    assert len(file.tape_sha256) == 64
    file.close()
    listed = tickerml(tmp_path / "data", "data", "list")
    assert [(row["run"], row["command"]) for row in listed["runs"]] == [(made["run"], "import")]
    assert "tickerml backtest" in tickerml(tmp_path / "data", "replay", made["run"], code=3)


def test_messages_states_and_flags(tmp_path: Path) -> None:
    import_npz(tmp_path / "data", "binance_usdm:DEMOUSDT", save(tmp_path / "a.npz", good()))
    columns = read_events(sorted((tmp_path / "data").glob("events/**/*.parquet")))
    assert columns["kind"].tolist() == [6, 1, 1, 6, 2, 2, KINDS["state"], 1, 4]
    assert columns["pos"].tolist() == [0] * 7 + [1, 2]
    assert columns["flags"].tolist() == [2, 2, 2, 2 | FLAGS["ask_side"], 2, 3, 5, 1, 1]
    assert STATES[columns["px"][6]] == STATES[LIVE]
    assert columns["px"].tolist()[1:3] == [1000, 990]
    assert columns["qty"].tolist()[7:] == [500, 250]


def test_a_clear_up_to_a_price_deletes_what_it_reaches(tmp_path: Path) -> None:
    """And one that leaves nothing clears the side; depth before the first snapshot is of no true book."""
    rows = np.concatenate([
        rows_of((BOTH | DEPTH | BUY, -3, 5, 98.0, 7)), good(), rows_of(
            (BOTH | CLEAR | BUY, 7, 17, 100.0, 0),
            (BOTH | SNAPSHOT | BUY, 7, 17, 100.0, 4),
            (BOTH | CLEAR | SELL, 7, 17, 102.0, 0),
            (BOTH | SNAPSHOT | SELL, 7, 17, 103.0, 4),
        ),
    ])  # fmt: skip
    made = import_npz(tmp_path / "data", "binance_usdm:DEMOUSDT", save(tmp_path / "a.npz", rows))
    assert (made["discarded_diffs"], made["snapshots"]) == (1, 2)
    columns = read_events(sorted((tmp_path / "data").glob("events/**/*.parquet")))
    tail = [tuple(int(columns[name][n]) for name in ("kind", "px", "qty", "flags")) for n in range(-4, 0)]
    assert tail == [
        (BID_ROW, 1000, 0, FLAGS["snapshot"] | FLAGS["derived"]), (BID_ROW, 1000, 4000, 2), (6, 0, 0, 2 | 8),
        (ASK_ROW, 1030, 4000, 3),
    ]  # fmt: skip


def moved(rows: Any) -> Any:
    """The print had happened before the diff, and the exchange's rows are in another order than its times."""
    rows["ev"][6:] &= np.uint64(~EXCH & (2**64 - 1))
    copies = rows[6:].copy()
    copies["ev"] = copies["ev"] & np.uint64(~LOCAL & (2**64 - 1)) | np.uint64(EXCH)
    return np.concatenate([rows, copies[::-1]])


def with_(name: str, row: int, value: Any) -> Change:
    def change(rows: Any) -> Any:
        rows[name][row] = value
        return rows

    return change


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda rows: rows[:0], "no snapshot"),
        (lambda rows: rows[6:], "no snapshot"),
        (with_("ev", 6, LOCAL | DEPTH | BUY), "row 7: the rows of the exchange's clock"),
        (with_("ev", 6, BOTH | 10 | BUY), "row 6 is of a single order"),
        (with_("local_ts", 0, 0), "row 0: local_ts is 0"),
        (with_("px", 1, 100.05), "row 1: price 100.05 is no multiple of --tick 0.1"),
        (with_("px", 1, np.nan), "row 1: price"),
        (with_("px", 1, 0.0), "row 1: price"),
        (with_("qty", 6, 0.0005), "row 6: quantity 0.0005 is no multiple of --lot 0.001"),
        (with_("qty", 6, -1.0), "row 6: quantity"),
        (with_("qty", 6, np.inf), "row 6: quantity"),
    ],
)
def test_unsound_rows_are_one_line_and_leave_nothing(change: Change, what: str, tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", change(good()))
    error = import_npz(tmp_path / "data", "binance_usdm:DEMOUSDT", path, code=6)
    assert (what in error, error.count("\n"), str(path) in error) == (True, 1, True), error
    assert list((tmp_path / "data").iterdir()) == []


def test_what_fails_late_leaves_nothing_and_other_files_stay(tmp_path: Path) -> None:
    """The first file is written when the second proves bad."""
    data, instrument = tmp_path / "data", "binance_usdm:DEMOUSDT"
    good_, bad = save(tmp_path / "a.npz", good()), save(tmp_path / "b.npz", with_("px", 1, 100.05)(good()))
    import_npz(data, instrument, good_, bad, code=6)
    assert list(data.iterdir()) == []
    import_npz(data, instrument, good_)
    before = sorted(data.rglob("*"))
    import_npz(data, instrument, good_, bad, code=6)
    assert sorted(data.rglob("*")) == before


def test_files_that_are_no_arrays(tmp_path: Path) -> None:
    instrument, data = "binance_usdm:DEMOUSDT", tmp_path / "data"
    (tmp_path / "a.npz").write_text("no array")
    assert "neither .npz nor .npy" in import_npz(data, instrument, tmp_path / "a.npz", code=6)
    save(tmp_path / "c.npz", good(), "rows")
    assert "has no array `data`, only rows" in import_npz(data, instrument, tmp_path / "c.npz", code=6)
    save(tmp_path / "d.npz", np.array([{}], dtype=object))
    assert "cannot be read" in import_npz(data, instrument, tmp_path / "d.npz", code=6)
    assert "no such file" in import_npz(data, instrument, tmp_path / "e.npz", code=3)
    fine = save(tmp_path / "f.npz", good())
    assert "kraken:X" in import_npz(data, "kraken:X", fine, code=3, steps=("1", "1"))
    words = ("data", "import", "hftbacktest-npz", str(fine), "--instrument", instrument)
    assert "give --tick and --lot" in tickerml(data, *words, "--tick", "1", code=2)
    assert "no frames" in tickerml(data, *words, "--tick", "1", "--lot", "1", "--no-events", code=2)
    assert list(data.iterdir()) == []


def test_files_follow_each_other_in_time(tmp_path: Path) -> None:
    data, instrument = tmp_path / "data", "binance_usdm:DEMOUSDT"
    a = save(tmp_path / "a.npz", good())
    b = save(tmp_path / "b.npz", rows_of((BOTH | DEPTH | BUY, 20, 30, 99.0, 1), (BOTH | TRADE | BUY, 21, 31, 101.0, 0)))
    assert "local_ts is" in import_npz(data, instrument, b, a, code=6)
    made = import_npz(data, instrument, a, b)
    assert (made["rows"], made["levels"], made["trades"]) == (10, 2, 2), "a print of nothing is no row"
    files = sorted(data.glob("events/**/*.parquet"))
    assert [path.name[-18:-8] for path in files] == ["0000000000", "0000000001"]
    assert read_events(files)["pos"].tolist() == [0] * 7 + [1, 2, 3]
    c = save(tmp_path / "c.npz", rows_of((BOTH | DEPTH | BUY, 4, 40, 99.0, 1)))
    assert "before the end of the file before" in import_npz(data, instrument, a, c, code=6)


def test_a_snapshot_file_comes_first(tmp_path: Path) -> None:
    """hftbacktest's has stamps of 0: it holds from the next file's first row on."""
    first = good()[[1, 2, 4, 5]]
    first["local_ts"] = first["exch_ts"] = 0
    a = save(tmp_path / "a.npz", first)
    b = save(tmp_path / "b.npz", good()[6:])
    made = import_npz(tmp_path / "data", "binance_usdm:DEMOUSDT", a, b)
    assert (made["snapshots"], made["first_ts_recv_ns"]) == (1, NS + 15 * 10**6)
    columns = read_events(sorted((tmp_path / "data").glob("events/**/*.parquet")))
    assert columns["kind"].tolist() == [1, 1, 2, 2, KINDS["state"], 1, 4]


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_hftbacktests_own_converter_fills_as_it_does(tmp_path: Path) -> None:
    """From its snapshot on: before it, the peer trades on a book that it does not know."""
    pytest.importorskip("hftbacktest", reason="pip install 'tickerml[oracle]'")
    if not USDM.is_file():
        pytest.skip(f"no recording at {USDM}")
    from hftbacktest.data.utils import binancefutures
    from peer_hftbacktest import Case, run_of_grid

    rows = binancefutures.convert(str(USDM), buffer_size=1_000_000)
    known = rows[rows["ev"] & np.uint64(0xFF) == SNAPSHOT]["local_ts"][0]
    rows = rows[rows["local_ts"] >= known]
    data, instrument = tmp_path / "data", "binance_usdm:BTCUSDT"
    made = import_npz(data, instrument, save(tmp_path / "peer.npz", rows))
    assert (made["snapshots"], made["discarded_diffs"], made["skipped"]) == (1, 0, 0)
    out = tmp_path / "fills.parquet"
    sets = ("clock=fixed:0", "entry_ms=10", "response_ms=10", "qty=0.001", "position_max=0.0045")
    assert backtest(data, made["run"], out, *sets)["refused"] == 0
    import pyarrow.parquet as pq

    ours = sorted((f["ts_event_ns"], 1 if f["side"] == "buy" else -1, round(float(f["px"]) * 10))
                  for f in pq.read_table(out).to_pylist())  # fmt: skip
    theirs = sorted((at, side, px) for at, _, side, px, _ in run_of_grid(rows, Case(), 0.1, 0.001).fills)
    assert len(theirs) > 500
    assert ours == theirs


@pytest.mark.filterwarnings("ignore")
def test_hftbacktests_last_snapshot_begins_the_next_file(tmp_path: Path) -> None:
    pytest.importorskip("hftbacktest", reason="pip install 'tickerml[oracle]'")
    from hftbacktest.data.utils.snapshot import create_last_snapshot

    snapshot = tmp_path / "eod.npz"
    made = create_last_snapshot([str(save(tmp_path / "day1.npz", good()))], 0.1, 0.001, None, str(snapshot))
    assert len(made) == 4
    result = import_npz(tmp_path / "data", "binance_usdm:DEMOUSDT", snapshot, save(tmp_path / "b.npz", good()[6:]))
    assert result["snapshots"] == 1
    columns = read_events(sorted((tmp_path / "data").glob("events/**/*.parquet")))
    kept = np.isin(columns["kind"], [1, 2])
    levels = sorted(zip(columns["px"][kept].tolist(), columns["qty"][kept].tolist(), strict=True))
    assert levels == [(990, 2000), (1000, 500), (1000, 500), (1010, 1000), (1020, 3000)]
