"""The simulated venue against a plain reference: each view, report, fill and queue estimate, exactly (simulation.md 3).

The same random market and the same orders go to the native session and to `reference_shared.py`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from random_markets import QUEUES, RandomPolicy, random_market
from reference_shared import Reference
from simulated import INSTRUMENT, LIVE, Flag, Intent, Kind, Market, Message, Row, View, run_native
from tickerml.schema import MONEY_ONE

pytest.importorskip("tickerml._native", reason="the native module is not built")

NS = 10**18
LATENCIES = ("constant", "venue", "feed", "file:given")
MS = 1_000_000
UNKNOWN_FILL = 2**63 - 1
"""`Fill.ahead_qty` behind an unknown quantity; an order shows -1 for the same."""
SETTINGS = {
    "step_ms": 10, "queue": "risk_averse", "exchange": "shared", "report_rule": "causal", "reorder_ms": 250,
    "base_latency_ms": 5, "clock": "fixed:0", "entry_ms": 0, "response_ms": 0, "decision_ms": 0, "maker_bps": 0,
    "taker_bps": 0,
}  # fmt: skip


def compare(market: Market, policy: Any, *, told: dict[str, Any] | None = None) -> Counter[str]:
    """Both run; every view is equal, and so are late rows and money. What was met on the way.

    `told` are settings of the reference alone.
    """
    views, answers, session = run_native(market, policy)
    reference = Reference(market.instrument, {**market.settings, **(told or {})})
    shown: list[View] = []

    def decide(view: View) -> Sequence[Intent]:
        at = len(shown)
        assert view == views[at], f"view {at}"
        shown.append(view)
        return answers[at]

    reference.run(market.messages, decide)
    assert len(shown) == len(views)
    stats = session.stats()
    assert reference.late_rows == stats["late_rows"]
    fills = [fill for view in views for fill in view.fills]
    # A known slip (a test below): what comes last of all at a boundary is counted and never shown.
    fills += [fill for _, fill in reference.news if fill]
    assert stats["fills"] == len(fills)
    assert reference.position == sum(f.side * f.qty for f in fills)
    scale = 18 - market.instrument["price_precision"] - market.instrument["qty_precision"]
    quote_fees = sum(f.fee_e18 for f in fills if not f.fee_in_base)
    assert reference.cash_e18 == -sum(f.side * f.px * f.qty * 10**scale for f in fills) - quote_fees
    assert reference.base_fees_e18 == sum(f.fee_e18 for f in fills) - quote_fees
    met = Counter(r.reason or r.kind for view in views for r in view.reports)
    met += Counter("maker" if f.maker else "taker" for f in fills)
    met += Counter(view.cause for view in views)
    met["cancel_all"] = sum(intent[0] == Kind.CANCEL_ALL for answer in answers for intent in answer)
    met["resting_again"] = resting_again(views)
    met["late_rows"] = stats["late_rows"]
    met["gaps"] = sum(m.rows[0][:2] == (Row.STATE, 5) for m in market.messages)
    met["band_amend"] = sum(
        r.kind == "amend_rejected" and r.reason == "price_band" for view in views for r in view.reports
    )
    met["rejects"] = sum(r.kind == "rejected" for view in views for r in view.reports)
    met["orders"], met["fills"], met["messages"] = stats["orders"], len(fills), len(market.messages)
    return met


def resting_again(views: list[View]) -> int:
    """Orders that were amended and then filled at another price than they were sent with."""
    first, count = {}, 0
    for view in views:
        for order in view.orders:
            first.setdefault(order.order_id, order.px)
        count += sum(fill.maker and first.get(fill.order_id, fill.px) != fill.px for fill in view.fills)
    return count


def compare_seeds(seeds: range) -> None:
    met: Counter[str] = Counter()
    for seed in seeds:
        market = random_market(seed)
        try:
            found = compare(market, RandomPolicy(market, seed))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {json.dumps(market.settings, default=str)}: {error}") from error
        met += found
        met[market.settings["queue"]] += found["maker"]
        met[market.settings["latency"]] += found["fills"]
    print(f"\n{len(seeds)} seeds:", *(f"{name} {count}" for name, count in sorted(met.items())), sep="\n  ")
    wanted = (
        "fills", "maker", "taker", "rejects", "late_rows", "gaps", "report", "step", "accepted", "cancelled",
        "filled", "partially_filled", "unknown_order", "remainder", "no_liquidity", "no_book", "post_only_would_take",
        "min_notional", "tick", "lot", "price", "amended", "amend_only_less", "amend_below_filled", "reduce_only",
        "unsupported", "overload", "order_rate", "self_trade", "price_band", "insufficient_balance", "band_amend",
        "cancel_all", "resting_again", *LATENCIES, *QUEUES,
    )  # fmt: skip
    assert not [name for name in wanted if met[name] == 0], "too little was met to tell anything"


def test_every_report_fill_and_estimate_equals_the_reference() -> None:
    compare_seeds(range(100))


def test_without_gaps_and_silence_the_reference_holds_to_the_letter() -> None:
    """What is late here was overtaken on both streams: the watermark is never behind what has been released."""
    late = 0
    for seed in range(40):
        market = random_market(seed, calm=True)
        market.settings["reorder_ms"] = 400
        late += compare(market, RandomPolicy(market, seed))["late_rows"]
    assert late > 0


@pytest.mark.soak
def test_two_thousand_markets_equal_the_reference() -> None:
    compare_seeds(range(1_000, 3_000))


def test_the_comparison_can_fail() -> None:
    """Another model, latency, fee, wait for late rows, or balance: each is told apart."""
    changed = {
        "queue": "prob_log", "entry_ms": 11, "maker_bps": 3, "reorder_ms": 30, "latency": "venue",
        "balance": {"USDT": "0"},
    }  # fmt: skip
    told: Counter[str] = Counter()
    for seed in range(8):
        market = random_market(seed)
        market.settings.update(queue="risk_averse", latency="constant", entry_ms=10, maker_bps=2, reorder_ms=250)
        compare(market, RandomPolicy(market, seed))
        for key, value in changed.items():
            try:
                compare(market, RandomPolicy(market, seed), told={key: value})
            except (AssertionError, IndexError):
                told[key] += 1
    assert set(told) == set(changed)


def message(recv_ms: float, event_ms: float | None, *rows: tuple[int, int, int]) -> Message:
    """A message by hand, stamped in ms."""
    flagged = tuple((*row, 1 if n == len(rows) - 1 else 0) for n, row in enumerate(rows))
    return Message(0, NS + int(recv_ms * MS), None if event_ms is None else NS + int(event_ms * MS), flagged)


def by_hand(
    messages: list[Message], orders: dict[float, list[Intent]], *, lot: int = 1, **changed: Any
) -> tuple[list[View], Any]:
    """A native run over messages made by hand; intents by the time of the view, in ms."""
    start = [
        message(1, 0, (Row.BID, 99, 5), (Row.ASK, 101, 5)),
        message(1, None, (Row.STATE, LIVE, 4)),
    ]
    end = message(3_000, None, (Row.TOUCH, 1, 1))
    numbered = [m._replace(pos=n) for n, m in enumerate([*start, *messages, end])]
    market = Market({**INSTRUMENT, "lot": lot}, {**SETTINGS, **changed}, numbered)
    views, _, session = run_native(market, lambda view: orders.pop((view.ts_ns - NS) / MS, ()))
    return views, session


def limit(side: int, px: int, qty: int = 1) -> Intent:
    return (Kind.LIMIT, 0, side, px, qty, 0, 0)


def test_a_print_is_one_budget_and_what_we_took_is_missing() -> None:
    """By hand: two sells and ten printed through both; then a buy that finds what we took to be missing."""
    prints = [message(405, 400, (Row.BUY_TRADE, 103, 10))]
    views, _ = by_hand(prints, {10.0: [limit(-1, 102, 4), limit(-1, 103, 20)]})
    fills = [(f.px, f.qty, (f.ts_event_ns - NS) // MS) for view in views for f in view.fills]
    assert fills == [(102, 4, 400), (103, 6, 400)]
    views, _ = by_hand([], {1_000.0: [limit(1, 101, 3)], 1_010.0: [limit(1, 101, 3)]}, reorder_ms=0)
    fills = [(f.qty, f.maker) for v in views for f in v.fills]
    assert fills == [(3, False), (2, False)], "5 shown, 3 consumed: 2 are left after 10 ms"


def test_a_decrease_owes_the_whole_print_even_where_we_took_a_part_of_it() -> None:
    """6 printed at 103: 4 fill our 102, 2 move our 103 from 10 to 8, and the level's fall to 14 is no cancel."""
    market = [
        message(4, 3, (Row.ASK, 103, 10)),
        message(304, 303, (Row.ASK, 103, 20)),
        message(405, 400, (Row.BUY_TRADE, 103, 6)),
        message(506, 500, (Row.ASK, 103, 14)),
    ]
    views, _ = by_hand(market, {10.0: [limit(-1, 102, 4), limit(-1, 103)]}, queue="prob_power:1")
    assert [(f.px, f.qty) for v in views for f in v.fills] == [(102, 4)]
    assert [[o.ahead_qty for o in v.orders if o.px == 103] for v in views][-1] == [8]


