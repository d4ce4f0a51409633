"""The cost of a fill: the parts sum exactly, each is what the books of that moment say, and a small market by hand."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_fakes import FakeFill, Info, view
from random_markets import MS, START_NS, RandomPolicy, random_market
from simulated import INSTRUMENT, LIVE, Flag, Kind, Market, Message, Row, columns, native_session
from tickerml import _native, cost
from tickerml.cost import Gauge
from tickerml.schema import MONEY_ONE, UNDEF_I64
from tickerml.sinks.costs import CostTally, costs_text
from tickerml.sinks.files import FillsFile

SECOND = 1_000 * MS
SETTINGS = {
    "step_ms": 100, "queue": "risk_averse", "exchange": "shared", "report_rule": "causal", "reorder_ms": 0,
    "base_latency_ms": 1, "clock": "fixed:0", "entry_ms": 10, "response_ms": 10, "decision_ms": 0, "maker_bps": 0,
    "taker_bps": 10,
}  # fmt: skip


def hand_market(*later: tuple[int, list[tuple[int, int, int]]]) -> Market:
    """A book of 100.0 x 5 against 100.2 x 3 and 100.4 x 10, then messages at `later` milliseconds."""
    clears = [(Row.CLEAR, 0, 0, Flag.SNAPSHOT), (Row.CLEAR, 0, 0, Flag.SNAPSHOT | Flag.ASK_SIDE)]
    levels = [(Row.BID, 1000, 5), (Row.ASK, 1002, 3), (Row.ASK, 1004, 10)]
    first = [*clears, *((*level, Flag.SNAPSHOT) for level in levels)]
    groups: list[tuple[int, list[tuple[int, int, int, int]]]] = [(0, first), (0, [(Row.STATE, LIVE, 4, 0)])]
    groups += [(at, [(*row, 0) for row in rows]) for at, rows in later]
    messages = []
    for pos, (at, rows) in enumerate(groups):
        rows[-1] = (*rows[-1][:3], rows[-1][3] | Flag.LAST)
        ns = START_NS + at * MS
        messages.append(Message(pos, ns, None if rows[0][0] == Row.STATE else ns, tuple(rows)))
    return Market(INSTRUMENT, SETTINGS, messages)


def fills_of(market: Market, orders: dict[int, Any], **changed: Any) -> list[Any]:
    """Fills of a market where the order `orders[k]` is sent at the k-th view."""
    session, fills = native_session(market, **changed), []
    for k, shown in enumerate(session):
        fills += shown.fills
        session.submit([orders[k]] if k in orders else [], (), b"")
    return fills


def test_a_taker_by_hand() -> None:
    market = hand_market(
        (1, [(Row.BUY_TRADE, 1002, 4)]),
        (2, [(Row.BUY_TRADE, 1002, 16)]),
        (105, [(Row.BID, 1001, 7)]),
        (400, [(Row.BID, 990, 1)]),
    )
    buy = (Kind.MARKET, 0, 1, 0, 5, 0, 0)
    first, second = fills_of(market, {1: buy})
    # Decided at 100 ms on 100.1, met at 110 ms a mid of 100.15: 0.05 of delay. The touch is 100.2, the rest at 100.4.
    assert (first.px, first.qty, second.px, second.qty) == (1002, 3, 1004, 2)
    assert cost.parts(first) == cost.Parts(delay2=1, wait2=0, spread2=1, depth2=0)
    assert cost.parts(second) == cost.Parts(delay2=1, wait2=0, spread2=1, depth2=4)
    assert (first.order_qty, first.volume_qty, first.print_median_qty, first.age_ns) == (5, 20, 10, 0)
    said = cost.measure(second, Info(qty_precision=0), Gauge(impact_bps=Fraction(8)))
    assert said == cost.Measured(
        decision_px="100.1", arrival_px="100.15", mid_px="100.15", touch_px="100.2", delay_quote="0.1",
        wait_quote="0", spread_quote="0.1", depth_quote="0.4",
        # 200.8 at 8 bps x sqrt(5 / 20).
        impact_quote="0.08032",
        placed_ahead_qty=None, ahead_ratio=None, toxic=None, age_ns=0, imbalance=(7 - 3) / 10, participation_frac=0.25,
    )  # fmt: skip


def test_a_maker_by_hand() -> None:
    prints = [(k, [(Row.BUY_TRADE, 1002, 1)]) for k in range(1, 6)]
    market = hand_market(
        *prints,
        (150, [(Row.BID, 998, 1)]),
        (300, [(Row.SELL_TRADE, 1000, 30)]),
        (301, [(Row.BID, 1000, 0), (Row.ASK, 999, 2)]),
        (500, [(Row.BID, 990, 1)]),
    )
    (fill,) = fills_of(market, {1: (Kind.POST_ONLY, 0, 1, 1000, 2, 0, 0)})
    # Five were ahead when the print came, the median print was 1; bought half a spread below an unmoved mid.
    assert (fill.maker, fill.ahead_qty, fill.placed_ahead_qty, fill.print_median_qty) == (True, 5, 5, 1)
    assert cost.parts(fill) == cost.Parts(delay2=0, wait2=0, spread2=-2, depth2=0)
    assert fill.age_ns == (300 - 110) * MS
    assert cost.ahead_ratio(fill) == 5
    told = {limit: cost.measure(fill, Info(qty_precision=0), Gauge(Fraction(limit))).toxic for limit in (4, 5)}
    assert told == {4: True, 5: False}, "toxic is beyond the threshold"


def test_what_is_not_known_is_not_invented() -> None:
    market = hand_market(
        (50, [(Row.STATE, 5, 5)]),
        (300, [(Row.SELL_TRADE, 999, 30)]),
        (301, [(Row.BID, 990, 1)]),
        (600, [(Row.BID, 990, 2)]),
    )
    (fill,) = fills_of(market, {1: (Kind.POST_ONLY, 0, 1, 1000, 2, 0, 0)})
    assert cost.parts(fill) is None
    assert (fill.decision_mid2, fill.arrival_mid2, fill.bid_px) == (UNDEF_I64,) * 3
    said = cost.measure(fill, Info(qty_precision=0), cost.USUAL)
    assert said._replace(age_ns=0) == cost.Measured(*[None] * 8, "0", None, None, None, 0, None, None)


NOTHING = (UNDEF_I64, UNDEF_I64, 0, 0)


class Oracle:
    """The venue's book and prints in venue time: every message in its place, as with `report_rule` venue."""

    def __init__(self, market: Market) -> None:
        self.live_at, self.steps = None, []
        offset = int(market.settings["clock"].removeprefix("fixed:"))
        base = int(market.settings["base_latency_ms"] * MS)
        depth = snapshot = state = none = -(2**63)
        for message in market.messages:
            kind = message.rows[0][0]
            at = message.ts_recv_ns - base if message.ts_event_ns is None else message.ts_event_ns + offset
            if kind == Row.STATE:
                state = at = max(max(depth, snapshot) if max(depth, snapshot) > none else at, state)
            elif kind == Row.TOUCH:
                continue
            elif kind == Row.CLEAR:
                snapshot = max(snapshot, at)
            elif kind in (Row.BID, Row.ASK):
                at = max(at, snapshot)
                depth = max(depth, at)
            self.steps.append((at, message))
        self.steps.sort(key=lambda step: step[0])

    def quote(self, at: int, pos: int | None) -> tuple[int, ...]:
        """The best after everything up to `at`, or of that time up to the record `pos`."""
        book: dict[int, dict[int, int]] = {Row.BID: {}, Row.ASK: {}}
        live = False
        for when, message in self.steps:
            if when > at:
                break
            for kind, px, qty, flags in message.rows:
                if kind == Row.STATE:
                    live = px == LIVE
                elif kind == Row.CLEAR:
                    book[Row.ASK if flags & Flag.ASK_SIDE else Row.BID].clear()
                elif kind in (Row.BID, Row.ASK):
                    book[kind][px] = qty
                    if not qty:
                        del book[kind][px]
            if message.pos == pos:
                break
        bid, ask = (max(book[Row.BID], default=UNDEF_I64), min(book[Row.ASK], default=UNDEF_I64))
        return (bid, ask, book[Row.BID].get(bid, 0), book[Row.ASK].get(ask, 0)) if live else NOTHING

    def prints(self, at: int, pos: int | None) -> list[int]:
        """Sizes printed in the five minutes before, or of that time before the record `pos`."""
        found = []
        for when, message in self.steps:
            if when > at or (message.pos == pos and when == at):
                break
            if when > at - 300 * SECOND:
                found += [row[2] for row in message.rows if row[0] in (Row.BUY_TRADE, Row.SELL_TRADE)]
        return found


