"""`backtest --sweep`: each row is what a single backtest says, one copy of the events, and nothing half-done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import environment, import_capture, tickerml
from tickerml.errors import ConfigError, TickerError
from tickerml.pool import Pool
from tickerml.schema import COLUMNS, UNDEF_I64
from tickerml.sweep.plan import SETTINGS_MAX, read_settings

_native = pytest.importorskip("tickerml._native", reason="the native module is not built")

HERE = Path(__file__).parent
SAME = ("digest", "views", "orders", "fills", "refused", "pnl_quote", "fees_quote", "max_drawdown_frac", "rows")
GRID = "qty: [0.1, 0.25]\nqueue: [risk_averse, prob_log]\nlevels: [1, 3]\n"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data folder with a capture's event files, and its run."""
    data = tmp_path_factory.mktemp("sweep")
    return data, import_capture(data)


def sweep(loaded: tuple[Path, str], place: Path, text: str, *words: str, code: int = 0) -> Any:
    """Runs a sweep file's text; the result beside it."""
    data, events = loaded
    (place / "s.yaml").write_text(text)
    more = ["--policy", "grid", "--sweep", str(place / "s.yaml"), "-o", str(place / "out.parquet"), *words]
    return tickerml(data, "backtest", events, *more, code=code)


def test_every_row_is_what_a_single_backtest_says(loaded: tuple[Path, str], tmp_path: Path) -> None:
    data, events = loaded
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    words = tuple(w for s in ("entry_ms=5", "half_spread_ticks=1", "interval_ticks=1") for w in ("--set", s))
    done = sweep(loaded, tmp_path, GRID, *words, "--workers", "2")
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (done["settings"], done["settings_tried"], done["stopped"], len(rows)) == (8, 8, False, 8)
    assert [(row["qty"], row["queue"], row["levels"]) for row in rows[:3]] == [
        (0.1, "risk_averse", 1), (0.1, "risk_averse", 3), (0.1, "prob_log", 1),
    ]  # fmt: skip
    assert len({row["digest"] for row in rows}) == 8, "the settings differ in what they do"
    assert sum(row["fills"] for row in rows) > 50
    for row in rows:
        sets = [word for key, text in json.loads(row["settings"]).items() for word in ("--set", f"{key}={text}")]
        alone = tickerml(data, "backtest", events, "--policy", "grid", *words, *sets)
        assert {key: row[key] for key in SAME} == {key: alone[key] for key in SAME}
        assert row.keys() >= alone.keys()
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before, "nothing is written under DATA"
    best = max(rows, key=lambda row: float(row["pnl_quote"]))
    assert done["best"][0]["digest"] == best["digest"]


def test_the_number_of_settings_tried_is_in_each_row_and_in_the_metadata(
    loaded: tuple[Path, str], tmp_path: Path
) -> None:
    text = "- {qty: 0.1, levels: 2}\n- {qty: 0.2}\n- {balance.USDT: '20000', step_ms: 50}\n"
    sweep(loaded, tmp_path, text)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("settings_tried").to_pylist() == [3, 3, 3]
    assert table.column("levels").to_pylist() == [2, None, None]
    assert table.column("balance.USDT").to_pylist() == [None, None, "20000"]
    meta = json.loads(table.schema.metadata[b"tickerml.sweep"])
    assert (meta["settings_tried"], meta["settings_given"], meta["sweep"]) == (3, 3, text)


def test_one_worker_and_many_give_the_same_rows(loaded: tuple[Path, str], tmp_path: Path) -> None:
    found = []
    for workers in ("1", "3"):
        sweep(loaded, tmp_path, GRID, "--workers", workers, "--batch-events", "7")
        table = pq.read_table(tmp_path / "out.parquet")
        found.append([[row[key] for key in SAME] for row in table.to_pylist()])
    assert found[0] == found[1]


def test_a_profile_holds_for_all_and_a_swept_key_is_stronger(loaded: tuple[Path, str], tmp_path: Path) -> None:
    data, events = loaded
    sweep(loaded, tmp_path, "exchange: [no_partial, partial]\nqty: [0.1]\n", "--profile", "hftbacktest")
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    for row in rows:
        more = ["--profile", "hftbacktest", "--set", f"exchange={row['exchange']}", "--set", "qty=0.1"]
        assert row["digest"] == tickerml(data, "backtest", events, "--policy", "grid", *more)["digest"]


