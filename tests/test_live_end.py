"""How a live run begins and ends when not all goes well: blocked and slow venues, early signals, a failing engine."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, Running, run, tickerml
from fold import fold, ledger_rows
from tape_reader import STOP, records
from tickerml import config, live
from tickerml.errors import TickerError
from tickerml.screen import status_line
from tickerml.sinks.ledger import Ledger

_native = pytest.importorskip("tickerml._native", reason="the native module is not built")

BLOCKED = 451
NEVER = threading.Event()
SPOT, USDM = "binance_spot", "binance_usdm"


class Front:
    """Stands between a loopback venue and us for REST: it refuses, delays or withholds what a venue says.

    Attributes
    ----------
    rules : by venue, a status to answer with, seconds to wait, or `NEVER`, which withholds the answer until it is set.
    """

    def __init__(self, control_url: str) -> None:
        self.rules: dict[str, Any] = {}
        self.over = threading.Event()
        front, upstream = self, control_url.removesuffix("/control")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                venue = self.path.split("/")[1]
                rule = front.rules.get(venue)
                if rule is NEVER:
                    front.over.wait()
                    return
                if rule == BLOCKED:
                    self._answer(BLOCKED, b"unavailable for legal reasons")
                    return
                if rule is not None:
                    front.over.wait(rule)
                with urllib.request.urlopen(upstream + self.path) as found:
                    body = found.read()
                if self.path == "/control/info":
                    info = json.loads(body)
                    for row in info["venues"]:
                        row["rest_url"] = f"{front.url}/{row['venue']}"
                    body = json.dumps(info).encode()
                self._answer(200, body)

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing: the test's own output is enough."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def control_url() -> Iterator[str]:
    venue = _native.Venue(json.dumps({"seed": 11, "speed": 5}))
    yield json.loads(venue.start())["control_url"]
    venue.stop()


@pytest.fixture
def front(control_url: str) -> Iterator[Front]:
    made = Front(control_url)
    yield made
    made.close()


def only_run(data: Path) -> tuple[str, dict[str, Any]]:
    """The name and the `run.json` of the one run of a data folder."""
    (path,) = (data / "demo" / "runs").glob("*/run.json")
    return path.parent.name, json.loads(path.read_text())


def stops(data: Path, name: str) -> int:
    return sum(record.kind == STOP for record in records(data / "demo" / "tapes" / name))


# ---- venues that refuse ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "collect"])
def test_where_every_venue_is_blocked_the_command_ends_with_1_and_the_way_out(
    command: str, front: Front, tmp_path: Path
) -> None:
    front.rules = {SPOT: BLOCKED, USDM: BLOCKED}
    error = tickerml(tmp_path, command, "--at", f"{front.url}/control", code=1)
    assert "HTTP 451" in error
    assert "binance_us" in error
    name, info = only_run(tmp_path)
    assert (info["state"], stops(tmp_path, name)) == ("running", 0)
    assert f"run {name} is not ended" in error


def test_one_blocked_venue_is_said_and_counted_and_the_other_goes_on(front: Front, tmp_path: Path) -> None:
    front.rules = {USDM: BLOCKED}
    done = run(tmp_path, "run", "--at", f"{front.url}/control", "--duration", "3s")
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    assert result["frames"] > 100
    assert [text.split(":")[0] for text in result["blocked"]] == [USDM]
    assert [row["venue"] for row in result["silent"]] == [USDM]
    assert "HTTP 451" in result["silent"][0]["cause"]
    assert "HTTP 451" in done.stderr
    assert instruments(tmp_path, result["run"]) == {f"{SPOT}:BTCUSDT", f"{SPOT}:ETHUSDT"}
    assert tickerml(tmp_path, "replay", result["run"])["digest"] == result["digest"]


def instruments(data: Path, name: str) -> set[str]:
    """What a replay of the run decides about."""
    from tickerml.sources.recorded import recorded_config, tape_session

    tape = data / "demo" / "tapes" / name
    loaded = config.load(recorded=recorded_config(tape), environ={}, cwd=data).config
    return {info.id for info in tape_session(tape, loaded, batch_events=1, allow_damage=False).instruments}


def test_a_venue_that_is_slow_to_say_what_it_lists_is_waited_for(front: Front, tmp_path: Path) -> None:
    """Frames of the quick one come long before: its books are built, and nothing is decided yet."""
    front.rules = {USDM: 1.5}
    result = tickerml(tmp_path, "run", "--at", f"{front.url}/control", "--duration", "5s", "--policy", "grid")
    assert instruments(tmp_path, result["run"]) == {f"{v}:{s}" for v in (SPOT, USDM) for s in ("BTCUSDT", "ETHUSDT")}
    traded = ledger(tmp_path, result["run"], "SELECT DISTINCT instrument FROM orders")
    assert any(row[0].startswith(USDM) for row in traded), traded
    for batch in ("1", "7", "65536"):
        assert tickerml(tmp_path, "replay", result["run"], "--batch-events", batch)["digest"] == result["digest"]


def ledger(data: Path, name: str, query: str) -> list[Any]:
    with closing(sqlite3.connect(data / "demo" / "runs" / name / "ledger.sqlite")) as db:
        return db.execute(query).fetchall()


# ---- symbols that are not there --------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["binance_spot:NOPE", "binance_us:BTCUSDT"])
def test_what_a_venue_on_loopback_does_not_serve_is_not_found(named: str, control_url: str, tmp_path: Path) -> None:
    for where in (("--at", control_url), ("--demo",)):
        error = tickerml(tmp_path, "run", *where, "--instrument", named, "--duration", "1s", code=3)
        assert error.count("\n") == 1
        assert named in error
        assert "binance_spot:BTCUSDT" in error, "it says what there is"
        assert "None" not in error
        assert not (tmp_path / "demo").exists(), "nothing was begun"


@pytest.mark.parametrize("command", ["run", "collect"])
def test_a_symbol_that_the_exchange_does_not_list_is_not_found(command: str, control_url: str, tmp_path: Path) -> None:
    host = control_url.removesuffix("/control")
    venue = {"TICKERML__EXCHANGES__VENUES__BINANCE_SPOT__WS_URL": f"{host.replace('http', 'ws')}/{SPOT}",
             "TICKERML__EXCHANGES__VENUES__BINANCE_SPOT__REST_URL": f"{host}/{SPOT}"}  # fmt: skip
    error = tickerml(tmp_path, command, "--instrument", f"{SPOT}:NOPE", "--duration", "20s", code=3, **venue)
    last = error.splitlines()[-1]
    assert "has no symbol NOPE" in last
    assert "venues.binance_spot.instruments of exchanges_config.yaml" in last


# ---- an end before the first frame -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_frame_ends_the_run_in_order(number: int, front: Front, tmp_path: Path) -> None:
    front.rules = {SPOT: NEVER, USDM: NEVER}
    words = [*COMMAND, "--data", str(tmp_path), "--json", "run", "--at", f"{front.url}/control"]
    with Running(words, tmp_path) as process:
        name = process.line_with("starting run ").split()[2]
        result = json.loads(process.stop(number))
    assert (result["frames"], result["views"]) == (0, 1)
    assert [row["venue"] for row in result["silent"]] == [SPOT, USDM], "it is said, and Ctrl-C is 0 all the same"
    assert (only_run(tmp_path)[1]["state"], stops(tmp_path, name)) == ("ended", 1)
    assert tickerml(tmp_path, "replay", name)["digest"] == result["digest"]


def test_a_duration_ends_a_run_that_never_had_a_frame(front: Front, tmp_path: Path) -> None:
    front.rules = {SPOT: NEVER, USDM: NEVER}
    done = run(tmp_path, "run", "--at", f"{front.url}/control", "--duration", "1s")
    result = json.loads(done.stdout)
    assert (done.returncode, result["frames"], only_run(tmp_path)[1]["state"]) == (1, 0, "ended")
    assert done.stderr.splitlines()[-1].startswith(f"no frame came from {SPOT} (")


@pytest.mark.parametrize("command", ["run", "collect"])
def test_a_venue_that_was_never_reached_is_said_at_the_end_and_is_1(
    command: str, control_url: str, tmp_path: Path
) -> None:
    host = control_url.removesuffix("/control")
    urls = {
        SPOT: (f"{host.replace('http', 'ws')}/{SPOT}", f"{host}/{SPOT}"),
        USDM: ("ws://127.0.0.1:1", "http://127.0.0.1:1"),
    }
    keys = {f"TICKERML__EXCHANGES__VENUES__{venue.upper()}__{key}": url
            for venue, pair in urls.items() for key, url in zip(("WS_URL", "REST_URL"), pair, strict=True)}  # fmt: skip
    words = ("--instrument", f"{SPOT}:BTCUSDT", "--instrument", f"{USDM}:BTCUSDT", "--duration", "2s")
    done = run(tmp_path, command, *words, **keys)
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    assert result["frames"] > 10
    assert [row["venue"] for row in result["silent"]] == [USDM]
    assert "Connection refused" in result["silent"][0]["cause"]
    last = done.stderr.splitlines()[-1]
    assert (USDM in last, "Connection refused" in last, "is kept" in last) == (True, True, True), last
    assert tickerml(tmp_path, "data", "verify", result["run"])["ok"], "what the other venue sent is kept"


def test_where_every_venue_spoke_nothing_is_silent(control_url: str, tmp_path: Path) -> None:
    done = run(tmp_path, "collect", "--at", control_url, "--duration", "2s")
    assert (done.returncode, json.loads(done.stdout)["silent"]) == (0, [])
    assert "no frame" not in done.stderr


# ---- an engine that fails --------------------------------------------------------------------------------------------


def live_run(control_url: str, data: Path, seconds: float) -> dict[str, Any]:
    loaded = config.load(policy="grid", environ={}, cwd=data)
    asked = live.Asked("run", duration_s=seconds, at=control_url)
    served = live.served(loaded, asked)
    loaded = config.load(policy="grid", instruments=served, environ={}, cwd=data)
    return live.run(loaded, data, asked, quiet=True, color=False)


def test_a_run_whose_engine_failed_is_not_ended_and_the_same_command_goes_on(
    control_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write, writes = Ledger.write, [0]

    def failing(self: Ledger, *what: Any) -> None:
        writes[0] += 1
        if writes[0] == 40:
            raise TickerError("ledger: no such device")
        write(self, *what)

    monkeypatch.setattr(Ledger, "write", failing)
    with pytest.raises(TickerError, match="no such device"):
        live_run(control_url, tmp_path, 60.0)
    monkeypatch.setattr(Ledger, "write", write)
    name, info = only_run(tmp_path)
    assert (info["state"], stops(tmp_path, name)) == ("running", 0)
    assert f"run {name} is not ended: the same command goes on with it" in capfd.readouterr().err
    goes_on(control_url, tmp_path, name, 3.0)


def test_a_ledger_that_fails_after_the_last_record_is_completed_by_the_same_command(
    control_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tape has its STOP; what the ledger did not commit is made again, and nothing after the STOP is decided."""
    close = Ledger.close

    def failing(self: Ledger, deadline_s: float = 30.0) -> None:
        self._store.commit = lambda steps: None  # type: ignore[method-assign]
        close(self, deadline_s)
        raise TickerError("ledger: no space left")

    monkeypatch.setattr(Ledger, "close", failing)
    with pytest.raises(TickerError, match="no space left"):
        live_run(control_url, tmp_path, 3.0)
    monkeypatch.setattr(Ledger, "close", close)
    name, info = only_run(tmp_path)
    assert (info["state"], stops(tmp_path, name)) == ("running", 1)
    goes_on(control_url, tmp_path, name, 60.0)


def goes_on(control_url: str, data: Path, name: str, seconds: float) -> None:
    """The same command takes up the run and ends it; its ledger has every row that the tape gives."""
    result = live_run(control_url, data, seconds)
    assert (result["run"], only_run(data)[1]["state"]) == (name, "ended")
    assert fold(data / "demo" / "tapes" / name, data / "again.sqlite") == result["digest"]
    assert ledger_rows(data / "again.sqlite")[0] == ledger_rows(data / "demo" / "runs" / name / "ledger.sqlite")[0]


# ---- what is said meanwhile ------------------------------------------------------------------------------------------


def test_the_status_line_says_the_last_error_and_how_many_there_were() -> None:
    line = status_line({"errors": ["a", "binance_spot: refused"], "error_count": 7}, None, None, {})
    assert line.endswith("errors 7, the last: binance_spot: refused")
    assert "errors" not in status_line({"errors": [], "error_count": 0}, None, None, {})
