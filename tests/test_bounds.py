"""By hand: orders beyond the price band and beyond the balance (the venue's rejects beside the book)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import tickerml
from simulated import INSTRUMENT, LIVE, Intent, Kind, Market, Message, Report, Row, columns, run_native
from test_orders import amend, cancel
from test_reference_shared import MS, NS, SETTINGS, limit, message
from tickerml import _native, config
from tickerml.sources.recorded import tape_session

pytest.importorskip("tickerml._native", reason="the native module is not built")

ONE = 10**8
FUTURES = {"band": {"against": "mark", "buy_e8": [None, 105 * 10**6], "sell_e8": [95 * 10**6, None]}}
"""A buy at most 1.05 times the mark price, a sell at least 0.95 times."""
SPOT = {"venue": "binance_spot", "kind": "spot"}
START = [message(1, 0, (Row.BID, 99, 5), (Row.ASK, 101, 5)), message(1, None, (Row.STATE, LIVE, 4))]
BEYOND = ("rejected", "price_band")
LACKS = ("rejected", "insufficient_balance")
TAKEN = ("accepted", "")


def around(minutes: int) -> dict[str, Any]:
    """Spot's band of a tenth to either side, around the prints of so many minutes."""
    ends = [9 * 10**7, 11 * 10**7]
    return {**SPOT, "band": {"against": {"prints": {"minutes": minutes}}, "buy_e8": ends, "sell_e8": ends}}


def mark(recv_ms: float, event_ms: float | None, px: float) -> Message:
    """A mark price in units of the price scale."""
    return message(recv_ms, event_ms, (Row.MARK, round(px * ONE / 10), 0))


def reports(messages: list[Message], orders: dict[float, list[Intent]], **changed: Any) -> list[Report]:
    """All news; the book is 5 at 99 and 5 at 101."""
    known = {**INSTRUMENT, **{key: changed.pop(key) for key in list(changed) if key in ("venue", "kind", "band")}}
    end = message(max([3_000, *((m.ts_recv_ns - NS) / MS + 500 for m in messages)]), None, (Row.TOUCH, 1, 1))
    numbered = [m._replace(pos=n) for n, m in enumerate([*START, *messages, end])]
    market = Market(known, {**SETTINGS, "reorder_ms": 0, **changed}, numbered)
    sent = dict(orders)
    views, _, _ = run_native(market, lambda view: sent.pop((view.ts_ns - NS) / MS, ()))
    return [report for view in views for report in view.reports]


def trade(messages: list[Message], orders: dict[float, list[Intent]], **changed: Any) -> list[tuple[str, str]]:
    """The first news of every order, by its number."""
    news: dict[int, tuple[str, str]] = {}
    for report in reports(messages, orders, **changed):
        news.setdefault(report.order_id, (report.kind, report.reason))
    return [news[order_id] for order_id in sorted(news)]


def test_futures_measure_from_the_mark_price_and_only_towards_the_worse() -> None:
    """Around a mark of 100: a buy at 106 and a sell at 94 are refused, a buy at 1 and a sell at 900 wait."""
    orders = [limit(1, 105), limit(1, 106), limit(1, 1), limit(-1, 95), limit(-1, 94), limit(-1, 900)]
    found = trade([mark(50, 45, 100)], {100.0: orders}, **FUTURES)
    taken = ("filled", "")
    assert found == [taken, BEYOND, TAKEN, taken, BEYOND, TAKEN]
    market = (Kind.MARKET, 0, 1, 0, 1, 0, 0)
    assert trade([mark(50, 45, 10)], {100.0: [market, limit(1, 50)]}, **FUTURES) == [taken, BEYOND], (
        "a market has no price"
    )
    assert trade([mark(50, 45, 100)], {100.0: [limit(1, 106)]}) == [taken], "no filter, no band"


def test_the_band_is_exact_to_the_last_digit() -> None:
    """1.05 times 100.00000 is 105, times 99.99999 is less."""
    for px, found in ((100, "filled"), (99.9999999, "rejected")):
        assert trade([mark(50, 45, px)], {100.0: [limit(1, 105)]}, **FUTURES)[0][0] == found


