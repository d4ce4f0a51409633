"""The portfolio: exact accounts under any sequence of fills, marks, and a state that survives."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from engine_fakes import INVERSE, SPOT, FakeFill, FakeFunding, Info, replace, view
from hypothesis import given
from hypothesis import strategies as st
from tickerml.portfolio import Broken, Portfolio
from tickerml.portfolio.funding import funding_e18
from tickerml.schema import MONEY_ONE, UNDEF_I64

START = {"USDT": Decimal(10_000)}
FILLS = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from([1, -1]), st.integers(1, 10**8), st.integers(1, 10**9),
        st.integers(-(10**15), 10**18),
    ),
    max_size=30,
)  # fmt: skip


def fill(instrument: int, side: int, px: int, qty: int, fee: int) -> FakeFill:
    return FakeFill(side, px, qty, fee, instrument)


@given(FILLS)
def test_accounts_balance_and_agree_with_plain_fractions(rows: list[tuple[int, int, int, int, int]]) -> None:
    """An independent reading: linear and spot cash by fractions, from the list of fills alone."""
    infos = [Info(), SPOT, INVERSE]
    portfolio = Portfolio(START, infos)
    touches = [(100_000, 100_010), (1_000_000, 1_000_100), (100_000, 100_010)]
    paid = Fraction(0)
    for row in rows:
        portfolio.apply(view(*touches, fills=(fill(*row),)))
        i, side, px, qty, fee = row
        scale = 10 ** (infos[i].price_precision + infos[i].qty_precision)
        if i == 1:
            paid += side * Fraction(px * qty * MONEY_ONE, scale)
        if i != 2:
            paid += fee
    linear = portfolio._lots[0]
    assert linear.cost - linear.realised == sum(side * px * qty * 10**14 for i, side, px, qty, _ in rows if i == 0)
    assert portfolio.cash_e18("USDT") == 10_000 * MONEY_ONE - paid + linear.realised
    assert portfolio.positions == [sum(r[1] * r[3] for r in rows if r[0] == i) for i in range(3)]
    assert portfolio.peak_e18 >= portfolio.equity_e18
    assert portfolio.max_drawdown_frac >= 0


@given(FILLS, st.integers(0, 29))
def test_a_restored_portfolio_goes_on_bit_for_bit(rows: list[tuple[int, int, int, int, int]], cut: int) -> None:
    infos = [Info(), SPOT, INVERSE]
    touches = [(100_000, 100_010), (1_000_000, 1_000_100), (100_000, 100_010)]
    one, two = Portfolio(START, infos), Portfolio(START, infos)
    for n, row in enumerate(rows):
        shown = view(*touches, fills=(fill(*row),))
        one.apply(shown)
        two.apply(shown)
        if n == cut:
            fresh = Portfolio(START, infos)
            fresh.restore(two.state_bytes())
            assert fresh.equity_e18 == two.equity_e18
            two = fresh
    assert one.state_bytes() == two.state_bytes()
    assert one.snapshot(view(*touches)) == two.snapshot(view(*touches))


def test_a_spot_round_trip_by_hand() -> None:
    """Buy 1 BTC at 10,000 and half at 12,000; sell 0.75 at 11,000; fees 0.1 %."""
    portfolio = Portfolio({"USDT": "100000"}, [SPOT])
    for side, px, qty, fee in ((1, 10_000, 1, 10), (1, 12_000, "0.5", 6), (-1, 11_000, "0.75", "8.25")):
        scaled = int(Decimal(qty) * 10**5)
        one = FakeFill(side, px * 100, scaled, int(Decimal(fee) * MONEY_ONE))
        portfolio.apply(view((1_099_900, 1_100_100), fills=(one,)))
    shot = portfolio.snapshot(view())
    assert shot.cash_e18["USDT"] == int(Decimal("92225.75") * MONEY_ONE)
    assert shot.realised_e18 == 250 * MONEY_ONE
    assert shot.fees_e18 == int(Decimal("24.25") * MONEY_ONE)
    assert shot.equity_e18 == int(Decimal("100475.75") * MONEY_ONE)
    assert shot.pnl_e18 == int(Decimal("475.75") * MONEY_ONE)


def test_a_spot_buy_receives_what_its_fee_leaves() -> None:
    """1 BTC at 10,000 for 0.1 %: 0.999 held for 9,990, the fee was worth 10; all of it sold at 11,000 for 0.1 %."""
    portfolio = Portfolio({"USDT": "10000"}, [SPOT])
    fee = MONEY_ONE // 1000
    portfolio.apply(view((999_900, 1_000_100), fills=(FakeFill(1, 1_000_000, 100_000, fee, fee_in_base=True),)))
    shot = portfolio.snapshot(view())
    assert (shot.positions, portfolio._lots[0].qty) == ((99_900,), 999 * MONEY_ONE // 1000)
    assert (shot.cash_e18["USDT"], shot.fees_e18, shot.realised_e18) == (0, 10 * MONEY_ONE, 0)
    assert (portfolio._lots[0].cost, shot.equity_e18) == (9_990 * MONEY_ONE, 9_990 * MONEY_ONE)
    portfolio.apply(view(fills=(FakeFill(-1, 1_100_000, 99_900, int(Decimal("10.989") * MONEY_ONE)),)))
    shot = portfolio.snapshot(view())
    assert shot.cash_e18["USDT"] == int((Decimal("10989") - Decimal("10.989")) * MONEY_ONE)
    assert (shot.positions, shot.realised_e18) == ((0,), 999 * MONEY_ONE)
    assert shot.fees_e18 == int(Decimal("20.989") * MONEY_ONE)


def test_what_a_fee_leaves_below_the_scale_is_held_and_handed_on() -> None:
    """0.00123 less 0.00000123: 0.00122 can be sold, the rest is held all the same, also by the run behind."""
    portfolio = Portfolio(START, [SPOT])
    fee = 1_230_000_000_000
    portfolio.apply(view((999_900, 1_000_100), fills=(FakeFill(1, 1_000_000, 123, fee, fee_in_base=True),)))
    assert (portfolio.positions, portfolio._lots[0].qty) == ([122], 123 * 10**13 - fee)
    behind = Portfolio(START, [SPOT], portfolio.carry())
    assert behind._lots[0].qty == portfolio._lots[0].qty
    fresh = Portfolio(START, [SPOT])
    fresh.restore(portfolio.state_bytes())
    assert (fresh.positions, fresh.equity_e18) == ([122], portfolio.equity_e18)


def test_a_buy_whose_fee_is_in_the_base_closes_a_short_by_what_it_receives() -> None:
    """Short 1 at 10,000, bought back at 9,000 for 0.1 %: 0.001 is still short, 999 were made."""
    portfolio = Portfolio({"USDT": "10000"}, [SPOT])
    portfolio.apply(view((999_900, 1_000_100), fills=(FakeFill(-1, 1_000_000, 100_000),)))
    back = FakeFill(1, 900_000, 100_000, MONEY_ONE // 1000, fee_in_base=True)
    portfolio.apply(view((899_900, 900_100), fills=(back,)))
    shot = portfolio.snapshot(view())
    assert (shot.positions, shot.realised_e18, shot.fees_e18) == ((-100,), 999 * MONEY_ONE, 9 * MONEY_ONE)
    assert shot.equity_e18 == (10_000 + 1_000 - 9) * MONEY_ONE


def test_a_perpetual_through_zero_by_hand() -> None:
    """Long 2 at 100.0, sell 3 at 110.0: 20 realised, short 1 at 110; the mid 104.5 then gives 5.5 more."""
    portfolio = Portfolio({"USDT": "1000"}, [Info()])
    portfolio.apply(view((1000, 1010), fills=(FakeFill(1, 1000, 2000), FakeFill(-1, 1100, 3000))))
    assert portfolio.positions == [-1000]
    assert portfolio.snapshot(view()).realised_e18 == 20 * MONEY_ONE
    portfolio.apply(view((1040, 1050)))
    assert portfolio.equity_e18 == 10255 * MONEY_ONE // 10


def test_an_inverse_contract_earns_its_base() -> None:
    """10 contracts of $100 from 10,000 to 12,500: 0.1 - 0.08 BTC, worth $250 at 12,500."""
    portfolio = Portfolio(START, [INVERSE])
    portfolio.apply(view((100_000, 100_000), fills=(FakeFill(1, 100_000, 10),)))
    portfolio.apply(view((125_000, 125_000)))
    assert portfolio.equity_e18 == 10_250 * MONEY_ONE
    portfolio.apply(view((125_000, 125_000), fills=(FakeFill(-1, 125_000, 10),)))
    assert portfolio.cash_e18("BTC") == MONEY_ONE // 50
    assert portfolio.equity_e18 == 10_250 * MONEY_ONE


def test_funding_belongs_to_holding() -> None:
    portfolio = Portfolio(START, [Info()])
    portfolio.apply(view(fills=(FakeFill(1, 100_000, 10),)))
    # 0.01 BTC at a mark of 10,000, at 3 %: longs pay 3 dollars.
    portfolio.apply(view(funding=(FakeFunding(10, 10_000 * 10**8, 3 * 10**10),)))
    shot = portfolio.snapshot(view())
    assert (shot.funding_e18, shot.cash_e18["USDT"]) == (-3 * MONEY_ONE, 9_997 * MONEY_ONE)
    assert portfolio.version == 2


def test_an_unknown_rate_is_counted_until_the_venues_word() -> None:
    portfolio = Portfolio(START, [Info()])
    portfolio.apply(view(fills=(FakeFill(-1, 100_000, 10),), funding=(FakeFunding(-10),)))
    shot = portfolio.snapshot(view())
    assert (shot.funding_e18, shot.funding_unknown) == (0, 1)
    behind = Portfolio(START, [Info()], portfolio.carry())
    assert behind.snapshot(view()).funding_unknown == 1
    portfolio.apply(view(funding=(FakeFunding(-10, 10_000 * 10**8, 10**8, resolves=True),)))
    shot = portfolio.snapshot(view())
    assert (shot.funding_e18, shot.funding_unknown) == (MONEY_ONE // 100, 0)


def test_funding_is_rounded_against_us_and_inverse_contracts_pay_in_the_base() -> None:
    """3 x 10^-9 is paid as 10^-8 and received as nothing; 10 contracts of $100 at 12,500 are 0.08 BTC."""
    assert funding_e18(Info(), 1, 3 * 10**8, 10**6) == -(10**10)
    assert funding_e18(Info(), -1, 3 * 10**8, 10**6) == 0
    assert funding_e18(INVERSE, 10, 12_500 * 10**8, 10**8) == -8 * MONEY_ONE // 10**6
    assert funding_e18(INVERSE, -10, 12_500 * 10**8, 10**8) == 8 * MONEY_ONE // 10**6
    rows = Portfolio(START, [Info()]).next_funding([(5, 1, 1)])
    assert rows == [], "nothing is held"


def test_only_live_books_mark_and_quiet_views_change_nothing() -> None:
    portfolio = Portfolio(START, [Info()])
    before = portfolio.state_bytes()
    portfolio.apply(view((50_000, 50_010)))
    assert portfolio.state_bytes() is before
    portfolio.apply(view(fills=(FakeFill(1, 100_000, 10),)))
    held = portfolio.state_bytes()
    assert held != before
    portfolio.apply(view((50_000, 50_010), state=[4]))
    assert portfolio.state_bytes() is held
    portfolio.apply(view((50_000, 50_010)))
    assert portfolio.state_bytes() != held


def test_drawdown_remembers_the_deepest() -> None:
    portfolio = Portfolio({"USDT": "1000"}, [Info()])
    portfolio.apply(view((1000, 1000), fills=(FakeFill(1, 1000, 5000),)))
    for mid in (1200, 800, 1100):
        portfolio.apply(view((mid, mid)))
    shot = portfolio.snapshot(view())
    assert shot.max_drawdown_frac == 200 / 1100
    assert shot.drawdown_frac == 50 / 1100


def test_what_does_not_balance_stops_the_run() -> None:
    portfolio = Portfolio(START, [SPOT])
    portfolio._cash["USDT"] += 1
    with pytest.raises(Broken, match="do not balance") as error:
        portfolio.apply(view(fills=(FakeFill(1, 100, 100),)))
    assert error.value.exit_code == 6


def test_a_cost_that_its_fills_deny_stops_the_run() -> None:
    portfolio = Portfolio(START, [Info()])
    portfolio._lots[0].cost += 1
    with pytest.raises(Broken, match="is not what its fills say"):
        portfolio.apply(view(fills=(FakeFill(1, 100, 100),)))


def test_a_foreign_or_torn_state_is_refused() -> None:
    state = Portfolio(START, [Info()]).state_bytes()
    for bad in (state[:-1], state + bytes(16), b""):
        with pytest.raises(Broken):
            Portfolio(START, [Info()]).restore(bad)
    with pytest.raises(Broken):
        Portfolio(START, [Info(), SPOT]).restore(state)


def test_state_is_fixed_width_and_bounded() -> None:
    portfolio = Portfolio(START, [Info()])
    assert len(portfolio.state_bytes()) == 16 * (3 + 1 + 8 + 4)
    assert portfolio._lots[0].mark2 == UNDEF_I64
    portfolio._cash["USDT"] = 2**127
    portfolio._changed()
    with pytest.raises(Broken, match="128 bits"):
        portfolio.state_bytes()


def test_currencies_without_a_price_count_nothing() -> None:
    cross = replace(SPOT, id="binance_spot:ETHBTC", symbol="ETHBTC", base="ETH", quote="BTC")
    portfolio = Portfolio({"USDT": "100", "BTC": "1"}, [cross, SPOT])
    assert portfolio.start_e18 == 100 * MONEY_ONE
    portfolio.apply(view((5, 6), (None, None), state=[3, 0], fills=(FakeFill(1, 5, 100_000),)))
    assert portfolio.equity_e18 == 100 * MONEY_ONE
