"""Whole commands as processes against the exchange on loopback: record, stop, resume, replay, convert, backtest."""

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commands import COMMAND, Running, serving, tickerml

_native = pytest.importorskip("tickerml._native", reason="the native module is not built")

DIGEST_CHARS = 64
RESULT = {"digest", "late_rows", "overrides", "views", "orders", "fills", "refused", "pnl_quote", "fees_quote",
          "funding_quote", "max_drawdown_frac", "events", "cpu_s", "engine_cpu_s"}  # fmt: skip


EACH_SECOND = {"TICKERML__MONITORING__STATUS_INTERVAL_S": "1"}


def live(data: Path, *words: str) -> Running:
    """A live command that says how it is every second."""
    return Running([*COMMAND, "--data", str(data), *words], data, **EACH_SECOND)


@pytest.fixture(scope="module")
def control_url() -> Iterator[str]:
    """A venue that serves spot and USD-M, faster than real time so that tests are short."""
    venue = _native.Venue(json.dumps({"seed": 7, "speed": 5}))
    yield json.loads(venue.start())["control_url"]
    venue.stop()


@pytest.fixture(scope="module")
def recorded(control_url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data folder with one recorded run."""
    data = tmp_path_factory.mktemp("recorded")
    result = tickerml(data, "collect", "--at", control_url, "--duration", "3s")
    assert result.keys() >= {"run", "frames", "bytes", "reconnects", "gaps", "cut_bytes"}
    assert result["frames"] > 100
    return data, result["run"]


def test_a_recording_is_listed_and_ended(recorded: tuple[Path, str]) -> None:
    data, run = recorded
    info = json.loads((data / "demo" / "runs" / run / "run.json").read_text())
    assert (info["state"], info["command"], info["source"], info["policy"]) == (
        "ended",
        "collect",
        "loopback",
        "imbalance",
    )
    listed = tickerml(data, "data", "list")
    (row,), (tape,) = listed["runs"], listed["tapes"]
    assert (row["run"], row["disk_bytes"] > 100) == (run, True)
    assert row["first_ts_ns"] == info["created_ts_ns"] < row["last_ts_ns"] == info["ended_ts_ns"]
    assert tape["bytes"] > 1000
    verified = tickerml(data, "data", "verify", run)
    assert [tape["first_ts_ns"], tape["last_ts_ns"]] == [verified["first_ts_recv_ns"], verified["last_ts_recv_ns"]]
    assert not (data / "tapes").exists(), "what loopback venues say is kept apart"


def test_replay_gives_one_digest_whatever_the_batch_and_the_hash_seed(recorded: tuple[Path, str]) -> None:
    data, run = recorded
    results = [
        tickerml(data, "replay", run, "--policy", "imbalance", "--batch-events", batch, PYTHONHASHSEED=seed)
        for batch, seed in (("65536", "0"), ("7", "1"), ("1", "2"))
    ]
    assert {r["digest"] for r in results} == {results[0]["digest"]}
    assert len(results[0]["digest"]) == DIGEST_CHARS
    first = results[0]
    assert first.keys() >= RESULT
    assert first["overrides"] == {"policy": "imbalance"}
    assert first["orders"] > 0
    other = tickerml(data, "replay", run, "--policy", "imbalance", "--set", "order_quote=200")
    assert other["digest"] != first["digest"]
    assert other["overrides"] == {"policy": "imbalance", "set": {"order_quote": "200"}}


def test_replay_writes_fills_and_orders_and_nothing_under_data(recorded: tuple[Path, str], tmp_path: Path) -> None:
    data, run = recorded
    before = sorted(p for p in data.rglob("*"))
    fills, orders = tmp_path / "fills.csv", tmp_path / "orders.parquet"
    words = (
        "replay",
        str(data / "demo" / "tapes" / run),
        "--policy",
        "imbalance",
        "--fills",
        str(fills),
        "--orders",
        str(orders),
    )
    result = tickerml(data, *words)
    assert len(fills.read_text().splitlines()) == result["fills"] + 1
    rows = pq.read_table(orders).to_pylist()
    sent = {row["order_id"] for row in rows if row["event"].startswith("sent_")}
    assert 0 not in sent
    assert {row["order_id"] for row in rows} == sent, "every report is of an order that was sent"
    assert sorted(p for p in data.rglob("*")) == before
    assert ".csv nor .parquet" in tickerml(data, "replay", run, "--fills", "x.txt", code=2)


def test_convert_then_backtest_by_run_folder_and_glob(recorded: tuple[Path, str]) -> None:
    data, run = recorded
    made = tickerml(data, "data", "convert", run)
    assert made.keys() >= {"events", "rows", "bytes", "cpu_s"}
    again = tickerml(data, "data", "convert", run)
    assert (again["rows"], again["events"]) == (made["rows"], made["events"])
    digests = set()
    for events in (run, str(data / "demo" / "events"), made["events"]):
        result = tickerml(data, "backtest", events, "--policy", "grid")
        assert (result["rows"], result["orders"] > 0) == (made["rows"], True)
        assert 0 < result["events"] <= tickerml(data, "replay", run, "--policy", "hold")["events"]
        digests.add(result["digest"])
    assert len(digests) == 1


def test_books_by_instrument_and_time(recorded: tuple[Path, str]) -> None:
    data, run = recorded
    half = (json.loads((data / "demo" / "runs" / run / "run.json").read_text())["created_ts_ns"]) + 2_000_000_000
    words = ("data", "book", run, "--instrument", "binance_usdm:BTCUSDT", "--depth", "3")
    book = tickerml(data, *words, "--at", str(half))
    assert (book["state"], len(book["bids"]), len(book["asks"])) == ("Live", 3, 3)
    assert float(book["bids"][0][0]) < float(book["asks"][0][0])
    assert "binance_usdm:BTCUSDT" in tickerml(data, *words[:4], "binance_usdm:NOPEUSDT", code=3)
    begin = tickerml(data, "data", "verify", run)["first_ts_recv_ns"]
    for at in (0, begin - 1):
        error = tickerml(data, *words, "--at", str(at), code=3)
        assert f"this tape begins at {begin}" in error
        assert "binance_usdm:BTCUSDT" in tickerml(data, *words[:4], "binance_usdm:NOPEUSDT", "--at", str(at), code=3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_a_second_instance_is_told(number: int, control_url: str, tmp_path: Path) -> None:
    with live(tmp_path, "collect", "--at", control_url) as collecting:
        line = collecting.line_with("starting run ")
        error = tickerml(tmp_path, "collect", "--at", control_url, "--new", code=1)
        assert str(collecting.process.pid) in error
        assert collecting.stop(number).split()[1] in line


def killed_once_live(data: Path, *words: str) -> str:
    """Starts a command, kills it when its four books are live, and gives its run."""
    with live(data, *words) as command:
        run = command.line_with("starting run ").split()[2]
        command.line_with("live 4/4")
        command.kill()
    return run


def test_a_killed_recording_goes_on_with_its_run(control_url: str, tmp_path: Path) -> None:
    run = killed_once_live(tmp_path, "collect", "--at", control_url)
    assert "ended" not in json.loads((tmp_path / "demo" / "runs" / run / "run.json").read_text())["state"]
    result = tickerml(tmp_path, "collect", "--at", control_url, "--duration", "1s")
    assert result["run"] == run
    assert "has ended" in tickerml(tmp_path, "collect", "--at", control_url, "--resume", run, code=1)
    assert "no such run" in tickerml(tmp_path, "collect", "--resume", "20200101T000000Z-abcd", code=3)
    assert sorted(p.name[:4] for p in (tmp_path / "demo" / "tapes" / run).glob("*.tape")) == ["0000", "0001"]


def ledger_rows(data: Path, run: str) -> dict[str, int]:
    path = data / "demo" / "runs" / run / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as ledger:
        return {t: ledger.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("fills", "orders", "refusals")}


def test_a_demo_trades_and_its_replay_gives_the_same_digest(tmp_path: Path) -> None:
    result = tickerml(tmp_path, "run", "--demo", "--duration", "4s")
    assert result.keys() >= RESULT | {"run", "reconnects", "gaps", "frames"}
    assert (result["frames"] > 100, result["orders"] > 0) == (True, True)
    assert ledger_rows(tmp_path, result["run"])["fills"] == result["fills"]
    for batch in ("65536", "3"):
        again = tickerml(tmp_path, "replay", result["run"], "--batch-events", batch)
        assert again["digest"] == result["digest"]
    assert [again[key] for key in ("views", "orders", "fills")] == [result[key] for key in ("views", "orders", "fills")]


def test_a_killed_run_goes_on_and_no_fill_is_lost_or_doubled(control_url: str, tmp_path: Path) -> None:
    words = ("run", "--at", control_url, "--policy", "grid")
    run = killed_once_live(tmp_path, *words)
    result = tickerml(tmp_path, *words, "--duration", "3s")
    assert result["run"] == run
    assert result["fills"] > 0
    assert ledger_rows(tmp_path, run)["fills"] == result["fills"]
    assert tickerml(tmp_path, "replay", run)["digest"] == result["digest"]


def test_verbose_tells_what_happens_and_quiet_nothing(control_url: str, tmp_path: Path) -> None:
    said = {}
    for flag in ("-v", "-q"):
        with live(tmp_path, flag, "collect", "--at", control_url, "--duration", "2s", "--new") as command:
            command.result()
            said[flag] = command.said
    assert any("binance_spot:BTCUSDT is live" in line for line in said["-v"]), said
    assert said["-q"] == []


def test_an_unreachable_venue_is_one_line(tmp_path: Path) -> None:
    assert "nothing answers there" in tickerml(tmp_path, "run", "--at", "http://127.0.0.1:9/control", code=1)
    assert "is no control URL" in tickerml(tmp_path, "collect", "--at", "localhost", code=2)


def test_venue_serve_says_where_and_stops(tmp_path: Path) -> None:
    with serving(tmp_path) as (venue, url):
        words = ("--instrument", "binance_spot:ETHUSDT", "--duration", "1s")
        assert tickerml(tmp_path, "collect", "--at", url, *words)["frames"] > 0
        venue.stop(signal.SIGTERM)
