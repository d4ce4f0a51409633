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
from typing import Any, Final

from tickerml.errors import ConfigError, UnsoundDataError
from tickerml.schema import View
from tickerml.sinks.committed import committed
from tickerml.sources.runs import newest_first

__all__ = ["account", "check_known", "check_listed", "newest"]


MEND: Final = "put it back from a copy, or start afresh with --new"


def account(run: str, session: Any, trader: Any, place: str = "") -> Callable[[View], str]:
    """What a ledger keeps of a run's account at a view, as text that `newest` proves.

    Parameters
    ----------
    place : `Place.account`: only a run of the same place goes on with it.
    """

    def at(view: View) -> str:
        found = {
            "source_run": run, "digest": session.digest, "view": view.index, "pos": view.pos, "ts_ns": view.ts_ns,
            **({"place": place} if place else {}),
            "portfolio": trader.portfolio.carry(), "risk": trader.risk.carry(),
        }  # fmt: skip
        return _text({**found, "sha256": _seal(found)})

    return at


def newest(data: Path, command: str, source: str, run: str, place: str = "") -> dict[str, Any] | None:
    """The account that a new run goes on from; None where there is none.

    Parameters
    ----------
    source : `venue` or `loopback`: money made on loopback is not carried to a real venue.
    run : the new run, which is not asked.
    place : `Place.account`; an account of another one is passed over, one that says none is anybody's.

    Raises
    ------
    UnsoundDataError
        When the newest account is damaged: an older one would give back money that was lost and close a breaker.
    """
    for info in newest_first(data):
        name = info["run"]
        known = (info.get("command"), info.get("source")) == (command, source)
        if name == run or not (known or "unreadable" in info):
            continue
        path = data / "runs" / name / "ledger.sqlite"
        last = committed(path, name, MEND)
        if last and last.account and "unreadable" in info:
            raise UnsoundDataError(f"{info['unreadable']}: cannot be read, and run {name} left an account; {MEND}")
        if last and last.account:
            found = _proved(last.account, path, name)
            if place in ("", found.get("place", place)):
                return found
            continue
        # One that was ended as damaged before its first commit had none: nothing could ever be put back. A checkpoint
        # shows that its ledger was there once: it is named only behind what was committed.
        never = last is None and not any(path.parent.glob("checkpoint-*.bin"))
        if info.get("state") == "ended" and not (never and "damaged" in info):
            raise UnsoundDataError(f"{path}: run {name} has ended, and its account is not there; {MEND}")
    return None


def _proved(text: str, path: Path, run: str) -> dict[str, Any]:
    try:
        found = dict(json.loads(text))
        seal = found.pop("sha256")
    except (ValueError, TypeError, KeyError):
        seal = ""
    if not seal or seal != _seal(found):
        raise UnsoundDataError(f"{path}: the account of run {run} is damaged; {MEND}")
    return found


def _seal(found: Mapping[str, Any]) -> str:
    from tickerml import _native

    return _native.sha256_hex(_text(found).encode())


def _text(found: Mapping[str, Any]) -> str:
    return json.dumps(found, separators=(",", ":"))


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
