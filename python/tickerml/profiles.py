"""Profiles of `backtest`, and what only a backtest may do."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tickerml.errors import ConfigError

if TYPE_CHECKING:
    from tickerml.config.models import Config

__all__ = ["PROFILES", "causal_only", "is_insample", "plenty"]

PROFILES: dict[str, tuple[tuple[str, str], ...]] = {
    "hftbacktest": (
        ("exchange", "no_partial"),
        ("report_rule", "venue"),
        ("decision_ms", "0"),
        ("short_spot", "true"),
        ("clock", "fixed"),
    )
}
"""What a profile of `backtest` sets (contract.md, "Settings by name"); a later ``--set`` overrides."""

PLENTY = Decimal(10) ** 12
"""Starting balance of every currency where balances must not bind."""


def causal_only(config: Config, command: str) -> None:
    """Refuses what only a backtest may do: another simulator's rules, or knowing the input beforehand.

    A latency file was measured in the past and belongs to the past: `replay` and `backtest`.

    Raises
    ------
    ConfigError
        Naming every such setting.
    """
    execution = config.execution
    found: list[tuple[str, str, str]] = [
        ("exchange", execution.exchange, "shared"),
        ("report_rule", execution.report_rule, "causal"),
    ]
    found += [("clock", "fixed", "causal")] if execution.clock == "fixed" else []
    wrong = [
        f"{key}: {given} is for backtest only; {command} takes {good}" for key, given, good in found if given != good
    ]
    if command == "run" and execution.latency.startswith("file:"):
        wrong.append(f"latency: {execution.latency} tells of orders in the past; run takes constant, venue or feed")
    if wrong:
        raise ConfigError(wrong)


def plenty(instruments: Sequence[Any]) -> dict[str, Decimal]:
    """A balance that does not bind, in every currency of the instruments."""
    return dict.fromkeys([c for i in instruments for c in (i.base, i.quote)], PLENTY)


def is_insample(config: Config, span: tuple[int, int] | None, *, allowed: bool) -> bool:
    """Whether what is fitted in a configuration has seen the data that it is used on.

    Parameters
    ----------
    span : stamps of the first and the last event, ns; None without one.
    allowed : the user knows.

    Raises
    ------
    ConfigError
        Where it has and that is not allowed.
    """
    from tickerml.config.build import settings

    end_ns = settings(config)["queue_fit_end_ns"] if config.execution.queue == "fitted" else 0
    if span is None or span[0] >= end_ns:
        return False
    if not allowed:
        raise ConfigError(
            [
                f"queue: fitted ({config.execution.queue_file or 'the curve of the tape'}) was fitted on data up to "
                f"{end_ns} ns, and these events begin at {span[0]} ns; use "
                "later events, fit on earlier ones, or give --allow-insample, which marks the report"
            ]
        )
    return True
