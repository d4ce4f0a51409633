"""`python soak_probe.py WORDS...`: the command `tickerml`, which also says when its engine has come to the present.

On stderr: `probe handled NS` at the first step behind a frame that came after the start, `probe live NS` at the first
such step with every book Live; NS is the wall clock.
"""

from __future__ import annotations

import sys
import time
from typing import Any

BEGAN_NS = time.time_ns()

from tickerml.cli import main  # noqa: E402 - the start is the first thing that happens
from tickerml.schema import LIVE  # noqa: E402
from tickerml.screen import Latest  # noqa: E402


class Probe(Latest):
    """The last step for the screen, watched."""

    due = ("handled", "live")

    def write(self, view: Any, *rest: Any) -> None:
        """Passes on, then says what was reached."""
        super().write(view, *rest)
        while self.due and view.ts_ns >= BEGAN_NS and (self.due[0] == "handled" or (view.state == LIVE).all()):
            print(f"probe {self.due[0]} {time.time_ns()}", file=sys.stderr, flush=True)
            self.due = self.due[1:]


if __name__ == "__main__":
    sys.modules["tickerml.screen"].Latest = Probe  # type: ignore[misc]
    main(sys.argv[1:])
