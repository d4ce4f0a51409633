"""Markets and policies by chance: a moving book of several levels, prints that agree with it or do not, messages that
arrive late, gaps with a resync, and orders of every kind, good and bad.

Everything follows from the seed. A market is made in venue time, then sent: each stream has its own latency, some
messages overtake others, some by more than `reorder_ms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeVar

import numpy as np
from random_bounds import bounded
from simulated import LIVE, Flag, Intent, Kind, Market, Message, Row
from tickerml.schema import UNDEF_I64

QUEUES = (
    "risk_averse", "prob_log", "prob_log2", "prob_power:2.5", "prob_power2:3", "prob_power3:3", "prob_power:1",
    "prob_power2:0.5", "prob_power3:2.5",
)  # fmt: skip
MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
DEPTH = 8
MID = 1_000
BUFFERING, STALE, GAP = 1, 4, 5
KINDS = (Kind.LIMIT, Kind.LIMIT, Kind.POST_ONLY, Kind.POST_ONLY, Kind.POST_ONLY, Kind.MARKET, Kind.IOC, Kind.FOK)
T = TypeVar("T")


class Draws:
    """Numbers by chance, drawn in blocks."""

    def __init__(self, *seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._block: list[float] = []

    def unit(self) -> float:
        if not self._block:
            self._block = self._rng.random(512).tolist()
        return self._block.pop()

    def chance(self, part: float) -> bool:
        return self.unit() < part

    def whole(self, low: int, high: int) -> int:
        """From low to high, both possible."""
        return low + int(self.unit() * (high - low + 1))

    def pick(self, things: Sequence[T]) -> T:
        return things[int(self.unit() * len(things))]


def random_instrument(draw: Draws) -> dict[str, Any]:
    """Spot or perpetual, with a tick and a lot of one unit or several."""
    venue = draw.pick(("binance_usdm", "binance_spot"))
    price_precision, qty_precision = draw.pick((1, 2)), draw.pick((0, 3, 5))
    tick, lot = draw.pick((1, 1, 5)), draw.pick((1, 1, 10))
    three_lots = Decimal(3 * lot * MID * tick).scaleb(-price_precision - qty_precision)
    return {
        "venue": venue, "symbol": "DEMOUSDT", "base": "DEMO", "quote": "USDT",
        "kind": "perpetual" if venue == "binance_usdm" else "spot",
        "price_precision": price_precision, "qty_precision": qty_precision, "tick": tick, "lot": lot,
        "min_notional": draw.pick(("0", "0", f"{three_lots:f}")), "contract_size": "1",
        "funding_interval_h": None, "metadata_source": "given",
    }  # fmt: skip


def random_settings(draw: Draws) -> dict[str, Any]:
    """Profile `shared` with a fixed clock."""
    return {
        "step_ms": draw.pick((50, 100)), "queue": draw.pick(QUEUES), "exchange": "shared", "report_rule": "causal",
        "reorder_ms": draw.pick((0, 20, 60, 250, 250)), "base_latency_ms": draw.pick((1, 5)),
        "clock": f"fixed:{draw.pick((0, -1_270 * MS, 1_000_000_007))}", "entry_ms": draw.pick((0, 0.5, 10, 140)),
        "response_ms": draw.pick((0, 0.25, 10, 140)), "decision_ms": draw.pick((0, 1)),
        "maker_bps": draw.pick((0, 2, -0.5, 1.2345)), "taker_bps": draw.pick((0, 5, 3.3333)),
        **random_latency(draw),
    }  # fmt: skip


def random_latency(draw: Draws) -> dict[str, Any]:
    """A model of latency; a file has an order every 50 to 200 ms, and some that were refused."""
    kind = draw.pick(("constant", "constant", "venue", "feed", "file:given"))
    if not kind.startswith("file:"):
        return {"latency": kind, "seed": draw.whole(0, 99)}
    req, exch, resp = START_NS, START_NS, START_NS
    rows = []
    for _ in range(300):
        req += draw.whole(50, 200) * MS
        exch = max(exch, req + draw.whole(0, 200) * MS + draw.whole(0, 9))
        resp = max(resp, exch + draw.whole(0, 200) * MS)
        rows.append((req, 0 if draw.chance(0.08) else exch, resp))
    columns = tuple(np.array(column, np.int64) for column in zip(*rows, strict=True))
    return {"latency": kind, "seed": 0, "latencies": columns}


class Maker:
    """Makes one market: the book as the venue has it, and what it sends."""

    def __init__(
        self, draw: Draws, instrument: dict[str, Any], settings: dict[str, Any], *, calm: bool = False
    ) -> None:
        self.calm, self.draw, self.instrument, self.settings = calm, draw, instrument, settings
        self.offset = int(settings["clock"].removeprefix("fixed:"))
        self.reorder = int(settings["reorder_ms"] * MS)
        self.mid = draw.whole(MID // 2, 2 * MID)
        self.books: dict[int, dict[int, int]] = {Row.BID: {}, Row.ASK: {}}
        self.x = START_NS + draw.whole(0, 999) * MS
        self.delay = {Row.BID: draw.whole(3, 12) * MS, Row.BUY_TRADE: draw.whole(3, 30) * MS}
        self.sent: list[tuple[int, int, list[Message]]] = []
        self.gap_since: int | None = None
        for k in range(1, DEPTH + 1):
            self.books[Row.BID][self.mid - k] = self.qty()
            self.books[Row.ASK][self.mid + k] = self.qty()

    def qty(self, lots_max: int = 30) -> int:
        """Whole lots, but for a few that are not."""
        lot = self.instrument["lot"]
        odd = self.draw.whole(0, lot - 1) if self.draw.chance(0.05) else 0
        return max(1, self.draw.whole(1, lots_max) * lot - odd)

    def market(self, steps: int) -> Market:
        self.resync(LIVE, at_start=True)
        for _ in range(steps):
            self.step()
        self.sent.append((self.sent_at(Row.BID) + 400 * MS, 0, [self.message(None, [(Row.TOUCH, self.mid, 1, 0)])]))
        self.sent.sort(key=lambda entry: entry[:2])
        messages, last = [], 0
        for recv, _, group in self.sent:
            last = max(last, recv)
            messages += [m._replace(ts_recv_ns=last) for m in group]
        return Market(self.instrument, self.settings, [m._replace(pos=n) for n, m in enumerate(messages)])

    def step(self) -> None:
        draw = self.draw
        if draw.chance(0.85):
            self.x += int(-20 * MS * np.log(1 - draw.unit()))
        elif draw.chance(0.15) and not self.calm:
            self.x += draw.whole(200, 6_000) * MS
        if draw.chance(0.5):
            # Whole milliseconds, so that rows meet requests of the same venue time.
            self.x = -(-self.x // MS) * MS
        chance = draw.unit()
        if chance < 0.48:
            self.depth(self.changes())
        elif chance < 0.88:
            self.trade()
        elif self.gap_since is not None and draw.chance(0.3):
            self.resync(LIVE)
        elif chance < 0.9 and self.gap_since is None and not self.calm:
            self.gap_since = len(self.sent)
            self.send(Row.BID, [self.message(None, [(Row.STATE, draw.pick((GAP, GAP, STALE)), 5, 0)])])
        else:
            self.send(
                Row.BID,
                [self.message(None, [(Row.TOUCH, self.mid - 1, 3, 0), (Row.TOUCH, self.mid + 1, 4, Flag.ASK_SIDE)])],
            )

    def changes(self) -> list[tuple[int, int, int, int]]:
        """Rows of one depth message: the mid moves, or some levels change."""
        rows: dict[tuple[int, int], int] = {}
        if self.draw.chance(0.3):
            self.mid += self.draw.whole(-3, 3)
            for side, sign in ((Row.BID, -1), (Row.ASK, 1)):
                rows |= {(side, px): 0 for px in self.books[side] if (px - self.mid) * sign <= 0}
                near = (self.mid + sign * k for k in range(1, 4))
                rows |= {(side, px): self.qty() for px in near if px not in self.books[side]}
        for _ in range(self.draw.whole(1, 4)):
            side = self.draw.pick((Row.BID, Row.ASK))
            px = self.mid + self.draw.whole(1, DEPTH) * (1 if side == Row.ASK else -1)
            rows[side, px] = 0 if self.draw.chance(0.2) else self.qty()
        made = [(side, px, qty, 0) for (side, px), qty in rows.items()]
        return sorted(made, key=lambda _: self.draw.unit())

    def depth(self, rows: list[tuple[int, int, int, int]]) -> None:
        for side, px, qty, _ in rows:
            self.books[side][px] = qty
            if not qty:
                del self.books[side][px]
        self.send(Row.BID, [self.message(self.stamp(), rows)])

    def trade(self) -> None:
        """Prints at the best, which a later diff takes from the book, or anywhere."""
        draw = self.draw
        taker, side = draw.pick(((Row.BUY_TRADE, Row.ASK), (Row.SELL_TRADE, Row.BID)))
        if draw.chance(0.3) or not self.books[side]:
            rows = [(taker, self.mid + draw.whole(-5, 5), self.qty(40), 0) for _ in range(draw.whole(1, 3))]
            self.send(Row.BUY_TRADE, [self.message(self.stamp(), rows)])
            return
        px = (min if side == Row.ASK else max)(self.books[side])
        shown = self.books[side][px]
        qty = draw.whole(1, shown) if draw.chance(0.7) else shown
        self.send(Row.BUY_TRADE, [self.message(self.stamp(), [(taker, px, qty, 0)])])
        self.x += 0 if draw.chance(0.5) else draw.whole(0, 5) * MS
        self.depth([(side, px, shown - qty, 0)])

    def resync(self, state: int, at_start: bool = False) -> None:
        """A snapshot, the diffs that it does not hold, and the state; what was lost meanwhile never arrived."""
        if not at_start and self.gap_since is not None:
            lost = [e for e in self.sent[self.gap_since :] if e[2][0].rows[0][0] in (Row.BID, Row.ASK)]
            self.sent = [e for e in self.sent if e not in lost]
        self.gap_since = None
        levels = [(side, px, qty, Flag.SNAPSHOT) for side, book in self.books.items() for px, qty in book.items()]
        clears = [(Row.CLEAR, 0, 0, Flag.SNAPSHOT), (Row.CLEAR, 0, 0, Flag.SNAPSHOT | Flag.ASK_SIDE)]
        # A buffered diff that straddles the snapshot is older than it.
        younger = self.draw.whole(1, 4) * MS if self.draw.chance(0.3) else 0
        stamp = None if self.draw.chance(0.3) else self.x - self.offset + younger
        group = [self.message(stamp, clears + levels)]
        for _ in range(self.draw.whole(0, 2)):
            rows = self.changes()
            for side, px, qty, _flags in rows:
                self.books[side][px] = qty
                if not qty:
                    del self.books[side][px]
            group.append(self.message(self.x - self.offset, rows))
        if at_start:
            group.insert(0, self.message(None, [(Row.STATE, BUFFERING, 1, 0)]))
        self.send(Row.BID, [*group, self.message(None, [(Row.STATE, state, 4, 0)])])

    def stamp(self) -> int | None:
        return None if self.draw.chance(0.02) else self.x - self.offset

    def message(self, stamp: int | None, rows: list[tuple[int, int, int, int]]) -> Message:
        tick = self.instrument["tick"]
        scaled = [(k, px if k in (Row.STATE, Row.CLEAR) else px * tick, qty, flags) for k, px, qty, flags in rows]
        scaled[-1] = (*scaled[-1][:3], scaled[-1][3] | Flag.LAST)
        return Message(0, 0, stamp, tuple(scaled))

    def send(self, stream: int, group: list[Message]) -> None:
        self.sent.append((self.sent_at(stream), len(self.sent), group))

    def sent_at(self, stream: int) -> int:
        """When it arrives: mostly in order, sometimes not, rarely too late."""
        draw = self.draw
        recv = self.x + self.delay[stream] + draw.whole(0, 2) * MS + draw.whole(0, 1)
        chance = draw.unit()
        if chance < 0.06:
            recv += draw.whole(0, max(self.reorder, 1))
        elif chance < 0.08 and not self.calm:
            recv += self.reorder + draw.whole(0, 300) * MS
        return recv


def random_market(*seed: int, steps: int = 150, calm: bool = False) -> Market:
    """The market of a seed. A calm one has no gaps and no silence, and nothing in it is late if all may take 400 ms."""
    draw = Draws(*seed, 1)
    market = Maker(draw, random_instrument(draw), random_settings(draw), calm=calm).market(steps)
    return bounded(market, Draws(*seed, 4), MID)


class RandomPolicy:
    """Sends orders of every kind near the book, some of them wrong, and cancels what it sent, some of it twice."""

    def __init__(self, market: Market, *seed: int, busy: float = 0.5) -> None:
        self.draw = Draws(*seed, 2)
        self.tick, self.lot = market.instrument["tick"], market.instrument["lot"]
        self.end_ns = market.end_ns
        self.busy = busy
        self.px = MID * self.tick
        self.sent = 0

    def __call__(self, view: Any) -> list[Intent]:
        if view.ts_ns > self.end_ns:
            return []
        best = view.book_px[0, :, 0]
        if best[0] != UNDEF_I64 and best[1] != UNDEF_I64:
            self.px = int(best[0] + best[1]) // 2
        wanted = []
        while self.draw.chance(self.busy) and len(wanted) < 4:
            wanted.append(self._change(view) if self.draw.chance(0.4) else self._order())
        return wanted

    def _change(self, view: Any) -> Intent:
        draw, known = self.draw, view.orders
        if draw.chance(0.04):
            return (Kind.CANCEL_ALL, 0, 1, 0, 0, 0, 0)
        if known and draw.chance(0.45):
            order = draw.pick(known)
            px = order.px if draw.chance(0.5) else (order.px // self.tick - order.side * draw.whole(-4, 3)) * self.tick
            qty = draw.whole(0, 2 * max(1, order.qty // self.lot)) * self.lot + draw.chance(0.03)
            return (Kind.AMEND, 0, order.side, px, qty, 0, order.order_id)
        order_id = draw.pick(known).order_id if known and draw.chance(0.9) else draw.whole(1, self.sent + 3)
        return (Kind.CANCEL, 0, 1, 0, 0, 0, order_id)

    def _order(self) -> Intent:
        draw = self.draw
        self.sent += 1
        kind, side = draw.pick(KINDS), draw.pick((1, -1))
        px = (self.px // self.tick - side * draw.whole(-2, 5)) * self.tick
        if kind in (Kind.IOC, Kind.FOK) or (kind == Kind.LIMIT and draw.chance(0.5)):
            px = (self.px // self.tick + side * draw.whole(-1, 5)) * self.tick
        qty = draw.whole(1, 40 if draw.chance(0.3) else 8) * self.lot
        if draw.chance(0.06):
            wrong = ((px + 1, qty), (-px, qty), (0, qty), (px, qty + 1), (px, 0), (px, -qty), (px, self.lot))
            px, qty = draw.pick(wrong)
        return (kind, 0, side, px, qty, draw.whole(-9, 9), 0, draw.chance(0.12))