def one_latency(market: Market) -> Market:
    """The market with ways that all take the same time, so that what arrived when can be told."""
    market.settings.pop("latencies", None)
    market.settings["latency"] = "constant"
    return market


def mid2(quote: tuple[int, ...]) -> int:
    return UNDEF_I64 if UNDEF_I64 in quote[:2] else quote[0] + quote[1]


@pytest.mark.parametrize("seed", range(40))
def test_the_parts_of_every_fill_sum_exactly_and_are_what_the_books_say(seed: int) -> None:
    market = one_latency(random_market(seed, steps=120))
    oracle, policy = Oracle(market), RandomPolicy(market, seed)
    session = native_session(market, report_rule="venue")
    decided: dict[int, tuple[int, int]] = {}
    fills = []
    for shown in session:
        wanted = policy(shown)
        best = shown.book_px[0, :, 0]
        seen = int(best.sum()) if shown.state[0] == LIVE and UNDEF_I64 not in best else UNDEF_I64
        for order_id, intent in zip(session.submit(wanted, (), b""), wanted, strict=True):
            if intent[0] not in (Kind.AMEND, Kind.CANCEL, Kind.CANCEL_ALL):
                decided[order_id] = (seen, shown.ts_ns)
        fills += shown.fills
    sent_ns = int((market.settings["decision_ms"] + market.settings["entry_ms"]) * MS)
    for fill in fills:
        seen, ts_ns = decided[fill.order_id]
        arrived = fill.ts_event_ns - fill.age_ns
        assert arrived >= ts_ns + sent_ns
        assert fill.decision_mid2 == seen
        assert fill.arrival_mid2 == mid2(oracle.quote(arrived, None))
        pos = fill.cause_pos if fill.maker else None
        quote = (fill.bid_px, fill.ask_px, fill.bid_qty, fill.ask_qty)
        assert quote == oracle.quote(fill.ts_event_ns, pos)
        printed = oracle.prints(fill.ts_event_ns, pos)
        assert fill.print_median_qty == (int(np.median(printed)) if printed else 0)
        assert fill.volume_qty == sum(oracle.prints(arrived, None))
        found = cost.parts(fill)
        if found is not None:
            assert sum(found) == fill.side * (2 * fill.px - fill.decision_mid2)
            assert not fill.maker or found.depth2 == 0
            assert fill.maker or (found.wait2 == 0 and found.depth2 >= 0)
            # The books of these markets cross now and then.
            assert fill.maker or found.spread2 >= 0 or fill.bid_px >= fill.ask_px


