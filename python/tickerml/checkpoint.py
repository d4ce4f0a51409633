"""Checkpoints: the state of a run at one record, so that a restart folds only the rest of its tape (rules.md 3).

They are a cache. A file is renamed into place only when the tape is durable up to its record and the ledger committed
up to its view; one that does not match the run, does not prove itself, or lies beyond either is passed over, and the
tape is folded from its start. The view decides for the ledger, because two views may have consumed the same record: a
report, and a boundary that falls before the next record.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tickerml.schema import Intent, Refused, View
from tickerml.sinks.committed import committed
from tickerml.writing import sync_folder

__all__ = ["EVENTS_EVERY", "Checkpoint", "Checkpointer", "ledger_cursor", "newest"]

log = logging.getLogger("tickerml.checkpoint")

EVENTS_EVERY: Final = 5_000_000
"""Events between two checkpoints: a few seconds of folding."""

KEEP: Final = 2
MAGIC: Final = b"tickerml checkpoint 1\n"
PARTS: Final = ("session", "portfolio", "risk", "policy", "ledger", "costs")


class Checkpoint(NamedTuple):
    """A checkpoint that was read: its record, the view that comes next, and the state of each part."""

    pos: int
    next_view: int
    parts: Mapping[str, bytes]

    def restore(self, trader: Any, ledger: Any) -> None:
        """Gives the parts their state back; the session takes its own when it is made."""
        trader.portfolio.restore(self.parts["portfolio"])
        trader.risk.restore(self.parts["risk"])
        trader.policy.restore(self.parts["policy"])
        ledger.restore(self.parts["ledger"])
        trader.costs.restore(self.parts["costs"])


def newest(folder: Path, tape: Path, pinned: Mapping[str, str], run: str) -> Checkpoint | None:
    """The newest checkpoint of a run folder that may be used.

    Parameters
    ----------
    folder : ``runs/<run>``, where the checkpoints and the ledger lie.
    tape : the run's tape folder.
    pinned : what the run is pinned to; a checkpoint of anything else is passed over.

    Raises
    ------
    UnsoundDataError
        When the ledger is damaged.
    """
    from tickerml import _native

    view, pos = ledger_cursor(folder / "ledger.sqlite", run)
    for path in sorted(folder.glob("checkpoint-*.bin"), key=_pos_of, reverse=True):
        found = _read(path, pinned)
        if found and found.next_view <= view + 1 and found.pos <= pos and _native.tape_has(tape, found.pos):
            return found
    return None


class Waiting(NamedTuple):
    """A checkpoint that is written and not yet in its place: what the ledger and the tape must reach, and its file."""

    view: int
    pos: int
    path: Path


class Checkpointer:
    """A sink behind the ledger that keeps the run's checkpoints.

    Parameters
    ----------
    durable_pos : the tape's durable mark: the last record that is on disk.
    """

    def __init__(
        self,
        folder: Path,
        pinned: Mapping[str, str],
        session: Any,
        ledger: Any,
        durable_pos: Callable[[], int],
        *,
        events_every: int = EVENTS_EVERY,
    ) -> None:
        self._folder, self._pinned, self._session, self._ledger = folder, dict(pinned), session, ledger
        self._durable_pos = durable_pos
        self._events_every = events_every
        self._due = session.events + events_every
        self._waiting: Waiting | None = None
        self.trader: Any = None
        for left in folder.glob("checkpoint-*.tmp"):
            left.unlink()

    def write(self, view: View, approved: Sequence[Intent], refused: Sequence[Refused], portfolio: Any) -> None:
        """Makes a checkpoint when one is due, and puts the one before in its place when it may be."""
        self._promote()
        if self._waiting is None and (self._session.events >= self._due or view.cause == "stop"):
            self._due = self._session.events + self._events_every
            self._ledger.mark(view)
            path = self._folder / f"checkpoint-{view.pos}.tmp"
            try:
                self._make(path, view, portfolio)
            except OSError:
                path.unlink(missing_ok=True)  # a cache that finds no room is left out
            else:
                self._waiting = Waiting(view.index, view.pos, path)

    def close(self) -> None:
        """Puts the last one in its place if the ledger and the tape got there."""
        self._promote()
        if self._waiting is not None:
            self._waiting.path.unlink()
            self._waiting = None

    def _make(self, path: Path, view: View, portfolio: Any) -> None:
        from tickerml._native import sha256_hex

        parts = {
            "session": self._session.checkpoint(),
            "portfolio": portfolio.state_bytes(),
            "risk": self.trader.risk.state(),
            "policy": self.trader.policy.state(),
            "ledger": self._ledger.state(),
            "costs": self.trader.costs.state(),
        }
        body = b"".join(parts[name] for name in PARTS)
        head = {
            "pos": view.pos,
            "next_view": view.index + 1,
            "digest": self._session.digest,
            "pinned": self._pinned,
            "lengths": [len(parts[name]) for name in PARTS],
            "sha256": sha256_hex(body),
        }
        with path.open("wb") as file:
            file.write(MAGIC + json.dumps(head, separators=(",", ":")).encode() + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())

    def _promote(self) -> None:
        if self._waiting is None:
            return
        view, pos, path = self._waiting
        if self._ledger.committed_view < view or self._durable_pos() < pos:
            return
        path.rename(path.with_suffix(".bin"))
        log.info("checkpoint at record %d", pos)
        sync_folder(self._folder)
        self._waiting = None
        for old in sorted(self._folder.glob("checkpoint-*.bin"), key=_pos_of)[:-KEEP]:
            old.unlink()


def _pos_of(path: Path) -> int:
    text = path.stem.partition("-")[2]
    return int(text) if text.isdigit() else -1


def _read(path: Path, pinned: Mapping[str, str]) -> Checkpoint | None:
    """The checkpoint in a file; None where it is torn, altered or of another run."""
    from tickerml._native import sha256_hex

    raw = path.read_bytes()
    try:
        magic, line, body = raw[: len(MAGIC)], *raw[len(MAGIC) :].split(b"\n", 1)
        head = json.loads(line)
        whole = magic == MAGIC and sha256_hex(body) == head["sha256"]
        if not whole or head["pinned"] != dict(pinned) or sum(head["lengths"]) != len(body):
            return None
        ends = [sum(head["lengths"][: n + 1]) for n in range(len(PARTS))]
        parts = {name: body[end - length : end] for name, end, length in zip(PARTS, ends, head["lengths"], strict=True)}
        return Checkpoint(int(head["pos"]), int(head["next_view"]), parts)
    except (ValueError, KeyError, TypeError):
        return None


def ledger_cursor(path: Path, run: str) -> tuple[int, int]:
    """The last view that the ledger committed, and its record; -1 without a ledger."""
    view, pos, _ = committed(path, run, "move it away, and it is made again from the tape") or (-1, -1, None)
    return view, pos