def test_half_a_lot_beyond_the_queue_is_one() -> None:
    """5 stand ahead and 6 are printed: 1 is half a lot of 2, and halves go away from zero."""
    views, _ = by_hand([message(405, 400, (Row.SELL_TRADE, 99, 6))], {10.0: [limit(1, 99, 4)]}, lot=2)
    assert [(f.qty, f.ahead_qty) for v in views for f in v.fills] == [(2, 5)]


def test_fees_are_rounded_against_us() -> None:
    """Of 0.00000101: what is no multiple of 10^-8 is rounded up, so a rebate is never more than it is."""
    scale = {"price_precision": 8, "qty_precision": 0}
    for bps, px, want in (("0.0001", 101, 1), ("-0.0001", 101, 0), ("-1000", 101, -10), ("1000", 101, 11)):
        market = Market(
            {**INSTRUMENT, **scale},
            {**SETTINGS, "taker_bps": float(bps), "reorder_ms": 0},
            [
                message(1, 0, (Row.BID, 99, 5), (Row.ASK, px, 5)),
                message(1, None, (Row.STATE, LIVE, 4))._replace(pos=1),
                message(500, None, (Row.TOUCH, 1, 1))._replace(pos=2),
            ],
        )
        sent = iter([[(Kind.MARKET, 0, 1, 0, 1, 0, 0)]])
        views, _, _ = run_native(market, lambda view, sent=sent: next(sent, ()))
        assert [f.fee_e18 for v in views for f in v.fills] == [want * 10**10]
    assert MONEY_ONE == 10**18


