"""What a live command says of itself when it ends, beside what the engine did.

Which of its counts are of the whole run and which only of this process: a run may be gone on with after a kill, and
what the feed of a killed process had counted is lost. And which venues sent nothing at all: one that is out of reach
for a minute is given up and the others go on (`supervisor/venues.rs`); a shorter command ends before that, and must not
look as if all had been recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from tickerml.errors import TickerError
from tickerml.sinks.committed import read_only

__all__ = ["collected", "counted", "counts_text", "exit_code", "line", "silent"]

COUNTS: Final = ("frames", "bytes", "gaps", "reconnects")
"""What a feed counts, since its process began."""


def counted(stats: Mapping[str, Any], result: Mapping[str, Any], ledger: Path, *, resumed: bool) -> dict[str, Any]:
    """Keys of a `run`'s result: `frames` and `gaps` of the whole run, `reconnects` of this process, `resumed`, and
    `of_process`, the names of those that are not of the whole run.

    Parameters
    ----------
    stats : what the feed said last.
    result : what the engine did; it folded the tape from its start.
    ledger : the run's, closed; it has every gap.
    """
    return {
        "reconnects": stats["reconnects"], "gaps": _gaps(ledger, str(result["run"])),
        "frames": result["stats"]["frames"], "resumed": resumed, "of_process": ["reconnects"] if resumed else [],
    }  # fmt: skip


def collected(stats: Mapping[str, Any], *, resumed: bool) -> dict[str, Any]:
    """The same keys, and `bytes`, of a `collect`: it reads no tape, so after a restart, and where it began further runs
    itself, the counts are those of this process.
    """
    of_process = list(COUNTS) if resumed or stats["runs"] else []
    return {**{key: stats[key] for key in COUNTS}, "resumed": resumed, "of_process": of_process}


def counts_text(result: Mapping[str, Any]) -> str:
    """The counts for people; what is not of the whole run is named."""
    shown = [key for key in ("frames", "gaps", "reconnects") if key in result]
    whole, since = ([f"{key} {result[key]}" for key in shown if (key in result["of_process"]) == of] for of in (0, 1))
    return "   ".join([*whole, *([f"since this start: {'   '.join(since)}"] if since else [])])


def _gaps(ledger: Path, run: str) -> int:
    """How often a book was not true, over the whole run, as `data verify` counts. Each has a row when it opens and one
    when it closes.
    """
    with closing(read_only(ledger)) as db:
        query = "SELECT count(*) FROM (SELECT DISTINCT instrument, from_ts_ns FROM gaps WHERE run=?)"
        return int(db.execute(query, (run,)).fetchone()[0])


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