def test_every_mistake_is_told_at_once_with_its_line(loaded: tuple[Path, str], tmp_path: Path) -> None:
    text = "levls: [1]\nstep_ms:\n  - 50\n  - 0\n  - soon\nqueue: [fifo, risk_averse]\nqty: [0.1]\n"
    error = sweep(loaded, tmp_path, text, "--set", "qty=1", code=4)
    file = tmp_path / "s.yaml"
    lines = error.splitlines()
    assert len(lines) == len(set(lines)), error
    for start in (f"{file}:1 levls: unknown setting", f"{file}:4 step_ms: 0 ", f"{file}:5 step_ms: 'soon'",
                  f"{file}:6 queue: ", f"{file}:7 qty: is set by --set, too"):  # fmt: skip
        assert any(line.startswith(start) for line in lines), (start, error)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.yaml"], "nothing is left behind"


def test_what_the_instrument_refuses_is_told_before_anything_starts(loaded: tuple[Path, str], tmp_path: Path) -> None:
    error = sweep(loaded, tmp_path, "- {levels: 1}\n- {levels: 2,\n   qty: 0.00000001}\n", code=4)
    assert error.startswith(f"{tmp_path / 's.yaml'}:3 "), error
    assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.yaml"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "names no setting"),
        ("[]\n", "names no setting"),
        ("levels: []\n", ":1 levels: has no value"),
        ("qty:\n  - 0.1\n  - 0.10\n", ":3 qty: has 0.10 twice"),
        ("- {levels: 1}\n- {levels: 1}\n", ":2 this setting stands here and on"),
        ("levels: [[1]]\n", ":1 levels: one value is a number or a word"),
        ("[{levels: 1}, 7]\n- x", ":2 is not YAML"),
        ("- 5\n", ":1 a setting is a mapping"),
        ("just text\n", "or a list of such"),
        ("".join(f"k{n}: [1, 2]\n" for n in range(17)), f"131072 settings, at most {SETTINGS_MAX}"),
    ],
)
def test_a_file_that_is_no_sweep_says_why(text: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_settings(path)
    assert what in str(error.value), str(error.value)


def test_latencies_of_a_file_are_swept_like_others(loaded: tuple[Path, str], tmp_path: Path) -> None:
    rows = np.zeros(1, [(name, "i8") for name in ("req_ts", "exch_ts", "resp_ts")])
    rows["req_ts"], rows["exch_ts"], rows["resp_ts"] = 10**18, 10**18 + 5 * 10**6, 10**18 + 9 * 10**6
    np.save(tmp_path / "l.npy", rows)
    text = f"latency: ['file:{tmp_path / 'l.npy'}', constant]\n"
    for fixed in ((), ("--set", f"latency=file:{tmp_path / 'l.npy'}")):
        sweep(loaded, tmp_path, "levels: [1]\n" if fixed else text, *fixed)
        row = pq.read_table(tmp_path / "out.parquet").to_pylist()[0]
        words = (
            "--policy",
            "grid",
            "--set",
            f"latency=file:{tmp_path / 'l.npy'}",
            *(("--set", "levels=1") * bool(fixed)),
        )
        assert row["digest"] == tickerml(loaded[0], "backtest", loaded[1], *words)["digest"]
    assert "no such file" in sweep(loaded, tmp_path, "latency: ['file:/none.npy']\n", code=3)


def test_what_a_summary_nests_is_json(loaded: tuple[Path, str], tmp_path: Path) -> None:
    sweep(loaded, tmp_path, "levels: [1, 2]\n")
    for row in pq.read_table(tmp_path / "out.parquet").to_pylist():
        assert all(isinstance(json.loads(row[key]), dict) for key in ("overrides", "stats"))
        assert all(isinstance(json.loads(row[key]), list) for key in ("costs", "funding_next"))


def test_a_sweep_writes_over_no_input_and_nothing_under_data(loaded: tuple[Path, str], tmp_path: Path) -> None:
    data, events = loaded
    (tmp_path / "s.yaml").write_text("levels: [1]\n")
    inside = next(data.glob("events/**/*.parquet"))
    before = inside.read_bytes()
    outside = tmp_path / "e.parquet"
    outside.write_bytes(before)
    (tmp_path / "l.parquet").symlink_to(outside)
    words = ("--policy", "grid", "--sweep", str(tmp_path / "s.yaml"), "-o")
    for source, out, what in (
        (str(outside), outside, "is an input"), (str(outside), tmp_path / "l.parquet", "is an input"),
        (events, inside, "is an input"), (events, data / "new.parquet", "nothing under the data folder"),
    ):  # fmt: skip
        assert what in tickerml(data, "backtest", source, *words, str(out), code=2)
    assert (inside.read_bytes(), outside.read_bytes()) == (before, before)
    assert not (data / "new.parquet").exists()


def test_usage(loaded: tuple[Path, str], tmp_path: Path) -> None:
    data, events = loaded
    base = ("backtest", events, "--policy", "grid")
    (tmp_path / "s.yaml").write_text("qty: [0.1]\n")
    file = str(tmp_path / "s.yaml")
    assert "belong to --sweep" in tickerml(data, *base, "-o", "x.parquet", code=2)
    assert "of one backtest" in tickerml(data, *base, "--sweep", file, "--fills", "x.csv", code=2)
    assert "no such file" in tickerml(data, *base, "--sweep", "none.yaml", "-o", str(tmp_path / "x.parquet"), code=3)
    assert ".parquet" in tickerml(data, *base, "--sweep", file, "-o", str(tmp_path / "x.csv"), code=2)
    assert "directory" in tickerml(data, *base, "--sweep", file, "-o", str(tmp_path), code=2)
    assert "under the data folder" in tickerml(data, *base, "--sweep", file, code=2)
    assert "under the data folder" in tickerml(data, *base, "--sweep", file, "-o", "x.parquet", code=2)
    assert "nowhere" in tickerml(data, *base, "--sweep", file, "-o", str(tmp_path / "nowhere" / "x.parquet"), code=3)


def test_without_a_place_the_rows_go_into_the_working_folder(loaded: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("qty: [0.1]\n")
    data, events = loaded
    words = [sys.executable, "-c", "from tickerml.cli import main; main()", "--data", str(data), "backtest", events]
    words += ["--policy", "grid", "--sweep", "mine.yaml"]
    codes = []
    for _ in range(2):
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment())
        codes.append(done.returncode)
    assert codes == [0, 2], "what is there already is not replaced unasked"
    assert pq.read_table(tmp_path / "mine.parquet").num_rows == 1


INTERRUPTED = """
import os, signal, sys
from tickerml import runner
from tickerml.cli import main
whole = runner.backtest_events
def broken(events, config, **more):
    if config.model.params("grid")["levels"] == "3":
        {what}
    return whole(events, config, **more)
runner.backtest_events = broken
main()
"""


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("os.kill(os.getppid(), signal.SIGINT); signal.pause()", 0, ""),
        ("os.kill(os.getppid(), signal.SIGTERM); signal.pause()", 0, ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", 1, "killed by signal 9"),
        ("from tickerml.errors import UnsoundDataError; raise UnsoundDataError('torn')", 6, "torn"),
        ("raise ValueError('boom')", 1, "ValueError: boom"),
    ],
)
def test_what_was_finished_is_kept(what: str, code: int, said: str, loaded: tuple[Path, str], tmp_path: Path) -> None:
    """One worker, and trouble with the third setting: two rows."""
    data, events = loaded
    (tmp_path / "s.yaml").write_text("levels: [1, 2, 3, 4]\n")
    words = ["--data", str(data), "--json", "backtest", events, "--policy", "grid", "--workers", "1"]
    words += ["--sweep", "s.yaml", "-o", "out.parquet"]
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(what=what), *words], capture_output=True, text=True, check=False,
        cwd=tmp_path, env=environment(), timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n") <= 1, said in done.stderr) == (code, True, True), done.stderr
    assert ("s.yaml:1 (levels=3): " in done.stderr) == (code != 0)
    if code == 0:
        assert {"settings": 4, "settings_tried": 2, "stopped": True}.items() <= json.loads(done.stdout).items()
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("levels").to_pylist() == [1, 2]
    assert table.column("settings_tried").to_pylist() == [2, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "s.yaml"]