def test_a_mark_price_counts_from_its_own_time_and_once_it_was_heard() -> None:
    """Sent at 100, there at 120: a mark of 119 counts, one of 121 does not, nor one that comes behind the release."""
    for event_ms, recv_ms, found in ((119, 119, "rejected"), (121, 119, "filled"), (110, 130, "filled")):
        assert trade([mark(recv_ms, event_ms, 10)], {100.0: [limit(1, 105)]}, entry_ms=20, **FUTURES)[0][0] == found
    waits = {"entry_ms": 20, "reorder_ms": 50}
    assert trade([mark(130, 110, 10)], {100.0: [limit(1, 105)]}, **waits, **FUTURES) == [BEYOND], "not released before"
    assert trade([mark(119, None, 10)], {100.0: [limit(1, 105)]}, entry_ms=20, **FUTURES) == [BEYOND], "unstamped: 114"


def test_an_amendment_meets_the_band_and_leaves_the_order_as_it_was() -> None:
    """94.5 at most."""
    orders = {100.0: [limit(1, 94)], 200.0: [amend(1, 95, 2)], 300.0: [amend(1, 93, 2)]}
    told = [(r.kind, r.reason, r.px, r.qty) for r in reports([mark(50, 45, 90)], orders, **FUTURES)]
    assert told == [("accepted", "", 94, 1), ("amend_rejected", "price_band", 94, 1), ("amended", "", 93, 2)]


def test_spot_measures_from_the_mean_of_the_prints() -> None:
    """3 at 80 and 1 at 120 are 90 on average: up to 99 and from 81 on. Both ends bind either side."""
    prints = [message(50, 45, (Row.BUY_TRADE, 120, 1)), message(60, 55, (Row.SELL_TRADE, 80, 3))]
    orders = [limit(1, 81), limit(1, 80), limit(-1, 99), limit(-1, 100)]
    found = trade(prints, {100.0: orders}, **around(1))
    assert found == [TAKEN, BEYOND, ("filled", ""), BEYOND]
    assert trade(prints, {100.0: [limit(1, 81), limit(1, 88)]}, **around(0)) == [TAKEN, TAKEN], "0: the last, 80"
    assert trade(prints, {100.0: [limit(1, 72), limit(1, 89)]}, **around(0)) == [TAKEN, BEYOND]
    assert trade([], {100.0: [limit(1, 1)]}, **around(1)) == [TAKEN], "nothing was printed: no band"


def test_a_print_leaves_the_mean_after_its_minutes_and_the_last_one_stays() -> None:
    """At 59 s both count, 100 on average; at 61 s only the one of 2 s; at 90 s it is the last one there was."""
    prints = [message(500, 495, (Row.BUY_TRADE, 120, 1)), message(2_005, 2_000, (Row.BUY_TRADE, 80, 1))]
    late = message(90_005, 90_000, (Row.BID, 99, 6))
    sells = {at: [limit(-1, 108)] for at in (59_000.0, 61_000.0, 89_000.0)}
    assert trade([*prints, late], sells, **around(1)) == [TAKEN, BEYOND, BEYOND]


OWNED = {"balance": {"USDT": "100", "DEMO": "7"}, **SPOT}
"""10 lots at 10.0, and 7 lots."""


def test_what_rests_is_reserved_until_it_is_cancelled_or_less() -> None:
    """At 9.0: 6 and 5 lots are 99, one more is too much; a cancel or an amendment to less makes room."""
    orders = {
        10.0: [limit(1, 90, 6), limit(1, 90, 5), limit(1, 90, 1)],
        100.0: [cancel(1)],
        200.0: [limit(1, 90, 7), limit(1, 90, 6)],
        300.0: [amend(2, 90, 1)],
        400.0: [limit(1, 90, 4), limit(1, 90, 1)],
    }
    assert trade([], orders, **OWNED) == [TAKEN, TAKEN, LACKS, LACKS, TAKEN, TAKEN, LACKS]


def test_a_sell_gives_its_quantity_whatever_its_kind() -> None:
    orders = [limit(-1, 110, 4), limit(-1, 110, 4), limit(-1, 110, 3), (Kind.MARKET, 0, -1, 0, 1, 0, 0)]
    assert trade([], {10.0: orders}, **OWNED) == [TAKEN, LACKS, TAKEN, LACKS]


def test_what_does_not_wait_needs_what_it_would_pay() -> None:
    """5 lots at 10.1 are 50.5, however far off the price is; with 54 reserved they are too much."""
    for kind in (Kind.MARKET, Kind.IOC, Kind.FOK):
        take = (kind, 0, 1, 900, 5, 0, 0)
        assert trade([], {10.0: [take]}, **OWNED) == [("filled", "")], kind
        assert trade([], {10.0: [limit(1, 90, 6), take]}, **OWNED) == [TAKEN, LACKS], kind
    assert trade([], {10.0: [limit(1, 900, 5)]}, **OWNED) == [LACKS], "what may wait needs its own price"
    whole = (Kind.FOK, 0, 1, 900, 50, 0, 0)
    assert trade([], {10.0: [whole]}, **OWNED) == [("expired", "no_liquidity")], "it pays nothing"


