"""One run of the engine, put together: the only module that knows every part by name.

A source gives a session; this makes the policy, risk, portfolio and sinks that its configuration asks for, runs
`engine.run`, and says how it ended.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tickerml import engine, progress
from tickerml.config.build import day_ns
from tickerml.cost import Gauge
from tickerml.errors import ConfigError
from tickerml.policy import make_policy
from tickerml.policy.rules import Grid
from tickerml.portfolio import Portfolio
from tickerml.profiles import causal_only, is_insample, plenty
from tickerml.risk import UNBOUND, Limits, Margin, Risk, tiers_of
from tickerml.schema import decimal_text
from tickerml.sinks.base import Sink, Sinks
from tickerml.sinks.costs import CostTally

if TYPE_CHECKING:
    from tickerml.config import Loaded
    from tickerml.config.models import Config
    from tickerml.policy.base import Policy
    from tickerml.sources.recorded import EventRows

__all__ = ["Desk", "Outputs", "backtest", "backtest_events", "desk", "finish", "replay"]

BAND = (("late", "risk_averse"), ("early", "early"))
"""Ends of the band and their queue models: no cancel was ahead of an order, every cancel was."""

BAND_KEYS = ("pnl_quote", "fees_quote", "fills", "orders", "max_drawdown_frac", "digest")


log = logging.getLogger("tickerml.funding")


@dataclass(frozen=True)
class Outputs:
    """Files that a replay or a backtest writes beside its summary."""

    fills: Path | None = None
    orders: Path | None = None


@dataclass
class Desk:
    """Everything between a session's views and its orders."""

    policy: Policy
    risk: Risk
    portfolio: Portfolio
    costs: CostTally
    sinks: list[Sink]
    carried_run: str | None = None
    engine_cpu_s: float = 0.0

    def trade(
        self, session: Any, watch: Callable[[Sink], Sink] | None = None, *, ladder: Mapping[str, int] | None = None
    ) -> None:
        """Runs the session to its end. `watch` wraps what sees every step. The caller closes.

        Parameters
        ----------
        ladder : that of the engine's own grid, which then decides without Python, policy and risk.
        """
        import numpy  # noqa: F401 - views hold its arrays: loading it is no work of the engine's

        sinks: Sink = Sinks([self.costs, *self.sinks])
        sinks = watch(sinks) if watch else sinks
        begin = time.thread_time()
        try:
            if ladder is None:
                engine.run(session, self.policy, self.risk, self.portfolio, sinks)
            else:
                self._book(session, ladder, sinks)
        finally:
            self.engine_cpu_s = time.thread_time() - begin

    def ladder(self) -> dict[str, int]:
        """The ladder of the policy, for the engine's own grid.

        Raises
        ------
        ConfigError
            Where the engine has none such.
        """
        if not isinstance(self.policy, Grid):
            raise ConfigError([f"policy: {self.policy.name} is not built in, only grid is"])
        return self.policy.builtin()

    def _book(self, session: Any, ladder: Mapping[str, int], sinks: Sink) -> None:
        """The engine's own grid decides; portfolio and sinks see the views on which money moved, and the last mid."""
        from tickerml import _native

        def look(view: Any) -> bytes:
            self.portfolio.apply(view)
            sinks.write(view, (), (), self.portfolio)
            return self.portfolio.state_bytes()

        _, last = _native.run_grid(session, **ladder, look=look)
        if last is not None:
            self.portfolio.apply(last)

    def close(self) -> None:
        """Closes every sink."""
        Sinks(self.sinks).close()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def desk(
    config: Config,
    instruments: Sequence[Any],
    sinks: Sequence[Sink] = (),
    *,
    carry: str | None = None,
    unbound: bool = False,
) -> Desk:
    """The policy, risk and portfolio that a configuration asks for, for a session's instruments.

    Parameters
    ----------
    carry : the session's: the account of the run before, which this one goes on with.
    unbound : neither balances nor limits bind, for a comparison with a simulator that has none.
    """
    name = config.model.policy
    carried = json.loads(carry) if carry else {}
    risk = Risk(UNBOUND, instruments) if unbound else _risk(config, instruments)
    if carried:
        risk.take(carried["risk"])
    balance = plenty(instruments) if unbound else config.execution.balance
    return Desk(
        policy=make_policy(name, config.model.params(name), instruments),
        risk=risk,
        portfolio=Portfolio(balance, instruments, carried.get("portfolio")),
        costs=CostTally(instruments, Gauge.of(config.execution)),
        sinks=list(sinks),
        carried_run=carried.get("source_run"),
    )


def _risk(config: Config, instruments: Sequence[Any]) -> Risk:
    limits, ages = config.risk, dict(config.risk.book_age_ms_max)
    return Risk(
        Limits(
            position_frac_max=Fraction(limits.position_frac_max),
            drawdown_frac_max=Fraction(limits.drawdown_frac_max),
            order_quote_min=limits.order_quote_min,
            book_age_ms_max=ages.pop("default"),
            short_spot=config.execution.short_spot,
            leverage_max=Fraction(limits.leverage_max),
        ),
        instruments,
        ages,
        Margin(instruments, [tiers_of(config.terms, info, day_ns) for info in instruments]),
    )


def finish(session: Any, traded: Desk, overrides: dict[str, Any]) -> dict[str, Any]:
    """The result of a run in the keys of contract.md."""
    shot = traded.portfolio.snapshot(SimpleNamespace(ts_ns=0))
    stats = dict(session.stats())
    of_run = zip(("pnl", "fees", "funding"), traded.portfolio.of_run(), strict=True)
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
        "carried_run": traded.carried_run,
        **{f"run_{name}_quote": decimal_text(amount, 18) for name, amount in of_run},
        # What is not known is not 0: then the known part stands beside it.
        "funding_quote": None if shot.funding_unknown else decimal_text(shot.funding_e18, 18),
        "funding_known_quote": decimal_text(shot.funding_e18, 18),
        "funding_unknown": shot.funding_unknown,
        "funding_next": traded.portfolio.next_funding(session.funding),
        "max_drawdown_frac": shot.max_drawdown_frac,
        "events": stats.pop("events", 0),
        "cpu_s": round(time.process_time(), 6),
        "engine_cpu_s": round(traded.engine_cpu_s, 6),
        "policy": traded.policy.name,
        "costs": traded.costs.rows(),
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
    traded = desk(config, session.instruments, _files(outputs, session.instruments, config), carry=session.carry)
    with traded, _bar("replay", tape) as watch:
        traded.trade(session, watch)
    result = {**finish(session, traded, _overrides(policy, sets)), "allowed_damage": damage}
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
        equity between two fills is not known.
    """
    from tickerml.sources.recorded import event_session

    insample = is_insample(config, events.rows.span, allowed=allow_insample)
    session = event_session(events, config, batch_events=batch_events, carry=carry)
    made = sinks(session.instruments)
    with desk(config, session.instruments, made, carry=carry, unbound=profile is not None) as traded:
        traded.trade(session, ladder=traded.ladder() if builtin else None)
    result = finish(session, traded, {})
    if builtin:
        result |= {"builtin": True, "max_drawdown_frac": None}
    rows = result["stats"].get("rows", 0)
    return {
        **result,
        "events": events.events,
        "rows": rows,
        "rows_per_cpu_s": round(rows / traded.engine_cpu_s) if traded.engine_cpu_s else 0,
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
