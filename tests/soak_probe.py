"""`python soak_probe.py WORDS...`: the command `tickerml`, which also says where its engine is.

On stderr: `probe from POS` with the checkpoint that it goes on from, -1 for none; `probe handled NS` at the first step
behind a frame that came after the start, `probe live NS` at the first such step with every book Live (NS is the wall
clock); `probe kept` when a checkpoint got its name. Checkpoints are made every few seconds instead of minutes.
"""

from __future__ import annotations

import sys
import time
from typing import Any

BEGAN_NS = time.time_ns()

from tickerml import checkpoint  # noqa: E402 - the start is the first thing that happens
from tickerml.cli import main  # noqa: E402
from tickerml.schema import LIVE  # noqa: E402
from tickerml.screen import Latest  # noqa: E402

EVENTS_EVERY = 4000


def say(what: str, value: object = "") -> None:
    """One line at once."""
    print(f"probe {what} {value}", file=sys.stderr, flush=True)


class Probe(Latest):
    """The last step for the screen, watched."""

    due = ("handled", "live")

    def write(self, view: Any, *rest: Any) -> None:
        """Passes on, then says what was reached."""
        super().write(view, *rest)
        while self.due and view.ts_ns >= BEGAN_NS and (self.due[0] == "handled" or (view.state == LIVE).all()):
            say(self.due[0], time.time_ns())
            self.due = self.due[1:]


class Keeper(checkpoint.Checkpointer):
    """Checkpoints, often, watched."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts, events_every=EVENTS_EVERY)

    def _promote(self) -> None:
        waited = self._waiting
        super()._promote()
        if waited and not self._waiting:
            say("kept")


def newest(*where: Any) -> checkpoint.Checkpoint | None:
    """The checkpoint that the run goes on from, said."""
    found = NEWEST(*where)
    say("from", found.pos if found else -1)
    return found


NEWEST = checkpoint.newest

if __name__ == "__main__":
    checkpoint.newest, checkpoint.Checkpointer = newest, Keeper  # type: ignore[misc]
    sys.modules["tickerml.screen"].Latest = Probe  # type: ignore[attr-defined]
    main(sys.argv[1:])
