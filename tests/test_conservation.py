"""Nothing comes from nothing: fills are covered by prints and by what was displayed, no order fills before it arrives
or beyond its quantity, and money is the sum of the fills, to the last digit (simulation.md 3).

The cases are small and arrive in order, so that the venue's book at any time is the messages up to it: what is checked
here is reckoned from the messages and the reports alone.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import pytest
from random_markets import MS, START_NS, Draws, RandomPolicy, random_instrument, random_settings
from simulated import LIVE, Fill, Intent, Kind, Market, Message, Row, as_plain, native_session
from tickerml.portfolio import Portfolio
from tickerml.schema import MONEY_ONE

pytest.importorskip("tickerml._native", reason="the native module is not built")

MID = 1_000
LATENCY_NS = 3 * MS
HALF_LIFE_NS = 5e9
START = 10_000
Book = dict[int, dict[int, int]]
"""Quantities by price, bids under 1 and asks under -1."""


def small_market(draw: Draws) -> Market:
    """A book of a few levels that may cross, prints anywhere; every message arrives 3 ms after it happened."""
    instrument, settings = random_instrument(draw), random_settings(draw)
    settings.update(clock="fixed:0", step_ms=20, reorder_ms=draw.pick((4, 5, 50)), entry_ms=draw.pick((0, 1, 30)))
    settings.update(latency="constant", response_ms=draw.pick((0, 1, 30)), base_latency_ms=3)
    tick, lot = instrument["tick"], instrument["lot"]
    at = START_NS + draw.whole(0, 999) * MS

    def message(rows: list[tuple[int, int, int]]) -> Message:
        scaled = [(kind, px if kind == Row.STATE else px * tick, qty, 0) for kind, px, qty in rows]
        scaled[-1] = (*scaled[-1][:3], 1)
        return Message(len(messages), at + LATENCY_NS, None if rows[0][0] == Row.STATE else at, tuple(scaled))

    messages: list[Message] = []
    near = [(side, MID + sign * k, draw.whole(1, 9) * lot) for side, sign in ((1, -1), (2, 1)) for k in (1, 2, 3)]
    messages.append(message(near))
    messages.append(message([(Row.STATE, LIVE, 4)]))
    for _ in range(draw.whole(6, 20)):
        at += draw.whole(500, 4_000) * MS if draw.chance(0.03) else draw.whole(0, 25) * MS
        if draw.chance(0.5):
            kinds = (Row.BUY_TRADE, Row.SELL_TRADE)
            rows = [
                (draw.pick(kinds), MID + draw.whole(-4, 4), draw.whole(1, 20) * lot) for _ in range(draw.whole(1, 2))
            ]
        else:
            kinds = (Row.BID, Row.ASK)
            rows = [
                (side, MID + (draw.whole(-4, 2) if side == Row.BID else draw.whole(-2, 4)), draw.whole(0, 9) * lot)
                for side in (draw.pick(kinds) for _ in range(draw.whole(1, 5)))
            ]
        messages.append(message(rows))
    at += 200 * MS
    messages.append(message([(Row.TOUCH, 1, 1)]))
    return Market(instrument, settings, messages)


class Case:
    """One run: orders as they were sent, fills as they were reported, and the venue's book after every message."""

    def __init__(self, market: Market, policy: RandomPolicy) -> None:
        self.market = market
        self.scale = 10 ** (market.instrument["price_precision"] + market.instrument["qty_precision"])
        self.orders: dict[int, tuple[Intent, int]] = {}
        self.fills: list[Fill] = []
        self.leaves: dict[int, int] = {}
        self.terms: dict[int, tuple[int, int]] = {}
        self.limits: list[tuple[int, int]] = []
        self.times = [m.ts_recv_ns - LATENCY_NS for m in market.messages]
        self.books = list(books(market.messages))
        session = native_session(market)
        self.portfolio = Portfolio({"USDT": str(START)}, session.instruments)
        delay = int((market.settings["decision_ms"] + market.settings["entry_ms"]) * MS)
        for view in session:
            self.portfolio.apply(view)
            self._keep(as_plain(view))
            wanted = policy(view)
            ids = session.submit(wanted, (), self.portfolio.state_bytes())
            for order_id, intent in zip(ids, wanted, strict=True):
                if intent[0] not in (Kind.CANCEL, Kind.CANCEL_ALL, Kind.AMEND):
                    self.orders[order_id] = (intent, view.ts_ns + delay)
                    self.terms[order_id] = intent[3:5]
        assert session.stats()["late_rows"] == 0

    def _keep(self, view: Any) -> None:
        """`limits` are each fill's price and quantity in force: reports come in the order of what happened."""
        self.fills += view.fills
        filled: Counter[int] = Counter()
        for fill in view.fills:
            filled[fill.order_id] += fill.qty
        for report in view.reports:
            if report.kind in ("filled", "partially_filled"):
                before = self.leaves.get(report.order_id, report.qty)
                assert 0 <= report.leaves < before, report
                filled[report.order_id] -= before - report.leaves
                self.leaves[report.order_id] = report.leaves
                self.limits.append(self.terms[report.order_id])
            elif report.kind == "amended":
                done = self.terms[report.order_id][1] - self.leaves.get(report.order_id, self.terms[report.order_id][1])
                assert report.leaves == report.qty - done > 0, report
                self.terms[report.order_id], self.leaves[report.order_id] = (report.px, report.qty), report.leaves
            elif report.reason != "unknown_order":
                assert report.leaves == self.leaves.get(report.order_id, report.qty), report
        assert not any(filled.values()), "a report's leaves and its fill disagree"

    def book_at(self, at_ns: int) -> Book:
        """What the venue displays to a request of that time."""
        return self.books[bisect_right(self.times, at_ns) - 1]

    # ---- what must hold ------------------------------------------------------------------------------------------

    def check(self) -> None:
        self.each_fill_is_of_its_order()
        self.prints_cover_their_fills()
        self.displayed_quantities_cover_the_others()
        self.money_is_the_sum()

    def each_fill_is_of_its_order(self) -> None:
        total: Counter[int] = Counter()
        last = held = 0
        for f, (px, qty) in zip(self.fills, self.limits, strict=True):
            (kind, _, side, _, _, tag, _, reduces), arrival = self.orders[f.order_id]
            assert not reduces or 0 <= (held + side * f.qty) * -side < held * -side, f"reduced beyond zero: {f}"
            held += side * f.qty
            total[f.order_id] += f.qty
            assert f.ts_event_ns >= arrival, f"a fill before the order's arrival: {f}"
            assert f.ts_event_ns >= last, f"venue time goes back: {f}"
            assert f.ts_recv_ns >= f.ts_event_ns + int(self.market.settings["response_ms"] * MS)
            assert f.qty > 0
            assert total[f.order_id] <= qty, f"filled beyond its quantity: {f}"
            assert (f.side, f.tag) == (side, tag)
            assert kind == Kind.MARKET or (px - f.px) * side >= 0, f"filled worse than its limit: {f}"
            assert not f.maker or (f.px == px and kind in (Kind.LIMIT, Kind.POST_ONLY)), f
            last = f.ts_event_ns
        for order_id, ((kind, _, _, _, qty, *_), _) in self.orders.items():
            assert kind != Kind.FOK or total[order_id] in (0, qty), "a fill-or-kill filled in part"

    def prints_cover_their_fills(self) -> None:
        """Of one message: what we sold at P or above is at most what was bought there; mirrored for what we bought."""
        for pos, fills in grouped((f.cause_pos, f) for f in self.fills if f.maker and self.is_trade(f.cause_pos)):
            message = self.market.messages[pos]
            for side in (1, -1):
                taker = Row.SELL_TRADE if side == 1 else Row.BUY_TRADE
                for limit in {f.px for f in fills if f.side == side}:
                    ours = sum(f.qty for f in fills if f.side == side and (limit - f.px) * side >= 0)
                    prints = sum(q for kind, px, q, _ in message.rows if kind == taker and (limit - px) * side >= 0)
                    assert ours <= prints, f"{ours} of {prints} printed at or through {limit}: {message} {fills}"

    def displayed_quantities_cover_the_others(self) -> None:
        """Takers and book-throughs: at one moment at most what was displayed, and over time no more than that and what
        came back of it meanwhile.
        """
        taken = [f for f in self.fills if not f.maker or not self.is_trade(f.cause_pos)]
        for (at, side), fills in grouped(((f.ts_event_ns, f.side), f) for f in taken):
            pos = {f.cause_pos for f in fills if f.maker}
            shown = [self.books[p] for p in pos] + [self.book_at(at) for f in fills if not f.maker]
            self.covered(side, fills, highest(shown, -side), 1.0)
        for side in (1, -1):
            fills = [f for f in taken if f.side == side]
            if fills:
                span = fills[-1].ts_event_ns - fills[0].ts_event_ns
                back = math.log(2) * span / HALF_LIFE_NS
                self.covered(side, fills, highest(self.books, -side), 1.0 + back)

    def covered(self, side: int, fills: list[Fill], shown: dict[int, int], times: float) -> None:
        for limit in {f.px for f in fills}:
            ours = sum(f.qty for f in fills if (limit - f.px) * side >= 0)
            there = sum(qty for px, qty in shown.items() if (limit - px) * side >= 0)
            assert ours <= there * times + 1e-6, f"{ours} taken of {there} x {times} at or through {limit}: {fills}"

    def is_trade(self, pos: int) -> bool:
        return self.market.messages[pos].rows[0][0] in (Row.BUY_TRADE, Row.SELL_TRADE)

    def money_is_the_sum(self) -> None:
        """Each asset by itself: cash and holdings are the fills less the fees that were taken in that asset."""
        paid = sum(Fraction(f.side * f.px * f.qty, self.scale) for f in self.fills)
        spot = self.market.instrument["kind"] == "spot"
        one_base, one_quote = (10 ** self.market.instrument[key] for key in ("qty_precision", "price_precision"))
        fees = worth_of_base = in_base = Fraction(0)
        for f in self.fills:
            bps = Fraction(str(self.market.settings["maker_bps" if f.maker else "taker_bps"]))
            assert f.fee_in_base == (spot and f.side == 1)
            exact = (Fraction(f.qty, one_base) if f.fee_in_base else Fraction(f.px * f.qty, self.scale)) * bps / 10_000
            fee = Fraction(math.ceil(exact * 10**8), 10**8)
            assert Fraction(f.fee_e18, MONEY_ONE) == fee, f"a fee that is not rounded against us: {f}"
            if f.fee_in_base:
                in_base += fee
                worth_of_base += fee * Fraction(f.px, one_quote)
            else:
                fees += fee
        (shown,) = self.portfolio.positions
        lots = self.portfolio._lots[0]
        held = sum(f.side * f.qty for f in self.fills) - in_base * one_base
        assert Fraction(lots.qty * one_base, 10**lots.precision) == held
        assert shown == math.trunc(held)
        assert Fraction(lots.fees, MONEY_ONE) == fees + worth_of_base
        # Cash of a perpetual holds results alone: what is still open was not paid.
        open_cost = Fraction(0 if self.market.instrument["kind"] == "spot" else lots.cost, MONEY_ONE)
        assert Fraction(self.portfolio.cash_e18("USDT"), MONEY_ONE) == START - paid - fees + open_cost
        worth = Fraction(held * lots.mark2, 2 * self.scale) if held else Fraction(0)
        error = Fraction(self.portfolio.equity_e18, MONEY_ONE) - (START - paid - fees + worth)
        assert not held or lots.mark2 < 0 or abs(error) <= Fraction(1, MONEY_ONE)


