"""What one run hands on to the next: balances, positions and breakers, as the CARRY record (rules.md 3).

The account is kept in the ledger, with each portfolio row, so it is what was committed: rows and account agree. A new
run of the same command and the same kind of venue starts from the account of the newest run that has one, ended or not.
It is the first record of the new tape, and both the live run and its replays read it from there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from tickerml.errors import ConfigError
from tickerml.schema import View
from tickerml.sinks.store import last_account
from tickerml.sources.runs import newest_first

__all__ = ["account", "check_known", "check_listed", "newest"]


def account(run: str, session: Any, desk: Any) -> Callable[[View], str]:
    """What a ledger keeps of a run's account at a view, as text."""

    def at(view: View) -> str:
        found = {
            "source_run": run, "digest": session.digest, "view": view.index, "pos": view.pos, "ts_ns": view.ts_ns,
            "portfolio": desk.portfolio.carry(), "risk": desk.risk.carry(),
        }  # fmt: skip
        return json.dumps(found, separators=(",", ":"))

    return at


def newest(data: Path, command: str, source: str, run: str) -> dict[str, Any] | None:
    """The account that a new run goes on from; None where there is none.

    Parameters
    ----------
    source : `venue` or `loopback`: money made on loopback is not carried to a real venue.
    run : the new run, which is not asked.
    """
    for info in newest_first(data):
        if info["run"] != run and (info.get("command"), info.get("source")) == (command, source):
            text = last_account(data / "runs" / info["run"] / "ledger.sqlite", info["run"])
            if text:
                return dict(json.loads(text))
    return None


def check_listed(carried: Mapping[str, Any], instruments: Collection[str]) -> None:
    """Refuses an account that holds what is not configured any more: it could be neither valued nor closed.

    Raises
    ------
    ConfigError
    """
    lots = carried["portfolio"]["lots"]
    held = [f"{row['qty']} of {row['instrument']}" for row in lots
            if row["instrument"] not in instruments and Decimal(row["qty"])]  # fmt: skip
    if held:
        raise ConfigError([_refusal(str(carried["source_run"]), held, "which this configuration does not record")])


def check_known(portfolio: Any, carry: str | None) -> None:
    """The same after the start: a venue that blocks us says nothing of its instruments.

    Raises
    ------
    ConfigError
    """
    if carry and portfolio.unlisted:
        source = str(json.loads(carry)["source_run"])
        raise ConfigError([_refusal(source, portfolio.unlisted, "whose venue refuses this host")])


def _refusal(run: str, held: list[str], why: str) -> str:
    return f"run {run} holds {', '.join(held)}, {why}: name it with --instrument, or start afresh with --new"
