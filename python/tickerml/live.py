"""`run` and `collect`: a feed writes the tape; for `run` the engine reads behind it, exactly as a replay would.

Both stop by a signal or after a time: the feed ends the tape with STOP, the engine drains, the sinks close, and the run
is ended. When something fails instead, the tape is closed without STOP and the same command goes on with the run.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickerml.config import build, data_dir
from tickerml.errors import DeadlineError, TickerError, UnsoundDataError
from tickerml.notes import noted
from tickerml.profiles import causal_only
from tickerml.signals import Stopping
from tickerml.sources.lookup import is_tape
from tickerml.version import code_version

if TYPE_CHECKING:
    from tickerml.config import Loaded
    from tickerml.resume import Recorded
    from tickerml.sinks.base import Sink

__all__ = ["Asked", "collect", "run", "served", "summary_text"]

STOP_S_MAX = 20.0
"""Hard cap of an orderly stop (reliability.md P11)."""

END = 2**63 - 1
"""Beyond every record."""

WATCH_S = 0.25
"""How often it is looked whether the feed has ended by itself, or has given up a venue."""


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


class Durable:
    """The durable mark as the ledger asks for it: the last record that is on disk."""

    def __init__(self, feed: Any) -> None:
        self._feed = feed
        self.whole = self.over = False

    def moves(self) -> bool:
        """Whether it may still move: not once the feed has ended without having everything on disk."""
        return not self.over

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
    from tickerml import _native, carry, runner
    from tickerml.checkpoint import Checkpointer
    from tickerml.screen import Latest, rows, status_line
    from tickerml.sinks.ledger import Ledger

    causal_only(loaded.config, "run")
    shown, latest = Shown(quiet, color), Latest()
    infos: tuple[Any, ...] = ()
    traded: runner.Desk | None = None
    with _place(loaded, data, asked) as place, _feed(loaded, place, asked) as (feed, recorded):
        name, kept = recorded.name, recorded.checkpoint

        def draw() -> tuple[list[list[str]], str, str]:
            stats, counts = _stats(feed), {}
            if traded:
                tally = traded.tally
                counts = {"orders": tally.orders, "fills": tally.fills, "refused": tally.refused}
            books = rows(latest.view, infos, latest.portfolio) if infos else _book_rows(stats)
            return books, status_line(stats, latest.view, latest.portfolio, counts), f"run {name}"

        with _screen(loaded, shown, draw):
            folder = place.data / "runs" / name
            state = kept.parts["session"] if kept else None
            session = _native.Session.live(feed, build.settings_json(loaded.config), checkpoint=state)
            infos, durable = session.instruments, Durable(feed)
            first_view = kept.next_view if kept else 0
            ledger = Ledger(
                folder / "ledger.sqlite", name, infos, durable.pos, first_view=first_view, mark_moves=durable.moves
            )
            checkpoints = Checkpointer(folder, recorded.pinned, session, ledger, durable.pos)
            sinks: list[Sink] = [ledger, checkpoints]
            traded = checkpoints.desk = runner.desk(loaded.config, infos, sinks, carry=session.carry)
            ledger.account = carry.account(name, session, traded)
            # The tape is whole on disk before the ledger commits what rests on it; the run is ended after both.
            with traded, _settled(feed, durable):
                if not session.awaits:
                    carry.check_known(traded.portfolio, session.carry)
                if kept:
                    kept.restore(traded, ledger)
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
            return _book_rows(stats), _feed_line(stats), f"collect {name}"

        with _screen(loaded, shown, draw):
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
    """A feed that records into the chosen run; whatever happens its tape is whole.

    Only an orderly end ends the run. After anything else it can be gone on with, so that what the ledger had not
    committed is made again. Signals and --duration are heard from before the first record to the last.
    """
    from tickerml import _native, resume

    config = loaded.config
    pinned = {
        "command": asked.command,
        "config_hash": build.config_hash(config),
        "code_version": code_version(),
        "policy": config.model.policy,
    }
    recorded = resume.choose(place.data, pinned, new=asked.new, resume=asked.resume, say=_warn)
    name, resumed = recorded.name, recorded.resumed
    venues = build.venue_feeds(config, place.addresses)
    missing = [v["venue"] for v in venues if place.addresses and v["venue"] not in place.addresses]
    if missing:
        raise TickerError(f"the venue at {asked.at} does not serve {', '.join(missing)}; name others with --instrument")
    recording = build.effective(config)["exchanges"]["recording"]
    record = _config_record(config, place, {**pinned, "run": name}, venues)
    carried = _carried(place, asked, name, record["instruments"])
    feed = _native.Feed(
        json.dumps(
            {"run": name, "resume": resumed, "data_dir": str(place.data), "source": place.source, **recording,
             "config_record": record, "carry_record": carried, "venues": venues,
             "tail_pos": recorded.checkpoint.pos + 1 if recorded.checkpoint else 0}
        )
    )  # fmt: skip
    with _stopping(feed, asked) as begun:
        feed.start()
        begun()
        account = f", with the account of run {carried['source_run']}" if carried else ""
        _note(f"{'resuming' if resumed else 'starting'} run {name} in {place.data}{account}")
        try:
            with _telling(feed), noted(feed):
                yield feed, recorded
            _end(feed)
        except BaseException as error:
            feed.leave()
            with suppress(TickerError):
                feed.join(STOP_S_MAX)
            _warn(f"run {name} is not ended: {_way_on(error, place.data / 'tapes' / name)}")
            raise


def _way_on(error: BaseException, tape: Path) -> str:
    """What can be done about a run that was left: unsound data are met again at every start."""
    if not is_tape(tape):
        return "its tape is gone"
    if isinstance(error, UnsoundDataError):
        return "the same command would meet this again, --new starts another"
    return "the same command goes on with it, --new starts another"


def _end(feed: Any) -> None:
    """Ends the run: STOP, and `run.json` says so. What went wrong with the feed is raised, and the run is not ended."""
    feed.stop("end")
    if not feed.join(STOP_S_MAX):
        raise DeadlineError(f"the feed did not stop within {STOP_S_MAX:.0f} s; the tape is whole up to its last block")
    if error := feed.error:
        raise TickerError(str(error))


def _carried(place: Place, asked: Asked, name: str, instruments: list[str]) -> dict[str, Any] | None:
    """The account that the run starts from: none for `collect`, with --new, or where the run has begun already."""
    from tickerml import carry

    if asked.command != "run" or asked.new or _begun(place.data / "tapes" / name):
        return None
    found = carry.newest(place.data, asked.command, place.source, name)
    if found:
        carry.check_listed(found, instruments)
    return found


def _begun(tape: Path) -> bool:
    """Whether the first record of a run is on disk; a process may have died before."""
    from tickerml import _native

    return any(tape.glob("*.tape")) and _native.tape_has(tape, 0)


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
def _stopping(feed: Any, asked: Asked) -> Iterator[Callable[[], None]]:
    """Signals and --duration end the tape; the engine then drains and ends by itself. Gives what to call when the feed
    has begun: a signal that came before is told then.
    """
    timer = threading.Timer(asked.duration_s, feed.stop, ["duration"]) if asked.duration_s else None
    heard: list[str] = []
    begun = threading.Event()

    def stop(reason: str) -> None:
        heard.append(reason)
        if begun.is_set():
            feed.stop(reason)

    def begin() -> None:
        begun.set()
        if heard:
            feed.stop(heard[0])
        if timer:
            timer.daemon = True
            timer.start()

    with Stopping(stop):
        try:
            yield begin
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
def _settled(feed: Any, durable: Durable) -> Iterator[None]:
    """Ends the recording when the work is done, or leaves it when the work failed; the tape is then on disk."""
    try:
        yield
    except BaseException:
        feed.leave()
        raise
    else:
        feed.stop("end")
    finally:
        durable.whole = feed.settle(STOP_S_MAX)
        durable.over = not durable.whole


@contextmanager
def _telling(feed: Any) -> Iterator[None]:
    """Says each venue that is given up, once, even where no screen is shown; the others go on."""
    over = threading.Event()
    told: set[str] = set()

    def tell() -> None:
        stats = _stats(feed)
        new = [text for key in ("blocked", "unreachable") for text in stats.get(key, []) if text not in told]
        told.update(new)
        for text in new if not stats.get("fatal") else []:
            _warn(text)

    def work() -> None:
        while not over.wait(WATCH_S):
            tell()

    thread = threading.Thread(target=work, name="telling", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        tell()


def _stats(feed: Any) -> dict[str, Any]:
    return dict(json.loads(feed.stats()))


def _feed_keys(stats: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: stats.get(key, 0) for key in ("reconnects", "gaps", "frames")}, "blocked": stats.get("blocked", [])}


def _feed_line(stats: Mapping[str, Any]) -> str:
    from tickerml.screen import status_line

    live = sum(book["state"] == "live" for book in stats.get("books", []))
    return f"{status_line(stats, None, None, {})}  live {live}/{len(stats.get('books', []))}"


def _book_rows(stats: Mapping[str, Any]) -> list[list[str]]:
    return [
        [book["instrument"], str(book["state"]).capitalize(), "", "", "", "", ""] for book in stats.get("books", [])
    ]


def _note(text: str) -> None:
    """Says how a run begins, unless ``-q``."""
    if logging.getLogger("tickerml").isEnabledFor(logging.WARNING):
        _warn(text)


def _warn(text: str) -> None:
    """Says what should be read, even with ``-q``."""
    print(text, file=sys.stderr, flush=True)
