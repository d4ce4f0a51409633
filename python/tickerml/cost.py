"""What a fill cost, split up exactly (simulation.md 3, "Cost of a fill"), and how much it should be believed.

With s = +1 for a buy and -1 for a sell::

    delay  = s (mid at arrival - mid at decision)       the market moved while the order was on its way
    wait   = s (mid at fill - mid at arrival)           ... and while it rested
    spread = s (touch - mid at fill)                    a maker's touch is its own price: below zero it was earned
    depth  = s (price - touch)                          what lay behind the touch; 0 for a maker
    delay + wait + spread + depth = s (price - mid at decision)

Mids are kept doubled, so that all of it is integers of half the price scale. Fee and impact stand beside the sum. The
impact is a line in the ledger, never in the price: `impact_bps` x sqrt(order quantity / volume of five minutes), the
square-root law (Almgren et al. 2005, "Direct estimation of equity market impact"), of takers only.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import Any, Final, NamedTuple

from tickerml.schema import POW10, UNDEF_I64, Fill, InstrumentInfo, decimal_text

__all__ = [
    "COLUMNS",
    "FEE_PRECISION",
    "Gauge",
    "Measured",
    "Parts",
    "ahead_ratio",
    "base_worth_e18",
    "fee_quote_e18",
    "fee_taken",
    "impact_e18",
    "measure",
    "money_precision",
    "parts",
]

INVERSE_ONE: Final = 10**18

FEE_PRECISION: Final = 8
"""Decimals of a fee as the venues take it (core's `sim/fee.rs`)."""

ROOT_SCALE: Final = 10**9
"""Steps of the square root in the impact: a billionth."""


class Gauge(NamedTuple):
    """How fills are judged: the settings of the same names."""

    toxic_ahead_ratio: Fraction = Fraction(10)
    impact_bps: Fraction = Fraction(10)
    participation_frac_max: Fraction = Fraction(1, 20)

    @classmethod
    def of(cls, execution: Any) -> Gauge:
        """Those of a checked configuration's section."""
        return cls(*(Fraction(getattr(execution, name)) for name in cls._fields))


USUAL: Final = Gauge()
"""The packaged settings."""


class Parts(NamedTuple):
    """One fill's cost by cause, for one unit of quantity, in half units of the price scale; above zero is paid."""

    delay2: int
    wait2: int
    spread2: int
    depth2: int


class Measured(NamedTuple):
    """What a ledger or a file says of a fill beside price and fee, in the order of `COLUMNS`; None where unknown."""

    decision_px: str | None
    arrival_px: str | None
    mid_px: str | None
    touch_px: str | None
    delay_quote: str | None
    wait_quote: str | None
    spread_quote: str | None
    depth_quote: str | None
    impact_quote: str | None
    placed_ahead_qty: str | None
    ahead_ratio: float | None
    toxic: bool | None
    age_ns: int
    imbalance: float | None
    participation_frac: float | None


COLUMNS: Final = Measured._fields


def parts(fill: Fill) -> Parts | None:
    """The parts of a fill's cost; None where one of the books was not true."""
    decision2, arrival2, bid, ask = fill.decision_mid2, fill.arrival_mid2, fill.bid_px, fill.ask_px
    if UNDEF_I64 in (decision2, arrival2, bid, ask):
        return None
    side, px2, mid2 = fill.side, 2 * fill.px, bid + ask
    touch2 = px2 if fill.maker else 2 * ask if side > 0 else 2 * bid
    return Parts(
        side * (arrival2 - decision2), side * (mid2 - arrival2), side * (touch2 - mid2), side * (px2 - touch2)
    )  # fmt: skip


def fee_quote_e18(fill: Fill, info: InstrumentInfo) -> int:
    """A fill's fee in the quote currency, 10^-18: what was taken in the base is worth the fill's price."""
    return base_worth_e18(info, fill.px, fill.fee_e18) if fill.fee_in_base else fill.fee_e18


def base_worth_e18(info: InstrumentInfo, px: int, amount_e18: int) -> int:
    """Worth of an amount of the base currency at a price, 10^-18 of the quote, rounded up."""
    return -(-amount_e18 * px // POW10[info.price_precision])


def fee_taken(fill: Fill, info: InstrumentInfo) -> tuple[str, str]:
    """The asset in which a fill's fee was taken, and how much of it, as exact text."""
    return info.base if fill.fee_in_base else info.quote, decimal_text(fill.fee_e18, 18)


def ahead_ratio(fill: Fill) -> Fraction | None:
    """Quantity ahead at the fill in median prints; None for a taker, and where one of the two is not known."""
    if not fill.maker or fill.ahead_qty < 0 or not fill.print_median_qty:
        return None
    return Fraction(fill.ahead_qty, fill.print_median_qty)


def impact_e18(notional_e18: int, order_qty: int, volume_qty: int, impact_bps: Fraction) -> int | None:
    """Impact of a part of an order, 10^-18 of the quote, rounded up; None where nothing was traded to compare with."""
    if not volume_qty:
        return None
    root = isqrt(order_qty * ROOT_SCALE**2 // volume_qty)
    return -int(-notional_e18 * root * impact_bps // (10_000 * ROOT_SCALE))


def weight(fill: Fill, info: InstrumentInfo) -> int:
    """What a difference of prices is multiplied with: the quantity; of inverse contracts, whose worth in the base is
    quantity x contract size / price, 10^18 of it for one unit of the price scale, rounded down.
    """
    return fill.qty * INVERSE_ONE // fill.px if info.kind == "inverse" else fill.qty


def money_precision(info: InstrumentInfo) -> int:
    """Decimals of half a unit of price times a `weight` of one times the contract size."""
    if info.kind == "inverse":
        return info.qty_precision + 37
    return info.price_precision + info.qty_precision + 19


def measure(fill: Fill, info: InstrumentInfo, gauge: Gauge) -> Measured:
    """Everything that is said of a fill, as exact text where it is money, price or quantity."""
    mid2, found, ratio = _mid2(fill), parts(fill), ahead_ratio(fill)
    impact, both = fill_impact_e18(fill, info, gauge), fill.bid_qty + fill.ask_qty
    unit, precision = 5 * weight(fill, info) * info.contract_size_e18, money_precision(info)

    def money(part2: int) -> str | None:
        return decimal_text(part2 * unit, precision) if found else None

    split = found or Parts(0, 0, 0, 0)
    return Measured(
        decision_px=_half(fill.decision_mid2, info.price_precision),
        arrival_px=_half(fill.arrival_mid2, info.price_precision),
        mid_px=_half(mid2, info.price_precision),
        touch_px=None if mid2 == UNDEF_I64 else decimal_text(_touch(fill), info.price_precision),
        delay_quote=money(split.delay2),
        wait_quote=money(split.wait2),
        spread_quote=money(split.spread2),
        depth_quote=money(split.depth2),
        impact_quote=None if impact is None else decimal_text(impact, 18),
        placed_ahead_qty=None if fill.placed_ahead_qty < 0 else decimal_text(fill.placed_ahead_qty, info.qty_precision),
        ahead_ratio=None if ratio is None else float(ratio),
        toxic=None if ratio is None else is_toxic(fill, gauge),
        age_ns=fill.age_ns,
        imbalance=(fill.bid_qty - fill.ask_qty) / both if both else None,
        participation_frac=fill.order_qty / fill.volume_qty if fill.volume_qty else None,
    )


def fill_impact_e18(fill: Fill, info: InstrumentInfo, gauge: Gauge) -> int | None:
    """Impact of a fill, 10^-18 of the quote; 0 for a maker."""
    if fill.maker:
        return 0
    if info.kind == "inverse":
        notional = fill.qty * info.contract_size_e18 // POW10[info.qty_precision]
    else:
        notional = fill.px * fill.qty * info.contract_size_e18 // POW10[info.price_precision + info.qty_precision]
    return impact_e18(notional, fill.order_qty, fill.volume_qty, gauge.impact_bps)


def is_toxic(fill: Fill, gauge: Gauge) -> bool:
    """Whether more stood ahead of a maker than the threshold says; False where it is not known."""
    if not fill.maker or fill.ahead_qty < 0 or not fill.print_median_qty:
        return False
    ratio = gauge.toxic_ahead_ratio
    return fill.ahead_qty * ratio.denominator > ratio.numerator * fill.print_median_qty


def is_large(fill: Fill, gauge: Gauge) -> bool:
    """Whether the whole order is more than the allowed part of what was traded in the five minutes before."""
    part = gauge.participation_frac_max
    return fill.order_qty * part.denominator > part.numerator * fill.volume_qty


def _mid2(fill: Fill) -> int:
    if UNDEF_I64 in (fill.bid_px, fill.ask_px):
        return UNDEF_I64
    return fill.bid_px + fill.ask_px


def _touch(fill: Fill) -> int:
    if fill.maker:
        return fill.px
    return fill.ask_px if fill.side > 0 else fill.bid_px


def _half(value2: int, precision: int) -> str | None:
    return None if value2 == UNDEF_I64 else decimal_text(5 * value2, precision + 1)
