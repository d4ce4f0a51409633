"""Funding: booked when its rate is known, for what the venue had then, at the mark price of then; never guessed."""

from __future__ import annotations

import csv
import itertools
import math
import os
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from random_markets import Draws
from simulated import LIVE, Kind, Market, Message, Row, native_session
from tickerml.portfolio import Portfolio
from tickerml.schema import MONEY_ONE

pytest.importorskip("tickerml._native", reason="the native module is not built")

MS, HOUR_MS = 1_000_000, 3_600_000
T_MS = 480_000 * HOUR_MS
"""A settlement."""
FUNDING, MARK, SETTLED = 8, 9, 16
INSTRUMENT: dict[str, Any] = {
    "venue": "binance_usdm", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "kind": "perpetual",
    "price_precision": 1, "qty_precision": 3, "tick": 1, "lot": 1, "min_notional": "0", "contract_size": "1",
    "funding_interval_h": None, "metadata_source": "given",
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "step_ms": 100, "queue": "risk_averse", "reorder_ms": 250, "base_latency_ms": 5, "clock": "fixed:0",
    "entry_ms": 0, "response_ms": 10, "decision_ms": 0, "maker_bps": 0, "taker_bps": 0,
}  # fmt: skip
BUY, SELL = (Kind.MARKET, 0, 1, 0, 2_000, 0, 0), (Kind.MARKET, 0, -1, 0, 500, 0, 0)


def told(at_ms: float, mark: float, rate: float, settle_ms: int = T_MS, flags: int = 0) -> tuple[float, Any]:
    """What the mark price stream says at a time relative to the settlement."""
    rows = [(MARK, round(mark * 10**8), 0, 0), (FUNDING, round(rate * 10**12), settle_ms, flags | 1)]
    return at_ms, tuple(rows)


def settlements(
    stream: Sequence[tuple[float, Any]],
    orders: dict[float, Any],
    *,
    from_ms: float = -5_000,
    to_ms: float = 200_000,
    **settings: Any,
) -> tuple[list[Any], Any, Any]:
    """Settlements with their view's time (ms from T), the portfolio and the session; orders by time of the view."""
    level = (T_MS + from_ms, ((Row.BID, 99_990, 10**6, 0), (Row.ASK, 100_010, 10**6, 1)))
    live, end = (T_MS + from_ms, ((Row.STATE, LIVE, 4, 1),)), (T_MS + to_ms, ((Row.TOUCH, 1, 1, 1),))
    found = [level, live, *((T_MS + at, rows) for at, rows in stream), end]
    messages = []
    for pos, (at_ms, rows) in enumerate(found):
        at_ns = round(at_ms * MS)
        messages.append(Message(pos, at_ns + 5 * MS, None if rows[0][0] == Row.STATE else at_ns, rows))
    session = native_session(Market(INSTRUMENT, {**SETTINGS, **settings}, messages))
    portfolio, seen = Portfolio({"USDT": "10000"}, session.instruments), []
    for view in session:
        portfolio.apply(view)
        at_ms = view.ts_ns / MS - T_MS
        seen += [(at_ms, one) for one in view.funding]
        session.submit([orders.pop(at_ms)] if at_ms in orders else [], (), portfolio.state_bytes())
    return seen, portfolio, session


