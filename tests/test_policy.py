"""Policies: the register and its errors, the grid rule against a plain reading of it, and what `imbalance` wants."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from engine_fakes import SPOT, FakeOrder, Holdings, Info, replace, view
from hypothesis import given
from hypothesis import strategies as st
from tickerml.policy import BadParameter, make_policy, policy_names
from tickerml.policy.base import quantity_worth
from tickerml.schema import CANCEL, MONEY_ONE, POST_ONLY, UNDEF_I64

GRID = {"levels": 3, "half_spread_ticks": 2, "interval_ticks": 5, "qty": "0.002", "position_max": "0.005"}


def test_the_three_rules_are_known() -> None:
    assert policy_names() == ("grid", "hold", "imbalance")


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("gird", {}, "did you mean 'grid'"),
        ("grid", {"level": 1}, "did you mean 'levels'"),
        ("grid", {"levels": "many"}, "must be a whole number"),
        ("grid", {"levels": 0}, "between 1 and 100"),
        ("grid", {"qty": "-1"}, "must be 0 or more"),
        ("grid", {"qty": "0"}, "above 0, or auto"),
        ("grid", {"qty": "nan"}, "must be 0 or more"),
        ("grid", {"qty": "0.0001"}, "3 decimals of binance_usdm:BTCUSDT"),
        ("hold", {"levels": 1}, "has no parameter 'levels'"),
        ("imbalance", {"edge": "wide"}, "must be a number"),
    ],
)
def test_a_mistake_says_how_to_mend_it(name: str, params: dict[str, object], says: str) -> None:
    with pytest.raises(BadParameter) as error:
        make_policy(name, params, [Info()])
    assert says in str(error.value)
    assert error.value.exit_code == 4


def test_all_mistakes_come_at_once() -> None:
    with pytest.raises(BadParameter) as error:
        make_policy("grid", {"levels": "x", "qti": "1", "interval_ticks": 0}, [Info()])
    assert len(error.value.problems) == 3


def test_parameters_on_the_tape_include_defaults() -> None:
    assert make_policy("grid", {"levels": 7}, [Info()]).params == {
        "levels": "7",
        "half_spread_ticks": "10",
        "interval_ticks": "10",
        "qty": "auto",
        "position_max": "auto",
    }


def test_hold_wants_nothing_and_keeps_nothing() -> None:
    hold = make_policy("hold", {}, [Info()])
    assert tuple(hold.decide(view(), Holdings())) == ()
    hold.reset()
    hold.restore(hold.state())


def plain_grid(bid: int, ask: int, tick: int, position: int) -> tuple[list[int], list[int]]:
    """simulation.md 2 in exact fractions of ticks, from the mid price."""
    h, g, levels, cap = 2, 5, 3, Fraction(5)
    b, a = Fraction(bid, tick), Fraction(ask, tick)
    mid = (a + b) / 2
    bid0 = g * math.floor(min(mid - h, b) / g)
    ask0 = g * math.ceil(max(mid + h, a) / g)
    buys = [(bid0 - i * g) * tick for i in range(levels)] if position < cap else []
    sells = [(ask0 + i * g) * tick for i in range(levels)] if position > -cap else []
    return buys, sells


ORDER_TICKS = st.tuples(st.integers(-25, 85), st.sampled_from([1, -1]))


@given(
    bid=st.integers(1000, 10_000_000),
    spread=st.integers(1, 60),
    tick=st.sampled_from([1, 5, 10]),
    position=st.integers(-8, 8),
    order_ticks=st.lists(ORDER_TICKS, max_size=12, unique_by=lambda x: x[0]),
    states=st.lists(st.sampled_from(["pending", "resting", "cancelling"]), min_size=12, max_size=12),
)
def test_the_grid_is_the_rule(
    *, bid: int, spread: int, tick: int, position: int, order_ticks: list[tuple[int, int]], states: list[str]
) -> None:
    bid, ask = bid * tick, (bid + spread) * tick
    orders = tuple(FakeOrder(k + 1, bid + n * tick, side, state=states[k]) for k, (n, side) in enumerate(order_ticks))
    grid = make_policy("grid", GRID, [replace(Info(), tick=tick)])
    got = list(grid.decide(view((bid, ask), orders=orders), Holdings([position])))
    buys, sells = plain_grid(bid, ask, tick, position)
    known = {order.px for order in orders}
    unwanted = [o.order_id for o in orders if o.state == "resting" and o.px not in (buys if o.side > 0 else sells)]
    assert [i.order_id for i in got if i.kind == CANCEL] == unwanted
    sent = [(i.side, i.px, i.qty) for i in got if i.kind == POST_ONLY]
    assert sent == [(1, px, 2) for px in buys if px not in known] + [(-1, px, 2) for px in sells if px not in known]
    assert len(got) == len(unwanted) + len(sent)
    assert [i.kind == CANCEL for i in got] == sorted((i.kind == CANCEL for i in got), reverse=True)


def test_the_grid_acts_at_steps_only_and_wants_nothing_of_half_a_book() -> None:
    grid = make_policy("grid", GRID, [Info()])
    assert len(grid.decide(view(), Holdings())) == 6
    assert not grid.decide(view(cause="report"), Holdings())
    assert not grid.decide(view((100_000, None)), Holdings())
    resting = FakeOrder(9, 99_995)
    assert [i.order_id for i in grid.decide(view((100_000, None), orders=(resting,)), Holdings())] == [9]


def test_the_grid_counts_half_a_lot_of_position_max() -> None:
    grid = make_policy("grid", {**GRID, "position_max": "0.0045"}, [Info()])
    assert {i.side for i in grid.decide(view(), Holdings([4]))} == {1, -1}
    assert {i.side for i in grid.decide(view(), Holdings([5]))} == {-1}
    assert {i.side for i in grid.decide(view(), Holdings([-5]))} == {1}


def test_the_grid_of_two_instruments_keeps_them_apart() -> None:
    grid = make_policy("grid", {"levels": 1}, [Info(), SPOT])
    shown = view((100_000, 100_010), (1_000_000, 1_000_100), orders=(FakeOrder(5, 100_100, instrument=1),))
    got = list(grid.decide(shown, Holdings([0, 0])))
    assert [(i.kind, i.instrument) for i in got] == [(POST_ONLY, 0)] * 2 + [(CANCEL, 1)] + [(POST_ONLY, 1)] * 2
    assert all(i.order_id == 5 for i in got if i.kind == CANCEL)


@given(px=st.integers(1, 10**9), quote=st.integers(1, 10**6), lot=st.sampled_from([1, 10, 100]))
def test_auto_quantities_are_the_least_lots_worth_enough(px: int, quote: int, lot: int) -> None:
    info = replace(Info(), lot=lot)
    qty = quantity_worth(quote, px, info)
    scale = 10 ** (info.price_precision + info.qty_precision)
    assert qty % lot == 0
    assert qty > 0
    assert px * qty >= quote * scale
    assert qty == lot or px * (qty - lot) < quote * scale


def feature_view(micro: float, imbalance: float, **more: Any) -> Any:
    shown = view((100_000, 100_010), **more)
    shown.features[0] = [10_000.5, 1.0, micro, imbalance, imbalance, imbalance, imbalance, 0.0]
    return shown


def test_imbalance_quotes_both_sides_once() -> None:
    policy = make_policy("imbalance", {"fees": 0}, [Info()])
    quotes = list(policy.decide(feature_view(10_000.5, 0.0), Holdings()))
    assert [(q.kind, q.side, q.px) for q in quotes] == [(POST_ONLY, 1, 100_000), (POST_ONLY, -1, 100_010)]
    assert quotes[0].qty * 100_000 >= 100 * 10**4
    resting = (FakeOrder(1, 100_000), FakeOrder(2, 100_010, side=-1))
    assert not policy.decide(feature_view(10_000.5, 0.0, orders=resting), Holdings())


def test_imbalance_leans_skews_withdraws_and_cancels() -> None:
    policy = make_policy("imbalance", {"fees": 0}, [Info()])
    up = list(policy.decide(feature_view(10_000.9, 0.5), Holdings()))
    assert [(q.side, q.px) for q in up] == [(1, 100_000), (-1, 100_016)]
    resting = (FakeOrder(2, 100_010, side=-1),)
    rising = list(policy.decide(feature_view(10_000.9, 0.9, orders=resting), Holdings()))
    assert [(q.kind, q.side) for q in rising] == [(CANCEL, -1), (POST_ONLY, 1)]
    long = list(policy.decide(feature_view(10_000.5, 0.0), Holdings([100])))
    assert [(q.side, q.px) for q in long] == [(-1, 100_010)]


def test_imbalance_asks_for_a_part_of_its_fee() -> None:
    """Two maker fees of 2 bps at 10,000.5 are 4.0002: quotes at 9,996.4 and 10,004.6; a quarter of that off stays."""
    policy = make_policy("imbalance", {"fees": 2}, [Info()])
    quotes = list(policy.decide(feature_view(10_000.5, 0.0), Holdings()))
    assert [(q.side, q.px) for q in quotes] == [(1, 99_964), (-1, 100_046)]
    resting = (FakeOrder(1, 99_955), FakeOrder(2, 100_060, side=-1))
    assert [i.order_id for i in policy.decide(feature_view(10_000.5, 0.0, orders=resting), Holdings())] == [2]


def test_imbalance_leaves_a_book_that_is_not_live() -> None:
    policy = make_policy("imbalance", {}, [Info()])
    orders = (FakeOrder(1, 100_000), FakeOrder(2, 100_010, side=-1, state="pending"))
    for touch, state in (((100_000, 100_010), 4), ((None, 100_010), 3)):
        got = policy.decide(view(touch, state=[state], orders=orders), Holdings())
        assert [(i.kind, i.order_id) for i in got] == [(CANCEL, 1)]


def test_imbalance_sells_on_spot_only_what_it_holds() -> None:
    policy = make_policy("imbalance", {}, [SPOT])
    shown = view((1_000_000, 1_000_100))
    shown.features[0][2] = 10_000.5
    assert [i.side for i in policy.decide(shown, Holdings([0]))] == [1]
    sells = [i for i in policy.decide(shown, Holdings([300])) if i.side < 0]
    assert [i.qty for i in sells] == [300]
    assert SPOT.contract_size_e18 == MONEY_ONE
    assert UNDEF_I64 < 0
