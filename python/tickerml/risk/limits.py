"""Risk: intents in, approvals and refusals out. An intent passes whole or is refused whole, with a reason and its
numbers.

Reasons are words to branch on and to count. The venue's own rules (tick, lot, its minimum) are the venue's to reject;
here stand what we allow ourselves: 25 % of equity in one instrument, a breaker at 25 % drawdown that stays open until
an operator closes it, $10 as the smallest order, only Live and fresh books, no order that the balance cannot carry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from tickerml.errors import UnsoundDataError
from tickerml.risk.again import Again
from tickerml.risk.desk import Desk
from tickerml.risk.line import Account, Reason, Sums, Terms, sums
from tickerml.risk.margin import Margin
from tickerml.schema import AMEND, CANCEL, CANCEL_ALL, MONEY_ONE, InstrumentInfo, Intent, Order, Refused, View

__all__ = ["UNBOUND", "Account", "Limits", "Reason", "Risk"]

_new = tuple.__new__
_ALIKE = itemgetter(0, 1, 2)
"""Kind, instrument and side: a ladder's orders share them."""

_NOTHING: Final[tuple[Sequence[Intent], Sequence[Refused]]] = ((), ())


class Limits(NamedTuple):
    """The limits, exact. Fractions are of equity.

    Attributes
    ----------
    position_frac_max : largest worth of one instrument's position with all its open orders on one side filled.
    drawdown_frac_max : fall below the peak at which the breaker opens.
    order_quote_min : smallest worth of an order, in dollars.
    book_age_ms_max : oldest last frame of the instrument's connection.
    short_spot : whether spot may be sold that is not held.
    leverage_max : largest worth of all contracts with their open orders, as a multiple of equity.
    any_book : whether a book that is not Live is traded on, as a simulator without states of books does.
    """

    position_frac_max: Fraction = Fraction(1, 4)
    drawdown_frac_max: Fraction = Fraction(1, 4)
    order_quote_min: Decimal = Decimal(10)
    book_age_ms_max: int = 5000
    short_spot: bool = False
    leverage_max: Fraction = Fraction(1)
    any_book: bool = False


UNBOUND: Final = Limits(
    position_frac_max=Fraction(10**9),
    drawdown_frac_max=Fraction(10**9),
    order_quote_min=Decimal(0),
    book_age_ms_max=10**12,
    short_spot=True,
    leverage_max=Fraction(10**9),
    any_book=True,
)
"""Limits that never bind: for comparisons only (simulation.md 2, "Comparison")."""