def test_a_settlement_by_hand() -> None:
    """2 BTC bought long before, half of one sold at T + 100 ms: 2 x 10,000.5 at 0.01 % is 2.0001 dollars paid."""
    stream = [
        told(-3_000, 9_999, 0.0002),
        told(-1_000, 10_000.5, 0.0001),
        told(2_000, 11_000, 0.0009, T_MS + 4 * HOUR_MS),
    ]
    seen, portfolio, session = settlements(stream, {-4_000.0: BUY, 100.0: SELL})
    ((at_ms, one),) = seen
    assert (one.ts_ns, one.qty, one.rate_e12, one.mark_e8) == (T_MS * MS, 2_000, 10**8, 1_000_050_000_000)
    assert at_ms == 2_100, "not before the rate was known"
    assert portfolio._lots[0].funding == -20_001 * MONEY_ONE // 10_000
    assert portfolio.positions == [1_500]
    ((settles_ns, rate_e12, mark_e8),) = session.funding
    assert (settles_ns, rate_e12, mark_e8) == ((T_MS + 4 * HOUR_MS) * MS, 9 * 10**8, 11_000 * 10**8)
    (row,) = portfolio.next_funding(session.funding)
    assert (row["rate"], row["provisional_amount"], row["asset"]) == ("0.0009", "-14.85", "USDT")


def test_nothing_is_booked_before_the_venues_past_is_known() -> None:
    """The rate is there at T + 10 ms; what happened at the venue before T is known 250 ms later."""
    stream = [told(-1_000, 10_000, 0.0001), told(10, 10_000, 0.0001, T_MS + HOUR_MS)]
    ((at_ms, one),), _, _ = settlements(stream, {-200.0: BUY})
    assert (at_ms, one.qty) == (300, 2_000)


def test_an_unknown_rate_is_no_zero() -> None:
    """The stream was away: by the new estimate, or by a minute of silence, the settlement is unknown."""
    for stream, shown_ms in (
        ([told(-70_000, 10_000, 0.0001), told(5_000, 10_000, 0.0001, T_MS + HOUR_MS)], 5_100),
        ([told(-70_000, 10_000, 0.0001)], 60_100),
    ):
        ((at_ms, one),), portfolio, _ = settlements(stream, {-75_000.0: BUY}, from_ms=-80_000)
        assert (at_ms, one.rate_e12, portfolio._lots[0].unknown, portfolio._lots[0].funding) == (shown_ms, None, 1, 0)


def test_without_any_rate_each_whole_hour_may_have_been_one() -> None:
    late = told(30_000, 10_000, 0.0001, T_MS + HOUR_MS)
    for stream in ([], [late]):
        seen, portfolio, _ = settlements(stream, {-4_000.0: BUY, 100.0: SELL})
        assert [(at_ms, one.rate_e12, one.qty) for at_ms, one in seen] == [(60_000.0, None, 2_000)]
        assert portfolio._lots[0].unknown == 1
    assert settlements([], {}, to_ms=60_000)[0] == [], "nothing was held"
    assert settlements([], {-4_000.0: BUY}, exchange="no_partial")[0] == [], "hftbacktest knows no funding"


def test_the_venues_own_rate_corrects_the_estimate_and_tells_the_unknown() -> None:
    next_ms = T_MS + 8 * HOUR_MS
    for first, booked in ((told(-1_000, 10_000, 0.0001), 1), (told(-70_000, 10_000, 0.0001), 0)):
        stream = [first, told(3_000, 10_000, 0.0005, next_ms), told(9_000, 10_000, 0.0003, T_MS, SETTLED)]
        seen, portfolio, _ = settlements(stream, {-75_000.0: BUY}, from_ms=-80_000)
        assert [(one.correction, one.resolves) for _, one in seen] == [(False, False), (booked == 1, booked == 0)]
        assert (portfolio._lots[0].funding, portfolio._lots[0].unknown) == (-6 * MONEY_ONE, 0)


def test_settled_rows_alone_are_enough() -> None:
    ((_, one),), portfolio, _ = settlements([told(4_000, 10_000, -0.0003, T_MS, SETTLED)], {-4_000.0: BUY})
    assert (one.rate_e12, portfolio._lots[0].funding) == (-3 * 10**8, 6 * MONEY_ONE)


