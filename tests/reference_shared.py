"""Profile `shared` of the simulated venue in plain Python, written from simulation.md: slow, short, one instrument.

What the venue does is in `reference_venue.py`; here is when it happens, and when it is known.

Events and intents in; views with reports, fills and orders out. Money is integers of 10^-18, a queue estimate a float
in base units. Clock `fixed:NS`, report rule `causal`. Where simulation.md is open, what the Rust code says is chosen:

* A view is made as `session.rs` says: of one moment first records, then reports, then the venue, then the boundary; an
  own fill or reject makes a view of its own, at most 16 between two boundaries and none at a boundary.
* An input that ends goes on for what is under way, at most 60 s, and shows no boundary that has nothing later; fills
  and rejects that waited for it are shown in a view of their own.
* Of one venue time rows come before requests, rows as they arrived (section 2). A row without a stamp acts at its
  arrival less the base latency. A diff acts no earlier than the snapshot before it, a change of the book's state
  at the latest venue time of either, and no earlier than the change before. It and snapshots release nothing and are
  never late.
* The watermark is what has been released before a row arrives; only rows of the two streams are late.
* Quantities taken from the book are rounded against us: what is missing up, what is left down to whole lots; after 20
  half-lives nothing is missing. One level has one consumed quantity, brought to the present before more is added.
* Orders are checked in the order lot, price, tick, nothing to take (market), minimum, band, no book (market, IOC,
  FOK), balance, post-only. A market order's minimum is reckoned at the best price. While the book is not Live
  everything that may wait rests, whatever its price, behind an unknown quantity.
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
* A band lies around the last mark price heard by now and stamped no later than the order's arrival (futures), or the
  mean of the prints of the last minutes in whole seconds, else the last print (spot); an amendment meets it too.
* Balances are spot's: owned without what resting orders may give must cover price x quantity of a buy that may wait,
  what any other buy would pay, a sell's quantity.
* A spot buy pays its fee in the base, everything else in the quote; 8 decimals, rounded against us.
* `ahead` is shown for what the venue has said that it waits, -1 before and while it is unknown; rounded, halves up.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from reference_latency import Ways
from reference_venue import Order, Venue
from simulated import LIVE, Decide, Fill, Flag, Intent, Kind, Message, Report, Row, Shown, View

NEVER = 2**63 - 1
NS_KEYS = ("step", "decision", "entry", "response", "reorder", "base_latency")
END_NS, REPORT_VIEWS_MAX, STALE = 60_000_000_000, 16, 4
RATES = {"spot": [(10 * 10**9, 100)], "perpetual": [(10 * 10**9, 300), (60 * 10**9, 1200)]}
ENDS = ("rejected", "cancelled", "expired", "filled")
URGENT = ("rejected", "partially_filled", "filled")


class Reference(Venue):
    """One instrument at its simulated venue, and the session around it: time, knowledge, and what goes to and fro."""

    def __init__(self, instrument: dict[str, Any], settings: dict[str, Any]) -> None:
        super().__init__(instrument, settings)
        ns = {key: int(Decimal(str(settings[f"{key}_ms"])) * 10**6) for key in NS_KEYS}
        self.step, self.decision, self.entry, self.response = (ns[key] for key in NS_KEYS[:4])
        self.reorder, self.base_latency = ns["reorder"], ns["base_latency"]
        self.offset = int(settings["clock"].removeprefix("fixed:"))
        self.ways = Ways(instrument["venue"], settings, self.entry, self.response, self.base_latency)
        # What is on its way to the venue, by (venue time, rows first, arrival); how far each stream was heard.
        self.waiting: list[tuple[int, int, int, Any]] = []
        self.heard = {"depth": -NEVER, "trade": -NEVER}
        self.watermark = self.last_entry = -NEVER
        self.arrivals = self.sent = 0
        # We.
        self.wire: deque[tuple[Report, Fill | None]] = deque()
        self.news: list[tuple[Report, Fill | None]] = []
        self.boundary, self.report_views = NEVER, 0
        # When we are.
        self.now = 0
        self.late_rows = self.position = self.cash_e18 = self.base_fees_e18 = 0
        self.state = 0
        self.snapshot_at = self.state_at = -NEVER
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
        stamp = message.ts_event_ns
        unstamped = message.ts_recv_ns - self.base_latency
        at = unstamped if stamp is None else stamp + self.offset
        if kind == Row.MARK:
            for _, px, _, flags in message.rows:
                if not flags & Flag.ASK_SIDE:
                    self.band.marked(at, px)
        if kind > Row.CLEAR:
            return
        self.state = message.rows[0][1] if kind == Row.STATE else self.state
        if kind == Row.STATE:
            book_at = max(self.heard["depth"], self.snapshot_at)
            self.state_at = at = max(unstamped if book_at == -NEVER else book_at, self.state_at)
        elif kind == Row.CLEAR:
            self.snapshot_at = max(self.snapshot_at, at)
        else:
            stream = "depth" if kind in (Row.BID, Row.ASK) else "trade"
            at = max(at, self.snapshot_at) if stream == "depth" else at
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
