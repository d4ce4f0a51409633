"""The last screen of a run, for people: what the result of `runner.finish` says, in lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tickerml.sinks.costs import costs_text
from tickerml.sources.damage import allowed_text

__all__ = ["summary_text"]

OF_RUN: Final = (("P&L", "pnl"), ("fees", "fees"), ("funding", "funding"))
"""Words, and the keys that they stand for."""


def summary_text(result: Mapping[str, Any]) -> str:
    """The last screen of a run, for people."""
    rate = result["events"] / result["engine_cpu_s"] if result["engine_cpu_s"] else 0.0
    return "\n".join(
        [
            f"policy     {result['policy']}"
            + (", built in" if result.get("builtin") else "")
            + ("   IN SAMPLE: fitted on this data" if result.get("insample") else ""),
            f"views      {result['views']}   orders {result['orders']}   fills {result['fills']}   "
            f"refused {result['refused']}",
            f"P&L        {result['pnl_quote']}   fees {result['fees_quote']}   funding {_funding_text(result)}",
            *_of_run_text(result),
            _drawdown_text(result["max_drawdown_frac"]),
            *(
                f"{name:10} P&L {end['pnl_quote']}   fills {end['fills']}   "
                f"(if {'no' if name == 'late' else 'every'} cancel was ahead of us)"
                for name, end in result.get("band", {}).items()
            ),
            *costs_text(result["costs"]),
            *allowed_text(result),
            f"events     {result['events']} ({rate / 1e6:.2f} M per CPU second)   late rows {result['late_rows']}",
            f"digest     {result['digest']}",
        ]
    )


def _drawdown_text(frac: float | None) -> str:
    if frac is None:
        return "drawdown   not known: the built-in grid shows the account only where money moves"
    return f"drawdown   {frac * 100:.2f} % at most"


def _of_run_text(result: Mapping[str, Any]) -> list[str]:
    """What this run added to an account that another one left; none for an account without a past."""
    if result["carried_run"] is None:
        return []
    money = "   ".join(f"{name} {result[f'run_{key}_quote']}" for name, key in OF_RUN)
    return [f"this run   {money}   (the rest, and the peak of the drawdown, came with the account of run"
            f" {result['carried_run']})"]  # fmt: skip


def _funding_text(result: Mapping[str, Any]) -> str:
    known, unknown = result["funding_known_quote"], result["funding_unknown"]
    said = [f"unknown ({known} without {unknown} settlements)" if unknown else known]
    for row in result["funding_next"]:
        if row["provisional_amount"] is not None:
            said.append(f"next, provisional: {row['provisional_amount']} {row['asset']} for {row['instrument']}")
    return "   ".join(said)
