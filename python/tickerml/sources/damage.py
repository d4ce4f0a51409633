"""What is wrong with a tape, and what is said of it where a command goes on all the same with ``--allow-damage``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tickerml.errors import UnsoundDataError
from tickerml.sources.runs import damage_text

__all__ = ["allowed", "allowed_text", "damage_line", "scanned"]


def damage_line(found: Mapping[str, Any]) -> str:
    """What is wrong with a tape, by its `damaged` and `missing_records`, in one line; empty where nothing is."""
    damaged, missing = found["damaged"], found["missing_records"]
    if damaged:
        return damage_text(damaged[0]) + (f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else "")
    return f"{missing} records are missing" if missing else ""


def scanned(tape: Path, *, allow: bool, so: str = "--allow-damage reads on") -> dict[str, Any] | None:
    """The damage of a tape as `allowed` gives it, from a pass over its blocks.

    Parameters
    ----------
    so : what came of the refusal and how to go on, for its line.

    Raises
    ------
    UnsoundDataError
        For a damaged tape, unless that is allowed.
    """
    from tickerml import _native

    return allowed(json.loads(_native.tape_scan(tape)), allow=allow, so=so)


def allowed(found: Mapping[str, Any], *, allow: bool, so: str = "--allow-damage reads on") -> dict[str, Any] | None:
    """What a result says of damage that was read over, its key `allowed_damage`: `places`, `bytes`, `missing_records`
    and `first`, in words; None for a sound tape.

    Raises
    ------
    UnsoundDataError
        For damage, unless it is allowed.
    """
    line = damage_line(found)
    if not line:
        return None
    if not allow:
        raise UnsoundDataError(f"{line}; {so}")
    damaged = found["damaged"]
    size = sum(row["bytes"] for row in damaged)
    return {"places": len(damaged), "bytes": size, "missing_records": found["missing_records"], "first": line}


def allowed_text(result: Mapping[str, Any]) -> list[str]:
    """The line of a summary over a damaged tape; none where nothing was damaged."""
    damage = result.get("allowed_damage")
    if not damage:
        return []
    lost = f"{damage['missing_records']} records are missing, {damage['bytes']} bytes damaged"
    return [f"DAMAGED    {lost}: {damage['first']}"]