def books(messages: Iterable[Message]) -> Iterable[Book]:
    book: Book = {1: {}, -1: {}}
    for message in messages:
        for kind, px, qty, _ in message.rows:
            if kind in (Row.BID, Row.ASK):
                book[1 if kind == Row.BID else -1][px] = qty
        yield {side: dict(levels) for side, levels in book.items()}


def highest(shown: Iterable[Book], side: int) -> dict[int, int]:
    """The most that stood at each price of a side."""
    most: dict[int, int] = {}
    for book in shown:
        for px, qty in book[side].items():
            most[px] = max(most.get(px, 0), qty)
    return most


def grouped(pairs: Iterable[tuple[Any, Fill]]) -> Iterable[tuple[Any, list[Fill]]]:
    groups: dict[Any, list[Fill]] = defaultdict(list)
    for key, fill in pairs:
        groups[key].append(fill)
    return groups.items()


WANTED = ("printed", "met by the book", "taken", "closed", "fees in the base")


def conserve(seeds: range) -> None:
    met: Counter[str] = Counter()
    for seed in seeds:
        market = small_market(Draws(seed, 4))
        case = Case(market, RandomPolicy(market, seed, busy=0.4))
        try:
            case.check()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        met["orders"] += len(case.orders)
        met["closed"] += case.portfolio.positions == [0]
        met["fees in the base"] += any(f.fee_in_base and f.fee_e18 for f in case.fills)
        for f in case.fills:
            met["taken" if not f.maker else "printed" if case.is_trade(f.cause_pos) else "met by the book"] += 1
    print(f"\n{len(seeds)} cases:", *(f"{name} {count}" for name, count in sorted(met.items())), sep="\n  ")
    assert min(met[name] for name in WANTED) > len(seeds) // 50


def test_a_thousand_cases_conserve() -> None:
    conserve(range(1_000))


@pytest.mark.soak
def test_a_hundred_thousand_cases_conserve() -> None:
    conserve(range(1_000_000, 1_100_000))


def test_the_bounds_can_fail() -> None:
    """A fill more, larger, earlier, cheaper or at another fee than it was is found."""
    found: Counter[str] = Counter()
    for seed in range(40):
        market = small_market(Draws(seed, 4))
        for name, wrong in WRONG.items():
            case = Case(market, RandomPolicy(market, seed, busy=0.4))
            if not case.fills:
                continue
            case.fills[0] = wrong(case.fills[0])
            try:
                case.check()
            except AssertionError:
                found[name] += 1
    assert set(found) == set(WRONG)
    assert min(found.values()) > 20


WRONG = {
    "larger": lambda f: f._replace(qty=f.qty * 100),
    "earlier": lambda f: f._replace(ts_event_ns=f.ts_event_ns - 2_000 * MS),
    "better": lambda f: f._replace(px=f.px - f.side),
    "fee": lambda f: f._replace(fee_e18=f.fee_e18 - 1),
}
