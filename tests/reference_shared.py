"""Profile `shared` of the simulated venue in plain Python, written from simulation.md: slow, short, one instrument.

Events and intents in; views with reports, fills and orders out. Money is integers of 10^-18, a queue estimate a float
in base units. Clock `fixed:NS`, report rule `causal`. Where simulation.md is open, what the Rust code says is chosen:

* A view is made as `session.rs` says: of one moment first records, then reports, then the venue, then the boundary; an
  own fill or reject makes a view of its own, at most 16 between two boundaries and none at a boundary.
* An input that ends goes on for what is under way, at most 60 s, and shows no boundary that has nothing later; fills
  and rejects that waited for it are shown in a view of their own.
* Of one venue time rows come before requests, rows as they arrived (section 2). A row without a stamp acts at its
  arrival less the base latency. A change of the book's state acts at the latest venue time of the depth stream. It and
  snapshots release nothing and are never late.
* The watermark is what has been released before a row arrives; only rows of the two streams are late.
* Quantities taken from the book are rounded against us: what is missing up, what is left down to whole lots; after 20
  half-lives nothing is missing. One level has one consumed quantity, brought to the present before more is added.
* Orders are checked in the order lot, price, tick, nothing to take (market), minimum, no book (market, IOC, FOK),
  post-only. A market order's minimum is reckoned at the best price. While the book is not Live everything that may wait
  rests, whatever its price, behind an unknown quantity.
* A marketable limit takes, level by level with a fill each, and what is left rests. An IOC, FOK or market order that
  took nothing expires with `no_liquidity`, the rest of one that took with `remainder`.
* Prints count in a gap too, by the estimate from before it; an order behind an unknown quantity is only traded through.
* A snapshot moves no queue and proves nothing until the state is Live again; then `ahead` is capped and what is crossed
  fills, as everywhere by no more than is displayed.
* A cancel or an amendment is refused (leaves 0) where its order has ended at the venue; where that is known nothing is
  sent. Cancel-all ends what rests when it arrives. What is refused before the venue says `overload`.
* An amendment to no more than is filled, or of a post-only to where it would take, cancels. Spot takes less only, in
  place; futures put what is amended at the end of the queue. Until it is answered `ahead` is not shown.
* Orders are counted by the span of their arrival, amendments on futures alone; what is beyond is rejected there.
* Orders of our own on the other side: a post-only that would meet one is rejected; of others what they reach expires
  before their fills: all within their limit, or what is better than the last fill of one that filled whole.
* Reduce-only looks at what was executed at the venue: a fill never goes beyond zero, what has nothing left to reduce is
  rejected or expires, after the fills of the same row. Spot has none.
* A spot buy pays its fee in the base, everything else in the quote; 8 decimals, rounded against us.
* `ahead` is shown for what the venue has said that it waits, -1 before and while it is unknown; rounded, halves up.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from reference_latency import Ways
from simulated import LIVE, Decide, Fill, Flag, Intent, Kind, Message, Report, Row, Shown, View

NEVER, HALF_LIFE_NS, FEE_STEP = 2**63 - 1, 5e9, 10**10
NS_KEYS = ("step", "decision", "entry", "response", "reorder", "base_latency")
END_NS, REPORT_VIEWS_MAX, STALE = 60_000_000_000, 16, 4
RATES = {"spot": [(10 * 10**9, 100)], "perpetual": [(10 * 10**9, 300), (60 * 10**9, 1200)]}
ENDS = ("rejected", "cancelled", "expired", "filled")
URGENT = ("rejected", "partially_filled", "filled")


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


class Reference:
    """One instrument at its simulated venue, and the session around it."""

    def __init__(self, instrument: dict[str, Any], settings: dict[str, Any]) -> None:
        self.tick, self.lot = instrument["tick"], instrument["lot"]
        self.scale = 10 ** instrument["qty_precision"]
        self.money = 10 ** (18 - instrument["price_precision"] - instrument["qty_precision"])
        self.min_notional = int(Decimal(instrument["min_notional"]) * 10**18)
        name, _, n = settings["queue"].partition(":")
        self.queue, self.exponent = name, float(n or 1)
        ns = {key: int(Decimal(str(settings[f"{key}_ms"])) * 10**6) for key in NS_KEYS}
        self.step, self.decision, self.entry, self.response = (ns[key] for key in NS_KEYS[:4])
        self.reorder, self.base_latency = ns["reorder"], ns["base_latency"]
        self.offset = int(settings["clock"].removeprefix("fixed:"))
        self.ways = Ways(instrument["venue"], settings, self.entry, self.response, self.base_latency)
        self.spot = instrument["kind"] == "spot"
        self.bps = {True: Fraction(str(settings["maker_bps"])), False: Fraction(str(settings["taker_bps"]))}
        # The venue.
        self.book: dict[int, dict[int, int]] = {1: {}, -1: {}}
        self.live, self.watermark, self.last_entry = False, -NEVER, -NEVER
        self.consumed: dict[tuple[int, int], tuple[float, int]] = {}
        # What is on its way to it, by (venue time, rows first, arrival); how far each stream was heard.
        self.waiting: list[tuple[int, int, int, Any]] = []
        self.heard = {"depth": -NEVER, "trade": -NEVER}
        self.arrivals = self.sent = 0
        # We.
        self.orders: dict[int, Order] = {}
        self.wire: deque[tuple[Report, Fill | None]] = deque()
        self.news: list[tuple[Report, Fill | None]] = []
        self.boundary, self.report_views, self.last = NEVER, 0, (0, 0)
        # What is being computed: when we are, and at which venue time.
        self.now = self.at = 0
        self.late_rows = self.position = self.held = self.cash_e18 = self.base_fees_e18 = 0
        self.state = 0
        self.rates: Counter[tuple[int, int]] = Counter()

    def run(self, messages: Iterable[Message], decide: Decide) -> None:
        """All messages, then what is under way."""
        for message in messages:
            while self._due()[0] < message.ts_recv_ns:
                self._happen(decide)
            self._arrive(message)
            if self.boundary == NEVER:
                self.boundary = -(-message.ts_recv_ns // self.step) * self.step
        end = self.last[0] + END_NS
        while self._due()[0] < end and min(self._report_due(), self._venue_due()) != NEVER:
            self._happen(decide)
        if urgent := [report for report, _ in self.news if report.kind in URGENT]:
            self.now = urgent[-1].ts_ns
            self._show("report", decide)

    def _due(self) -> tuple[int, int]:
        return min((self._report_due(), 0), (self._venue_due(), 1), (self.boundary, 2))

    def _report_due(self) -> int:
        return self.wire[0][0].ts_ns if self.wire else NEVER

    def _venue_due(self) -> int:
        at = self.waiting[0][0] if self.waiting else NEVER
        return at if at == NEVER or at < min(self.heard.values()) else at + self.reorder

    def _happen(self, decide: Decide) -> None:
        self.now, what = self._due()
        if what == 0:
            urgent = False
            while self._report_due() == self.now:
                urgent |= self._receive()
            if urgent and self.now != self.boundary and self.report_views < REPORT_VIEWS_MAX:
                self.report_views += 1
                self._show("report", decide)
        elif what == 1:
            self._take(max(self.now - self.reorder + 1, min(self.heard.values())))
        else:
            self.boundary += self.step
            self.report_views = 0
            self._show("step", decide)

    def _show(self, cause: str, decide: Decide) -> None:
        shown = tuple(
            Shown(
                o.order_id,
                o.tag,
                o.side,
                o.px,
                o.qty,
                o.leaves,
                o.state,
                self._ahead(o.front) if o.acked and not o.amends else -1,
            )
            for o in self.orders.values()
        )
        reports, fills = tuple(r for r, _ in self.news), tuple(f for _, f in self.news if f)
        self.news = []
        for intent in decide(View(self.now, cause, self.last[1], reports, fills, shown)):
            self._send(intent, self.now + self.decision)

    def _send(self, intent: Intent, sent_ns: int) -> None:
        kind, _, side, px, qty, tag, order_id, *more = intent
        known = (px, qty)
        named = [self.orders[order_id]] if order_id in self.orders else []
        if kind == Kind.CANCEL_ALL:
            named = list(self.orders.values())
            act, no = (lambda _: self._cancel_all()), "cancel_rejected"
        elif kind in (Kind.CANCEL, Kind.AMEND):
            if not named:
                return
            known = (named[0].px, named[0].qty)
            act, no = (lambda o: self._cancel(o, known)), "cancel_rejected"
            if kind == Kind.AMEND:
                act, no = (lambda o: self._amend(o, px, qty, known)), "amend_rejected"
        else:
            self.sent += 1
            order = Order(self.sent, tag, kind, side, px, qty, qty, "pending", False, qty, px, qty, any(more))
            self.orders[self.sent] = order
            named, act, no = [order], self._place, "rejected"
        for order in named if kind in (Kind.CANCEL, Kind.CANCEL_ALL, Kind.AMEND) else ():
            order.amends += kind == Kind.AMEND
            if kind != Kind.AMEND or order.state != "cancelling":
                order.state = "amending" if kind == Kind.AMEND else "cancelling"
        latency, arrives = self.ways.entry(sent_ns)
        if arrives:
            self.last_entry = max(self.last_entry, sent_ns + latency)
            if no == "rejected" or (no == "amend_rejected" and not self.spot):
                act = act if self._admits(self.last_entry) else (lambda o: self._one_too_many(o, no, known))
            return self._wait(self.last_entry, 1, (act, named[0] if named else None))
        for order in named:
            self._report(order, no, "overload", self.last[1], heard=sent_ns + latency)

    def _admits(self, at: int) -> bool:
        keys = [((at // span, span), most) for span, most in RATES["spot" if self.spot else "perpetual"]]
        if any(self.rates[key] >= most for key, most in keys):
            return False
        self.rates.update(key for key, _ in keys)
        return True

    def _one_too_many(self, order: Order, no: str, known: tuple[int, int]) -> None:
        ended = no == "amend_rejected" and not order.resting
        self._report(order, no, "unknown_order" if ended else "order_rate", self.last[1], late=known if ended else None)

    def _receive(self) -> bool:
        report, fill = self.wire.popleft()
        self.news.append((report, fill))
        order = self.orders.get(report.order_id)
        if report.kind in ENDS:
            del self.orders[report.order_id]
        elif order:
            order.leaves = report.leaves
            order.acked |= report.kind == "accepted"
            if report.kind == "amended":
                order.px, order.qty = report.px, report.qty
            order.amends -= report.kind in ("amended", "amend_rejected")
            idle = "amending" if order.amends else "resting" if order.acked else "pending"
            answers = {
                "accepted": "pending",
                "amended": "amending",
                "amend_rejected": "amending",
                "cancel_rejected": None,
            }
            if report.kind in answers and answers[report.kind] in (None, order.state):
                order.state = idle
        if fill:
            self.position += fill.side * fill.qty
            self.cash_e18 -= fill.side * fill.px * fill.qty * self.money + fill.fee_e18 * (not fill.fee_in_base)
            self.base_fees_e18 += fill.fee_e18 * fill.fee_in_base
        return report.kind in URGENT

    def _arrive(self, message: Message) -> None:
        self.now = message.ts_recv_ns
        self.last = (message.ts_recv_ns, message.pos)
        kind = message.rows[0][0]
        if kind > Row.CLEAR:
            return
        self.state = message.rows[0][1] if kind == Row.STATE else self.state
        unstamped = message.ts_recv_ns - self.base_latency
        at = unstamped if message.ts_event_ns is None else message.ts_event_ns + self.offset
        if kind == Row.STATE:
            at = unstamped if self.heard["depth"] == -NEVER else self.heard["depth"]
        elif kind != Row.CLEAR:
            stream = "depth" if kind in (Row.BID, Row.ASK) else "trade"
            self.heard[stream] = max(self.heard[stream], at)
            if message.ts_event_ns is not None and (stream == "trade" or self.state in (LIVE, STALE)):
                self.ways.heard = self.now - at
        self.watermark = max(self.watermark, min(self.heard.values()), self.now - self.reorder)
        if at < self.watermark:
            self.late_rows += len(message.rows) if kind < Row.STATE else 0
            at = self.watermark
        self._wait(at, 0, message)
        self._take(min(self.heard.values()))

    def _wait(self, at: int, rank: int, what: Any) -> None:
        self.arrivals += 1
        heapq.heappush(self.waiting, (at, rank, self.arrivals, what))

    def _take(self, before: int) -> None:
        """Everything of venue times below `before` happens."""
        while self.waiting and self.waiting[0][0] < before:
            self.watermark = max(self.watermark, before)
            self.at, rank, _, what = heapq.heappop(self.waiting)
            act, subject = (self._message, what) if rank == 0 else what
            act(subject)

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
        return "min_notional" if px * qty * self.money < self.min_notional else ""

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
        fill = Fill(0, order.order_id, order.tag, order.side, px, qty, maker, fee, self.at, ahead or 0, pos, in_base)
        self._report(order, "partially_filled" if order.left else "filled", "", pos, fill=fill)

    def _report(
        self,
        o: Order,
        kind: str,
        reason: str,
        pos: int,
        *,
        fill: Fill | None = None,
        late: tuple[int, int] | None = None,
        heard: int | None = None,
    ) -> None:
        """Arrives at max(x + response, r(x)), first in first out. `late`: what was known of an order that ended."""
        ts = max(self.at + self.ways.response(self.at), self.now) if heard is None else heard
        ts = max(ts, self.wire[-1][0].ts_ns if self.wire else -NEVER)
        px, qty = late or (o.at_px, o.at_qty)
        report = Report(ts, o.order_id, o.tag, o.side, px, qty, kind, 0 if late else o.left, reason, pos)
        self.wire.append((report, fill and fill._replace(ts_recv_ns=ts)))


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
