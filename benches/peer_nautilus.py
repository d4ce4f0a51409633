"""NautilusTrader over the rows of `bench_peer.py`, as a program of another Python: it is LGPL, so we never import it.

    python peer_nautilus.py DATA

DATA holds `rows.npy` and `nautilus.json`. The rows are made Nautilus' objects once; then each line on stdin is a run,
answered by a line of JSON: CPU seconds of `engine.run` alone, rows, orders, fills, position.

Leanest sound settings: no logging, analysis, risk checks or balances; a batch of deltas a message, as its adapters make
them; one book for the venue, one for the strategy. Its only clock is that of arrival: rows reach venue and strategy
when they reached us, commands 10 ms after they were sent, answers at once. There is no queue: an order fills where the
recorded book crosses its price. `trade_execution` stays off, as is its default: with 1.221 and such a book, a print
that reaches an order finds nothing to fill it from, which is one error more and no fill.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.backtest.models import LatencyModel
from nautilus_trader.config import LoggingConfig, RiskEngineConfig, StrategyConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas, TradeTick
from nautilus_trader.model.enums import (
    AccountType,
    AggressorSide,
    BookAction,
    BookType,
    OmsType,
    OrderSide,
    OrderStatus,
    RecordFlag,
)
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

ID = InstrumentId(Symbol("BTCUSDT-PERP"), Venue("BINANCE"))
PRICE_DIGITS, QTY_DIGITS = 1, 3
STEP_NS, WAY_NS = 100_000_000, 10_000_000
LOCAL, BUY = 1 << 30, 1 << 29
TRADE, CLEAR, SNAPSHOT = 2, 3, 4
FIELDS = "ev", "exch_ts", "local_ts", "px", "qty"
Fields = tuple[int, int, int, float, float]


def main(folder: Path) -> None:
    asked = json.loads((folder / "nautilus.json").read_text())
    rows = np.load(folder / "rows.npy")
    rows = rows[rows["ev"] & LOCAL != 0]
    data = objects(list(zip(*(rows[name].tolist() for name in FIELDS), strict=True)))
    gc.freeze()  # what is loaded is no work for the collector
    for _ in sys.stdin:
        print(json.dumps({"rows": len(rows), **run(data, **asked)}), flush=True)


def run(data: list[Any], ladder: dict[str, int], tick: float, lot: float) -> dict[str, Any]:
    quiet = LoggingConfig(bypass_logging=True)
    unchecked = RiskEngineConfig(bypass=True)
    engine = BacktestEngine(BacktestEngineConfig(logging=quiet, risk_engine=unchecked, run_analysis=False))
    engine.add_venue(
        ID.venue, OmsType.NETTING, AccountType.MARGIN, [Money(1e9, USDT)], book_type=BookType.L2_MBP,
        latency_model=LatencyModel(WAY_NS), bar_execution=False, frozen_account=True,
        support_gtd_orders=False, support_contingent_orders=False, use_reduce_only=False,
    )  # fmt: skip
    engine.add_instrument(instrument(tick, lot))
    engine.add_data(data, validate=False, sort=False)
    grid = Grid(ladder, tick, lot)
    engine.add_strategy(grid)
    gc.collect()  # of the run before
    begin = time.thread_time()
    engine.run()
    cpu_s = time.thread_time() - begin
    engine.dispose()
    return {"cpu_s": cpu_s, "orders": grid.sent, "fills": grid.fills, "position": grid.position}


class Grid(Strategy):
    """The ladder of `peer_grid.py`; `working` holds orders by price in ticks until an answer has closed them."""

    def __init__(self, ladder: dict[str, int], tick: float, lot: float) -> None:
        super().__init__(StrategyConfig(log_events=False, log_commands=False))
        self.ladder, self.tick, self.lot = ladder, tick, lot
        self.qty = Quantity(ladder["qty_lots"] * lot, QTY_DIGITS)
        self.working: dict[int, Any] = {}
        self.sent = self.fills = self.position = 0

    def on_start(self) -> None:
        self.subscribe_order_book_deltas(ID, BookType.L2_MBP)
        now = self.clock.timestamp_ns()
        self.clock.set_timer_ns("grid", STEP_NS, -(-now // STEP_NS) * STEP_NS, 0, self.step, fire_immediately=True)

    def on_order_filled(self, event: Any) -> None:
        self.fills += 1
        lots = round(event.last_qty.as_double() / self.lot)
        self.position += lots if event.order_side == OrderSide.BUY else -lots

    def step(self, _: Any) -> None:
        """Cancels what is not wanted any more, sends what is missing."""
        working = self.working = {px: order for px, order in self.working.items() if not order.is_closed}
        buys, sells = self.wanted()
        for px, order in working.items():
            wanted = px in (buys if order.side == OrderSide.BUY else sells)
            if not wanted and order.status == OrderStatus.ACCEPTED:
                self.cancel_order(order)
        for side, prices in ((OrderSide.BUY, buys), (OrderSide.SELL, sells)):
            for px in prices:
                if px > 0 and px not in working:
                    self.sent += 1
                    price = Price(px * self.tick, PRICE_DIGITS)
                    working[px] = self.order_factory.limit(ID, side, self.qty, price, post_only=True)
                    self.submit_order(working[px])

    def wanted(self) -> tuple[range, range]:
        """Prices of buys and sells in ticks, best first."""
        book = self.cache.order_book(ID)
        best = book.best_bid_price(), book.best_ask_price()
        if None in best:
            return range(0), range(0)
        bid, ask = (round(price.as_double() / self.tick) for price in best)
        h, g, levels = (self.ladder[name] for name in ("half_spread_ticks", "interval_ticks", "levels"))
        bid0 = min(bid + ask - 2 * h, 2 * bid) // (2 * g) * g
        ask0 = -(-max(bid + ask + 2 * h, 2 * ask) // (2 * g)) * g
        cap = self.ladder["position_lots"]
        buys = range(bid0, bid0 - levels * g, -g) if self.position < cap else range(0)
        return buys, range(ask0, ask0 + levels * g, g) if -self.position < cap else range(0)


def objects(rows: list[Fields]) -> list[Any]:
    """A batch of deltas for levels that came together, a tick for a print, in order of arrival."""
    made: list[Any] = []
    for (prints, _), group in groupby(rows, key=lambda row: (row[0] & 0xFF == TRADE, row[2])):
        if prints:
            made += [trade(row, len(made) + n) for n, row in enumerate(group)]
        else:
            made.append(OrderBookDeltas(ID, batch(list(group))))
    return made


def batch(rows: list[Fields]) -> list[Any]:
    """A message's deltas, the last one marked; a clear of Nautilus is one of both sides, so the second is left out."""
    clears = [n for n, row in enumerate(rows) if row[0] & 0xFF == CLEAR]
    kept = [row for n, row in enumerate(rows) if n not in clears[1:]]
    return [delta(row, RecordFlag.F_LAST if n == len(kept) - 1 else 0) for n, row in enumerate(kept)]