@pytest.mark.parametrize("seed", range(20))
def test_the_table_is_the_sum_of_the_fills(seed: int, tmp_path: Path) -> None:
    """Gaps and silence included; the file's columns, the table and the fills agree to the last digit."""
    market = random_market(seed, 7, steps=120)
    policy, session = RandomPolicy(market, seed, 7), native_session(market)
    info = session.instruments[0]
    tally = CostTally(session.instruments, cost.USUAL)
    file = FillsFile(tmp_path / "f.csv", session.instruments, cost.USUAL)
    exact = Fraction(0)
    for shown in session:
        session.submit(policy(shown), (), b"")
        for sink in (tally, file):
            sink.write(shown, (), (), None)
        for fill in shown.fills:
            if cost.parts(fill) is not None:
                unit = Fraction(fill.qty, 10 ** (info.price_precision + info.qty_precision))
                exact += Fraction(fill.side * (2 * fill.px - fill.decision_mid2), 2) * unit
    file.close()
    rows = tally.rows()
    with (tmp_path / "f.csv").open() as text:
        lines = list(csv.DictReader(text))
    names = ("delay_quote", "wait_quote", "spread_quote", "depth_quote")
    assert sum(Fraction(row["cost_quote"]) for row in rows) == exact
    assert sum(Fraction(row[name]) for row in rows for name in names) == exact
    for name in (*names, "fee_quote", "impact_quote"):
        assert sum(Fraction(row[name]) for row in rows) == sum(Fraction(line[name] or 0) for line in lines), name
    assert sum(row["fills"] for row in rows) == len(lines)
    assert sum(row["unknown"] for row in rows) == sum(not line["delay_quote"] for line in lines)
    assert sum(row["toxic"] for row in rows) == sum(line["toxic"] == "true" for line in lines)
    again = CostTally(session.instruments, cost.USUAL)
    again.restore(tally.state())
    assert again.rows() == rows


