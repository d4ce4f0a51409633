"""The peer's side of `bench_peer.py`: hftbacktest's fastest book, and the grid of `simulation.md` 2 compiled by numba.

As lean as it can be written: position and fills are the peer's own counts, and nothing is noted on the way.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy.typing as npt
from hftbacktest import BUY, GTX, LIMIT, NEW, NONE, BacktestAsset, ROIVectorMarketDepthBacktest
from numba import njit

__all__ = ["Done", "Ladder", "run"]

STEP_NS = 100_000_000
WAY_NS = 10_000_000


@dataclass(frozen=True)
class Ladder:
    """The grid, in ticks and lots; `position_lots` is the whole number from which a side is not quoted."""

    levels: int = 5
    half_spread_ticks: int = 1
    interval_ticks: int = 1
    qty_lots: int = 1
    position_lots: int = 5


class Done(NamedTuple):
    """What a run came to; `cpu_s` is the run's alone, from rows in memory to the last one."""

    cpu_s: float
    fills: int
    position: int
    orders: int


def run(
    rows: npt.NDArray[Any],
    ladder: Ladder,
    tick: float,
    lot: float,
    bounds: tuple[float, float],
) -> Done:
    """One run without partial fills over rows of 64 bytes, with a vector of the prices within `bounds`."""
    begin = time.thread_time()
    asset = BacktestAsset().data(rows).linear_asset(1.0).tick_size(tick).lot_size(lot)
    asset = asset.constant_order_latency(WAY_NS, WAY_NS).no_partial_fill_exchange().trading_value_fee_model(0.0, 0.0)
    asset = asset.risk_adverse_queue_model().roi_lb(bounds[0]).roi_ub(bounds[1])
    hbt = ROIVectorMarketDepthBacktest([asset])
    code, orders = _grid(
        hbt, STEP_NS, ladder.levels, ladder.half_spread_ticks, ladder.interval_ticks, ladder.qty_lots,
        ladder.position_lots, lot,
    )  # fmt: skip
    cpu_s = time.thread_time() - begin
    if code not in (0, 1):
        raise RuntimeError(f"hftbacktest answered {code}")
    fills, position = int(hbt.state_values(0).num_trades), round(hbt.position(0) / lot)
    hbt.close()
    return Done(cpu_s, fills, position, orders)


@njit
def _grid(  # noqa: PLR0917 - numba takes neither records nor closures, so the strategy is one function
    hbt: Any, step: int, levels: int, h: int, g: int, qty: int, cap: int, lot: float
) -> tuple[int, int]:
    sent = 0
    # To the next multiple of the step, then on from there.
    if hbt.elapse(0) != 0:
        return 1, sent
    code = hbt.elapse(-(-hbt.current_timestamp // step) * step - hbt.current_timestamp)
    while code == 0:
        hbt.clear_inactive_orders(0)
        orders, depth = hbt.orders(0), hbt.depth(0)
        position = round(hbt.position(0) / lot)
        bid, ask = depth.best_bid_tick, depth.best_ask_tick
        known_book = bid > 0 and ask < (1 << 31) - 1
        bid0 = min(bid + ask - 2 * h, 2 * bid) // (2 * g) * g if known_book else 0
        ask0 = -(-max(bid + ask + 2 * h, 2 * ask) // (2 * g)) * g if known_book else 0
        buys = levels if known_book and position < cap else 0
        sells = levels if known_book and -position < cap else 0
        values = orders.values()
        while values.has_next():
            order = values.get()
            away = bid0 - order.price_tick if order.side == BUY else order.price_tick - ask0
            many = buys if order.side == BUY else sells
            wanted = away >= 0 and away < many * g and away % g == 0
            if not wanted and order.status == NEW and order.req == NONE:
                code = hbt.cancel(0, order.order_id, False)
                if code != 0:
                    return code, sent
        for n in range(buys):
            px = bid0 - n * g
            if px > 0 and px not in orders:
                sent += 1
                code = hbt.submit_buy_order(0, px, px * depth.tick_size, qty * lot, GTX, LIMIT, False)
                if code != 0:
                    return code, sent
        for n in range(sells):
            px = ask0 + n * g
            if px not in orders:
                sent += 1
                code = hbt.submit_sell_order(0, px, px * depth.tick_size, qty * lot, GTX, LIMIT, False)
                if code != 0:
                    return code, sent
        code = hbt.elapse(step)
    return code, sent
