"""What the simulated venue does in profile `shared`, in plain Python: books, queues, orders and fills, at `self.at`.

`reference_shared.py` says when, and tells what has been chosen where simulation.md is open.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from reference_bounds import Band, Purse
from simulated import LIVE, Fill, Flag, Kind, Message, Row

HALF_LIFE_NS, FEE_STEP = 5e9, 10**10


@dataclass
class Order:
    """`leaves`, `state` and `acked` are what we know, the rest is the venue's truth."""

    order_id: int
    tag: int
    kind: int
    side: int
    px: int
    qty: int
    leaves: int
    state: str
    acked: bool
    left: int
    at_px: int
    at_qty: int
    reduce_only: bool = False
    amends: int = 0
    resting: bool = False
    front: float = 0.0
    traded: float = 0.0


class Venue(ABC):
    """One instrument: the book that is displayed, what we took of it, and our orders there."""

    def __init__(self, instrument: dict[str, Any], settings: dict[str, Any]) -> None:
        self.tick, self.lot = instrument["tick"], instrument["lot"]
        self.scale = 10 ** instrument["qty_precision"]
        self.money = 10 ** (18 - instrument["price_precision"] - instrument["qty_precision"])
        self.min_notional = int(Decimal(instrument["min_notional"]) * 10**18)
        name, _, n = settings["queue"].partition(":")
        self.queue, self.exponent = name, float(n or 1)
        self.spot = instrument["kind"] == "spot"
        self.bps = {True: Fraction(str(settings["maker_bps"])), False: Fraction(str(settings["taker_bps"]))}
        self.book: dict[int, dict[int, int]] = {1: {}, -1: {}}
        self.live = False
        self.consumed: dict[tuple[int, int], tuple[float, int]] = {}
        self.orders: dict[int, Order] = {}
        self.band, self.purse = Band(instrument), Purse(instrument, settings)
        # Now at the venue, what is held there, and the last record (stamp, pos) that we have read.
        self.at = self.held = 0
        self.last = (0, 0)

    @abstractmethod
    def _report(self, o: Order, kind: str, reason: str, pos: int, **more: Any) -> None:
        """Sends a report on its way."""

    def _message(self, message: Message) -> None:
        kind, px, *_ = message.rows[0]
        if kind == Row.STATE:
            self.live = px == LIVE
            if self.live:
                for order in self._resting():
                    order.front = min(order.front, self._displayed(order))
                self._book_through(message.pos)
        elif kind in (Row.BUY_TRADE, Row.SELL_TRADE):
            for taken, px, qty, _ in message.rows:
                self.band.prints.append((self.at, px, qty))
                self._print(1 if taken == Row.BUY_TRADE else -1, px, qty, message.pos)
        else:
            for kind, px, qty, flags in message.rows:
                if kind == Row.CLEAR:
                    self.book[-1 if flags & Flag.ASK_SIDE else 1].clear()
                else:
                    self._level(1 if kind == Row.BID else -1, px, qty, moves=not flags & Flag.SNAPSHOT)
            if self.live and not flags & Flag.SNAPSHOT:
                self._book_through(message.pos)

    def _level(self, side: int, px: int, qty: int, moves: bool) -> None:
        before = self.book[side].pop(px, 0)
        if qty:
            self.book[side][px] = qty
        for order in self._resting(side) if moves else ():
            if order.at_px == px:
                self._depth(order, before / self.scale, qty / self.scale)

    def _print(self, taker: int, px: int, qty: int, pos: int) -> None:
        """One budget: own orders at better prices, then the queue ahead, then own orders at the price."""
        budget = qty
        for order in self._met_by(taker, px):
            ahead, reached = self._ahead(order.front), budget
            if order.at_px == px:
                order.front -= budget / self.scale
                order.traded += qty / self.scale
                lots = _half_up(-order.front / (self.lot / self.scale))
                if lots > 0:
                    order.front = 0.0
                reached = max(lots, 0) * self.lot
            filled = min(reached, budget, self._room(order))
            if filled > 0:
                budget -= filled
                self._fill(order, order.at_px, filled, pos, ahead)
        if budget < qty:
            self._settle(pos)

    def _book_through(self, pos: int) -> None:
        """The other side's best stands at or through our price: at most what is displayed there, and it is consumed."""
        met = False
        for taker in (1, -1):
            if not self.book[taker]:
                continue
            for order in self._met_by(taker, self._best(taker)):
                filled = sum(qty for _, qty in self._walk(taker, order.at_px, self._room(order)))
                if filled:
                    self._fill(order, order.at_px, filled, pos, self._ahead(order.front))
                    met = True
        if met:
            self._settle(pos)

    def _place(self, order: Order) -> None:
        waits, best = order.kind in (Kind.LIMIT, Kind.POST_ONLY), self._opposite(order)
        takes = best is not None and (order.kind == Kind.MARKET or (order.px - best) * order.side >= 0)
        reason = self._refusal(order, order.px, order.qty)
        if order.reduce_only and self.spot:
            reason = reason or "unsupported"
        if not self._room(order):
            reason = reason or "reduce_only"
        if not self.live and not waits:
            reason = reason or "no_book"
        if not reason and self._lacks(order, waits):
            reason = "insufficient_balance"
        own = self._own_within(order, order.px)
        if order.kind == Kind.POST_ONLY and (own or (self.live and takes)):
            reason = reason or "post_only_would_take"
        if reason:
            return self._report(order, "rejected", reason, self.last[1])
        if self.live and takes:
            self._take_at_once(order)
        elif order.kind != Kind.FOK:
            self._expire(own)
        if order.left and not self._room(order):
            self._report(order, "expired", "reduce_only", self.last[1])
        elif order.left and waits:
            self._to_the_end(order)
            self._report(order, "accepted", "", self.last[1])
        elif order.left:
            self._report(order, "expired", "remainder" if order.left < order.qty else "no_liquidity", self.last[1])

    def _take_at_once(self, order: Order) -> None:
        limit, whole = None if order.kind == Kind.MARKET else order.at_px, order.kind == Kind.FOK
        room = self._room(order)
        met = [] if whole and room != order.left else self._walk(-order.side, limit, room, whole=whole)
        if met or not whole:
            own = self._own_within(order, limit)
            if sum(qty for _, qty in met) == room:
                own = [o for o in own if (met[-1][0] - o.at_px) * order.side > 0]
            self._expire(own)
        for px, qty in met:
            self._fill(order, px, qty, self.last[1])
        self._settle(self.last[1])

    def _own_within(self, order: Order, limit: int | None) -> list[Order]:
        """Ours on the other side that the order would meet, the best first."""
        best_first = sorted(self._resting(-order.side), key=lambda o: (o.at_px * order.side, o.order_id))
        anything = order.kind == Kind.MARKET or limit is None
        return [o for o in best_first if anything or (limit - o.at_px) * order.side >= 0]

    def _expire(self, own: list[Order]) -> None:
        for order in own:
            order.resting = False
            self._report(order, "expired", "self_trade", self.last[1])

    def _to_the_end(self, order: Order) -> None:
        order.resting = order.left > 0
        order.front, order.traded = self._displayed(order) if self.live else math.inf, 0.0

    def _amend(self, order: Order, px: int, qty: int, known: tuple[int, int]) -> None:
        pos, less, filled = self.last[1], px == order.at_px and qty <= order.at_qty, order.at_qty - order.left
        if not order.resting:
            return self._report(order, "amend_rejected", "unknown_order", pos, late=known)
        reason = "amend_only_less" if self.spot and not (less and qty < order.at_qty) else self._refusal(order, px, qty)
        if reason:
            return self._report(order, "amend_rejected", reason, pos)
        best = self._opposite(order)
        takes = self.live and best is not None and (px - best) * order.side >= 0
        own = self._own_within(order, px)
        if qty <= filled or ((takes or own) and order.kind == Kind.POST_ONLY):
            order.resting = False
            reason = "amend_below_filled" if qty <= filled else "post_only_would_take"
            return self._report(order, "cancelled", reason, pos)
        order.at_px, order.at_qty, order.left = px, qty, qty - filled
        self._report(order, "amended", "", pos)
        if not self.spot:
            if takes:
                order.resting = False
                self._take_at_once(order)
            else:
                self._expire(own)
            self._to_the_end(order)
            self._settle(pos)

    def _room(self, order: Order) -> int:
        """How much may be filled now."""
        return min(order.left, max(0, -self.held * order.side)) if order.reduce_only else order.left

    def _settle(self, pos: int) -> None:
        for order in self._resting():
            if not self._room(order):
                order.resting = False
                self._report(order, "expired", "reduce_only", pos)

    def _opposite(self, order: Order) -> int | None:
        return self._best(-order.side) if self.book[-order.side] else None

    def _refusal(self, order: Order, px: int | None, qty: int) -> str:
        if qty <= 0 or qty % self.lot:
            return "lot"
        if order.kind == Kind.MARKET:
            px = self._opposite(order)
        elif px <= 0 or px % self.tick:
            return "tick" if px > 0 else "price"
        if px is None:
            return "no_liquidity"
        if px * qty * self.money < self.min_notional:
            return "min_notional"
        return "price_band" if order.kind != Kind.MARKET and self.band.is_beyond(order.side, px, self.at) else ""

    def _lacks(self, order: Order, waits: bool) -> bool:
        """Whether it gives more than is free; what does not wait gives what it would take now."""
        met = [(order.at_px, order.left)]
        if order.side == 1 and not waits:
            kept, limit = dict(self.consumed), None if order.kind == Kind.MARKET else order.at_px
            met, self.consumed = self._walk(-1, limit, order.left, whole=order.kind == Kind.FOK), kept
        needed = sum(self.purse.gives(order.side, px, qty) for px, qty in met)
        return self.purse.lacks(order.side, needed, [(o.at_px, o.left) for o in self._resting(order.side)])

    def _cancel(self, order: Order, known: tuple[int, int]) -> None:
        if order.resting:
            order.resting = False
            self._report(order, "cancelled", "", self.last[1])
        else:
            self._report(order, "cancel_rejected", "unknown_order", self.last[1], late=known)

    def _cancel_all(self) -> None:
        for order in self._resting():
            order.resting = False
            self._report(order, "cancelled", "", self.last[1])

    def _resting(self, side: int = 0) -> list[Order]:
        return [o for o in self.orders.values() if o.resting and side in (0, o.side)]

    def _met_by(self, taker: int, px: int) -> list[Order]:
        """Own orders that a taker at `px` meets: the best price first, the earlier order first."""
        met = (o for o in self._resting(-taker) if (px - o.at_px) * taker >= 0)
        return sorted(met, key=lambda o: (o.at_px * taker, o.order_id))

    def _best(self, side: int) -> int:
        return max(self.book[side], key=lambda px: px * side)

    def _displayed(self, order: Order) -> float:
        return self.book[order.side].get(order.at_px, 0) / self.scale

    def _walk(self, side: int, limit: int | None, want: int, whole: bool = False) -> list[tuple[int, int]]:
        """Takes up to `want` of the effective levels of `side`, none worse for us than `limit`."""
        met, rest = [], want
        for px in sorted(self.book[side], key=lambda px: -px * side):
            if rest == 0 or (limit is not None and (px - limit) * side < 0):
                break
            effective = max(0, self.book[side][px] - math.ceil(self._missing(side, px)))
            qty = min(effective - effective % self.lot, rest)
            if qty:
                met.append((px, qty))
                rest -= qty
        if whole and rest:
            return []
        for px, qty in met:
            self.consumed[side, px] = (self._missing(side, px) + qty, self.at)
        return met

    def _missing(self, side: int, px: int) -> float:
        qty, then = self.consumed.get((side, px), (0.0, self.at))
        half_lives = max(0, self.at - then) / HALF_LIFE_NS
        return 0.0 if half_lives > 20 else qty * math.exp2(-half_lives)

    def _ahead(self, front: float) -> int:
        return -1 if math.isinf(front) else _half_up(max(front, 0.0) * self.scale)

    def _depth(self, order: Order, before: float, now: float) -> None:
        """Our level went from `before` to `now`: the models of simulation.md 2."""
        front, back, cancelled = order.front, before - order.front, before - now - order.traded
        order.traded = 0.0
        if self.queue == "risk_averse" or cancelled < 0:
            order.front = min(front, now)
            return
        part = 1.0 if math.isinf(part := self._behind(front, back)) else part
        estimate = front - (1.0 - part) * cancelled + min(back - part * cancelled, 0.0)
        order.front = now if math.isnan(estimate) else min(estimate, now)

    def _behind(self, f: float, b: float) -> float:
        """The part of a cancel that was behind us."""
        n = self.exponent
        if self.queue == "prob_log":
            return _div(_ln(1.0 + b), _ln(1.0 + b) + _ln(1.0 + f))
        if self.queue == "prob_log2":
            return _div(_ln(1.0 + b), _ln(1.0 + (b + f)))
        if self.queue == "prob_power":
            return _div(_pow(b, n), _pow(b, n) + _pow(f, n))
        if self.queue == "prob_power2":
            return _div(_pow(b, n), _pow(b + f, n))
        assert self.queue == "prob_power3"
        return 1.0 - _pow(_div(f, f + b), n)

    def _fill(self, order: Order, px: int, qty: int, pos: int, ahead: int | None = None) -> None:
        maker = ahead is not None
        order.left -= qty
        self.held += order.side * qty
        order.resting &= order.left > 0
        in_base = self.spot and order.side == 1
        worth = qty * 10**18 // self.scale if in_base else px * qty * self.money
        fee = math.ceil(worth * self.bps[maker] / 10_000 / FEE_STEP) * FEE_STEP
        self.purse.filled(order.side, px, qty, fee, in_base)
        fill = Fill(0, order.order_id, order.tag, order.side, px, qty, maker, fee, self.at, ahead or 0, pos, in_base)
        self._report(order, "partially_filled" if order.left else "filled", "", pos, fill=fill)


def _half_up(x: float) -> int:
    """To the nearest integer, halves up; 0 for what is below one half."""
    return 0 if x < 0.5 else math.floor(x) + (x - math.floor(x) >= 0.5)


def _ln(x: float) -> float:
    return math.log(x) if x > 0 else (-math.inf if x == 0 else math.nan)


def _pow(x: float, n: float) -> float:
    return math.pow(x, n) if x >= 0 or n == int(n) else math.nan


def _div(a: float, b: float) -> float:
    if b != 0:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a)
