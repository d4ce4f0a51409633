"""By hand: orders that are changed, meet their fill on the way, or may only reduce (simulation.md 1 and 3)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from engine_fakes import FakeReport, Info, view
from simulated import INSTRUMENT, Intent, Kind, Market, Message, Row, View, native_session, run_native
from test_cost import hand_market
from test_reference_shared import MS, NS, SETTINGS, by_hand, limit, message
from tickerml import config, engine
from tickerml.policy.base import quantity_worth
from tickerml.portfolio import Portfolio
from tickerml.risk import Limits, Risk
from tickerml.schema import AMEND, CANCEL_ALL, IOC, LIMIT, LIQUIDATE, UNDEF_I64
from tickerml.schema import Intent as Wanted
from tickerml.sinks.files import OrdersFile
from tickerml.sinks.ledger import Ledger
from tickerml.sources.recorded import tape_session
from tickerml.sources.tapes import import_files

pytest.importorskip("tickerml._native", reason="the native module is not built")

CAPTURE = Path(__file__).parent / "data" / "binance_usdm_DEMOUSDT.raw.gz"
TAKE = (Kind.IOC, 0, 1, 101, 2, 0, 0)
QUICK = {"reorder_ms": 0}


def amend(order_id: int, px: int, qty: int, side: int = 1) -> Intent:
    return (Kind.AMEND, 0, side, px, qty, 0, order_id)


def cancel(order_id: int) -> Intent:
    return (Kind.CANCEL, 0, 1, 0, 0, 0, order_id)


def reduce_only(intent: Intent) -> Intent:
    return (*intent, True)


def told(views: list[View]) -> list[tuple[int, str, str]]:
    return [(r.order_id, r.kind, r.reason) for view in views for r in view.reports]


def shown(views: list[View], at_ms: int) -> list[tuple[int, int, int, str, int]]:
    (view,) = (view for view in views if view.ts_ns == NS + at_ms * MS)
    return [(o.px, o.qty, o.leaves, o.state, o.ahead_qty) for o in view.orders]


def spot(messages: list[Message], orders: dict[float, list[Intent]]) -> list[View]:
    start = [message(1, 0, (Row.BID, 99, 5), (Row.ASK, 101, 5)), message(1, None, (Row.STATE, 3, 4))]
    numbered = [m._replace(pos=n) for n, m in enumerate([*start, *messages, message(3_000, None, (Row.TOUCH, 1, 1))])]
    market = Market({**INSTRUMENT, "venue": "binance_spot", "kind": "spot"}, {**SETTINGS, **QUICK}, numbered)
    return run_native(market, lambda view: orders.pop((view.ts_ns - NS) / MS, ()))[0]


def test_spot_takes_less_in_place_and_nothing_else() -> None:
    """5 stand ahead; 3 more come behind. Less keeps the place; more, or another price, is refused."""
    more = [message(50, 50, (Row.BID, 99, 8))]
    views = spot(
        more, {10.0: [limit(1, 99, 4)], 100.0: [amend(1, 99, 2)], 200.0: [amend(1, 99, 3)], 300.0: [amend(1, 98, 1)]}
    )
    assert told(views) == [
        (1, "accepted", ""), (1, "amended", ""), (1, "amend_rejected", "amend_only_less"),
        (1, "amend_rejected", "amend_only_less"),
    ]  # fmt: skip
    assert shown(views, 400) == [(99, 2, 2, "resting", 5)]


def test_futures_put_what_is_amended_at_the_end_of_the_queue() -> None:
    more = [message(50, 50, (Row.BID, 99, 8)), message(60, 60, (Row.BID, 98, 7))]
    orders = {10.0: [limit(1, 99, 4)], 100.0: [amend(1, 99, 2)], 200.0: [amend(1, 98, 6)]}
    views, _ = by_hand(more, orders, **QUICK)
    assert shown(views, 90) == [(99, 4, 4, "resting", 5)]
    assert shown(views, 150) == [(99, 2, 2, "resting", 8)]
    assert shown(views, 250) == [(98, 6, 6, "resting", 7)]


def test_nothing_of_an_amendment_shows_before_its_answer() -> None:
    views, _ = by_hand([], {10.0: [limit(1, 99, 4)], 100.0: [amend(1, 98, 6)]}, entry_ms=20, response_ms=100, **QUICK)
    for at_ms in (140, 180, 210):
        assert shown(views, at_ms) == [(99, 4, 4, "amending", -1)], at_ms
    assert shown(views, 230) == [(98, 6, 6, "resting", 0)]


def test_a_cancel_and_an_amendment_that_meet_their_fill_are_refused() -> None:
    """Filled whole at 105; both were under way from 100 to 120, the answers come later."""
    through = [message(106, 105, (Row.SELL_TRADE, 98, 9)), message(107, 106, (Row.BID, 97, 1))]
    for change, kind in ((cancel(1), "cancel_rejected"), (amend(1, 99, 9), "amend_rejected")):
        views, _ = by_hand(through, {10.0: [limit(1, 99, 4)], 100.0: [change]}, entry_ms=20, response_ms=30, **QUICK)
        assert told(views) == [(1, "accepted", ""), (1, "filled", ""), (1, kind, "unknown_order")]


def test_an_amendment_that_meets_a_part_of_its_fill_changes_the_rest() -> None:
    """3 of 4 are filled on the way: to 6 leaves 3, to 3 leaves nothing and ends it."""
    prints = [message(106, 105, (Row.SELL_TRADE, 99, 8))]
    for qty, end in ((6, ("amended", "")), (3, ("cancelled", "amend_below_filled"))):
        views, _ = by_hand(prints, {10.0: [limit(1, 99, 4)], 100.0: [amend(1, 99, qty)]}, entry_ms=20, **QUICK)
        assert told(views)[1:] == [(1, "partially_filled", ""), (1, *end)]
        assert [o[:3] for o in shown(views, 200)] == ([(99, 6, 3)] if qty == 6 else [])


def test_an_amended_price_that_takes() -> None:
    """A limit takes and its rest waits there; a post-only is cancelled; one off the tick stays as it is."""
    views, _ = by_hand([], {10.0: [limit(1, 99, 7)], 100.0: [amend(1, 101, 7)]}, **QUICK)
    assert told(views) == [(1, "accepted", ""), (1, "amended", ""), (1, "partially_filled", "")]
    assert shown(views, 200) == [(101, 7, 2, "resting", 0)]
    post = (Kind.POST_ONLY, 0, 1, 99, 7, 0, 0)
    views, _ = by_hand([], {10.0: [post], 100.0: [amend(1, 101, 7)]}, **QUICK)
    assert told(views)[1:] == [(1, "cancelled", "post_only_would_take")]
    views, _ = by_hand([], {10.0: [post], 100.0: [amend(1, 98, -7)]}, **QUICK)
    assert told(views)[1:] == [(1, "amend_rejected", "lot")]


def test_cancel_all_ends_what_rests_when_it_arrives() -> None:
    """The order sent with it, behind it, comes later and stays."""
    everything = (Kind.CANCEL_ALL, 0, 1, 0, 0, 0, 0)
    views, _ = by_hand(
        [], {10.0: [limit(1, 99), limit(-1, 102)], 100.0: [everything, limit(1, 98)]}, entry_ms=20, **QUICK
    )
    assert told(views) == [
        (1, "accepted", ""), (2, "accepted", ""), (1, "cancelled", ""), (2, "cancelled", ""), (3, "accepted", ""),
    ]  # fmt: skip
    assert [state for *_, state, _ in shown(views, 110)] == ["cancelling", "cancelling", "pending"]


def test_reduce_only_never_goes_beyond_zero() -> None:
    """Flat: rejected. Long 2: a sell of 5 fills 2 and expires, and the one behind it has nothing left to reduce."""
    sell = reduce_only(limit(-1, 102, 5))
    views, _ = by_hand([], {10.0: [sell], 100.0: [TAKE], 150.0: [reduce_only(limit(1, 98))]}, **QUICK)
    assert told(views) == [(1, "rejected", "reduce_only"), (2, "filled", ""), (3, "rejected", "reduce_only")]
    through = [message(401, 400, (Row.BUY_TRADE, 104, 50))]
    views, _ = by_hand(through, {100.0: [TAKE], 200.0: [sell, reduce_only(limit(-1, 103, 1))]}, **QUICK)
    assert told(views)[1:] == [
        (2, "accepted", ""), (3, "accepted", ""), (2, "partially_filled", ""), (2, "expired", "reduce_only"),
        (3, "expired", "reduce_only"),
    ]  # fmt: skip
    assert sum(f.side * f.qty for view in views for f in view.fills) == 0
    sold = (Kind.MARKET, 0, -1, 0, 5, 0, 0, True)
    views, _ = by_hand([], {100.0: [TAKE], 200.0: [sold]}, **QUICK)
    assert told(views)[1:] == [(2, "partially_filled", ""), (2, "expired", "reduce_only")]
    assert told(spot([], {10.0: [sell]})) == [(1, "rejected", "unsupported")], "spot has no such order"


def test_what_an_order_reaches_of_our_own_expires() -> None:
    """Ours sell at 100, 101 and 102, the market 5 at 101: a buy of 3 is whole there and reaches the one at 100."""
    ours = [limit(-1, px) for px in (100, 101, 102)]
    for qty, ended in ((3, [1]), (9, [1, 2, 3])):
        views, _ = by_hand([], {10.0: ours, 100.0: [limit(1, 102, qty)]}, **QUICK)
        expired = [(order, reason) for order, kind, reason in told(views) if kind == "expired"]
        assert expired == [(order, "self_trade") for order in ended]
        assert sum(f.qty for view in views for f in view.fills) == min(qty, 5)
    views, _ = by_hand([], {10.0: ours, 100.0: [limit(1, 100, 3)]}, **QUICK)
    assert told(views)[3:] == [(1, "expired", "self_trade"), (4, "accepted", "")], "inside the spread too"
    views, _ = by_hand(
        [], {10.0: ours, 100.0: [(Kind.POST_ONLY, 0, 1, 100, 1, 0, 0), (Kind.FOK, 0, 1, 101, 9, 0, 0)]}, **QUICK
    )
    assert told(views)[3:] == [(4, "rejected", "post_only_would_take"), (5, "expired", "no_liquidity")]


def test_orders_beyond_the_venues_rate_are_rejected_when_they_arrive() -> None:
    """Spot: 100 in 10 s of the clock, cancels and amendments free; futures: 300, amendments counted."""
    sent = {10.0: [limit(1, 90)] * 99, 20.0: [amend(1, 90, 0), cancel(2), limit(1, 90), limit(1, 90)]}
    assert told(spot([], sent))[-1] == (101, "rejected", "order_rate")
    sent = {10.0: [limit(1, 90)] * 299, 20.0: [amend(1, 91, 1), amend(2, 91, 1), limit(1, 90)]}
    views, _ = by_hand([], sent, **QUICK)
    assert told(views)[-3:] == [
        (1, "amended", ""),
        (2, "amend_rejected", "order_rate"),
        (300, "rejected", "order_rate"),
    ]
    views, _ = by_hand([], {10.0: [limit(1, 90)] * 400}, exchange="no_partial", report_rule="venue")
    assert {kind for _, kind, _ in told(views)} == {"accepted"}, "hftbacktest's venue checks nothing"


@pytest.mark.parametrize("exchange", ["no_partial", "partial"])
def test_hftbacktests_amendment_keeps_its_place_only_for_no_more_at_the_same_price(exchange: str) -> None:
    more = [message(50, 50, (Row.BID, 99, 8))]
    orders = {10.0: [limit(1, 99, 4)], 100.0: [amend(1, 99, 2)], 200.0: [amend(1, 99, 3)]}
    views, _ = by_hand(more, orders, exchange=exchange, report_rule="venue")
    assert shown(views, 150)[0][4] == 5
    assert shown(views, 250)[0][4] == 8
    views, _ = by_hand([], {10.0: [reduce_only(limit(-1, 102))]}, exchange=exchange, report_rule="venue")
    assert told(views) == [(1, "rejected", "unsupported")]


def test_the_orders_file_names_what_was_asked_and_why_it_was_refused(tmp_path: Any) -> None:

    sink = OrdersFile(tmp_path / "orders.csv", [Info()])
    sent = [
        Wanted(AMEND, 0, 1, 100_000, 10, order_id=7), Wanted(CANCEL_ALL, 0, 1, 0, 0),
        Wanted(LIMIT, 0, -1, 100_000, 10, reduce_only=True),
    ]  # fmt: skip
    sink.write(view(reports=(FakeReport("amend_rejected", 7, reason="unknown_order"),)), sent, (), None)
    sink.close()
    rows = [line.split(",") for line in (tmp_path / "orders.csv").read_text().splitlines()[1:]]
    assert [(row[2], row[4], row[-1]) for row in rows] == [
        ("7", "amend_rejected", "unknown_order"), ("7", "sent_amend", ""), ("0", "sent_cancel_all", ""),
        ("0", "sent_limit", "reduce_only"),
    ]  # fmt: skip


class Changing:
    """A policy that changes its mind: buys, rests, amends, sells what it holds reduce-only, and clears the table."""

    def __init__(self, info: Any) -> None:
        self.info = info

    def decide(self, view: Any, portfolio: Any) -> list[Wanted]:
        bid, ask = (int(px) for px in view.book_px[0, :, 0])
        if view.cause != "step" or UNDEF_I64 in (bid, ask):
            return []
        qty = quantity_worth(100, bid, self.info)
        held, resting = portfolio.positions[0], [o for o in view.orders if o.state == "resting"]
        if view.index % 10 == 0:
            return [Wanted(CANCEL_ALL, 0, 1, 0, 0), Wanted(IOC, 0, 1, ask + 50, qty)]
        if view.index % 10 == 3 and held > 0:
            return [Wanted(IOC, 0, -1, bid - 50, 5 * held, reduce_only=True)] * 2
        if resting:
            return [Wanted(AMEND, 0, 1, bid - 40, qty, order_id=o.order_id) for o in resting[:1]]
        return [Wanted(LIMIT, 0, 1, bid - 30, 2 * qty)] if not view.orders else []


def test_a_policy_uses_them_through_risk_and_the_ledger_says_why(tmp_path: Path) -> None:
    """The whole loop over a capture: every event of an order is a row, refusals of the venue with their reason."""
    made = import_files(
        tmp_path, "hftbacktest-raw", [CAPTURE], "binance_usdm:DEMOUSDT", events=False,
        steps=dict.fromkeys(("tick", "lot", "min_notional")),
    )  # fmt: skip
    loaded = config.load(policy="hold", environ={}, cwd=tmp_path)
    session = tape_session(Path(made["tape"]), loaded.config, batch_events=65_536, allow_damage=False)
    infos = session.instruments
    ledger = Ledger(tmp_path / "ledger.sqlite", "20250101T000000Z-abcd", infos, lambda: 2**62)
    portfolio = Portfolio({"USDT": "10000"}, infos)
    engine.run(session, Changing(infos[0]), Risk(Limits(), infos), portfolio, ledger)  # type: ignore[arg-type]
    ledger.close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        rows = {(event, reason) for event, reason in db.execute("SELECT event, reason FROM orders")}
    assert rows >= {
        ("sent_amend", ""), ("amended", ""), ("sent_cancel_all", ""), ("cancelled", ""), ("sent_ioc", "reduce_only"),
        ("expired", "reduce_only"), ("rejected", "reduce_only"),
    }  # fmt: skip
    assert portfolio.positions[0] >= 0, "a reduce-only sell never goes beyond zero"


@pytest.mark.parametrize("rule", ["causal", "venue"])
@pytest.mark.parametrize("exchange", ["no_partial", "partial"])
def test_a_peers_taker_meets_the_book_of_the_moment(exchange: str, rule: str) -> None:
    """However long nothing of ours was there: the ask moves from 100.2 to 105.0 after a long quiet."""
    quiet = [(10 + n, [(Row.BID, 900, 1 + n % 2)]) for n in range(6_000)]
    moved = [(6_010, [(Row.ASK, 1_002, 0), (Row.ASK, 1_004, 0), (Row.ASK, 1_050, 9)])]
    after = [(6_010 + n, [(Row.BID, 900, 1 + n % 2)]) for n in range(1, 600)]
    session = native_session(hand_market(*quiet, *moved, *after), exchange=exchange, report_rule=rule)
    fills = []
    for n, shown in enumerate(session):
        fills += shown.fills
        session.submit([(Kind.MARKET, 0, 1, 0, 1, 0, 0)] if n == 62 else [], (), b"")
    assert [fill.px for fill in fills] == [1_050]


@pytest.mark.parametrize("exchange", ["shared", "no_partial", "partial"])
def test_the_venue_closes_a_position_by_any_rules(exchange: str) -> None:
    """What rests goes first, with its reason; then the book is taken, reduce-only or not."""
    session = native_session(
        hand_market(*((10 + n, [(Row.BID, 900, 1 + n % 2)]) for n in range(1_500))), exchange=exchange
    )
    steps = {
        2: [(Kind.MARKET, 0, 1, 0, 1, 0, 0)],
        4: [(Kind.LIMIT, 0, 1, 900, 1, 0, 0)],
        7: [(LIQUIDATE, 0, -1, 0, 1, 0, 0, True)],
    }
    reports = []
    for n, shown in enumerate(session):
        reports += [(report.kind, report.reason) for report in shown.reports]
        session.submit(steps.get(n, []), (), b"")
    assert reports[-2:] == [("cancelled", "liquidation"), ("filled", "liquidation")]
