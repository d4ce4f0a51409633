"""Margin as the venue has it: tiers by date, what a position needs, and when it is closed.

All contracts that settle in one currency stand together (cross margin) behind the cash in that currency; coins held on
spot do not. A position is worth what the mark price says, never the last trade: without a mark price nobody is called.
When cash and open results fall below the sum of the maintenance margins, the venue cancels what is open there and
closes every such position at its book, for the taker's fee and the liquidation fee. What is left below zero stays a
debt: no insurance fund is counted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple, Protocol

from tickerml.schema import DAY_NS, LIQUIDATE, LIVE, MARK_PRECISION, MONEY_ONE, POW10, InstrumentInfo, Intent, View

__all__ = ["LIQUIDATION_TAG", "Account", "Margin", "Tier", "tiers_of"]

LIQUIDATION_TAG: Final = -(2**62)
"""Tag of the orders by which the venue closes."""

NOTHING: tuple[Intent, ...] = ()


class Tier(NamedTuple):
    """One bracket: up to a position's worth in the currency it settles in (10^-18), from a time on (ns)."""

    from_ns: int
    worth_max_e18: int
    maintenance_frac: Fraction
    leverage_max: Fraction


class Account(Protocol):
    """What margin reads of the portfolio."""

    @property
    def positions(self) -> Sequence[int]: ...
    @property
    def version(self) -> int: ...
    def cash_e18(self, currency: str) -> int: ...
    def cost_e18(self, instrument: int) -> int: ...


def tiers_of(terms: Any, info: InstrumentInfo, day_ns: Any) -> tuple[Tier, ...]:
    """The tiers of an instrument: rows that name its symbol, else those of its venue's ``*``; smallest worth first."""
    rows = [row for row in terms.margin if row.venue == info.venue and row.symbol == info.symbol]
    rows = rows or [row for row in terms.margin if row.venue == info.venue and row.symbol == "*"]
    found = [
        Tier(
            day_ns(row.since),
            int(row.worth_max * MONEY_ONE),
            Fraction(row.maintenance_frac),
            Fraction(row.leverage_max),
        )
        for row in rows
    ]
    return tuple(sorted(found))


