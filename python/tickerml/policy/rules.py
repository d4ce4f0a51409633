"""Policies that are rules: `hold` does nothing, `grid` rests a ladder, `imbalance` leans one quote a side on the book.

All three read own orders and positions from the view and the portfolio, so none has state to lose in a restart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tickerml.errors import ConfigError
from tickerml.policy.base import (
    Holdings,
    Parameter,
    decimal_or_auto,
    integer,
    number,
    quantity_worth,
    read_parameters,
    register,
    scaled_quantity,
)
from tickerml.schema import (
    BUY,
    CANCEL,
    FEATURE_NAMES,
    LIVE,
    POST_ONLY,
    POW10,
    SELL,
    UNDEF_I64,
    InstrumentInfo,
    Intent,
    Order,
    View,
)

NOTHING: tuple[Intent, ...] = ()
_new = tuple.__new__
"""Makes an Intent from a tuple in half the time of its constructor: the grid makes up to twenty a step."""

GRID_ORDER_QUOTE = 25
"""Worth of one grid order where `qty` is auto: above every venue's minimum and the $10 of risk, small against
$10,000.
"""


ROUNDING = 1e-6
"""Ticks by which a float price may miss the tick that it means."""


MICROPRICE = FEATURE_NAMES.index("microprice")
IMBALANCE_5 = FEATURE_NAMES.index("imbalance_5")


class Stateless:
    """What rules share: parameters, a name, and no state."""

    NAME: ClassVar[str]
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = ()

    def __init__(self, params: Mapping[str, str], instruments: Sequence[InstrumentInfo]) -> None:
        self.name = self.NAME
        self.values: dict[str, Any] = read_parameters(self.NAME, self.PARAMETERS, params)
        self.params: Mapping[str, str] = {p.name: params.get(p.name, p.default) for p in self.PARAMETERS}

    def reset(self) -> None:
        """Nothing to forget."""

    def state(self) -> bytes:
        """Nothing to keep."""
        return b""

    def restore(self, state: bytes) -> None:
        """Takes back nothing."""
        assert state == b"", f"policy {self.name} keeps no state"


@register
class Hold(Stateless):
    """Never wants anything: for recording, for benches, and as the floor every policy is compared with."""

    NAME = "hold"

    def decide(self, view: View, portfolio: Holdings) -> Sequence[Intent]:
        """Nothing."""
        return NOTHING


@register
class Grid(Stateless):
    """The ladder of `simulation.md` 2, in integers: the same rule that is compared with hftbacktest order by order.

    Levels lie `interval_ticks` apart from half-spread outwards, on a grid of whole intervals. Acts at timed steps only.
    """

    NAME = "grid"
    PARAMETERS = (
        Parameter("levels", "5", integer(1, 100), "orders a side"),
        Parameter("half_spread_ticks", "10", integer(0), "distance of the first order from the mid price, in ticks"),
        Parameter("interval_ticks", "10", integer(1), "distance between orders, in ticks"),
        Parameter("qty", "auto", decimal_or_auto, f"order quantity in base units; auto: worth {GRID_ORDER_QUOTE}"),
        Parameter("position_max", "auto", decimal_or_auto, "no buys from here on, in base units; auto: levels x qty"),
    )

    def __init__(self, params: Mapping[str, str], instruments: Sequence[InstrumentInfo]) -> None:
        super().__init__(params, instruments)
        self._ladders = tuple(_Ladder(index, info, self.values) for index, info in enumerate(instruments))

    def decide(self, view: View, portfolio: Holdings) -> Sequence[Intent]:
        """Cancels of orders no longer wanted, then buys, then sells, instrument by instrument."""
        if view.cause != "step":
            return NOTHING
        orders = view.orders
        best = view.book_px.item
        positions = portfolio.positions
        ladders = self._ladders
        if len(ladders) == 1:
            return ladders[0].act(best(0, 0, 0), best(0, 1, 0), positions[0], orders)
        out: list[Intent] = []
        for ladder in ladders:
            i = ladder.instrument
            mine = [order for order in orders if order.instrument == i]
            out += ladder.act(best(i, 0, 0), best(i, 1, 0), positions[i], mine)
        return out

    def builtin(self) -> dict[str, int]:
        """The ladder of the one instrument as the engine's own grid takes it (`_native.run_grid`).

        Raises
        ------
        ConfigError
            Where there are several instruments, the quantity follows the price, or a number is beyond the engine's.
        """
        if len(self._ladders) != 1:
            raise ConfigError([f"the built-in grid trades one instrument, and here are {len(self._ladders)}"])
        return self._ladders[0].builtin()


BUILTIN_MAX = 2**53 - 1
"""Greatest price or quantity of the built-in grid, scaled; no position comes near it."""

NO_PRICES: dict[int, None] = {}


class _Ladder:
    """The grid of one instrument. `buys` and `sells` are remembered for the first prices they were made for: a memo,
    not state.
    """

    def __init__(self, instrument: int, info: InstrumentInfo, values: Mapping[str, Any]) -> None:
        self.instrument = instrument
        self._info = info
        self._levels: int = values["levels"]
        self._half2: int = 2 * values["half_spread_ticks"] * info.tick
        self._step: int = values["interval_ticks"] * info.tick
        qty, cap = values["qty"], values["position_max"]
        self._qty = None if qty is None else scaled_quantity("grid", "qty", qty, info)
        # The position is whole, so "below position_max" and "below its ceiling" are the same.
        self._cap = None if cap is None else math.ceil(cap.scaleb(info.qty_precision))
        self._memo = (0, 0)
        self._size = self._sized(info.tick)
        self._buys: dict[int, None] = {}
        self._sells: dict[int, None] = {}
        self._answered: tuple[Any, Any, Any, int] = (None, None, None, 0)
        self._answer: Sequence[Intent] = NOTHING

    def builtin(self) -> dict[str, int]:
        """See `Grid.builtin`."""
        if self._qty is None:
            raise ConfigError(["qty: auto follows the price, which the built-in grid cannot; give --set qty=Q"])
        half, tick = self._half2 // 2, self._info.tick
        scaled = {"half_spread_ticks": half, "interval_ticks": self._step, "qty": self._qty}
        if large := [name for name, number in scaled.items() if number > BUILTIN_MAX]:
            raise ConfigError([f"{name}: too large for the built-in grid" for name in large])
        position_max = self._levels * self._qty if self._cap is None else self._cap
        return {"levels": self._levels, "half_spread_ticks": half // tick, "interval_ticks": self._step // tick,
                "qty": self._qty, "position_max": min(position_max, BUILTIN_MAX)}  # fmt: skip

    def act(self, bid: int, ask: int, position: int, orders: Sequence[Order]) -> Sequence[Intent]:
        """What to cancel and send, given the touch, the reported position and the known orders of this instrument."""
        buys, sells = self._wanted(bid, ask) if bid != UNDEF_I64 != ask else (NO_PRICES, NO_PRICES)
        # Most steps ask what the one before asked: a memo, not state. It holds for one instrument only, whose orders
        # are the view's own tuple; of several each step makes new lists.
        was = self._answered
        if orders is was[0] and buys is was[1] and sells is was[2] and position == was[3]:
            return self._answer
        self._answered = (orders, buys, sells, position)
        self._answer = out = self._act(buys, sells, position, orders)
        return out

    def _act(
        self, buys: dict[int, None], sells: dict[int, None], position: int, orders: Sequence[Order]
    ) -> Sequence[Intent]:
        instrument = self.instrument
        qty, cap = self._size
        if position >= cap:
            buys = NO_PRICES
        if -position >= cap:
            sells = NO_PRICES
        out: list[Intent] = []
        known = set()
        for order in orders:
            px = order.px
            known.add(px)
            if px not in (buys if order.side > 0 else sells) and order.state == "resting":
                out.append(_new(Intent, (CANCEL, instrument, order.side, 0, 0, order.tag, order.order_id, False)))
        if not (known.issuperset(buys) and known.issuperset(sells)):
            out += [_new(Intent, (POST_ONLY, instrument, BUY, px, qty, 0, 0, False)) for px in buys if px not in known]
            out += [
                _new(Intent, (POST_ONLY, instrument, SELL, px, qty, 0, 0, False)) for px in sells if px not in known
            ]
        return out

    def _wanted(self, bid: int, ask: int) -> tuple[dict[int, None], dict[int, None]]:
        """Prices in half ticks: twice the mid is bid + ask."""
        step, half2, mid2 = self._step, self._half2, bid + ask
        low2, high2 = mid2 - half2, mid2 + half2
        bid0 = (low2 if low2 < 2 * bid else 2 * bid) // (2 * step) * step
        ask0 = -(-(high2 if high2 > 2 * ask else 2 * ask) // (2 * step)) * step
        if self._memo != (bid0, ask0):
            span = self._levels * step
            self._memo = (bid0, ask0)
            self._size = self._sized(max(bid0, step))
            self._buys = dict.fromkeys(px for px in range(bid0, bid0 - span, -step) if px > 0)
            self._sells = dict.fromkeys(range(ask0, ask0 + span, step))
        return self._buys, self._sells

    def _sized(self, px: int) -> tuple[int, int]:
        """Quantity of an order and the position at which a side ends; auto follows the first buy's price."""
        qty = self._qty if self._qty is not None else quantity_worth(GRID_ORDER_QUOTE, px, self._info)
        return qty, self._cap if self._cap is not None else self._levels * qty


