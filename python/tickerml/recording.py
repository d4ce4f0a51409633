"""The feed of a live run: it records into the chosen run, from before the first record to STOP.

Only an orderly end ends the run. After anything else it can be gone on with, so that what the ledger had not committed
is made again.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tickerml.config import build
from tickerml.errors import DeadlineError, NotFoundError, TickerError, UnsoundDataError
from tickerml.notes import noted
from tickerml.signals import Stopping
from tickerml.sources.lookup import is_tape
from tickerml.sources.place import Asked, Place
from tickerml.version import code_version

if TYPE_CHECKING:
    from tickerml.config import Loaded
    from tickerml.resume import Recorded

__all__ = ["WATCH_S", "Durable", "Recording", "feed_stats", "recording", "settled"]

STOP_S_MAX = 20.0
"""Hard cap of an orderly stop (reliability.md P11)."""

END = 2**63 - 1
"""Beyond every record."""

WATCH_S = 0.25
"""How often it is looked whether the feed has ended by itself, or has given up a venue."""

NO_SYMBOL = re.compile(r"(\w+): the venue has no symbol ([^;]+);")
"""How a feed says that what it was asked for is not listed: not a failure of the venue, but something not found."""


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
        return END if self.whole else int(feed_stats(self._feed)["durable_pos"]) - 1


class Recording(NamedTuple):
    """What is under way.

    Attributes
    ----------
    feed, recorded : the feed, and the run that it records.
    venues : the names of the configured venues.
    signals : those that were heard so far, by name.
    """

    feed: Any
    recorded: Recorded
    venues: list[str]
    signals: list[str]


@contextmanager
def recording(loaded: Loaded, place: Place, asked: Asked) -> Iterator[Recording]:
    """A feed that records into the chosen run; whatever happens its tape is whole. Signals and --duration are heard
    from before the first record to the last.
    """
    from tickerml import _native, resume

    config = loaded.config
    pinned = {
        "command": asked.command,
        "config_hash": build.config_hash(config, place.account),
        "code_version": code_version(),
        "policy": config.model.policy,
    }
    recorded = resume.choose(place.data, pinned, new=asked.new, resume=asked.resume, say=_warn)
    name, resumed = recorded.name, recorded.resumed
    venues = build.venue_feeds(config, place.addresses)
    _check_served(place, venues)
    record = build.record(config, {**pinned, "run": name, "source": place.source}, venues)
    carried = _carried(place, asked, name, record["instruments"])
    config_json = {
        "run": name, "resume": resumed, "data_dir": str(place.data), "source": place.source,
        **config.exchanges.recording.model_dump(),
        "config_record": record, "carry_record": carried, "venues": venues,
        "tail_pos": recorded.checkpoint.pos + 1 if recorded.checkpoint else 0,
    }  # fmt: skip
    feed = _native.Feed(json.dumps(config_json))
    heard: list[str] = []
    with _stopping(feed, asked, heard) as begun:
        feed.start()
        begun()
        account = f", with the account of run {carried['source_run']}" if carried else ""
        _note(f"{'resuming' if resumed else 'starting'} run {name} in {place.data}{account}")
        try:
            with _telling(feed), noted(feed):
                yield Recording(feed, recorded, [str(venue["venue"]) for venue in venues], heard)
            _end(feed)
        except BaseException as error:
            feed.leave()
            with suppress(TickerError):
                feed.join(STOP_S_MAX)
            _warn(f"run {name} is not ended: {_way_on(error, place.data / 'tapes' / name)}")
            if unknown := NO_SYMBOL.match(str(error)):
                raise _no_symbol(*unknown.groups()) from None
            raise


def _way_on(error: BaseException, tape: Path) -> str:
    """What can be done about a run that was left: unsound data are met again at every start."""
    if not is_tape(tape):
        return "its tape is gone"
    if isinstance(error, UnsoundDataError):
        return "the same command would meet this again, --new starts another"
    return "the same command goes on with it, --new starts another"


def _check_served(place: Place, venues: list[dict[str, Any]]) -> None:
    """What is on loopback says beforehand what it serves."""
    if place.addresses is None:
        return
    has = [f"{name}:{symbol}" for name, row in place.addresses.items() for symbol in row["symbols"]]
    asked = [f"{venue['venue']}:{symbol}" for venue in venues for symbol in venue["symbols"]]
    if missing := [instrument for instrument in asked if instrument not in has]:
        what = f"{', '.join(missing)}: not served by {place.name}"
        raise NotFoundError(f"{what}, which has {', '.join(has)}; name what it has with --instrument")


def _no_symbol(venue: str, symbols: str) -> NotFoundError:
    return NotFoundError(
        f"{venue}: the venue has no symbol {symbols}; write it as the venue does, like BTCUSDT, in --instrument or in"
        f" venues.{venue}.instruments of exchanges_config.yaml"
    )


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
    found = carry.newest(place.data, asked.command, place.source, name, place.account)
    if found:
        carry.check_listed(found, instruments)
    return found


def _begun(tape: Path) -> bool:
    """Whether the first record of a run is on disk; a process may have died before."""
    from tickerml import _native

    return any(tape.glob("*.tape")) and _native.tape_has(tape, 0)


@contextmanager
def _stopping(feed: Any, asked: Asked, heard: list[str]) -> Iterator[Callable[[], None]]:
    """Signals and --duration end the tape; the engine then drains and ends by itself. Gives what to call when the feed
    has begun: a signal that came before is told then. `heard` takes the names of signals.
    """
    timer = threading.Timer(asked.duration_s, feed.stop, ["duration"]) if asked.duration_s else None
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
def settled(feed: Any, durable: Durable) -> Iterator[None]:
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
        stats = feed_stats(feed)
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


def feed_stats(feed: Any) -> dict[str, Any]:
    """What a feed says of itself."""
    return dict(json.loads(feed.stats()))


def _note(text: str) -> None:
    """Says how a run begins, unless ``-q``."""
    if logging.getLogger("tickerml").isEnabledFor(logging.WARNING):
        _warn(text)


def _warn(text: str) -> None:
    """Says what should be read, even with ``-q``."""
    print(text, file=sys.stderr, flush=True)