def test_impact_is_the_square_root_law_rounded_up() -> None:
    bps = Fraction(10)
    assert cost.impact_e18(MONEY_ONE, 4, 4, bps) == MONEY_ONE // 1000
    assert cost.impact_e18(MONEY_ONE, 1, 4, bps) == MONEY_ONE // 2000
    assert cost.impact_e18(1, 1, 4, bps) == 1
    assert cost.impact_e18(MONEY_ONE, 1, 0, bps) is None


def test_a_large_order_is_warned_of() -> None:
    tally = CostTally([Info()], cost.USUAL)
    small, large = (FakeFill(1, 10_000, 1, order_qty=qty, volume_qty=100) for qty in (5, 6))
    tally.write(view((9, 11), fills=(small,)), (), (), None)
    assert not any("too good" in line for line in costs_text(tally.rows()))
    tally.write(view((9, 11), fills=(large, large)), (), (), None)
    assert tally.rows()[0]["large"] == 2
    assert any("2 fills are too good to be true" in line for line in costs_text(tally.rows()))
    assert costs_text([]) == []


def test_quotes_at_are_the_venues_books() -> None:
    market = one_latency(random_market(3, steps=120))
    oracle, name = Oracle(market), f"{market.instrument['venue']}:DEMOUSDT"
    first, last = oracle.steps[0][0], oracle.steps[-1][0]
    times = np.linspace(first - SECOND, last + SECOND, 300).astype(np.int64)
    found = _native.quotes_at([columns(market)], json.dumps(market.settings), name, times)
    for k, at in enumerate(times.tolist()):
        quote = oracle.quote(at, None) if at < last else NOTHING
        assert tuple(int(found[name][k]) for name in ("bid_px", "ask_px", "bid_qty", "ask_qty")) == quote
        assert (found["stretch"][k] > 0) == (quote[0] != UNDEF_I64)
    with pytest.raises(ValueError, match="goes back"):
        _native.quotes_at([columns(market)], json.dumps(market.settings), name, times[::-1].copy())


@pytest.mark.parametrize("money", ["0", "-0.12345", "999.99999", "-54321.987654321", "-98765432.1"])
def test_the_table_of_costs_fits_a_hundred_columns(money: str) -> None:
    names = ("delay", "wait", "spread", "depth", "fee", "impact")
    row = {
        "instrument": "binance_spot:1000SATSUSDT", "fills": 123_456, "toxic": 12_345, "unknown": 3, "large": 1,
        **{f"{name}_quote": money for name in names},
    }  # fmt: skip
    lines = costs_text([{**row, "liquidity": "taker"}, {**row, "liquidity": "maker"}])
    assert max(map(len, lines)) <= 100, lines
    assert [line.strip() for line in lines].count("binance_spot:1000SATSUSDT") == 1, "one line names both rows"
    table = [line.split() for line in lines if line.startswith(("cost of fills", "  taker", "  maker"))]
    assert [row[0] for row in table[1:]] == ["taker", "maker"]
    assert all(len(cells) == len(table[0]) - 3 for cells in table[1:])
    shown = float(table[1][2])
    assert shown == pytest.approx(float(money), rel=1e-5, abs=1e-4)
