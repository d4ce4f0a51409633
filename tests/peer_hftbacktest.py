"""The peer's side of a comparison: hftbacktest 2.4.4 with the grid of `simulation.md` 2 in whole ticks, in numba."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from hftbacktest import (
    BUY,
    EXPIRED,
    FILLED,
    GTC,
    GTX,
    LIMIT,
    NEW,
    NONE,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest.order import CANCELED, FOK, IOC, MARKET, PARTIALLY_FILLED
from numba import njit, types
from numba.typed import Dict, List

__all__ = ["Case", "GridRun", "fills_of_amends", "fills_of_takes", "run_of_grid"]

MODELS = {
    "risk_averse": lambda asset, _: asset.risk_adverse_queue_model(),
    "prob_log": lambda asset, _: asset.log_prob_queue_model(),
    "prob_log2": lambda asset, _: asset.log_prob_queue_model2(),
    "prob_power": lambda asset, n: asset.power_prob_queue_model(n),
    "prob_power2": lambda asset, n: asset.power_prob_queue_model2(n),
    "prob_power3": lambda asset, n: asset.power_prob_queue_model3(n),
}


@dataclass(frozen=True)
class Case:
    """One comparison, in the words of `--set`."""

    queue: str = "risk_averse"
    entry_ms: float = 10.0
    response_ms: float = 10.0
    exchange: str = "no_partial"
    step_ms: int = 100
    levels: int = 5
    half_spread_ticks: int = 1
    interval_ticks: int = 1
    qty_lots: int = 1
    position_lots_max: float = 4.5
    latency_file: str = ""


class GridRun(NamedTuple):
    """What a grid did.

    Attributes
    ----------
    fills : (venue time, step at which it was learned, side, price in ticks, quantity in lots), as they were learned.
        Executions of one order between two steps are one entry with the time of the last: hftbacktest keeps no more.
    sent : (step, side of an order or 0 for a cancel, price in ticks), in the order of sending.
    """

    fills: list[tuple[int, int, int, int, int]]
    sent: list[tuple[int, int, int]]


def run_of_grid(rows: np.ndarray, case: Case, tick: float, lot: float) -> GridRun:
    """The grid over these rows."""
    ladder = (case.levels, case.half_spread_ticks, case.interval_ticks, case.qty_lots, case.position_lots_max, lot)
    sent = List.empty_list(types.UniTuple(types.int64, 3))
    return GridRun(_fills(_grid, 5, rows, case, tick, lot, (sent, *ladder)), list(sent))


def fills_of_amends(
    rows: np.ndarray, case: Case, plan: np.ndarray, tick: float, lot: float
) -> list[tuple[int, int, int, int]]:
    """One post-only a side, amended: (venue time, side, price in ticks, quantity in lots) of each fill.

    Row k of the plan is for steps k, k + len, ..: a resting order's amendment (0 none, 1 price, 2 less),
    ticks from its side's best, lots.
    """
    return _fills(_amends, 4, rows, case, tick, lot, (plan, lot))


def fills_of_takes(
    rows: np.ndarray, case: Case, plan: np.ndarray, tick: float, lot: float
) -> list[tuple[int, int, int, int]]:
    """One order at a time that would take: (venue time, side, price in ticks, quantity in lots) of each fill.

    Row k of the plan is for steps k, k + len, ..: side (0 for none), kind (0 IOC, 1 FOK, 2 market, 3 limit), ticks
    beyond the other side's best, lots. A limit that came too late rests until the next step cancels it.
    """
    return _fills(_takes, 4, rows, case, tick, lot, (plan, lot))


def _fills(  # noqa: PLR0917 - what a strategy takes is its own
    strategy: Any, width: int, rows: np.ndarray, case: Case, tick: float, lot: float, more: tuple[Any, ...]
) -> list[Any]:
    """Runs a strategy to the end of the rows: what it noted of its fills, `width` integers each."""
    hbt = _backtest(rows, case, tick, lot)
    out = List.empty_list(types.UniTuple(types.int64, width))
    code = strategy(hbt, out, case.step_ms * 1_000_000, *more)
    assert code in (0, 1), f"hftbacktest answered {code}"
    hbt.close()
    return list(out)


def _backtest(rows: np.ndarray, case: Case, tick: float, lot: float) -> Any:
    asset = BacktestAsset().data(rows).linear_asset(1.0).tick_size(tick).lot_size(lot)
    if case.latency_file:
        asset = asset.intp_order_latency(case.latency_file)
    else:
        asset = asset.constant_order_latency(round(case.entry_ms * 1e6), round(case.response_ms * 1e6))
    family, _, exponent = case.queue.partition(":")
    asset = MODELS[family](asset, float(exponent or 0))
    asset = asset.no_partial_fill_exchange() if case.exchange == "no_partial" else asset.partial_fill_exchange()
    asset = asset.trading_value_fee_model(0.0, 0.0)
    return HashMapMarketDepthBacktest([asset])


@njit
def _amends(  # noqa: PLR0912 - as below
    hbt: Any, out: Any, step: int, plan: Any, lot: float
) -> int:
    """Each side has one order at most; the first of 2k and 2k + 1 is the buy of step k."""
    mine = np.array([-1, -1])
    if hbt.elapse(0) != 0:
        return 1
    code = hbt.elapse(-(-hbt.current_timestamp // step) * step - hbt.current_timestamp)
    while code == 0:
        orders = hbt.orders(0)
        for s in range(2):
            if mine[s] >= 0 and orders.get(mine[s]).status in (FILLED, EXPIRED):
                order = orders.get(mine[s])
                if order.status == FILLED:
                    out.append((order.exch_timestamp, 1 - 2 * s, order.price_tick, round(order.exec_qty / lot)))
                mine[s] = -1
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        bid, ask = depth.best_bid_tick, depth.best_ask_tick
        number = hbt.current_timestamp // step
        amends, away, lots = plan[number % len(plan)]
        for s in range(2):
            px = bid - away if s == 0 else ask + away
            if bid < -(1 << 62) or ask > (1 << 62):
                continue
            if mine[s] < 0:
                mine[s] = 2 * number + s
                if s == 0:
                    code = hbt.submit_buy_order(0, mine[s], px * depth.tick_size, lots * lot, GTX, LIMIT, False)
                else:
                    code = hbt.submit_sell_order(0, mine[s], px * depth.tick_size, lots * lot, GTX, LIMIT, False)
            elif amends:
                order = orders.get(mine[s])
                if order.status == NEW and order.req == NONE:
                    if amends == 1:
                        code = hbt.modify(0, mine[s], px * depth.tick_size, order.qty, False)
                    else:
                        less = min(order.qty, lots * lot)
                        code = hbt.modify(0, mine[s], order.price_tick * depth.tick_size, less, False)
            if code != 0:
                return code
        code = hbt.elapse(step)
    return code


@njit
def _takes(hbt: Any, out: Any, step: int, plan: Any, lot: float) -> int:
    mine = -1
    if hbt.elapse(0) != 0:
        return 1
    code = hbt.elapse(-(-hbt.current_timestamp // step) * step - hbt.current_timestamp)
    while code == 0:
        orders = hbt.orders(0)
        if mine >= 0:
            order = orders.get(mine)
            if order.status == FILLED:
                side = 1 if order.side == BUY else -1
                out.append((order.exch_timestamp, side, order.exec_price_tick, round(order.exec_qty / lot)))
            if order.status in (FILLED, EXPIRED, CANCELED):
                mine = -1
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        bid, ask = depth.best_bid_tick, depth.best_ask_tick
        number = hbt.current_timestamp // step
        side, kind, away, lots = plan[number % len(plan)]
        if mine >= 0:
            order = orders.get(mine)
            if order.status == NEW and order.req == NONE:
                code = hbt.cancel(0, mine, False)
        elif side != 0 and bid > -(1 << 62) and ask < (1 << 62):
            mine = number
            force = IOC if kind == 0 else FOK if kind == 1 else GTC
            order_type = MARKET if kind == 2 else LIMIT
            if side > 0:
                px = (ask + away) * depth.tick_size
                code = hbt.submit_buy_order(0, mine, px, lots * lot, force, order_type, False)
            else:
                px = (bid - away) * depth.tick_size
                code = hbt.submit_sell_order(0, mine, px, lots * lot, force, order_type, False)
        if code != 0:
            return code
        code = hbt.elapse(step)
    return code


@njit
def _grid(  # noqa: PLR0912, PLR0915, PLR0917 - numba takes neither records nor closures, so the strategy is one function
    hbt: Any, out: Any, step: int, sent: Any, levels: int, h: int, g: int, qty: int, cap: float, lot: float
) -> int:
    position = 0
    # By price, which is the order's id. hftbacktest forgets a cancel under way where it learns of a fill in part, and
    # shows no such fill that it learns of together with the cancel's end: both are kept here instead.
    leaves, leaving = Dict.empty(types.int64, types.int64), Dict.empty(types.int64, types.boolean)
    # To the next multiple of the step, then on from there.
    if hbt.elapse(0) != 0:
        return 1
    first = -(-hbt.current_timestamp // step) * step
    code = hbt.elapse(first - hbt.current_timestamp)
    while code == 0:
        orders = hbt.orders(0)
        values = orders.values()
        while values.has_next():
            order = values.get()
            if order.exch_timestamp == 0:
                continue
            rest = round(order.leaves_qty / lot)
            before = leaves.get(order.order_id, qty)
            if order.status in (FILLED, PARTIALLY_FILLED, CANCELED) and rest < before:
                side = 1 if order.side == BUY else -1
                out.append((order.exch_timestamp, hbt.current_timestamp, side, order.price_tick, before - rest))
                position += side * (before - rest)
                leaves[order.order_id] = rest
        hbt.clear_inactive_orders(0)

        depth = hbt.depth(0)
        bid, ask = depth.best_bid_tick, depth.best_ask_tick
        known_book = bid > -(1 << 62) and ask < (1 << 62)
        bid0 = min(bid + ask - 2 * h, 2 * bid) // (2 * g) * g if known_book else 0
        ask0 = -(-max(bid + ask + 2 * h, 2 * ask) // (2 * g)) * g if known_book else 0
        buys = levels if known_book and position < cap else 0
        sells = levels if known_book and -position < cap else 0

        values = orders.values()
        while values.has_next():
            order = values.get()
            if order.side == BUY:
                wanted = buys > 0 and bid0 - (buys - 1) * g <= order.price_tick <= bid0
                wanted = wanted and (bid0 - order.price_tick) % g == 0
            else:
                wanted = sells > 0 and ask0 <= order.price_tick <= ask0 + (sells - 1) * g
                wanted = wanted and (order.price_tick - ask0) % g == 0
            known = order.status in (NEW, PARTIALLY_FILLED) and order.req == NONE
            if known and not wanted and not leaving[order.price_tick]:
                leaving[order.price_tick] = True
                sent.append((hbt.current_timestamp, 0, order.price_tick))
                code = hbt.cancel(0, order.order_id, False)
                if code != 0:
                    return code
        for n in range(buys):
            px = bid0 - n * g
            if px > 0 and px not in orders:
                leaves[px] = qty
                leaving[px] = False
                sent.append((hbt.current_timestamp, 1, px))
                code = hbt.submit_buy_order(0, px, px * depth.tick_size, qty * lot, GTX, LIMIT, False)
                if code != 0:
                    return code
        for n in range(sells):
            px = ask0 + n * g
            if px not in orders:
                leaves[px] = qty
                leaving[px] = False
                sent.append((hbt.current_timestamp, -1, px))
                code = hbt.submit_sell_order(0, px, px * depth.tick_size, qty * lot, GTX, LIMIT, False)
                if code != 0:
                    return code
        code = hbt.elapse(step)
    return code