class Contract:
    """What margin knows of one instrument."""

    def __init__(self, info: InstrumentInfo, tiers: Sequence[Tier]) -> None:
        self.inverse = info.kind == "inverse"
        self.currency = info.base if self.inverse else info.quote
        self._size, self._qty_one = info.contract_size_e18, POW10[info.qty_precision]
        self._tiers = tuple(tiers)
        # Those in force from a time on to another, and of each what it asks to open with: (worth_max, part, of).
        self._from_ns = self._to_ns = 0
        self._now: Sequence[Tier] = ()
        self._asked: Sequence[tuple[int, int, int]] = ()
        self._falls = True

    def worth(self, qty: int, px_e8: int) -> int:
        """Signed worth of a quantity at a price x 10^8, 10^-18 of the currency it settles in; below zero when long in
        inverse contracts, which is owing base.
        """
        if self.inverse:
            return -qty * self._size * POW10[MARK_PRECISION] // (px_e8 * self._qty_one)
        return qty * px_e8 * self._size // (POW10[MARK_PRECISION] * self._qty_one)

    def settled(self, worth_quote: int, px: int, price_precision: int) -> int:
        """A worth in the quote currency in the one that it settles in, at a price."""
        return worth_quote * POW10[price_precision] // px if self.inverse else worth_quote

    def tiers(self, ts_ns: int) -> Sequence[Tier]:
        """Those in force."""
        if not self._from_ns <= ts_ns < self._to_ns:
            since = max((tier.from_ns for tier in self._tiers if tier.from_ns <= ts_ns), default=-(2**63))
            self._from_ns = since
            self._to_ns = min((tier.from_ns for tier in self._tiers if tier.from_ns > ts_ns), default=2**63)
            self._now = [tier for tier in self._tiers if tier.from_ns == since]
            leverages = ((tier.worth_max_e18, tier.leverage_max) for tier in self._now)
            self._asked = [(most, leverage.denominator, leverage.numerator) for most, leverage in leverages]
            allowed = [tier.leverage_max for tier in self._now]
            self._falls = allowed == sorted(allowed, reverse=True)
        return self._now

    def maintenance(self, worth: int, ts_ns: int) -> int:
        """Maintenance margin: each part of the worth at the rate of its own tier, as Binance's `cum` makes it."""
        needed, below = Fraction(0), 0
        tiers = self.tiers(ts_ns)
        for n, tier in enumerate(tiers):
            top = worth if n == len(tiers) - 1 else min(worth, tier.worth_max_e18)
            if top > below:
                needed += (top - below) * tier.maintenance_frac
                below = top
        return -(-needed.numerator // needed.denominator)

    def asks_more_of_more(self, ts_ns: int) -> bool:
        """Whether a larger position never needs less to be opened with: no tier allows more leverage than one below."""
        self.tiers(ts_ns)
        return self._falls

    def initial(self, worth: int, ts_ns: int) -> int | None:
        """Margin that a position of this worth is opened with; None beyond the largest tier."""
        if not worth:
            return 0
        if not self.tiers(ts_ns):
            return worth
        for most, part, of in self._asked:
            if worth <= most:
                return -(-worth * part // of)
        return None


class Margin:
    """The margin of one run.

    Parameters
    ----------
    tiers : of each instrument, in the session's order; empty for spot.
    """

    def __init__(self, instruments: Sequence[InstrumentInfo], tiers: Sequence[Sequence[Tier]]) -> None:
        pairs = enumerate(zip(instruments, tiers, strict=True))
        self.contracts: Mapping[int, Contract] = {
            i: Contract(info, own) for i, (info, own) in pairs if info.kind != "spot"
        }
        # What was looked at last: positions and cash change with the version, tiers with the day (rows begin at one),
        # the rest with the marks.
        self._version = self._day = -1
        self._held: list[int] = []
        self._marks: list[int] = []

    def balance(self, currency: str, view: View, account: Account) -> int:
        """Cash and open results at the mark in a currency; a position without a mark counts at its cost."""
        total = account.cash_e18(currency)
        for i, contract in self.contracts.items():
            mark = view.mark_e8.item(i)
            if contract.currency == currency and account.positions[i] and mark > 0:
                total += contract.worth(account.positions[i], mark) - account.cost_e18(i)
        return total

    def calls(self, view: View, account: Account) -> Sequence[Intent]:
        """The orders by which the venue closes what its margin does not carry any more."""
        if account.version != self._version:
            self._version, self._marks = account.version, []
            self._held = [i for i in self.contracts if account.positions[i]]
        held = self._held
        if not held:
            return NOTHING
        mark = view.mark_e8.item
        marks, day = [mark(i) for i in held], view.ts_ns // DAY_NS
        if marks == self._marks and day == self._day:
            return NOTHING
        self._day = day
        called: list[Intent] = []
        short = False
        for currency in dict.fromkeys(self.contracts[i].currency for i in held):
            ours = [i for i in held if self.contracts[i].currency == currency and view.mark_e8.item(i) > 0]
            needed = sum(
                self.contracts[i].maintenance(
                    abs(self.contracts[i].worth(account.positions[i], view.mark_e8.item(i))), view.ts_ns
                )
                for i in ours
            )
            if ours and self.balance(currency, view, account) < needed:
                short = True
                called += [self._close(i, account) for i in ours if self._may_close(i, view)]
        self._marks = [] if short else marks
        return called

    def _close(self, i: int, account: Account) -> Intent:
        position = account.positions[i]
        return Intent(LIQUIDATE, i, -1 if position > 0 else 1, 0, abs(position), LIQUIDATION_TAG, 0, True)

    def _may_close(self, i: int, view: View) -> bool:
        """Not while a closing is under way, nor at a book that is not true."""
        open_ = any(order.instrument == i and order.tag == LIQUIDATION_TAG for order in view.orders)
        return view.state.item(i) == LIVE and not open_
