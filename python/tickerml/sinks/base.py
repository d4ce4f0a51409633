"""The sink protocol, several sinks as one, and the tally that a screen shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from tickerml.schema import AMEND, CANCEL, CANCEL_ALL, Intent, Refused, View

TIMED_NS: Final = 60_000_000_000
"""Tape time between two writes that happen even when nothing did: portfolio rows (rules.md 8)."""


class Sink(Protocol):
    """Takes what a step gave. The portfolio is read at once or not at all: it changes with the next view."""

    def write(self, view: View, approved: Sequence[Intent], refused: Sequence[Refused], portfolio: Any) -> None:
        """Called after every `submit`."""

    def close(self) -> None:
        """Nothing follows; what was taken is where it belongs when this returns."""


class Sinks:
    """Several sinks as one. A quiet step (nothing sent, refused, reported or due) returns before any of them is
    asked.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)
        self._due_ns = 0 if self._sinks else 2**63 - 1

    def write(self, view: View, approved: Sequence[Intent], refused: Sequence[Refused], portfolio: Any) -> None:
        """Hands a step to every sink when there is something in it, when 60 s of tape time are over, or at the end."""
        ts_ns = view.ts_ns
        if ts_ns < self._due_ns and not (
            approved or refused or view.reports or view.fills or view.gaps or view.funding or view.cause == "stop"
        ):
            return
        if ts_ns >= self._due_ns:
            self._due_ns = (ts_ns // TIMED_NS + 1) * TIMED_NS
        for sink in self._sinks:
            sink.write(view, approved, refused, portfolio)

    def close(self) -> None:
        """Closes every sink, and raises the first error after all have been asked."""
        errors = []
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]


class Tally:
    """Counts for the screen of a live run.

    Attributes
    ----------
    orders : approved new orders.
    cancels, fills, refused, reports, gaps : as named.
    """

    def __init__(self) -> None:
        self.orders = self.cancels = self.fills = self.refused = self.reports = self.gaps = 0

    def write(self, view: View, approved: Sequence[Intent], refused: Sequence[Refused], portfolio: Any) -> None:
        """Counts one step."""
        if approved:
            kinds = [intent[0] for intent in approved]
            self.cancels += kinds.count(CANCEL) + kinds.count(CANCEL_ALL)
            self.orders += sum(1 for kind in kinds if kind not in (AMEND, CANCEL, CANCEL_ALL))
        self.refused += len(refused)
        self.fills += len(view.fills)
        self.reports += len(view.reports)
        self.gaps += len(view.gaps)

    def close(self) -> None:
        """Nothing to close."""


def sent_with(intent: Intent) -> str:
    """What a sent order's row has in the place of a reason."""
    return "reduce_only" if intent.reduce_only else ""
