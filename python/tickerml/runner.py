"""Recordings through the engine, tapes and event files, and how any run of the engine ended.

A source gives a session, `trader` what stands between its views and its orders.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tickerml import progress
from tickerml.cost import Gauge
from tickerml.profiles import causal_only, is_insample
from tickerml.schema import decimal_text
from tickerml.sinks.base import Sink
from tickerml.trader import Trader, make_trader

if TYPE_CHECKING:
    from tickerml.config import Loaded
    from tickerml.config.models import Config
    from tickerml.sources.recorded import EventRows

__all__ = ["Outputs", "backtest", "backtest_events", "finish", "replay"]

BAND = (("late", "risk_averse"), ("early", "early"))
"""Ends of the band and their queue models: no cancel was ahead of an order, every cancel was."""

BAND_KEYS = ("pnl_quote", "fees_quote", "fills", "orders", "max_drawdown_frac", "digest")


log = logging.getLogger("tickerml.funding")


@dataclass(frozen=True)
class Outputs:
    """Files that a replay or a backtest writes beside its summary."""

    fills: Path | None = None
    orders: Path | None = None


def finish(session: Any, trader: Trader, overrides: dict[str, Any]) -> dict[str, Any]:
    """The result of a run in the keys of contract.md."""
    shot = trader.portfolio.snapshot(SimpleNamespace(ts_ns=0))
    stats = dict(session.stats())
    of_run = zip(("pnl", "fees", "funding"), trader.portfolio.of_run(), strict=True)
    if shot.funding_unknown:
        log.warning(
            "funding is not known: no rate for %d settlements, or hours without a word of any, that a contract was "
            "held through; record its mark prices (market_channels: markPrice@1s)", shot.funding_unknown,
        )  # fmt: skip
    return {
        "digest": session.digest,
        "late_rows": stats.pop("late_rows", 0),
        "overrides": overrides,
        "views": stats.pop("views", 0),
        "orders": stats.pop("orders"),
        "fills": stats.pop("fills"),
        "refused": stats.pop("refused"),
        "pnl_quote": decimal_text(shot.pnl_e18, 18),
        "fees_quote": decimal_text(shot.fees_e18, 18),
        # The account may have a past: what this run added to it stands beside.
        "carried_run": trader.carried_run,
        **{f"run_{name}_quote": decimal_text(amount, 18) for name, amount in of_run},
        # What is not known is not 0: then the known part stands beside it.
        "funding_quote": None if shot.funding_unknown else decimal_text(shot.funding_e18, 18),
        "funding_known_quote": decimal_text(shot.funding_e18, 18),
        "funding_unknown": shot.funding_unknown,
        "funding_next": trader.portfolio.next_funding(session.funding),
        "max_drawdown_frac": shot.max_drawdown_frac,
        "events": stats.pop("events", 0),
        "cpu_s": round(time.process_time(), 6),
        "engine_cpu_s": round(trader.engine_cpu_s, 6),
        "policy": trader.policy.name,
        "costs": trader.costs.rows(),
        "stats": stats,
    }


def replay(
    tape: Path,
    load: Callable[..., Loaded],
    *,
    policy: str | None,
    sets: Sequence[tuple[str, str]],
    batch_events: int,
    allow_damage: bool,
    outputs: Outputs,
    allow_insample: bool = False,
) -> dict[str, Any]:
    """Runs a tape again with the configuration that is on it; `policy` and `sets` override and are echoed.

    Parameters
    ----------
    load : `config.load` with the user's folder already given.
    """
    from tickerml.sources.damage import scanned
    from tickerml.sources.recorded import recorded_config, tape_session
    from tickerml.sources.tapes import span as tape_span

    config = load(policy=policy, sets=sets, recorded=recorded_config(tape)).config
    causal_only(config, "replay")
    insample = is_insample(
        config, tape_span(tape) if config.execution.queue == "fitted" else None, allowed=allow_insample
    )
    session = tape_session(tape, config, batch_events=batch_events, allow_damage=allow_damage)
    # Where it is not allowed the session itself refuses: sound tapes are not read twice.
    damage = scanned(tape, allow=True) if allow_damage else None
    trader = make_trader(config, session.instruments, _files(outputs, session.instruments, config), carry=session.carry)
    with trader, _bar("replay", tape) as watch:
        trader.trade(session, watch)
    result = {**finish(session, trader, _overrides(policy, sets)), "allowed_damage": damage}
    return {**result, **({"insample": True} if insample else {})}


def backtest(
    files: Sequence[Path],
    loaded: Loaded,
    *,
    batch_events: int,
    outputs: Outputs,
    profile: str | None = None,
    allow_insample: bool = False,
    band: Mapping[str, Loaded] | None = None,
    builtin: bool = False,
) -> dict[str, Any]:
    """Runs event files.

    Parameters
    ----------
    band : the same configuration with the queue models of `BAND`: each is a whole run of its own, and the result has
        their keys under `band`.
    builtin : see `backtest_events`.
    """
    from tickerml.sources.recorded import load_events

    def sinks(instruments: Sequence[Any]) -> list[Sink]:
        return _files(outputs, instruments, loaded.config)

    events = load_events(files)
    result = backtest_events(
        events,
        loaded.config,
        batch_events=batch_events,
        sinks=sinks,
        profile=profile,
        allow_insample=allow_insample,
        builtin=builtin,
    )
    if band:
        ends = {
            name: backtest_events(
                events, end.config, batch_events=batch_events, sinks=lambda _: (), profile=profile, builtin=builtin
            )
            for name, end in band.items()
        }
        result["band"] = {name: {key: end[key] for key in BAND_KEYS} for name, end in ends.items()}
    return result


def backtest_events(
    events: EventRows,
    config: Config,
    *,
    batch_events: int,
    sinks: Callable[[Sequence[Any]], Sequence[Sink]],
    profile: str | None = None,
    carry: str | None = None,
    allow_insample: bool = False,
    builtin: bool = False,
) -> dict[str, Any]:
    """Runs event files that are in memory.

    Parameters
    ----------
    sinks : gives what sees every step, for the session's instruments.
    carry : the account to begin with, where a run went on from another.
    builtin : the engine's own grid decides, with the parameters of the policy `grid`: the same orders and fills in a
        fraction of the time where no limit binds. The account is looked at when money moves, so the deepest fall of
        equity is not known, and the digest, which chains the account's state, is another one.
    """
    from tickerml.sources.recorded import event_session

    insample = is_insample(config, events.rows.span, allowed=allow_insample)
    session = event_session(events, config, batch_events=batch_events, carry=carry)
    assert not (builtin and carry), "the built-in grid begins without a position"
    with make_trader(config, session.instruments, carry=carry, unbound=profile is not None) as trader:
        ladder = trader.ladder(config.execution.exchange) if builtin else None
        # Only now: what cannot run leaves the files of an earlier run as they are.
        trader.sinks += sinks(session.instruments)
        trader.trade(session, ladder=ladder)
    result = finish(session, trader, {})
    if builtin:
        result |= {"builtin": True, "max_drawdown_frac": None}
    rows = result["stats"].get("rows", 0)
    return {
        **result,
        "events": events.events,
        "rows": rows,
        "rows_per_cpu_s": round(rows / trader.engine_cpu_s) if trader.engine_cpu_s else 0,
        **({"insample": True} if insample else {}),
    }


@contextmanager
def _bar(what: str, tape: Path) -> Iterator[Callable[[Sink], Sink] | None]:
    """A bar over a tape's time span; on a terminal only, because it makes every step a little dearer."""
    if not progress.shown():
        yield None
        return
    from tickerml.screen import Latest
    from tickerml.sources.tapes import span

    (first_ns, last_ns), latest = span(tape), Latest()

    def done() -> float:
        return (latest.view.ts_ns - first_ns) / max(last_ns - first_ns, 1) if latest.view else 0.0

    with progress.bar(what, done):
        yield latest.over


def _overrides(policy: str | None, sets: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {**({"policy": policy} if policy else {}), **({"set": dict(sets)} if sets else {})}


def _files(outputs: Outputs, instruments: Sequence[Any], config: Config) -> list[Sink]:
    if outputs == Outputs():
        return []
    from tickerml.sinks.files import FillsFile, OrdersFile

    made: list[Sink] = [FillsFile(outputs.fills, instruments, Gauge.of(config.execution))] if outputs.fills else []
    return made + ([OrdersFile(outputs.orders, instruments)] if outputs.orders else [])
