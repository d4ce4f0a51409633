"""What a command says by the way, on stderr: `-v` shows each reconnect, gap and checkpoint, `-q` not how it begins.

Modules say it to a logger of `logging` under "tickerml"; this decides what of it is shown.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["noted", "show"]

LOOK_S = 0.25
"""How often a feed is asked what happened: as often as it tells."""

COUNTED = {"reconnects": "reconnect", "gaps": "gap", "handovers": "hand-over", "clock_steps": "clock step"}

log = logging.getLogger("tickerml.notes")


class _Stderr(logging.Handler):
    """Prints to what is stderr at that moment: a live screen puts its own there."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


def show(verbose: int) -> None:
    """What is shown from now on: problems always, how a run begins unless `verbose` is below 0, the rest above 0."""
    ours = logging.getLogger("tickerml")
    ours.setLevel(logging.INFO if verbose > 0 else logging.WARNING if verbose == 0 else logging.ERROR)
    ours.handlers = [_Stderr()]
    ours.propagate = False


@contextmanager
def noted(feed: Any) -> Iterator[None]:
    """While entered, what happens to a feed is said; nothing is started where nobody listens."""
    if not log.isEnabledFor(logging.INFO):
        yield
        return
    left = threading.Event()
    thread = threading.Thread(target=_watch, args=(feed, left), name="notes", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()


def _watch(feed: Any, left: threading.Event) -> None:
    before: dict[str, Any] = {}
    while True:
        last = left.wait(LOOK_S)
        now = dict(json.loads(feed.stats()))
        for line in _news(before, now):
            log.info("%s", line)
        before = now
        if last:
            return


def _news(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What came between two looks."""
    for key, word in COUNTED.items():
        if (more := now[key] - before.get(key, 0)) > 0:
            yield f"{more} {word}{'s' if more > 1 else ''}, {now[key]} so far"
    known = before.get("errors", [])
    yield from (f"  {text}" for text in now["errors"] if text not in known)
    states = {book["instrument"]: book["state"] for book in before.get("books", [])}
    for book in now["books"]:
        if states.get(book["instrument"]) != book["state"]:
            yield f"{book['instrument']} is {book['state']}"
    yield from (f"going on as run {run}" for run in now["runs"][len(before.get("runs", [])) :])