HANG_UP = """
import os, signal
from tickerml.pool import spread
def work(n, tell):
    if n == 1:
        os.killpg(0, signal.SIGHUP)
        signal.pause()  # until the parent ends it
    return n
done = spread(work, 3, 1, what="things", quiet=True)
print(done)
"""


def test_a_hang_up_of_the_whole_group_keeps_what_was_finished() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANG_UP], capture_output=True, text=True, check=False, start_new_session=True,
        env=environment(), timeout=60,
    )  # fmt: skip
    assert done.stdout == "Spread(results={0: 0}, error=None, failed=-1, stopped=True)\n", done.stderr


def test_a_pool_hands_out_every_task_once_and_stops() -> None:
    with Pool(lambda n, tell: (n, os.getpid()), 3) as pool:
        found = dict(pool.results(range(20), 1.0, lambda: None))
    assert sorted(found) == list(range(20))
    assert os.getpid() not in {pid for _, pid in found.values()}

    def work(n: int, tell: Any) -> int:
        if n:
            signal.pause()
        return n

    with Pool(work, 2) as pool:
        for n, _ in pool.results(range(9), 1.0, lambda: None):
            assert n == 0
            pool.stop()
    assert (pool.finished, pool.stopped) == (1, True)


def test_a_task_that_fails_is_raised_with_its_kind() -> None:
    def work(n: int, tell: Any) -> None:
        raise ConfigError(["a: bad", "b: bad"])

    with Pool(work, 1) as pool, pytest.raises(ConfigError) as error:
        list(pool.results(range(1), 1.0, lambda: None))
    assert error.value.problems == ("a: bad", "b: bad")
    with Pool(lambda n, tell: os.kill(os.getpid(), signal.SIGKILL), 1) as pool, pytest.raises(TickerError, match="9"):
        list(pool.results(range(1), 1.0, lambda: None))


