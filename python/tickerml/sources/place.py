"""Where a live run reads from and writes to: the configured venues, those at a control URL, or a demo's own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tickerml.config import Loaded

__all__ = ["Asked", "Place", "place", "served"]


@dataclass(frozen=True)
class Asked:
    """What the command line asks of a live run."""

    command: str
    duration_s: float | None = None
    new: bool = False
    resume: str | None = None
    at: str | None = None
    demo: bool = False


@dataclass(frozen=True)
class Place:
    """Where a run reads from and writes to.

    Attributes
    ----------
    source : `venue` or `loopback`.
    account : whose money is traded with: `venue`, `demo` or `at`. The last two lie in one folder and list other
        instruments, so each goes on with its own.
    addresses : by venue, what replaces its configured addresses; None for real venues.
    name : what serves it, for people.
    """

    data: Path
    source: str
    account: str
    addresses: Mapping[str, Mapping[str, Any]] | None
    name: str


def served(loaded: Loaded, asked: Asked) -> tuple[str, ...]:
    """What a demo or the venue at a control URL offers, where no instrument was named; empty for real venues."""
    if asked.demo:
        return tuple(loaded.config.exchanges.demo.instruments)
    if asked.at is not None:
        from tickerml.sources.control import ask

        return tuple(f"{row['venue']}:{symbol}" for row in ask(asked.at)["venues"] for symbol in row["symbols"])
    return ()


@contextmanager
def place(loaded: Loaded, data: Path, asked: Asked) -> Iterator[Place]:
    """The place of a run; a demo's venues live as long as it is entered. What loopback venues say is kept apart from
    the market's (rules.md 8).
    """
    if asked.demo:
        from tickerml import _native

        venue = _native.Venue(json.dumps({"port": 0, "seed": loaded.config.execution.seed}))
        urls = json.loads(venue.start())
        try:
            yield _at(urls["control_url"], data / "demo", "demo", "the demo")
        finally:
            venue.stop()
    elif asked.at is not None:
        yield _at(asked.at, data / "demo", "at", f"the venue at {asked.at}")
    else:
        yield Place(data, "venue", "venue", None, "the venues")


def _at(control_url: str, data: Path, account: str, name: str) -> Place:
    from tickerml.sources.control import ask

    info = ask(control_url)
    channels = _recorded_channels(info.get("recorded_streams", []))
    return Place(data, "loopback", account, {str(row["venue"]): {**row, **channels} for row in info["venues"]}, name)


def _recorded_channels(streams: list[str]) -> dict[str, list[str]]:
    """A recording is asked for what it holds: a cadence that is not on it would have no frames."""
    names = sorted({stream.partition("@")[2] for stream in streams})
    market = [name for name in names if name.startswith("markPrice")]
    return {"channels": [name for name in names if name not in market], "market_channels": market} if names else {}
