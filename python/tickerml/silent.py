"""Venues of which a live command had not one frame: what is said of them when it ends, and what that makes of its end.

One that is out of reach for a minute is given up and the others go on (`supervisor/venues.rs`); a shorter command ends
before that, and must not look as if all had been recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tickerml.errors import TickerError

__all__ = ["exit_code", "line", "silent"]


def silent(stats: Mapping[str, Any], venues: Sequence[str], signals: Sequence[str]) -> dict[str, Any]:
    """Keys of a live command's result: `silent`, a row of `venue` and `cause` each, and `ended_by`, a signal's name or
    `duration`.

    Parameters
    ----------
    stats : what the feed said last; its counts are of this process.
    venues : the configured ones.
    """
    frames = dict.fromkeys(venues, 0)
    for stream in stats.get("streams", []):
        frames[stream["instrument"].partition(":")[0]] += stream["frames"]
    rows = [{"venue": name, "cause": _cause(name, stats)} for name, count in frames.items() if not count]
    return {"silent": rows, "ended_by": signals[0] if signals else "duration"}


def line(result: Mapping[str, Any]) -> str:
    """The last line of a command that had nothing of a venue; empty where all of them spoke."""
    if not result["silent"]:
        return ""
    told = ", ".join(f"{row['venue']} ({row['cause']})" for row in result["silent"])
    rest = "what the others sent is kept" if result["frames"] else "nothing was recorded"
    return f"no frame came from {told}; {rest} in run {result['run']}"


def exit_code(result: Mapping[str, Any]) -> int:
    """1 where a venue was out of reach for as long as was asked for; 0 after a signal, which may come at any time."""
    return TickerError.exit_code if result["silent"] and result["ended_by"] == "duration" else 0


def _cause(venue: str, stats: Mapping[str, Any]) -> str:
    """Why nothing came, as well as the feed knows: newest first, and what it says of giving up before all else."""
    told = [*stats.get("blocked", []), *stats.get("unreachable", []), *reversed(stats.get("errors", []))]
    # An error of a connection begins with its slot: binance_usdm/public/0/a.
    own = [text for text in told if text.startswith((f"{venue}:", f"{venue}/"))]
    return own[0].removeprefix(f"{venue}:").strip() if own else "it gave no answer, or had nothing to say"
