"""The engine's loop: the whole system on one screen (design.md 6). `run`, `replay`, `backtest` and training all use
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tickerml.policy.base import Policy
from tickerml.schema import InstrumentInfo, Intent, Refused, Sent, View
from tickerml.sinks.base import Sink


class Session(Protocol):
    """Views in, orders out: the native session of a tape, a recording or a live feed. `submit` is due once for each
    view.
    """

    @property
    def instruments(self) -> Sequence[InstrumentInfo]: ...
    @property
    def digest(self) -> str: ...
    def __iter__(self) -> Iterator[View]: ...
    def submit(self, approved: Sequence[Intent], refused: Sequence[Refused], state: bytes) -> Sequence[int]: ...


class Portfolio(Protocol):
    """What the engine asks of a portfolio; policies and risk read more of it through their own protocols."""

    @property
    def positions(self) -> Sequence[int]: ...
    @property
    def equity_e18(self) -> int: ...
    @property
    def peak_e18(self) -> int: ...
    @property
    def version(self) -> int: ...
    def cash_e18(self, currency: str) -> int: ...
    def dollars(self, amount: int, currency: str) -> int: ...
    def cost_e18(self, instrument: int) -> int: ...
    def apply(self, view: View) -> None: ...
    def state_bytes(self) -> bytes: ...


class Risk(Protocol):
    """Approvals and refusals."""

    def check(
        self, intents: Sequence[Intent], view: View, portfolio: Portfolio
    ) -> tuple[Sequence[Intent], Sequence[Refused]]: ...


NOTHING: tuple[Intent, ...] = ()


def run(session: Session, policy: Policy, risk: Risk, portfolio: Portfolio, sinks: Sink) -> None:
    """Runs a session to its end. A restarted process resets the policy; the view of STOP gets no intents."""
    for view in session:
        if view.restarted:
            policy.reset()
        portfolio.apply(view)
        wanted = policy.decide(view, portfolio) if view.cause != "stop" else NOTHING
        approved, refused = risk.check(wanted, view, portfolio)
        ids = session.submit(approved, refused, portfolio.state_bytes())
        if approved:
            approved = Sent(approved, ids)
        sinks.write(view, approved, refused, portfolio)
