"""One instrument's position at average cost, in exact integers.

All amounts are integers of 10^-18 of the settlement currency: the quote for spot and linear contracts, the base for
inverse ones. A fill's value is signed by what it does to the position's cost: + for a bought linear unit, - for a
bought inverse contract (being long it is owing base).
"""

from __future__ import annotations

from math import gcd
from typing import Final

from tickerml.cost import base_worth_e18
from tickerml.schema import POW10, UNDEF_I64, InstrumentInfo

SPOT_PRECISION: Final = 18
"""Spot is held to 10^-18 of the base currency: a fee in it leaves less than the venue's lot."""

FIELDS: Final = ("qty", "cost", "traded", "realised", "fees", "funding", "unknown")
"""What fills and settlements change of a position, in the order in which it is saved."""


def fill_value(info: InstrumentInfo, side: int, px: int, qty: int) -> int:
    """Signed value of a fill: price x quantity x contract size. Inverse: -(quantity x contract size / price), rounded
    down.
    """
    if info.kind == "inverse":
        worth = qty * info.contract_size_e18 * POW10[info.price_precision]
        return -side * (worth // (px * POW10[info.qty_precision]))
    return side * (px * qty * info.contract_size_e18 // POW10[info.price_precision + info.qty_precision])


class Position:
    """Quantity, cost and results of one instrument.

    Attributes
    ----------
    qty : signed, of 10^-precision: what is really held, so spot has less than was bought by the fees in the base.
    precision : 18 for spot, that of the instrument's quantities for contracts.
    cost : what the open quantity was entered for; the part of a partly closed position is rounded towards zero.
    traded : sum of all fills' values: the second path to `cost - realised`.
    realised, fees, funding : gross result, fees paid, funding received.
    unknown : settlements that it was held through and whose rate nobody knows.
    mark2 : twice the last mid price (half ticks of the price scale), `UNDEF_I64` before the first.
    """

    def __init__(self, info: InstrumentInfo) -> None:
        self.info = info
        self.qty: int = 0
        self.cost: int = 0
        self.traded: int = 0
        self.realised: int = 0
        self.fees: int = 0
        self.funding: int = 0
        self.unknown: int = 0
        self.mark2: int = UNDEF_I64
        self._inverse = info.kind == "inverse"
        self._inverse_mul = 2 * POW10[info.price_precision]
        self._spot = info.kind == "spot"
        self.precision: int = SPOT_PRECISION if self._spot else info.qty_precision
        self._unit = POW10[self.precision - info.qty_precision]
        whole = 2 * POW10[info.price_precision + self.precision]
        common = gcd(info.contract_size_e18, whole)
        self._mul, self._div = info.contract_size_e18 // common, whole // common

    @property
    def lots(self) -> int:
        """The quantity in the instrument's scale; what is held beyond it, too little for any order, is left out."""
        return _part(self.qty, 1, self._unit)

    def fill(self, side: int, px: int, qty: int, fee_qty: int = 0) -> tuple[int, int]:
        """Applies a fill; gives (its signed value, the result it realised).

        `fee_qty` is taken from the base that a spot buy receives, 10^-18: the position gets the rest, for the rest of
        the value. A fill through zero closes the whole position and opens the rest: its value is split by quantity, the
        closing part rounded towards zero, so that the two parts sum to it exactly.
        """
        whole_value = value = fill_value(self.info, side, px, qty)
        qty *= self._unit
        if fee_qty:
            value -= base_worth_e18(self.info, px, fee_qty)
            qty -= fee_qty
        closing = min(qty, abs(self.qty)) if self.qty * side < 0 else 0
        realised = 0
        if closing:
            released = _part(self.cost, closing, abs(self.qty))
            closing_value = _part(value, closing, qty)
            realised = -closing_value - released
            self.cost += (value - closing_value) - released
        else:
            self.cost += value
        self.qty += side * qty
        self.traded += value
        self.realised += realised
        return whole_value, realised

    def gain(self) -> int:
        """What the position adds to equity at the last mid: worth of spot, result of closing contracts, before fees.

        Before the first mid it is marked at cost.
        """
        cost = self.cost
        if self.mark2 == UNDEF_I64:
            worth = cost
        elif self._inverse:
            owed = self.qty * self.info.contract_size_e18 * self._inverse_mul
            worth = -_part(owed, 1, self.mark2 * POW10[self.info.qty_precision])
        else:
            worth = self.qty * self.mark2 * self._mul // self._div
        return worth if self._spot else worth - cost


def _part(amount: int, part: int, whole: int) -> int:
    """amount x part / whole, rounded towards zero."""
    scaled = abs(amount) * part // whole
    return scaled if amount >= 0 else -scaled
