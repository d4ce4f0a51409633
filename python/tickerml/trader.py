"""What stands between a session's views and its orders: policy, risk, portfolio and sinks, as a configuration asks for.
The only module that knows each of them by name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tickerml import engine
from tickerml.config.build import day_ns
from tickerml.cost import Gauge
from tickerml.errors import ConfigError
from tickerml.policy import make_policy
from tickerml.policy.rules import Grid
from tickerml.portfolio import Portfolio
from tickerml.profiles import plenty
from tickerml.risk import UNBOUND, Limits, Margin, Risk, tiers_of
from tickerml.sinks.base import Sink, Sinks
from tickerml.sinks.costs import CostTally

if TYPE_CHECKING:
    from tickerml.config.models import Config
    from tickerml.policy.base import Policy

__all__ = ["Trader", "make_trader"]


@dataclass
class Trader:
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
                self._account(session, ladder, sinks)
        finally:
            self.engine_cpu_s = time.thread_time() - begin

    def ladder(self, exchange: str) -> dict[str, int]:
        """The ladder of the policy, for the engine's own grid.

        Raises
        ------
        ConfigError
            Where the engine has none such, or where fees are taken from what is bought: its positions are gross.
        """
        if not isinstance(self.policy, Grid):
            raise ConfigError([f"policy: {self.policy.name} is not built in, only grid is"])
        if exchange == "shared":
            raise ConfigError(["exchange: the built-in grid knows no fee in the base; take no_partial or partial"])
        return self.policy.builtin()

    def _account(self, session: Any, ladder: Mapping[str, int], sinks: Sink) -> None:
        """The engine's own grid decides; portfolio and sinks see the views on which money moved."""
        from tickerml import _native

        def apply(view: Any, mid2: int | None) -> None:
            if mid2 is not None:
                self.portfolio.mark(0, mid2)
            self.portfolio.apply(view)

        def look(view: Any, mid2: int | None) -> bytes:
            apply(view, mid2)
            sinks.write(view, (), (), self.portfolio)
            return self.portfolio.state_bytes()

        _, unseen = _native.run_grid(session, ladder, look)
        if unseen is not None:
            apply(*unseen)

    def close(self) -> None:
        """Closes every sink."""
        Sinks(self.sinks).close()

    def __enter__(self) -> Trader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def make_trader(
    config: Config,
    instruments: Sequence[Any],
    sinks: Sequence[Sink] = (),
    *,
    carry: str | None = None,
    unbound: bool = False,
) -> Trader:
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
    return Trader(
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
