"""`--at`: what is no control URL, and servers that are no venue of ours. Never is a real exchange dialled instead."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from test_cli import call, place
from tickerml.sources import control

pytest.importorskip("tickerml._native", reason="the native module is not built")

__all__ = ["place"]

LOOPBACK = "127.0.0.1:1"
SPOT = {"venue": "binance_spot", "symbols": ["BTCUSDT"], "ws_url": f"ws://{LOOPBACK}/s",
        "rest_url": f"http://{LOOPBACK}/s", "market_ws_url": ""}  # fmt: skip


@contextmanager
def answering(body: bytes, status: int = 200, *, drip: bool = False) -> Iterator[str]:
    """A server that answers everything with this; with `drip` one byte at a time, and then no more for ever."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for k in range(len(body) if drip else 0):
                if over.wait(0.05):
                    return
                self.wfile.write(body[k : k + 1])
            if not drip:
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/control"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def refused(place: Path, capsys: pytest.CaptureFixture[str], url: str, code: int, *more: str) -> str:
    """Both live commands end with the code and one line, and begin nothing."""
    for command in ("run", "collect"):
        got, out, err = call(capsys, command, "--at", url, "--duration", "1s", *more)
        assert (got, out, err.count("\n")) == (code, "", 1), err
        assert "--at" in err
        assert not (place / "data").exists(), "nothing was begun"
    return err


@pytest.mark.parametrize(
    "url",
    ["", " ", "localhost", "localhost:80", "ftp://127.0.0.1/control", "https://127.0.0.1/control", "http://", "http:///x",
     "http://127.0.0.1:99999", "http://127.0.0.1:0/control", "http://127.0.0.1:/control", "http://127.0.0.1:x/control",
     "http://[::1", "http://a b/control", "http://127.0.0.1:80/control?x=1", "http://me@127.0.0.1/control", "http://x\n"],
    ids=repr,
)  # fmt: skip
def test_what_is_no_control_url_is_a_usage_mistake(url: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "control_url" in refused(place, capsys, url, 2)


def info(*venues: Any, **more: Any) -> bytes:
    return json.dumps({"venues": list(venues), "recorded_streams": [], **more}).encode()


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in SPOT.items() if name != key}


UNSUITABLE: dict[str, tuple[bytes, int]] = {
    "no such path": (b'{"code":-1100,"msg":"no such path"}', 404),
    "names no venues": (info(), 200),
    "no key": (b"{}", 200),
    "a list": (b"[]", 200),
    "null": (b"null", 200),
    "no JSON": (b"<html>", 200),
    "deep": (b"[" * 100_000, 200),
    "no object": (info("binance_spot"), 200),
    **{f"no {key}": (info(without(key)), 200) for key in SPOT},
    "empty ws_url": (info({**SPOT, "ws_url": ""}), 200),
    "no symbols": (info({**SPOT, "symbols": []}), 200),
    "a symbol that is none": (info({**SPOT, "symbols": [7]}), 200),
    "another venue": (info({**SPOT, "venue": "kraken_spot"}), 200),
    "the real exchange": (info({**SPOT, "ws_url": "wss://stream.binance.com:9443"}), 200),
    "a stranger's host": (info({**SPOT, "rest_url": "http://api.binance.com"}), 200),
    "the real market stream": (info({**SPOT, "market_ws_url": "wss://fstream.binance.com/market"}), 200),
    "streams that are none": (info(SPOT, recorded_streams=7), 200),
}


@pytest.mark.parametrize("named", [(), ("--instrument", "binance_spot:BTCUSDT")], ids=["", "named"])
@pytest.mark.parametrize("what", UNSUITABLE)
def test_a_server_that_is_no_venue_of_ours_is_refused(
    what: str, named: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(*UNSUITABLE[what]) as url:
        assert url in refused(place, capsys, url, 1, *named)


def test_nobody_there_is_1(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing answers there" in refused(place, capsys, f"http://{LOOPBACK}/control", 1)


def test_a_server_that_drips_is_given_up_at_the_deadline(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "TIMEOUT_S", 0.4)
    with answering(info(SPOT) + b" " * 1000, drip=True) as url:
        assert "no answer within" in refused(place, capsys, url, 5)