def test_fills_move_what_is_owned_with_their_fees() -> None:
    """5 bought at 10.1 less 1 %: 11.95 can be sold and 49.5 spent; 5 sold at 9.9 less 1 % give 49.005 more."""
    orders = {
        10.0: [(Kind.IOC, 0, 1, 101, 5, 0, 0)],
        20.0: [limit(-1, 110, 12), limit(-1, 110, 11)],
        30.0: [limit(1, 55, 9), limit(1, 1, 1), cancel(3), cancel(4)],
        40.0: [(Kind.IOC, 0, -1, 99, 5, 0, 0)],
        50.0: [limit(1, 96, 10), limit(1, 25, 1), limit(1, 1, 1)],
    }
    found = trade([], orders, taker_bps=100, maker_bps=100, **OWNED)
    assert found == [("filled", ""), LACKS, TAKEN, TAKEN, LACKS, ("filled", ""), TAKEN, TAKEN, LACKS]


@pytest.mark.parametrize(
    "off",
    [
        {"short_spot": True},
        {"exchange": "no_partial", "report_rule": "venue"},
        {"exchange": "partial", "report_rule": "venue"},
        {"venue": "binance_usdm", "kind": "perpetual"},
        {"balance": None},
    ],
)
def test_where_balances_do_not_bind(off: dict[str, Any]) -> None:
    """Spot that may be sold short, hftbacktest's rules, contracts, and a session that names no balance."""
    orders = [limit(-1, 110, 900), limit(1, 90, 900)]
    assert trade([], {10.0: orders}, **{**OWNED, **off}) == [TAKEN, TAKEN]


def test_event_files_begin_with_the_account_that_they_are_told() -> None:
    """9 free in cash and 2 lots, whatever the settings say: a run that went on from another can be told again."""
    lots = [{"instrument": "binance_spot:DEMOUSDT", "kind": "spot", "base": "DEMO", "qty": "2"}]
    carry = json.dumps({"portfolio": {"cash": {"USDT": "9", "DEMO": "0"}, "lots": lots}})
    messages = [m._replace(pos=n) for n, m in enumerate([*START, message(3_000, None, (Row.TOUCH, 1, 1))])]
    market = Market({**INSTRUMENT, **SPOT}, {**SETTINGS, "reorder_ms": 0, "balance": {"USDT": "100"}}, messages)
    session = _native.Session.backtest([columns(market)], json.dumps(market.settings), carry=carry)
    told: list[str] = []
    orders = [limit(1, 90, 1), limit(1, 90, 1), limit(-1, 110, 2), limit(-1, 110, 1)]
    for view in session:
        told += [report.reason for report in view.reports]
        session.submit(orders, (), b"")
        orders = []
    assert told == ["", "insufficient_balance", "", "insufficient_balance"]


def test_hftbacktests_venue_has_no_band() -> None:
    peer = {"exchange": "no_partial", "report_rule": "venue"}
    assert trade([mark(50, 45, 50)], {100.0: [limit(1, 98)]}, **peer, **FUTURES) == [TAKEN]


def test_a_demo_has_its_venues_bands(tmp_path: Path) -> None:
    """Its tape tells them: a sell at a tenth of the best bid is refused on spot and on futures, and costs nothing."""
    made = tickerml(tmp_path, "run", "--demo", "--duration", "4s", "--policy", "hold")
    loaded = config.load(policy="hold", environ={}, cwd=tmp_path, sets=[("balance.BTC", "1")])
    tape = tmp_path / "demo" / "tapes" / made["run"]
    session = tape_session(tape, loaded.config, batch_events=65_536, allow_damage=False)
    told, sent = set(), 0
    for view in session:
        told |= {(report.instrument, report.kind, report.reason) for report in view.reports}
        bids = [int(px) for px in view.book_px[:, 0, 0]]
        wanted: list[Intent] = []
        if view.index >= 20 and not sent and min(bids) > 0:
            infos = enumerate(session.instruments)
            wanted = [(Kind.LIMIT, k, -1, bids[k] // 10 // i.tick * i.tick, 1_000 * i.lot, 0, 0) for k, i in infos]
            sent = len(wanted)
        session.submit(wanted, (), b"")
    assert told == {(k, *BEYOND) for k in range(sent)}
    assert sent == 2
