"""Whether what was imported is a recording of the instrument that it was said to be: else nothing of it is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tickerml.errors import UnsoundDataError

__all__ = ["check_usable", "named_other"]

USABLE: Final = ("trades", "touches", "marks", "snapshots")
"""Counts of an instrument of which one is enough for a recording to be of use."""

OF_FRAMES: Final = ("updates", "trades", "touches", "marks")
"""Counts of an instrument that only frames of it make; a snapshot names no symbol."""

REJECTED_PERCENT_MAX: Final = 99
"""Of a recording of which more was rejected than this, the rest is an accident and no market: one of a hundred
instruments is still less. The lines of one among more are to be taken out first.
"""

OTHER: Final = re.compile(r"stream ([^@\s]+)@?\S* of another instrument")
"""How the native import says that a line is of another instrument (`import/infer.rs`)."""


def check_usable(report: Mapping[str, Any], market: Mapping[str, Any]) -> None:
    """Refuses an import of which the market took nothing: another tick, another kind of recording, another instrument.

    Diffs alone count where most of them could be read: a few numbers happen to fit any tick. A snapshot alone counts
    where it stood alone: beside lines of another instrument it would make a book that never moves.

    Parameters
    ----------
    report : what `_native.tape_import` said.
    market : what the tape holds: `instruments`, one row.

    Raises
    ------
    UnsoundDataError
    """
    (row,) = market["instruments"]
    frames, rejected = report["frames"], report["rejected_count"]
    lines = frames + report["snapshots"] + rejected
    if not any(row[name] for name in OF_FRAMES) and not row["bad_messages"] and frames + rejected:
        raise UnsoundDataError(
            f"nothing imported: none of {frames + rejected} frames is of {row['instrument']}{_held(report)}; name what"
            " was recorded with --instrument"
        )
    if rejected * 100 > lines * REJECTED_PERCENT_MAX:
        raise UnsoundDataError(
            f"nothing imported: {rejected} of {lines} lines were rejected as {row['instrument']}{_held(report)}; name"
            " what was recorded with --instrument, or import its lines alone"
        )
    if any(row[name] for name in USABLE) or row["updates"] > row["bad_messages"]:
        return
    instrument = report["instrument"]
    raise UnsoundDataError(
        f"nothing imported: of {frames} frames and {report['snapshots']} snapshots none could be used"
        f" as {row['instrument']} with tick {instrument['tick']} and lot {instrument['lot']}"
        f" ({row['bad_messages']} could not be read); check --instrument, --tick and --lot"
    )


def named_other(error: UnsoundDataError, instrument: str) -> UnsoundDataError:
    """The native refusal of files without a single line that fits, with what was asked for where that is another."""
    if not OTHER.search(str(error)):
        return error
    return UnsoundDataError(f"{error}, not of {instrument}; name what was recorded with --instrument")


def _held(report: Mapping[str, Any]) -> str:
    """What the file says that it is of, or else why its first line was rejected; at most 1,000 lines are known."""
    named = [found[1].upper() for row in report["rejected"] if (found := OTHER.search(row["reason"]))]
    if named:
        return f", the file has {', '.join(sorted(set(named)))}"
    return "".join(f" ({row['file']}:{row['line']}: {row['reason']})" for row in report["rejected"][:1])