class Risk:
    """The limits of one run.

    Parameters
    ----------
    limits : Limits
    instruments : the session's, in its order.
    book_age_ms_max : limits by instrument id, before the common one.
    margin : the venues' margins; None where they are not to bind.

    Attributes
    ----------
    tripped : the breaker is open since `tripped_ts_ns`; only orders that reduce a position pass.
    """

    def __init__(
        self,
        limits: Limits,
        instruments: Sequence[InstrumentInfo],
        book_age_ms_max: Mapping[str, int] | None = None,
        margin: Margin | None = None,
    ) -> None:
        ages = book_age_ms_max or {}
        self.limits = limits
        self.margin = margin
        age_ms_max, short = limits.book_age_ms_max, limits.short_spot
        self.terms = tuple(Terms(info, ages.get(info.id, age_ms_max), short) for info in instruments)
        self.position_max = limits.position_frac_max.as_integer_ratio()
        self.leverage_max = limits.leverage_max.as_integer_ratio()
        self.any_book = limits.any_book
        self.order_min_e18 = int(limits.order_quote_min * MONEY_ONE)
        self.tripped = False
        self.tripped_ts_ns = 0
        self._peak_e18 = self._floor_e18 = 0
        self._open: tuple[Sequence[Order], Sums] = ((), {})
        self._again: Again | None = None

    def open_sums(self, orders: Sequence[Order]) -> Sums:
        """Open orders added up; views between which none of them changed share one tuple, and so one sum."""
        if self._open[0] is not orders:
            self._open = orders, sums(orders)
        return self._open[1]

    def check(
        self, intents: Sequence[Intent], view: View, portfolio: Account
    ) -> tuple[Sequence[Intent], Sequence[Refused]]:
        """Splits intents into approved and refused. Cancels of known instruments always pass. An empty list is free.

        Earlier approvals of the same list count against later ones.
        """
        if portfolio.peak_e18 != self._peak_e18:
            self._rise(portfolio.peak_e18)
        if self._floor_e18 >= portfolio.equity_e18 != self._peak_e18 and not self.tripped:
            self.tripped, self.tripped_ts_ns = True, view.ts_ns
        calls = self.margin.calls(view, portfolio) if self.margin is not None else None
        if calls:
            return self._close(calls, intents, view)
        if not intents:
            return _NOTHING
        if (again := self._again) is not None and again.holds(intents, view, portfolio):
            return (), again.refused
        approved, refused = self._judge(intents, view, portfolio)
        self._again = None if approved else Again.of(intents, refused, view, portfolio, self.terms)
        return approved, refused

    def _judge(
        self, intents: Sequence[Intent], view: View, portfolio: Account
    ) -> tuple[Sequence[Intent], Sequence[Refused]]:
        approved: list[Intent] = []
        refused: list[Refused] = []
        desk: Desk | None = None
        for _, run in groupby(intents, _ALIKE):
            ladder = list(run)
            if ladder[0][0] == CANCEL:
                approved += ladder
                continue
            if desk is None:
                desk = Desk(self, view, portfolio)
            if len(ladder) > 1:
                decided, refusal = desk.judge(ladder)
                if decided and refusal is None:
                    approved += ladder
                    continue
                if refusal is not None:
                    refused += [_new(Refused, (intent, *refusal)) for intent in ladder]
                    continue
            for intent in ladder:
                refusal = desk.amend_refusal(intent) if intent[0] == AMEND else desk.refusal(intent)
                if refusal is None:
                    approved.append(intent)
                else:
                    refused.append(_new(Refused, (intent, *refusal)))
        return approved, refused

    def _rise(self, peak_e18: int) -> None:
        """The breaker opens where (peak - equity) / peak reaches the limit: at an equity of this floor, exactly."""
        limit = self.limits.drawdown_frac_max
        self._peak_e18 = peak_e18
        self._floor_e18 = peak_e18 * (limit.denominator - limit.numerator) // limit.denominator

    def _close(
        self, calls: Sequence[Intent], intents: Sequence[Intent], view: View
    ) -> tuple[Sequence[Intent], Sequence[Refused]]:
        """The venue closes: nothing of ours passes but cancels, and the breaker opens."""
        if not self.tripped:
            self.tripped, self.tripped_ts_ns = True, view.ts_ns
        why = "margin is below maintenance: the venue closes the position"
        refused = [Refused(one, Reason.LIQUIDATION, why) for one in intents if one.kind not in (CANCEL, CANCEL_ALL)]
        return [*calls, *(one for one in intents if one.kind in (CANCEL, CANCEL_ALL))], refused

    def carry(self) -> dict[str, Any]:
        """The breaker, for a run that goes on from this one's account."""
        return {"tripped_ts_ns": self.tripped_ts_ns if self.tripped else None}

    def take(self, carried: Mapping[str, Any]) -> None:
        """Goes on from what `carry` gave: an open breaker stays open."""
        opened = carried["tripped_ts_ns"]
        self.tripped, self.tripped_ts_ns = opened is not None, opened or 0

    def state(self) -> bytes:
        """The breaker: 1 byte and the time at which it opened."""
        return bytes([self.tripped]) + self.tripped_ts_ns.to_bytes(8, "little", signed=True)

    def restore(self, state: bytes) -> None:
        """Takes back what `state` gave; an open breaker stays open."""
        if len(state) != 9 or state[0] > 1:
            raise UnsoundDataError("a saved risk state does not fit: expected 9 bytes")
        self.tripped = bool(state[0])
        self.tripped_ts_ns = int.from_bytes(state[1:], "little", signed=True)
