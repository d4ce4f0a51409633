"""The checks of one view: what is open and held is counted once, and kept up to date with what was approved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from tickerml.risk.line import Account, Line, Reason, Refusal, Sums, Terms
from tickerml.risk.margin import Margin
from tickerml.schema import AMEND, CANCEL, CANCEL_ALL, INTENT_KINDS, LIQUIDATE, MARKET, MONEY_ONE, Intent, Order, View

__all__ = ["Desk", "Keeper"]

Ratio = tuple[int, int]
"""Numerator and denominator."""

SENT: Final = frozenset(INTENT_KINDS) - {AMEND, CANCEL, CANCEL_ALL, LIQUIDATE}
"""Kinds that make a new order."""

UNDECIDED: Final = (False, None)


class Keeper(Protocol):
    """What the desk reads of the risk that opened it."""

    @property
    def position_max(self) -> Ratio: ...
    @property
    def leverage_max(self) -> Ratio: ...
    @property
    def any_book(self) -> bool: ...
    @property
    def terms(self) -> Sequence[Terms]: ...
    @property
    def order_min_e18(self) -> int: ...
    def open_sums(self, orders: Sequence[Order]) -> Sums: ...
    @property
    def margin(self) -> Margin | None: ...
    @property
    def tripped(self) -> bool: ...
    @property
    def tripped_ts_ns(self) -> int: ...


class Desk:
    """The checks of one view. `refusal` counts what it lets through as an open order."""

    def __init__(self, keeper: Keeper, view: View, portfolio: Account) -> None:
        self._keeper = keeper
        self._view = view
        self._portfolio = portfolio
        self._lines: dict[int, Line] = {}
        self._balances: dict[str, int] = {}
        self._amended: set[int] = set()
        equity = portfolio.equity_e18
        part, of = keeper.position_max
        self._worth_max = part * equity // of
        part, of = keeper.leverage_max
        self._contracts_max = part * equity // of
        for i, position in enumerate(portfolio.positions):
            if position:
                self._line(i)
        self._count_open(view.orders)

    def refusal(self, intent: Intent) -> Refusal | None:
        """The first rule that the intent breaks; None lets it through."""
        kind, i, side, px, qty, _, _, reduce_only = intent
        line = self._lines.get(i)
        if line is None:
            count = len(self._keeper.terms)
            if not 0 <= i < count:
                return Reason.UNKNOWN_INSTRUMENT, f"instrument {i} of {count}"
            line = self._line(i)
        if kind == CANCEL_ALL:
            return None
        market = kind == MARKET
        if kind not in SENT or side not in (1, -1) or qty <= 0 or (px <= 0 and not market):
            return Reason.BAD_INTENT, f"kind {kind} side {side} price {px} quantity {qty}"
        found = line.block or (line.short(qty, self._portfolio) if side < 0 and line.terms.sells_held else None)
        if found:
            return found
        if market:
            px = line.ask if side > 0 else line.bid
            if px <= 0:
                return Reason.NO_PRICE, "the book has no price on the other side"
        worth = line.terms.worth(px, qty)
        found = self._money(line, side, px, qty, worth, reduces=reduce_only and line.reduces(side))
        if found is None:
            line.open_qty[side] += qty
            line.open_worth[side] += worth
        return found

    def judge(self, ladder: Sequence[Intent]) -> tuple[bool, Refusal | None]:
        """Judges new orders of one kind, instrument and side as one, where that gives what asking one by one would.

        They all pass where one order of their whole quantity at the best of their prices would: every rule but the
        smallest worth asks more of more. They are all refused as short sales where one of them is and all have one
        quantity.

        Returns
        -------
        decided : False where they are to be asked about one by one.
        refusal : of all of them; None where they all pass, and are counted as open.
        """
        kind, i, side = ladder[0][:3]
        if not 0 <= i < len(self._keeper.terms) or kind == MARKET or kind not in SENT or side not in (1, -1):
            return UNDECIDED
        line = self._lines.get(i) or self._line(i)
        prices = [intent[3] for intent in ladder]
        quantities = [intent[4] for intent in ladder]
        least, terms, qty = min(quantities), line.terms, sum(quantities)
        if line.block or min(prices) <= 0 or least <= 0:
            return UNDECIDED
        if side < 0 and terms.sells_held:
            found = line.short(least, self._portfolio)
            if found or line.short(qty, self._portfolio):
                return (True, found) if found and least * len(ladder) == qty else UNDECIDED
        worths = list(map(terms.worth, prices, quantities))
        worth = sum(worths)
        if (
            line.dollars(min(worths)) < self._keeper.order_min_e18
            or not self._asks_more_of_more(i)
            or self._money(line, side, max(prices), qty, worth, reduces=False)
        ):
            return UNDECIDED
        line.open_qty[side] += qty
        line.open_worth[side] += worth
        return True, None

    def _asks_more_of_more(self, i: int) -> bool:
        margin = self._keeper.margin
        contract = None if margin is None else margin.contracts.get(i)
        return contract is None or contract.asks_more_of_more(self._view.ts_ns)

    def amend_refusal(self, intent: Intent) -> Refusal | None:
        """The same for an amendment: what the order would be, in the place of what it is. Less at the same price passes
        like a cancel, and so does what leaves nothing.
        """
        _, i, side, px, qty, _, order_id, _ = intent
        order = next((o for o in self._view.orders if o.order_id == order_id), None)
        if order is None or order.state not in ("pending", "resting") or order_id in self._amended:
            return Reason.BAD_INTENT, f"order {order_id} is not open, or is being changed already"
        if (i, side) != (order.instrument, order.side) or qty <= 0 or px <= 0:
            return Reason.BAD_INTENT, f"amends instrument {i} side {side} price {px} quantity {qty}, order {order_id}"
        line = self._lines.get(i) or self._line(i)
        leaves = qty - order.qty + order.leaves
        if leaves > 0 and (px != order.px or qty > order.qty):
            if line.block:
                return line.block
            was, worth = line.terms.worth(order.px, order.leaves), line.terms.worth(px, leaves)
            line.open_qty[side] -= order.leaves
            line.open_worth[side] -= was
            found = line.short(leaves, self._portfolio) if side < 0 and line.terms.sells_held else None
            reduces = order.reduce_only and line.reduces(side)
            found = found or self._money(line, side, px, leaves, worth, reduces=reduces)
            line.open_qty[side] += order.leaves if found else leaves
            line.open_worth[side] += was if found else worth
            if found:
                return found
        self._amended.add(order_id)
        return None

    def _line(self, i: int) -> Line:
        line = self._lines[i] = Line(i, self._keeper.terms[i], self._view, self._portfolio)
        if self._keeper.any_book:
            line.block = None
        return line

    def _count_open(self, orders: Sequence[Order]) -> None:
        """Worth is taken of the sums; a market order on its way has no price but the touch's."""
        for (i, side), (qty, px_qty, unpriced) in self._keeper.open_sums(orders).items():
            line = self._lines.get(i) or self._line(i)
            line.open_qty[side] = qty
            line.open_worth[side] = line.terms.worth_of(px_qty + (unpriced and line.near(0) * unpriced), qty)

    def _money(self, line: Line, side: int, px: int, qty: int, worth: int, *, reduces: bool) -> Refusal | None:
        """Size, breaker, position, balance. An order that, after all open ones of its side, only closes passes after
        size; so does one that the venue lets do nothing else.
        """
        keeper, terms = self._keeper, line.terms
        if (worth if line.in_dollars else line.dollars(worth)) < keeper.order_min_e18:
            least = _show(keeper.order_min_e18)
            return Reason.ORDER_TOO_SMALL, f"worth {_show(worth)} {terms.quote}, minimum {least}"
        after = side * line.position + line.open_qty[side] + qty
        if after <= 0 or reduces:
            return None
        if keeper.tripped:
            return Reason.DRAWDOWN, f"the breaker opened at {keeper.tripped_ts_ns}; only reducing orders pass"
        reached = line.dollars(terms.worth(px, after))
        if reached > self._worth_max:
            return Reason.POSITION_LIMIT, f"would be worth {_show(reached)}, limit {_show(self._worth_max)}"
        if not terms.spot:
            return self._margin(line, side, worth)
        return self._cash(line, worth) if side > 0 else None

    def _cash(self, line: Line, worth: int) -> Refusal | None:
        """All open spot buys in the currency against its cash; their fee is taken from what they receive."""
        quote = line.terms.quote
        needed = worth
        for other in self._lines.values():
            if other.terms.spot and other.terms.quote == quote:
                needed += other.open_worth[1]
        cash = self._portfolio.cash_e18(quote)
        if needed > cash:
            return Reason.BALANCE, f"needs {_show(needed)} {quote} with open orders, has {_show(cash)}"
        return None

    def _margin(self, line: Line, side: int, worth: int) -> Refusal | None:
        """Worth of all contracts, each with the larger side of its open orders, against equity."""
        total = line.with_order(side, worth)
        for other in self._lines.values():
            if other is not line and not other.terms.spot:
                total += other.with_order(1, 0)
        if total > self._contracts_max:
            equity = _show(self._portfolio.equity_e18)
            return Reason.BALANCE, f"contracts would be worth {_show(total)} with open orders, equity {equity}"
        return self._initial(line, side, worth)

    def _initial(self, line: Line, side: int, worth: int) -> Refusal | None:
        """What the venue asks to open it with, of all contracts that settle in one currency, against what is there."""
        margin, ts_ns = self._keeper.margin, self._view.ts_ns
        if margin is None:
            return None
        currency, needed = margin.contracts[line.index].currency, 0
        for i, other in self._lines.items():
            contract = margin.contracts.get(i)
            if contract is None or contract.currency != currency:
                continue
            mine = other.worst(side, worth) if other is line else other.worst(1, 0)
            amount = contract.settled(mine, other.near(0), other.terms.info.price_precision)
            asked = contract.initial(amount, ts_ns)
            if asked is None:
                return Reason.LEVERAGE, f"worth {_show(amount)} {currency} is beyond the venue's largest tier"
            needed += asked
        there = self._balances.get(currency)
        if there is None:
            there = self._balances[currency] = margin.balance(currency, self._view, self._portfolio)
        if needed > there:
            return Reason.LEVERAGE, f"asks for {_show(needed)} {currency} of margin, there are {_show(there)}"
        return None


def _show(amount: int) -> str:
    return f"{amount / MONEY_ONE:.2f}"
