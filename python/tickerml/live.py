"""`run` and `collect`: a feed writes the tape; for `run` the engine reads behind it, exactly as a replay would.

Both stop by a signal or after a time: the feed ends the tape with STOP, the engine drains, the sinks close.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickerml.config import build, data_dir
from tickerml.errors import DeadlineError, TickerError
from tickerml.notes import noted
from tickerml.signals import Stopping
from tickerml.sources.runs import choose_run

if TYPE_CHECKING:
    from tickerml.checkpoint import Checkpoint
    from tickerml.config import Loaded

__all__ = ["Asked", "collect", "run", "served", "summary_text"]

STOP_S_MAX = 20.0
"""Hard cap of an orderly stop (reliability.md P11)."""

END = 2**63 - 1
"""Beyond every record."""

WATCH_S = 0.25
"""How often `collect` looks whether the feed has ended by itself."""


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
    """Where a run reads from and writes to."""

    data: Path
    source: str
    addresses: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Shown:
    """How a run speaks while it goes on."""

    quiet: bool
    color: bool


@dataclass(frozen=True)
class Recorded:
    """The run that a feed records: its name, what it is pinned to, and the checkpoint that the engine goes on from."""

    name: str
    pinned: Mapping[str, str]
    checkpoint: Checkpoint | None


class Durable:
    """The durable mark as the ledger asks for it: the last record that is on disk."""

    def __init__(self, feed: Any) -> None:
        self._feed = feed
        self.whole = False

    def pos(self) -> int:
        """Everything once the tape is closed; until then what the feed last said."""
        return END if self.whole else int(_stats(self._feed)["durable_pos"]) - 1


def served(loaded: Loaded, asked: Asked) -> tuple[str, ...]:
    """What a demo or the venue at a control URL offers, where no instrument was named; empty for real venues."""
    if asked.demo:
        return tuple(loaded.config.exchanges.demo.instruments)
    if asked.at:
        from tickerml.sources.venue import ask

        return tuple(f"{row['venue']}:{symbol}" for row in ask(asked.at)["venues"] for symbol in row["symbols"])
    return ()


def run(loaded: Loaded, data: Path, asked: Asked, *, quiet: bool, color: bool) -> dict[str, Any]:
    """Records and paper-trades; the result in the keys of contract.md."""
    from tickerml import _native, runner
    from tickerml.checkpoint import Checkpointer
    from tickerml.screen import Latest, rows, status_line
    from tickerml.sinks.ledger import Ledger

    shown = Shown(quiet, color)
    with _place(loaded, data, asked) as place, _feed(loaded, place, asked) as (feed, recorded):
        name, kept = recorded.name, recorded.checkpoint
        folder = place.data / "runs" / name
        state = kept.parts["session"] if kept else None
        session = _native.Session.live(feed, build.settings_json(loaded.config), checkpoint=state)
        infos, durable = session.instruments, Durable(feed)
        first_view = kept.next_view if kept else 0
        ledger = Ledger(folder / "ledger.sqlite", name, infos, durable.pos, first_view=first_view)
        checkpoints = Checkpointer(folder, recorded.pinned, session, ledger, durable.pos)
        traded = checkpoints.desk = runner.desk(loaded.config, infos, [ledger, checkpoints])
        if kept:
            kept.restore(traded, ledger)
        latest = Latest()

        def draw() -> tuple[list[list[str]], str, str]:
            counts = {"orders": traded.tally.orders, "fills": traded.tally.fills, "refused": traded.tally.refused}
            line = status_line(_stats(feed), latest.view, latest.portfolio, counts)
            return rows(latest.view, infos, latest.portfolio), line, f"run {name}"

        # The tape is closed, and so whole on disk, before the ledger is asked to commit what rests on it.
        with traded, _joined(feed, durable), _stopping(feed, asked), _screen(loaded, shown, draw):
            traded.trade(session, watch=latest.over)
        stats = _stats(feed)
        result = runner.finish(session, traded, {})
    return {**result, "run": name, "data": str(place.data), **_feed_keys(stats)}


def collect(loaded: Loaded, data: Path, asked: Asked, *, quiet: bool, color: bool) -> dict[str, Any]:
    """Records without the engine."""
    shown = Shown(quiet, color)
    with _place(loaded, data, asked) as place, _feed(loaded, place, asked) as (feed, recorded):
        name = recorded.name

        def draw() -> tuple[list[list[str]], str, str]:
            stats = _stats(feed)
            return [_book_row(book) for book in stats.get("books", [])], _feed_line(stats), f"collect {name}"

        with _joined(feed, None), _stopping(feed, asked), _screen(loaded, shown, draw):
            while not feed.join(WATCH_S):
                pass
        stats = _stats(feed)
    runs = [name, *stats["runs"]]
    keys = {"run": runs[-1], "runs": runs, "data": str(place.data), "frames": stats["frames"], "bytes": stats["bytes"]}
    return {**keys, **_feed_keys(stats), "cut_bytes": stats["cut_bytes"]}


def summary_text(result: Mapping[str, Any]) -> str:
    """The last screen of a live run, with the command that must give the same digest."""
    from tickerml import runner

    head = f"run        {result['run']}   frames {result['frames']}   gaps {result['gaps']}   " + (
        f"reconnects {result['reconnects']}"
    )
    name, data = result["run"], Path(result["data"])
    usual = data_dir(None)
    where = "" if data in (usual, usual / "demo") else f" --data {data}"
    if "digest" not in result:
        return f"{head}\nnext       tickerml data verify {name}{where}"
    again = f"again      tickerml replay {name}{where}   (must print the same digest)"
    return "\n".join([head, runner.summary_text(dict(result)), again])


@contextmanager
def _place(loaded: Loaded, data: Path, asked: Asked) -> Iterator[Place]:
    """The configured venues, the venues at a control URL, or a demo's own, which live as long as the run. What loopback
    venues say is kept apart from the market's (rules.md 8).
    """
    if asked.demo:
        from tickerml import _native

        venue = _native.Venue(json.dumps({"port": 0, "seed": loaded.config.execution.seed}))
        urls = json.loads(venue.start())
        try:
            yield _at(urls["control_url"], data / "demo")
        finally:
            venue.stop()
    elif asked.at:
        yield _at(asked.at, data / "demo")
    else:
        yield Place(data, "venue", {})


def _at(control_url: str, data: Path) -> Place:
    from tickerml.sources.venue import ask

    info = ask(control_url)
    channels = _recorded_channels(info.get("recorded_streams", []))
    return Place(data, "loopback", {str(row["venue"]): {**row, **channels} for row in info["venues"]})


def _recorded_channels(streams: list[str]) -> dict[str, list[str]]:
    """A recording is asked for what it holds: a cadence that is not on it would have no frames."""
    names = sorted({stream.partition("@")[2] for stream in streams})
    market = [name for name in names if name.startswith("markPrice")]
    return {"channels": [name for name in names if name not in market], "market_channels": market} if names else {}


@contextmanager
def _feed(loaded: Loaded, place: Place, asked: Asked) -> Iterator[tuple[Any, Recorded]]:
    """A feed that records into the chosen run; whatever happens it is stopped and its tape is whole."""
    from tickerml import _native

    config = loaded.config
    pinned = {
        "command": asked.command,
        "config_hash": build.config_hash(config),
        "code_version": _native.CODE_VERSION,
        "policy": config.model.policy,
    }
    name, resumed = choose_run(place.data, pinned, new=asked.new, resume=asked.resume)
    recorded = Recorded(name, pinned, _checkpoint(place.data, name, pinned) if resumed else None)
    venues = build.venue_feeds(config, place.addresses)
    missing = [v["venue"] for v in venues if place.addresses and v["venue"] not in place.addresses]
    if missing:
        raise TickerError(f"the venue at {asked.at} does not serve {', '.join(missing)}; name others with --instrument")
    recording = build.effective(config)["exchanges"]["recording"]
    record = _config_record(config, place, {**pinned, "run": name}, venues)
    feed = _native.Feed(
        json.dumps(
            {"run": name, "resume": resumed, "data_dir": str(place.data), "source": place.source, **recording,
             "config_record": record, "venues": venues,
             "tail_pos": recorded.checkpoint.pos + 1 if recorded.checkpoint else 0}
        )
    )  # fmt: skip
    feed.start()
    _note(f"{'resuming' if resumed else 'starting'} run {name} in {place.data}")
    try:
        with noted(feed):
            yield feed, recorded
    finally:
        feed.stop("end")
        feed.join(STOP_S_MAX)


def _checkpoint(data: Path, name: str, pinned: Mapping[str, str]) -> Checkpoint | None:
    from tickerml import checkpoint

    return checkpoint.newest(data / "runs" / name, data / "tapes" / name, pinned, name)


def _config_record(
    config: Any, place: Place, pinned: Mapping[str, str], venues: list[dict[str, Any]]
) -> dict[str, Any]:
    """The CONFIG record: everything that a replay needs to decide as the run did."""
    effective = build.effective(config)
    name = config.model.policy
    return {
        **pinned,
        "settings": effective["execution"],
        "instruments": [f"{v['venue']}:{symbol}" for v in venues for symbol in v["symbols"]],
        "policy": {"name": name, "params": config.model.params(name)},
        "risk": effective["risk"],
        "seed": config.execution.seed,
        "source": place.source,
    }


@contextmanager
def _stopping(feed: Any, asked: Asked) -> Iterator[None]:
    """Signals and --duration end the tape; the engine then drains and ends by itself."""
    timer = threading.Timer(asked.duration_s, feed.stop, ["duration"]) if asked.duration_s else None
    with Stopping(feed.stop):
        if timer:
            timer.daemon = True
            timer.start()
        try:
            yield
        finally:
            if timer:
                timer.cancel()


@contextmanager
def _screen(loaded: Loaded, shown: Shown, draw: Callable[[], tuple[list[list[str]], str, str]]) -> Iterator[None]:
    if shown.quiet:
        yield
        return
    from tickerml.screen import Screen

    limits = loaded.config.monitoring
    hz, every_s = limits.screen_refresh_hz, limits.status_interval_s
    with Screen(draw, refresh_hz=hz, interval_s=every_s, color=shown.color):
        yield


@contextmanager
def _joined(feed: Any, durable: Durable | None) -> Iterator[None]:
    """Ends the feed when the work is done, and says what went wrong with it."""
    try:
        yield
    finally:
        feed.stop("end")
        ended = feed.join(STOP_S_MAX)
        if ended and durable and not feed.error:
            durable.whole = True
    if error := feed.error:
        raise TickerError(str(error))
    if not ended:
        raise DeadlineError(f"the feed did not stop within {STOP_S_MAX:.0f} s; the tape is whole up to its last block")


def _stats(feed: Any) -> dict[str, Any]:
    return dict(json.loads(feed.stats()))


def _feed_keys(stats: Mapping[str, Any]) -> dict[str, Any]:
    return {key: stats.get(key, 0) for key in ("reconnects", "gaps", "frames")}


def _feed_line(stats: Mapping[str, Any]) -> str:
    from tickerml.screen import status_line

    live = sum(book["state"] == "live" for book in stats.get("books", []))
    return f"{status_line(stats, None, None, {})}  live {live}/{len(stats.get('books', []))}"


def _book_row(book: Mapping[str, Any]) -> list[str]:
    return [book["instrument"], str(book["state"]).capitalize(), "", "", "", "", ""]


def _note(text: str) -> None:
    """Says how a run begins, unless ``-q``."""
    if logging.getLogger("tickerml").isEnabledFor(logging.WARNING):
        print(text, file=sys.stderr, flush=True)