Seen = tuple[int, int, float, float, int]
Quotes = tuple[dict[int, Intent], float]
NO_QUOTES: Quotes = ({}, 0.0)
NO_ORDERS: tuple[Order, ...] = ()


@register
class Imbalance(Stateless):
    """One post-only quote a side around a fair price that leans on the book and away from the position.

    fair = microprice + (`lean` x imbalance over 5 levels - `skew` x position / `position_quote`) x spread. A quote
    stands `edge` spreads from fair and at least `fees` maker fees, never inside the touch. A side whose book leans
    against it by more than `pull` is withdrawn; a resting quote stays while it is within `keep` spreads (or a quarter
    of its distance from fair) of where it is wanted, because its place in the queue is worth more.
    """

    NAME = "imbalance"
    PARAMETERS = (
        Parameter("order_quote", "100", integer(1), "worth of an order in quote currency"),
        Parameter("position_quote", "1000", integer(1), "no further than this position, in quote currency"),
        Parameter("edge", "0.5", number(0, 1000), "distance of a quote from the fair price, in spreads"),
        Parameter("fees", "0.25", number(0, 1000), "and no nearer to it than this many maker fees"),
        Parameter("lean", "0.25", number(0, 1000), "weight of the imbalance, in spreads"),
        Parameter("skew", "1", number(0, 1000), "shift against a full position, in spreads"),
        Parameter("pull", "0.8", number(0, 1), "imbalance against a side at which its quote is withdrawn"),
        Parameter("keep", "1", number(0, 1000), "a quote this near to its wanted price stays, in spreads"),
        Parameter("min_quote", "12", integer(1), "spot: the smallest position worth selling, in quote currency"),
    )

    def __init__(self, params: Mapping[str, str], instruments: Sequence[InstrumentInfo]) -> None:
        super().__init__(params, instruments)
        self._instruments = tuple(instruments)
        self._fees = tuple(max(info.maker_bps, 0.0) / 10_000 for info in instruments)
        # What was wanted for what was seen: a memo, not state.
        self._memo: list[tuple[Seen | None, Quotes]] = [(None, NO_QUOTES)] * len(self._instruments)

    def decide(self, view: View, portfolio: Holdings) -> Sequence[Intent]:
        """Cancels of quotes no longer wanted, and a quote on each side that has none."""
        out: list[Intent] = []
        states = view.state.tolist()
        orders = view.orders
        for i in range(len(self._instruments)):
            mine = [order for order in orders if order.instrument == i] if orders else NO_ORDERS
            wanted, near = self._wanted(i, view, portfolio.positions[i]) if states[i] == LIVE else NO_QUOTES
            sides = set()
            for order in mine:
                side = order.side
                sides.add(side)
                if order.state == "resting" and not (side in wanted and abs(order.px - wanted[side].px) <= near):
                    out.append(Intent(CANCEL, i, side, 0, 0, order.tag, order.order_id))
            out += [quote for side, quote in wanted.items() if side not in sides]
        return out

    def _wanted(self, i: int, view: View, position: int) -> tuple[dict[int, Intent], float]:
        """The wanted quote of each side, buys first, and how near to it a resting one may stay."""
        book, features = view.book_px.item, view.features.item
        seen = (book(i, 0, 0), book(i, 1, 0), features(i, MICROPRICE), features(i, IMBALANCE_5), position)
        if self._memo[i][0] != seen:
            self._memo[i] = (seen, self._quotes(i, seen))
        return self._memo[i][1]

    def _quotes(self, i: int, seen: Seen) -> tuple[dict[int, Intent], float]:
        info, values = self._instruments[i], self.values
        bid, ask, micro, lean, position = seen
        if UNDEF_I64 in (bid, ask):
            return NO_QUOTES
        lean = lean if math.isfinite(lean) else 0.0
        full = max(-1.0, min(1.0, position / quantity_worth(values["position_quote"], bid, info)))
        fair = micro * POW10[info.price_precision] if math.isfinite(micro) else (bid + ask) / 2
        fair += (values["lean"] * lean - values["skew"] * full) * (ask - bid)
        edge = max(values["edge"] * (ask - bid), values["fees"] * self._fees[i] * fair)
        qty = quantity_worth(values["order_quote"], bid, info)
        wanted = {}
        buy_px = min(bid, math.floor((fair - edge) / info.tick + ROUNDING) * info.tick)
        if lean >= -values["pull"] and full < 1 and buy_px > 0:
            wanted[BUY] = Intent(POST_ONLY, i, BUY, buy_px, qty)
        sell_px = max(ask, math.ceil((fair + edge) / info.tick - ROUNDING) * info.tick)
        if info.kind == "spot":
            qty = self._sellable(qty, position, bid, info)
        if lean <= values["pull"] and full > -1 and qty > 0:
            wanted[SELL] = Intent(POST_ONLY, i, SELL, sell_px, qty)
        return wanted, max(values["keep"] * (ask - bid), edge / 4)

    def _sellable(self, qty: int, position: int, px: int, info: InstrumentInfo) -> int:
        """Spot sells what is held, unless it is too little to be an order."""
        held = min(qty, position)
        held -= held % info.lot
        return held if held >= quantity_worth(self.values["min_quote"], px, info) else 0
