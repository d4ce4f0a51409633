"""Which run a live command writes: the newest unfinished one that matches, the one that is named, or a new one."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tickerml.errors import NotFoundError, TickerError, UnsoundDataError
from tickerml.sources.lookup import RUN

__all__ = [
    "PINNED",
    "choose_run",
    "damage_text",
    "damaged_refusal",
    "new_name",
    "newest_first",
    "read_run",
    "write_run",
]

PINNED = ("command", "config_hash", "code_version", "policy")
"""What a run is pinned to (rules.md 3): where one differs, another run starts."""


def choose_run(data: Path, wanted: Mapping[str, str], *, new: bool, resume: str | None) -> tuple[str, bool]:
    """The run to write, and whether it goes on from before.

    Parameters
    ----------
    wanted : the values of `PINNED`.

    Raises
    ------
    NotFoundError, TickerError
        For a named run that is not there, has ended, or is pinned to something else.
    UnsoundDataError
        For a named run that was ended because its tape is damaged, or whose `run.json` is.
    """
    if resume is not None:
        return _named(data, wanted, resume), True
    if not new:
        for info in newest_first(data):
            if info.get("state") == "running" and _differs(info, wanted) == []:
                return str(info["run"]), True
    return new_name(), False


def _named(data: Path, wanted: Mapping[str, str], run: str) -> str:
    path = data / "runs" / run / "run.json"
    if not RUN.fullmatch(run) or not os.path.lexists(path):
        raise NotFoundError(f"--resume {run}: no such run in {data}; `tickerml data list` shows what there is")
    info = read_run(path)
    if damage := info.get("damaged"):
        raise UnsoundDataError(damaged_refusal(run, damage))
    if info.get("state") != "running":
        raise TickerError(f"--resume {run}: this run has ended; leave --resume out to start another")
    if differs := _differs(info, wanted):
        raise TickerError(f"--resume {run}: made with another {', '.join(differs)}; start a new run with --new")
    return run


def damage_text(damage: Mapping[str, Any]) -> str:
    """A row of `damaged` as one reads it: where, and what is wrong."""
    where = f"{damage['segment']} at byte {damage['offset']}" if damage["bytes"] else damage["segment"]
    return f"{where}: {damage['reason']}"


def damaged_refusal(run: str, damage: Mapping[str, Any]) -> str:
    """Why a named run is not gone on with."""
    return f"--resume {run}: its tape is damaged ({damage_text(damage)}); leave --resume out to start another run"


def _differs(info: Mapping[str, Any], wanted: Mapping[str, str]) -> list[str]:
    return [key.replace("_", " ") for key in PINNED if info.get(key, "") != wanted[key]]


def newest_first(data: Path) -> Iterator[dict[str, Any]]:
    """What `run.json` says of each run; of one that cannot be read only `run`, and its path as `unreadable`."""
    for path in sorted((data / "runs").glob("*/run.json"), reverse=True):
        if not RUN.fullmatch(path.parent.name):
            continue
        try:
            yield read_run(path)
        except UnsoundDataError:
            # It can be replayed, not resumed.
            yield {"run": path.parent.name, "unreadable": str(path)}


def read_run(path: Path) -> dict[str, Any]:
    """What a `run.json` says, with the run's name by its folder.

    Raises
    ------
    UnsoundDataError
        Where it cannot be read.
    """
    try:
        return {**json.loads(path.read_bytes()), "run": path.parent.name}
    except (OSError, ValueError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UnsoundDataError(f"{path}: cannot be read: {why}; the run can be replayed, not gone on with") from error


def new_name() -> str:
    """A name for a run that begins now."""
    import secrets  # it loads OpenSSL, which an import does without

    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"


def write_run(data: Path, run: str, what: Mapping[str, Any]) -> None:
    """The `run.json` of a run that has no tape, and has ended when it is made."""
    now_ns = time.time_ns()
    ended = {"run": run, "state": "ended", "created_ts_ns": now_ns, "ended_ts_ns": now_ns, **what}
    folder = data / "runs" / run
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "run.json.tmp"
    draft.write_text(json.dumps(ended, indent=2), encoding="utf-8")
    draft.replace(folder / "run.json")