def test_workers_share_the_events() -> None:
    """A worker runs over 63 MB of events and owns far less: what it changed of its parent's pages, and its session."""
    rows = 3_000_000
    columns = {name: np.zeros(rows, dtype) for name, dtype in COLUMNS.items()}
    columns["pos"][:] = np.arange(rows)
    columns["ts_recv_ns"][:] = 1_700_000_000 * 10**9 + np.arange(rows) * 10**6
    columns["ts_event_ns"][:] = UNDEF_I64
    columns["kind"][:], columns["px"][:], columns["qty"][:], columns["flags"][:] = 3, 100, 1, 1
    instrument = _native.instrument_json("binance_usdm:DEMOUSDT", "0.1", "0.001", "0")
    events = _native.Events([(instrument, *columns.values())])
    assert (len(events), events.span) == (rows, (columns["ts_recv_ns"][0], columns["ts_recv_ns"][-1]))
    settings = json.dumps({
        "step_ms": 1000, "queue": "risk_averse", "exchange": "shared", "report_rule": "causal", "clock": "causal",
        "decision_ms": 1, "reorder_ms": 250, "base_latency_ms": 5, "entry_ms": 1, "response_ms": 1, "depth": 20,
        "latency": "constant", "maker_bps": 1, "taker_bps": 1, "balance": {}, "short_spot": False, "seed": 1,
    })  # fmt: skip

    def work(n: int, tell: Any) -> tuple[int, int]:
        session = _native.Session.backtest(events, settings)
        for _ in session:
            session.submit((), (), b"")
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        private = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
        return session.stats()["rows"], private

    with Pool(work, 2) as pool:
        found = dict(pool.results(range(4), 1.0, lambda: None))
    assert {read for read, _ in found.values()} == {rows}
    assert max(private for _, private in found.values()) < events.bytes / 2, (found, events.bytes)
