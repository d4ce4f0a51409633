"""Profiles of `backtest`, and what only a backtest may do."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tickerml.errors import ConfigError

if TYPE_CHECKING:
    from tickerml.config.models import Config

__all__ = ["PROFILES", "causal_only", "plenty"]

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