def test_a_settlement_within_the_venues_delay_is_told_by_its_last_word() -> None:
    """15 s late the stream still says T: the last rate counts, at the mark price of T."""
    later = told(16_000, 10_000, 0.0001, T_MS + HOUR_MS)
    stream = [told(-1_000, 10_000, 0.0001), told(14_000, 12_000, 0.0002), later]
    ((at_ms, one),), _, _ = settlements(stream, {-4_000.0: BUY})
    assert (at_ms, one.rate_e12, one.mark_e8) == (16_100, 2 * 10**8, 10_000 * 10**8)


RECORDINGS = Path(os.environ.get("TICKERML_RECORDINGS", Path(__file__).parents[2] / "shared" / "data"))
HISTORY = RECORDINGS / "funding" / "BTC-USDT_binance_2020-01-01_2024-01-01_funding_history.csv"


@pytest.mark.skipif(not HISTORY.is_file(), reason="the recordings are not here")
def test_a_history_of_settled_rates_is_enough() -> None:
    """2 BTC through 29 settlements of 2020 (bought after the first) at 10,000, told late; stamps are UTC+3."""
    with HISTORY.open(newline="") as file:
        rows = list(itertools.islice(csv.DictReader(file), 30))
    stream, total = [], Fraction(0)
    for n, row in enumerate(rows):
        settled = datetime.fromisoformat(row["Date"]).replace(tzinfo=timezone(timedelta(hours=3)))
        settle_ms, late_ms = int(settled.timestamp() * 1000), 5_000 + n * 100_000
        stream.append(told(settle_ms - T_MS + late_ms, 10_000, float(row["Funding Rate"]), settle_ms, SETTLED))
        stream.append((settle_ms - T_MS + late_ms + 1_000, ((Row.TOUCH, 1, 1, 1),)))
        total += Fraction(math.floor(-20_000 * Fraction(row["Funding Rate"]) * 10**8), 10**8) if n else 0
    first, last = stream[0][0], stream[-1][0]
    seen, portfolio, _ = settlements(stream, {first - 4_500.0: BUY}, from_ms=first - 5_000, to_ms=last + 1_000)
    assert len(seen) == 29
    assert Fraction(portfolio._lots[0].funding, MONEY_ONE) == total
    assert portfolio._lots[0].unknown == 0


@pytest.mark.parametrize("seed", range(40))
def test_cash_is_what_settlements_and_fills_say(seed: int) -> None:
    """Random rates, marks and trades over three settlements; positions at each from the fills' venue times alone."""
    draw = Draws(seed, 9)
    stream, held = [], []
    for k in range(3):
        settle = T_MS + k * 40_000
        for at in range(settle - T_MS - 30_000, settle - T_MS + 1, 1_000 * draw.whole(1, 3)):
            stream.append(told(at, draw.whole(9_000, 11_000) + 0.5, draw.whole(-900, 900) / 10**6, settle))
    stream.append(told(90_000, 10_000, 0, T_MS + 200_000))
    orders = {
        float(at): (Kind.MARKET, 0, draw.pick((1, -1)), 0, draw.whole(1, 900), 0, 0)
        for at in range(-25_000, 85_000, 100)
        if draw.chance(0.02)
    }
    seen, portfolio, session = settlements(stream, dict(orders), from_ms=-40_000, taker_bps=5)
    lots = portfolio._lots[0]
    total = Fraction(0)
    for k in range(3):
        at = k * 40_000
        before = [rows for when, rows in stream if rows[1][2] == T_MS + at and when <= at]
        qty = sum(one[2] * one[4] for when, one in orders.items() if when <= at)
        mark, rate = Fraction(before[-1][0][1], 10**8), Fraction(before[-1][1][1], 10**12)
        exact = -Fraction(qty, 1000) * mark * rate
        total += Fraction(math.floor(exact * 10**8), 10**8)
        held.append(qty)
    assert [one.qty for _, one in seen] == [qty for qty in held if qty]
    assert Fraction(lots.funding, MONEY_ONE) == total
    assert portfolio.cash_e18("USDT") == 10_000 * MONEY_ONE + lots.realised - lots.fees + lots.funding
    assert session.stats()["late_rows"] == 0
