"""`run` and `collect`: a feed writes the tape; for `run` the engine reads behind it, exactly as a replay would.

Both stop by a signal or after a time: the feed ends the tape with STOP, the engine drains, the sinks close, and the run
is ended. When something fails instead, the tape is closed without STOP and the same command goes on with the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickerml import ending
from tickerml.config import build, data_dir
from tickerml.cost import Gauge
from tickerml.profiles import causal_only
from tickerml.recording import WATCH_S, Durable, feed_stats, recording, settled
from tickerml.sources.place import Asked, place, served

if TYPE_CHECKING:
    from tickerml.config import Loaded
    from tickerml.sinks.base import Sink

__all__ = ["Asked", "collect", "run", "served", "summary_text"]


@dataclass(frozen=True)
class Shown:
    """How a run speaks while it goes on."""

    quiet: bool
    color: bool


def run(loaded: Loaded, data: Path, asked: Asked, *, quiet: bool, color: bool) -> dict[str, Any]:
    """Records and paper-trades; the result in the keys of contract.md."""
    from tickerml import _native, carry, runner
    from tickerml.checkpoint import Checkpointer
    from tickerml.screen import Latest, rows, status_line
    from tickerml.sinks.base import Tally
    from tickerml.sinks.ledger import Ledger
    from tickerml.trader import Trader, make_trader

    causal_only(loaded.config, "run")
    build.check_fees(loaded.config, [feed["venue"] for feed in build.venue_feeds(loaded.config)])
    shown, latest, tally = Shown(quiet, color), Latest(), Tally()
    infos: tuple[Any, ...] = ()
    trader: Trader | None = None
    with place(loaded, data, asked) as here, recording(loaded, here, asked) as under_way:
        feed, recorded = under_way.feed, under_way.recorded
        name, kept = recorded.name, recorded.checkpoint

        def draw() -> tuple[list[list[str]], str, str]:
            stats, counts = feed_stats(feed), {}
            if trader:
                counts = {"orders": tally.orders, "fills": tally.fills, "refused": tally.refused}
            books = rows(latest.view, infos, latest.portfolio) if infos else _book_rows(stats)
            return books, status_line(stats, latest.view, latest.portfolio, counts), f"run {name}"

        with _screen(loaded, shown, draw):
            folder = here.data / "runs" / name
            state = kept.parts["session"] if kept else None
            session = _native.Session.live(feed, build.settings_json(loaded.config), checkpoint=state)
            infos, durable = session.instruments, Durable(feed)
            first_view = kept.next_view if kept else 0
            ledger = Ledger(
                folder / "ledger.sqlite",
                name,
                infos,
                durable.pos,
                gauge=Gauge.of(loaded.config.execution),
                first_view=first_view,
                mark_moves=durable.moves,
            )
            checkpoints = Checkpointer(folder, recorded.pinned, session, ledger, durable.pos)
            sinks: list[Sink] = [tally, ledger, checkpoints]
            trader = checkpoints.trader = make_trader(loaded.config, infos, sinks, carry=session.carry)
            ledger.account = carry.account(name, session, trader, here.account)
            # The tape is whole on disk before the ledger commits what rests on it; the run is ended after both.
            with trader, settled(feed, durable):
                if not session.awaits:
                    carry.check_known(trader.portfolio, session.carry)
                if kept:
                    kept.restore(trader, ledger)
                trader.trade(session, watch=latest.over)
        stats = feed_stats(feed)
        result = runner.finish(session, trader, {})
    result |= {"run": name, "data": str(here.data)}
    counts = ending.counted(stats, result, folder / "ledger.sqlite", resumed=recorded.resumed)
    unheard = ending.silent(stats, under_way.venues, under_way.signals)
    return {**result, **counts, "blocked": stats["blocked"], **unheard}


def collect(loaded: Loaded, data: Path, asked: Asked, *, quiet: bool, color: bool) -> dict[str, Any]:
    """Records without the engine."""
    shown = Shown(quiet, color)
    with place(loaded, data, asked) as here, recording(loaded, here, asked) as under_way:
        feed, name = under_way.feed, under_way.recorded.name

        def draw() -> tuple[list[list[str]], str, str]:
            stats = feed_stats(feed)
            return _book_rows(stats), _feed_line(stats), f"collect {name}"

        with _screen(loaded, shown, draw):
            while not feed.join(WATCH_S):
                pass
        stats = feed_stats(feed)
    runs = [name, *stats["runs"]]
    keys = {"run": runs[-1], "runs": runs, "data": str(here.data)}
    counts = ending.collected(stats, resumed=under_way.recorded.resumed)
    unheard = ending.silent(stats, under_way.venues, under_way.signals)
    return {**keys, **counts, "blocked": stats["blocked"], "cut_bytes": stats["cut_bytes"], **unheard}


def summary_text(result: Mapping[str, Any]) -> str:
    """The last screen of a live run, with the command that must give the same digest."""
    from tickerml.summary import summary_text as engine_text

    head = f"run        {result['run']}   {ending.counts_text(result)}"
    name, data = result["run"], Path(result["data"])
    usual = data_dir(None)
    where = "" if data in (usual, usual / "demo") else f" --data {data}"
    if "digest" not in result:
        return f"{head}\nnext       tickerml data verify {name}{where}"
    again = f"again      tickerml replay {name}{where}   (must print the same digest)"
    return "\n".join([head, engine_text(result), again])


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


def _feed_line(stats: Mapping[str, Any]) -> str:
    from tickerml.screen import status_line

    live = sum(book["state"] == "live" for book in stats.get("books", []))
    return f"{status_line(stats, None, None, {})}  live {live}/{len(stats.get('books', []))}"


def _book_rows(stats: Mapping[str, Any]) -> list[list[str]]:
    return [
        [book["instrument"], str(book["state"]).capitalize(), "", "", "", "", ""] for book in stats.get("books", [])
    ]