def test_an_order_cancelled_before_its_acknowledgement_shows_no_quantity_ahead() -> None:
    """The venue has not even got it: it cannot be the first in its queue."""
    cancel = (Kind.CANCEL, 0, 1, 0, 0, 0, 1)
    views, _ = by_hand([], {10.0: [limit(1, 99)], 20.0: [cancel]}, entry_ms=140)
    shown = [(o.state, o.ahead_qty) for v in views for o in v.orders if v.ts_ns == NS + 30 * MS]
    assert shown == [("cancelling", -1)]


def test_a_fill_behind_an_unknown_quantity_says_so_as_an_order_does() -> None:
    gap = message(5, None, (Row.STATE, 5, 5))
    through = message(405, 400, (Row.SELL_TRADE, 98, 1))
    views, _ = by_hand([gap, through], {20.0: [limit(1, 99)]})
    assert [f.ahead_qty for v in views for f in v.fills] == [-1]


def test_a_last_fill_at_a_boundary_is_shown() -> None:
    """Sent at 2,990, there at 3,005, known 5 ms later: at the boundary of 3,010, behind which nothing is under way."""
    take = (Kind.IOC, 0, 1, 101, 1, 0, 0)
    for entry_ms in (16, 15):
        views, session = by_hand([], {2_990.0: [take]}, entry_ms=entry_ms, reorder_ms=5)
        assert session.stats()["fills"] == 1
        assert sum(len(view.fills) for view in views) == 1, f"entry_ms {entry_ms}"


def test_a_row_that_comes_after_its_release_is_late_even_where_nothing_happened() -> None:
    """Venue time 100 is released at 350 (`reorder_ms` 250); its print comes at 1,105."""
    _, session = by_hand([message(1_105, 100, (Row.SELL_TRADE, 99, 1))], {})
    assert session.stats()["late_rows"] == 1


def snapshot(recv_ms: float, event_ms: float) -> Message:
    """A snapshot that shows 97 to 98."""
    plain = message(recv_ms, event_ms, (Row.BID, 97, 5), (Row.ASK, 98, 5))
    clears = [(Row.CLEAR, 0, 0, Flag.SNAPSHOT), (Row.CLEAR, 0, 0, Flag.SNAPSHOT | Flag.ASK_SIDE)]
    return plain._replace(
        rows=(*clears, *((kind, px, qty, flags | Flag.SNAPSHOT) for kind, px, qty, flags in plain.rows))
    )


LATE = {
    "a print": [message(1_105, 400, (Row.SELL_TRADE, 98, 9))],
    "a resync": [
        message(403, 400, (Row.BID, 98, 1)),
        message(404, None, (Row.STATE, 5, 5)),
        snapshot(1_105, 400),
        message(1_105, None, (Row.STATE, LIVE, 4)),
    ],
}
"""What meets a buy at 99 and arrives at 1,105, about a venue time of 400."""


@pytest.mark.parametrize("name", LATE)
def test_a_late_row_is_not_reported_before_it_arrived(name: str) -> None:
    """Today its fill is known at 650, in a view that comes behind the view of 1,100."""
    views, _ = by_hand(LATE[name], {20.0: [limit(1, 99)]})
    (fill,) = (fill for view in views for fill in view.fills)
    assert fill.ts_recv_ns >= NS + 1_105 * MS
    assert [view.ts_ns for view in views] == sorted(view.ts_ns for view in views)
