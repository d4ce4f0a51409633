"""What a venue on loopback says of itself at its control URL, checked: nothing in it may lead to a real exchange."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

from tickerml.config.values import VENUES
from tickerml.errors import DeadlineError, TickerError

__all__ = ["ask"]

TIMEOUT_S: Final = 10.0
"""For the whole answer, however slowly it comes."""

ANSWER_BYTES_MAX: Final = 1 << 20
OK: Final = 200
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
ADDRESSES: Final = {"ws_url": "ws", "market_ws_url": "ws", "rest_url": "http"}
"""Keys of a venue that are addresses, and their scheme: what is served on loopback has no certificate."""


def ask(control_url: str) -> dict[str, Any]:
    """The answer of a `tickerml venue serve`: `venues` (each with `venue symbols ws_url market_ws_url rest_url`) and
    `recorded_streams`.

    Raises
    ------
    TickerError
        When nobody answers, or what answers is no such venue.
    DeadlineError
    """
    status, body = _within(TIMEOUT_S, control_url)
    if status != OK:
        raise TickerError(f"--at {control_url}: HTTP {status}: no control URL; give the one that `tickerml venue serve`"
                          " printed, /control at its end")  # fmt: skip
    try:
        found = dict(json.loads(body))
    except (ValueError, TypeError, RecursionError):
        found = {}
    if wrong := _wrong(found, urlsplit(control_url).hostname):
        raise TickerError(f"--at {control_url}: what answers there is no `tickerml venue serve` ({wrong})")
    return found


def _within(seconds: float, control_url: str) -> tuple[int, bytes]:
    """Status and body; in a thread of its own, because each byte that drips in begins a socket's patience anew."""
    got: list[tuple[int, bytes] | Exception] = []

    def work() -> None:
        try:
            got.append(_get(control_url, seconds))
        except Exception as error:
            got.append(error)

    thread = threading.Thread(target=work, name="control", daemon=True)
    thread.start()
    thread.join(seconds)
    found = got[0] if got else TimeoutError()
    if isinstance(found, TimeoutError):
        raise DeadlineError(f"--at {control_url}: no answer within {seconds:g} s")
    if isinstance(found, (OSError, HTTPException, ValueError)):
        raise TickerError(f"--at {control_url}: nothing answers there ({found}); does `tickerml venue serve` run?")
    if isinstance(found, Exception):
        raise found
    return found


def _get(control_url: str, timeout_s: float) -> tuple[int, bytes]:
    parts = urlsplit(control_url)
    assert parts.hostname, "the command line checks URLs"
    client = HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
    try:
        client.request("GET", parts.path.rstrip("/") + "/info")
        answer = client.getresponse()
        return answer.status, answer.read(ANSWER_BYTES_MAX)
    finally:
        client.close()


def _wrong(found: Mapping[str, Any], host: str | None) -> str:
    """What is wrong with an answer, in a few words; empty where nothing is."""
    venues, streams = found.get("venues"), found.get("recorded_streams", [])
    if not isinstance(venues, list) or not venues:
        return "it names no venues"
    if not _texts(streams):
        return "its recorded_streams are no list of names"
    return next((wrong for row in venues if (wrong := _wrong_venue(row, host))), "")


def _wrong_venue(row: Any, host: str | None) -> str:
    name = row.get("venue") if isinstance(row, dict) else None
    if name not in VENUES:
        return f"{name!r} is no venue of this version"
    if not row.get("symbols") or not _texts(row["symbols"]):
        return f"{name} has no symbols"
    for key, scheme in ADDRESSES.items():
        url = row.get(key)
        if not isinstance(url, str) or not (url or key == "market_ws_url"):
            return f"{name} has no {key}"
        if url and not _near(url, scheme, host):
            return f"the {key} of {name} is {url}, not {scheme}:// on this host"
    return ""


def _near(url: str, scheme: str, host: str | None) -> bool:
    """Whether an address is on loopback or where the control URL is."""
    try:
        parts = urlsplit(url)
        return parts.scheme == scheme and parts.hostname in (*LOOPBACK, host)
    except ValueError:
        return False


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) and text for text in value)
