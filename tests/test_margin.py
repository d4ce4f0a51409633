"""Contracts as the venue carries them: inverse ones end to end, margin by tiers, and liquidation by the mark price."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from engine_fakes import INVERSE, FakeFill, FakeOrder, Info, view
from simulated import LIVE, Market, Message, Row, native_session
from tickerml import cost, engine
from tickerml.portfolio import Portfolio
from tickerml.risk import Limits, Margin, Reason, Risk
from tickerml.risk.margin import LIQUIDATION_TAG, Contract, Tier
from tickerml.schema import DAY_NS, LIMIT, LIQUIDATE, MARKET, MONEY_ONE, Intent

pytest.importorskip("tickerml._native", reason="the native module is not built")

MS, START_NS = 1_000_000, 1_723_161_600 * 10**9
MARK = 9
TIERS = (
    Tier(0, 10_000 * MONEY_ONE, Fraction(1, 100), Fraction(50)),
    Tier(0, 50_000 * MONEY_ONE, Fraction(1, 20), Fraction(10)),
)


def test_each_part_of_a_position_is_margined_by_its_own_tier() -> None:
    """25,000: 10,000 at 1 % and 15,000 at 5 %; opened at 10 times; 60,000 is beyond the largest tier."""
    contract = Contract(Info(), TIERS)
    assert contract.maintenance(25_000 * MONEY_ONE, 1) == 850 * MONEY_ONE
    assert [contract.initial(worth * MONEY_ONE, 1) for worth in (0, 10_000, 25_000, 60_000)] == [
        0, 200 * MONEY_ONE, 2_500 * MONEY_ONE, None,
    ]  # fmt: skip
    assert contract.maintenance(60_000 * MONEY_ONE, 1) == 2_600 * MONEY_ONE, (
        "what grew beyond it is margined all the same"
    )
    later = Tier(10, 10_000 * MONEY_ONE, Fraction(1, 50), Fraction(20))
    assert Contract(Info(), (*TIERS, later)).maintenance(100 * MONEY_ONE, 10) == 2 * MONEY_ONE


def held(qty: int, *, cash: str = "1000", px: int = 100_000) -> Portfolio:
    portfolio = Portfolio({"USDT": cash}, [Info()])
    portfolio.apply(view((px, px), fills=(FakeFill(1 if qty > 0 else -1, px, abs(qty)),)))
    return portfolio


def marked(price: float, **more: Any) -> Any:
    shown = view((100_000, 100_010), **more)
    shown.mark_e8[0] = round(price * 10**8)
    return shown


def risk() -> Risk:
    limits = Limits(position_frac_max=Fraction(100), leverage_max=Fraction(100), drawdown_frac_max=Fraction(1))
    return Risk(limits, [Info()], None, Margin([Info()], [TIERS]))


def test_the_mark_price_calls_and_never_the_book() -> None:
    """0.9 BTC long at 10,000 with 1,000 of cash: at 8,988 the balance 89.2 is above 1 % of 8,089.2, at 8,978 below."""
    keeper, portfolio = risk(), held(900)
    assert keeper.check([], marked(0), portfolio) == ((), ()), "without a mark price nobody is called"
    assert keeper.check([], marked(8_988), portfolio) == ((), ())
    assert not keeper.tripped
    more = Intent(LIMIT, 0, 1, 90_000, 10)
    (call,), (refused,) = keeper.check([more], marked(8_978, ts_ns=7), portfolio)
    assert call == (LIQUIDATE, 0, -1, 0, 900, LIQUIDATION_TAG, 0, True)
    assert (refused.reason, keeper.tripped, keeper.tripped_ts_ns) == (Reason.LIQUIDATION, True, 7)
    under_way = FakeOrder(3, 0, -1, 900, tag=LIQUIDATION_TAG)
    assert keeper.check([], marked(8_970, orders=(under_way,)), portfolio) == ((), ()), "one closing at a time"
    assert keeper.check([], marked(8_970, state=[4]), portfolio) == ((), ()), "not at a book that is not true"
    assert len(keeper.check([], marked(8_970), portfolio)[0]) == 1


def test_tiers_of_a_new_day_call_what_nothing_else_has_moved() -> None:
    """9,000 held, a balance of 1,000: 1 % carries it, and 20 % from the next day on does not, at the same mark."""
    later = Tier(DAY_NS, 10_000 * MONEY_ONE, Fraction(1, 5), Fraction(5))
    margin, portfolio = Margin([Info()], [(*TIERS, later)]), held(900)
    assert not margin.calls(marked(10_000, ts_ns=DAY_NS - 1), portfolio)
    (call,) = margin.calls(marked(10_000, ts_ns=DAY_NS), portfolio)
    assert (call.kind, call.qty) == (LIQUIDATE, 900)


def test_the_same_marks_are_reckoned_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    margin, portfolio, asked = Margin([Info()], [TIERS]), held(900), []
    monkeypatch.setattr(margin, "balance", lambda *_: asked.append(1) or 1_000 * MONEY_ONE)
    for ts_ns in (1, 2, DAY_NS - 1, DAY_NS, DAY_NS + 1):
        assert not margin.calls(marked(10_000, ts_ns=ts_ns), portfolio)
    assert len(asked) == 2


def test_an_order_needs_the_venues_initial_margin() -> None:
    keeper, portfolio = risk(), Portfolio({"USDT": "1000"}, [Info()])
    orders = {qty: Intent(LIMIT, 0, 1, 100_000, qty) for qty in (900, 1_100, 6_000)}
    said = {qty: keeper.check([order], marked(10_000), portfolio)[1] for qty, order in orders.items()}
    assert said[900] == []
    assert [said[qty][0].reason for qty in (1_100, 6_000)] == [Reason.LEVERAGE] * 2
    assert "asks for 1100.00 USDT of margin, there are 1000.00" in said[1_100][0].detail
    assert "beyond the venue's largest tier" in said[6_000][0].detail


def test_inverse_contracts_need_their_base() -> None:
    """$1,000 of contracts at 10,000 and 50 times: 0.002 BTC; dollars are no margin for them."""
    limits = Limits(position_frac_max=Fraction(100), leverage_max=Fraction(100))
    order = Intent(LIMIT, 0, 1, 100_000, 10)
    for cash, passes in (("0.001", False), ("0.002", True)):
        keeper = Risk(limits, [INVERSE], None, Margin([INVERSE], [TIERS]))
        portfolio = Portfolio({"USDT": "10000", "BTC": cash}, [INVERSE])
        assert (keeper.check([order], marked(10_000), portfolio)[0] == [order]) == passes


def test_a_policy_cannot_liquidate() -> None:
    _, (refused,) = risk().check([Intent(LIQUIDATE, 0, 1, 0, 5)], marked(10_000), held(-5))
    assert refused.reason == Reason.BAD_INTENT


# ---- with the simulated venue ----------------------------------------------------------------------------------------

LINEAR: dict[str, Any] = {
    "venue": "binance_usdm", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "kind": "perpetual",
    "price_precision": 1, "qty_precision": 3, "tick": 1, "lot": 1, "min_notional": "0", "contract_size": "1",
    "funding_interval_h": None, "metadata_source": "given",
}  # fmt: skip
COIN: dict[str, Any] = {
    **LINEAR, "venue": "binance_coinm", "symbol": "BTCUSD_PERP", "quote": "USD", "kind": "inverse", "qty_precision": 0,
    "contract_size": "100",
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "step_ms": 100, "queue": "risk_averse", "reorder_ms": 0, "base_latency_ms": 1, "clock": "fixed:0", "entry_ms": 0,
    "response_ms": 0, "decision_ms": 0, "maker_bps": 2, "taker_bps": 5, "liquidation_bps": 125,
}  # fmt: skip


def market(instrument: dict[str, Any], *later: tuple[int, list[tuple[int, int, int]]]) -> Market:
    """A book of 9,999.9 against 10,000, then messages at `later` milliseconds."""
    groups: list[tuple[int, list[tuple[int, int, int]]]] = [
        (0, [(Row.BID, 99_999, 10**6), (Row.ASK, 100_000, 10**6)]), (0, [(Row.STATE, LIVE, 4)]), *later,
        (2_000, [(Row.TOUCH, 1, 1)]),
    ]  # fmt: skip
    messages = []
    for pos, (at, rows) in enumerate(groups):
        flagged = tuple((*row, 1 if n == len(rows) - 1 else 0) for n, row in enumerate(rows))
        ns = START_NS + at * MS
        messages.append(Message(pos, ns, None if rows[0][0] == Row.STATE else ns, flagged))
    return Market(instrument, SETTINGS, messages)


class Orders:
    """A policy that sends what it is told at times, ms."""

    name = "orders"

    def __init__(self, orders: dict[int, list[Intent]]) -> None:
        self.orders = orders

    def decide(self, shown: Any, portfolio: Any) -> list[Intent]:
        return self.orders.pop((shown.ts_ns - START_NS) // MS, [])

    def reset(self) -> None:
        """Nothing."""


class Seen:
    """A sink that keeps reports and fills."""

    def __init__(self) -> None:
        self.reports: list[Any] = []
        self.fills: list[Any] = []

    def write(self, shown: Any, approved: Any, refused: Any, portfolio: Any) -> None:
        self.reports += shown.reports
        self.fills += shown.fills

    def close(self) -> None:
        """Nothing."""


def trade(tested: Market, orders: dict[int, list[Intent]], cash: dict[str, str]) -> tuple[Seen, Portfolio, Risk]:
    session = native_session(tested)
    limits = Limits(position_frac_max=Fraction(100), leverage_max=Fraction(100), drawdown_frac_max=Fraction(1))
    infos = session.instruments
    keeper, portfolio, seen = Risk(limits, infos, None, Margin(infos, [TIERS])), Portfolio(cash, infos), Seen()
    engine.run(session, Orders(orders), keeper, portfolio, seen)  # type: ignore[arg-type]
    return seen, portfolio, keeper


def test_a_position_that_its_margin_does_not_carry_is_closed_at_the_book() -> None:
    """0.9 BTC at 10,000; the last price falls to 8,900 first and nothing happens; the mark follows, and the book is
    taken at 8,900 for 5 + 125 bps. What is left below zero is a debt. The resting order goes, later ones are refused.
    """
    fall = [(Row.BID, 99_999, 0), (Row.ASK, 100_000, 0), (Row.BID, 89_000, 500), (Row.BID, 88_000, 10**6),
            (Row.ASK, 89_100, 10**6)]  # fmt: skip
    shown = market(
        LINEAR, (50, [(MARK, 10_000 * 10**8, 0)]), (550, fall), (560, [(Row.SELL_TRADE, 89_000, 1)]),
        (1_050, [(MARK, 8_900 * 10**8, 0)]),
    )  # fmt: skip
    orders = {
        100: [Intent(MARKET, 0, 1, 0, 900), Intent(LIMIT, 0, -1, 150_000, 5)],
        1_500: [Intent(LIMIT, 0, 1, 88_000, 10)],
    }
    seen, portfolio, keeper = trade(shown, orders, {"USDT": "1000"})
    closing = [f for f in seen.fills if f.tag == LIQUIDATION_TAG]
    assert [(f.side, f.px, f.qty, f.maker) for f in closing] == [(-1, 89_000, 500, False), (-1, 88_000, 400, False)]
    assert all(f.ts_event_ns >= START_NS + 1_100 * MS for f in closing)
    worth = Fraction(4_450 + 3_520)
    assert sum(Fraction(f.fee_e18, MONEY_ONE) for f in closing) == worth * 130 / 10_000
    said = [(r.kind, r.reason) for r in seen.reports if r.reason]
    assert said == [("cancelled", "liquidation"), ("partially_filled", "liquidation"), ("filled", "liquidation")]
    assert keeper.tripped
    assert portfolio.positions == [0]
    cash = 1_000 - Fraction(9_000 * 5, 10_000) - 9_000 + worth - worth * 130 / 10_000
    assert cash < 0
    assert Fraction(portfolio.cash_e18("USDT"), MONEY_ONE) == cash
    assert [f.tag for f in seen.fills].count(0) == 1, "the breaker is open"


def test_inverse_contracts_trade_end_to_end() -> None:
    """10 contracts of $100 bought at 10,000 and sold at 12,500: 0.02 BTC less 5 bps of 0.1 and of 0.08 BTC."""
    rise = [(Row.BID, 99_999, 0), (Row.ASK, 100_000, 0), (Row.BID, 125_000, 10**6), (Row.ASK, 125_010, 10**6)]
    shown = market(COIN, (50, [(MARK, 10_000 * 10**8, 0)]), (550, rise), (560, [(MARK, 12_500 * 10**8, 0)]))
    orders = {100: [Intent(MARKET, 0, 1, 0, 10)], 1_000: [Intent(MARKET, 0, -1, 0, 10)]}
    seen, portfolio, _ = trade(shown, orders, {"BTC": "1", "USDT": "10000"})
    assert [(f.px, f.qty, f.fee_in_base) for f in seen.fills] == [(100_000, 10, True), (125_000, 10, True)]
    assert [Fraction(f.fee_e18, MONEY_ONE) for f in seen.fills] == [Fraction(5, 10**5), Fraction(4, 10**5)]
    assert Fraction(portfolio.cash_e18("BTC"), MONEY_ONE) == 1 + Fraction(2, 100) - Fraction(9, 10**5)
    # 1,000 dollars against a mid that is 0.05 higher than what was paid 0.025 of... half a tick of 0.1 on 0.1 BTC.
    (first, _) = (cost.measure(f, INVERSE, cost.USUAL) for f in seen.fills)
    assert Fraction(first.spread_quote or 0) == Fraction(5, 1000)


def test_an_inverse_position_is_closed_too() -> None:
    """$100,000 short with 0.5 BTC at 10,000: at a mark of 10,600 it has lost 0.566 BTC."""
    rise = [(Row.BID, 99_999, 0), (Row.ASK, 100_000, 0), (Row.BID, 105_990, 10**6), (Row.ASK, 106_000, 10**6)]
    shown = market(COIN, (50, [(MARK, 10_000 * 10**8, 0)]), (550, rise), (560, [(MARK, 10_600 * 10**8, 0)]))
    seen, portfolio, keeper = trade(shown, {100: [Intent(MARKET, 0, -1, 0, 1_000)]}, {"BTC": "0.5", "USDT": "10000"})
    assert [(f.side, f.qty, f.tag) for f in seen.fills] == [(-1, 1_000, 0), (1, 1_000, LIQUIDATION_TAG)]
    assert (keeper.tripped, portfolio.positions) == (True, [0])
