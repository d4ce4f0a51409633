"""Which run a live command goes on with, and whether its tape still tells what its ledger has.

An engine folds the tape of its run again. Where that is damaged it would make another past than the one on file, at
every start anew. So such a run is ended, `run.json` says why, and the next one goes on with its account (`carry.py`).
A recording without an engine has nothing to fold: it goes on, and `data verify` says what is damaged.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tickerml import checkpoint
from tickerml.errors import UnsoundDataError
from tickerml.sources.lookup import is_tape
from tickerml.sources.runs import choose_run, damage_text, damaged_refusal

__all__ = ["Recorded", "choose"]


class Recorded(NamedTuple):
    """The run that a feed records.

    Attributes
    ----------
    name, resumed : its name, and whether it goes on from before.
    pinned : what it is pinned to.
    checkpoint : what the engine goes on from; None for the start of the tape.
    """

    name: str
    resumed: bool
    pinned: Mapping[str, str]
    checkpoint: checkpoint.Checkpoint | None


def choose(
    data: Path, pinned: Mapping[str, str], *, new: bool, resume: str | None, say: Callable[[str], None]
) -> Recorded:
    """The run to record. `say` is told of each run that is ended because its tape is damaged.

    Raises
    ------
    NotFoundError, TickerError
        As `choose_run`, and where another process records here.
    UnsoundDataError
        For a named run whose tape is damaged.
    """
    while True:
        name, resumed = choose_run(data, pinned, new=new, resume=resume)
        if not resumed or pinned["command"] != "run":
            return Recorded(name, resumed, pinned, None)
        kept = _checkpoint(data, name, pinned)
        damage = _end_damaged(data, name, kept)
        if damage is None:
            return Recorded(name, resumed, pinned, kept)
        if resume is not None:
            raise UnsoundDataError(damaged_refusal(name, damage))
        say(f"run {name} is damaged and has been ended: {damage_text(damage)}; another one goes on with its account")


def _checkpoint(data: Path, name: str, pinned: Mapping[str, str]) -> checkpoint.Checkpoint | None:
    tape = data / "tapes" / name
    return checkpoint.newest(data / "runs" / name, tape, pinned, name) if is_tape(tape) else None


def _end_damaged(data: Path, name: str, kept: checkpoint.Checkpoint | None) -> dict[str, Any] | None:
    from tickerml import _native

    committed = checkpoint.ledger_cursor(data / "runs" / name / "ledger.sqlite", name)[1] + 1
    begin = kept.pos + 1 if kept else 0
    text = _native.end_damaged(data, name, from_pos=begin, records=committed, now_ns=time.time_ns())
    return dict(json.loads(text)) if text else None