def delta(row: Fields, flags: int) -> Any:
    ev, at, came, px, qty = row
    if ev & 0xFF == CLEAR:
        return OrderBookDelta(ID, BookAction.CLEAR, None, flags | RecordFlag.F_SNAPSHOT, 0, at, came)
    if ev & 0xFF == SNAPSHOT:
        flags |= RecordFlag.F_SNAPSHOT
    side = OrderSide.BUY if ev & BUY else OrderSide.SELL
    order = BookOrder(side, Price(px, PRICE_DIGITS), Quantity(qty, QTY_DIGITS), 0)
    return OrderBookDelta(ID, BookAction.UPDATE if qty else BookAction.DELETE, order, flags, 0, at, came)


def trade(row: Fields, number: int) -> Any:
    ev, at, came, px, qty = row
    side = AggressorSide.BUYER if ev & BUY else AggressorSide.SELLER
    return TradeTick(ID, Price(px, PRICE_DIGITS), Quantity(qty, QTY_DIGITS), side, TradeId(str(number)), at, came)


def instrument(tick: float, lot: float) -> Any:
    px, qty = Price(tick, PRICE_DIGITS), Quantity(lot, QTY_DIGITS)
    symbol = Symbol("BTCUSDT")
    return CryptoPerpetual(ID, symbol, BTC, USDT, USDT, False, PRICE_DIGITS, QTY_DIGITS, px, qty, 0, 0, lot_size=qty)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
