"""One side of a comparison: a run folded again into a ledger of its own, in a temporary folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tickerml.runner import finish
from tickerml.sinks.ledger import Ledger
from tickerml.trader import make_trader

if TYPE_CHECKING:
    from tickerml.config.models import Config
    from tickerml.sinks.base import Sink

__all__ = ["END", "Folded", "fold"]

END: Final = 2**63 - 1
"""A durable mark beyond every record: what is read is on disk."""


@dataclass(frozen=True)
class Folded:
    """What a fold gave.

    Attributes
    ----------
    ledger : its rows.
    last_ns : time of its last view; 0 without one.
    restarted_ns, before_restart_ns : times of the first view after a restart of the process and of the one before it;
        0 for none.
    digest_at : the digest after the view that was asked for; empty where there was none.
    result : the summary in the keys of contract.md.
    """

    ledger: Path
    last_ns: int
    restarted_ns: int
    before_restart_ns: int
    digest_at: str
    result: Mapping[str, Any]


class _Watch:
    """A sink in front of the others, which sees the quiet steps, too."""

    def __init__(self, inner: Sink, session: Any, digest_view: int) -> None:
        self._inner, self._session, self._digest_view = inner, session, digest_view
        self.last_ns = self.restarted_ns = self.before_restart_ns = 0
        self.digest_at = ""

    def write(self, view: Any, approved: Sequence[Any], refused: Sequence[Any], portfolio: Any) -> None:
        """Looks and passes on."""
        if view.restarted and view.index and not self.restarted_ns:
            self.restarted_ns, self.before_restart_ns = view.ts_ns, self.last_ns
        self.last_ns = view.ts_ns
        if view.index == self._digest_view:
            self.digest_at = self._session.digest
        self._inner.write(view, approved, refused, portfolio)

    def close(self) -> None:
        """Closes what is behind."""
        self._inner.close()


def fold(
    session: Any,
    config: Config,
    run: str,
    into: Path,
    *,
    carry: str | None,
    unbound: bool = False,
    digest_view: int = -1,
    sinks: Sequence[Sink] = (),
) -> Folded:
    """Runs a session to its end with a ledger.

    Parameters
    ----------
    digest_view : the view after which the digest is wanted.
    sinks : what else sees every step.
    """
    ledger = Ledger(into, run, session.instruments, lambda: END)
    found: list[_Watch] = []

    def watch(inner: Sink) -> Sink:
        found.append(_Watch(inner, session, digest_view))
        return found[0]

    with make_trader(config, session.instruments, [ledger, *sinks], carry=carry, unbound=unbound) as trader:
        trader.trade(session, watch)
    seen = found[0]
    return Folded(
        into, seen.last_ns, seen.restarted_ns, seen.before_restart_ns, seen.digest_at, finish(session, trader, {})
    )
