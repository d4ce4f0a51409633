"""What risk knows of one instrument at one view: its terms, its touch, and what is held and open there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from tickerml.schema import LIVE, MONEY_ONE, POW10, STATES, UNDEF_I64, InstrumentInfo, Order, View

__all__ = ["Account", "Line", "Reason", "Refusal", "Sums", "Terms", "sums"]


class Reason(StrEnum):
    """Why an intent was refused."""

    BAD_INTENT = "bad_intent"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    BOOK_NOT_LIVE = "book_not_live"
    BOOK_OLD = "book_old"
    NO_PRICE = "no_price"
    DRAWDOWN = "drawdown"
    ORDER_TOO_SMALL = "order_too_small"
    POSITION_LIMIT = "position_limit"
    SHORT_SPOT = "short_spot"
    BALANCE = "insufficient_balance"
    LEVERAGE = "leverage"
    LIQUIDATION = "liquidation"


Refusal = tuple[Reason, str]
Sums = dict[tuple[int, int], tuple[int, int, int]]
"""Open orders by instrument and side: quantity, sum of price x quantity, and the quantity that has no price."""


class Account(Protocol):
    """What risk reads of the portfolio; money is integers of 10^-18."""

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


def sums(orders: Sequence[Order]) -> Sums:
    """What is open, added up."""
    out: Sums = {}
    for order in orders:
        key, leaves, px = (order.instrument, order.side), order.leaves, order.px
        qty, px_qty, unpriced = out.get(key, (0, 0, 0))
        out[key] = qty + leaves, px_qty + px * leaves, unpriced + (0 if px else leaves)
    return out


class Terms:
    """What never changes about an instrument: how to value it, and how old its book may be."""

    def __init__(self, info: InstrumentInfo, book_age_ms_max: int, short_spot: bool) -> None:
        self.info = info
        self.quote = info.quote
        self.spot = info.kind == "spot"
        self.sells_held = self.spot and not short_spot
        self.inverse = info.kind == "inverse"
        self.age_ns_max = book_age_ms_max * 1_000_000
        scale = POW10[info.qty_precision] if self.inverse else POW10[info.price_precision + info.qty_precision]
        common = math.gcd(info.contract_size_e18, scale)
        self._mul, self._div = info.contract_size_e18 // common, scale // common

    def worth(self, px: int, qty: int) -> int:
        """Worth in the quote currency, 10^-18: price x quantity x contract size; an inverse contract is its size."""
        return (qty if self.inverse else px * qty) * self._mul // self._div

    def worth_of(self, px_qty: int, qty: int) -> int:
        """Worth of several orders, given their sums of price x quantity and of quantity."""
        return (qty if self.inverse else px_qty) * self._mul // self._div


class Line:
    """One instrument at one view: its touch, and quantity and worth of what is held and open.

    `open_qty` and `open_worth` are indexed by side: 1 buys, -1 (the last) sells.
    """

    __slots__ = (
        "_dollars",
        "_held",
        "_short",
        "ask",
        "bid",
        "block",
        "held_worth",
        "in_dollars",
        "index",
        "open_qty",
        "open_worth",
        "position",
        "terms",
    )

    def __init__(self, i: int, terms: Terms, view: View, portfolio: Account) -> None:
        self.index = i
        self.terms = terms
        self._dollars = portfolio.dollars
        px = view.book_px.item
        self.bid, self.ask = px(i, 0, 0), px(i, 1, 0)
        self.position = portfolio.positions[i]
        self.open_qty = [0, 0, 0]
        self.open_worth = [0, 0, 0]
        self.held_worth = terms.worth(self.near(0), abs(self.position)) if self.position else 0
        state, age_ns = view.state.item(i), view.age_ns.item(i)
        self.block = self._block(state, age_ns) if state != LIVE or age_ns > terms.age_ns_max else None
        self.in_dollars = portfolio.dollars(MONEY_ONE, terms.quote) == MONEY_ONE
        self._held = -1
        self._short: tuple[int, Refusal | None] = (0, None)

    def near(self, px: int) -> int:
        """The price given, or about the mid where there is none."""
        if px > 0:
            return px
        if UNDEF_I64 in (self.bid, self.ask):
            return max(self.bid, self.ask, 1)
        return (self.bid + self.ask) // 2

    def worst(self, side: int, worth: int) -> int:
        """Worth held and open on the larger side, counting one more order."""
        mine, theirs = self.open_worth[side] + worth, self.open_worth[-side]
        return self.held_worth + (mine if mine > theirs else theirs)

    def with_order(self, side: int, worth: int) -> int:
        """The same in dollars."""
        return self.dollars(self.worst(side, worth))

    def dollars(self, amount: int) -> int:
        """An amount of the quote currency in dollars."""
        return amount if self.in_dollars else self._dollars(amount, self.terms.quote)

    def short(self, qty: int, portfolio: Account) -> Refusal | None:
        """Spot sells what is held: bought here, or in the base currency's starting balance.

        A ladder asks it for the same quantity at every price: the answer is kept.
        """
        selling = self.open_qty[-1] + qty
        if self._short[0] != selling:
            info = self.terms.info
            if self._held < 0:
                owned = portfolio.cash_e18(info.base) * POW10[info.qty_precision] // MONEY_ONE
                self._held = max(self.position + owned, 0)
            found = None
            if selling > self._held:
                unit = f"10^-{info.qty_precision} {info.base}"
                found = Reason.SHORT_SPOT, f"sells {selling} of {self._held} held ({unit})"
            self._short = selling, found
        return self._short[1]

    def reduces(self, side: int) -> bool:
        """Whether a reduce-only order of this side is one: contracts only, and against what is held."""
        return not self.terms.spot and side * self.position < 0

    def _block(self, state: int, age_ns: int) -> Refusal:
        if state != LIVE:
            return Reason.BOOK_NOT_LIVE, f"the book is {STATES[state]}"
        limit_ms = self.terms.age_ns_max // 1_000_000
        return Reason.BOOK_OLD, f"last frame {age_ns // 1_000_000} ms ago, limit {limit_ms}"
