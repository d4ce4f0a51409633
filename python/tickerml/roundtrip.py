"""What it costs to buy and sell a quantity again on one book: spread, depth, fee and impact of each way of doing it.

The book stands still: a round trip is one buy and one sell, each as taker or as maker, in whichever order. A taker
walks the book; a maker is met at its own side's best, which this cannot promise. Above zero is paid, against the mid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import Any, Final, NamedTuple

from tickerml.cost import FEE_PRECISION, Gauge, impact_e18
from tickerml.errors import TickerError
from tickerml.schema import MONEY_ONE, decimal_text

__all__ = ["BadQuantity", "Ladder", "Leg", "round_trips"]

SIDES: Final = ("buy", "sell")
LIQUIDITY: Final = ("taker", "maker")
VWAP_DIGITS: Final = 6
"""Digits of a mean price beyond the instrument's: the one number here that is rounded."""

Levels = Sequence[tuple[Fraction, Fraction]]


class BadQuantity(ValueError):
    """A quantity that the venue would refuse."""


class Ladder(NamedTuple):
    """A true book, best first, with what is known of its instrument and of the five minutes before."""

    instrument: str
    bids: Levels
    asks: Levels
    metadata: Mapping[str, Any]
    volume: Fraction

    @classmethod
    def of(cls, book: Mapping[str, Any]) -> Ladder:
        """The book that `_native.tape_book` gives.

        Raises
        ------
        TickerError
            Where the book was not true then, or half of it is empty.
        """
        name = book["instrument"]
        if book["metadata"]["kind"] == "inverse":
            raise TickerError(f"{name}: an inverse contract; only spot and linear contracts are reckoned here")
        if book["state"] != "Live":
            raise TickerError(
                f"{name}: its book was {book['state']} then, not Live; name a time with --at when it was{_span(book)}"
            )
        sides = [[(Fraction(px), Fraction(qty)) for px, qty in book[side]] for side in ("bids", "asks")]
        if not all(sides):
            raise TickerError(f"{name}: one side of its book was empty then; name another time with --at")
        return cls(name, sides[0], sides[1], book["metadata"], Fraction(book["volume_qty"]))

    @property
    def mid(self) -> Fraction:
        """Between the best bid and the best ask."""
        return (self.bids[0][0] + self.asks[0][0]) / 2

    def check(self, qty: Fraction) -> None:
        """Refuses a quantity that the venue would refuse.

        Raises
        ------
        BadQuantity
        """
        scale = 10 ** self.metadata["qty_precision"]
        lot = Fraction(self.metadata["lot"], scale)
        if qty % lot:
            raise BadQuantity(f"{text(qty)} is no multiple of {self.instrument}'s lot {text(lot)}")
        least, worth = Fraction(self.metadata["min_notional"]), qty * self.mid * self.contract
        if worth < least:
            quote = self.metadata["quote"]
            raise BadQuantity(f"{text(qty)} is worth {text(worth)} {quote}; the venue takes {text(least)} or more")

    @property
    def contract(self) -> Fraction:
        """Base units of one unit of quantity."""
        return Fraction(self.metadata["contract_size"])


class Leg(NamedTuple):
    """One half of a round trip; money of the quote, above zero is paid."""

    notional: Fraction
    worst_px: Fraction
    levels: int
    spread: Fraction
    depth: Fraction
    fee: Fraction
    fee_asset: str
    fee_qty: Fraction
    impact: Fraction

    @property
    def total(self) -> Fraction:
        """Everything that is paid beyond the mid."""
        return self.spread + self.depth + self.fee + self.impact


def leg(ladder: Ladder, way: tuple[str, str], qty: Fraction, bps: Fraction, gauge: Gauge) -> Leg:
    """One half: a side, as taker or maker. `bps` is its fee.

    Raises
    ------
    TickerError
        Where the book does not hold so much.
    """
    side, liquidity = way
    sign = 1 if side == "buy" else -1
    taker = liquidity == "taker"
    levels = ladder.asks if (side == "buy") == taker else ladder.bids
    touch = levels[0][0]
    met = _walk(levels, qty) if taker else [(touch, qty)]
    if met is None:
        held = sum((level[1] for level in levels), Fraction(0))
        name = "asks" if side == "buy" else "bids"
        raise TickerError(f"{ladder.instrument}: the {name} hold {text(held)} in all, less than --qty {text(qty)}")
    size = ladder.contract
    notional = sum((px * part for px, part in met), Fraction(0)) * size
    worth_e18 = int(notional * MONEY_ONE)
    impact = 0
    if taker and ladder.volume:
        scale = 10 ** ladder.metadata["qty_precision"]
        impact = impact_e18(worth_e18, int(qty * scale), int(ladder.volume * scale), gauge.impact_bps) or 0
    return Leg(
        notional=notional,
        worst_px=met[-1][0],
        levels=len(met),
        spread=sign * (touch - ladder.mid) * qty * size,
        depth=sign * (notional - touch * qty * size),
        **_fee(ladder, side, met, bps),
        impact=Fraction(impact, MONEY_ONE),
    )


def round_trips(
    ladder: Ladder, qty: Fraction, maker_bps: Fraction, taker_bps: Fraction, gauge: Gauge
) -> dict[str, Any]:
    """Both halves in both ways, and the four trips that they make, as the command prints them.

    Raises
    ------
    TickerError, BadQuantity
    """
    ladder.check(qty)
    bps = {"taker": taker_bps, "maker": maker_bps}
    legs = {(side, how): leg(ladder, (side, how), qty, bps[how], gauge) for side in SIDES for how in LIQUIDITY}
    worth = ladder.mid * qty * ladder.contract
    share = qty / ladder.volume if ladder.volume else None
    return {
        "instrument": ladder.instrument, "quote": ladder.metadata["quote"], "qty": text(qty),
        "bid_px": text(ladder.bids[0][0]), "ask_px": text(ladder.asks[0][0]), "mid_px": text(ladder.mid),
        "mid_quote": text(worth), "maker_bps": text(maker_bps), "taker_bps": text(taker_bps),
        "impact_bps": text(gauge.impact_bps), "volume_qty": text(ladder.volume),
        "participation_frac": None if share is None else float(share),
        "large": share is None or share > gauge.participation_frac_max,
        "legs": [_leg_row(ladder, side, how, qty, found) for (side, how), found in legs.items()],
        "trips": [
            {"buy": buy, "sell": sell, **_money([legs["buy", buy], legs["sell", sell]], worth)}
            for buy in LIQUIDITY for sell in LIQUIDITY
        ],
    }  # fmt: skip


def _span(book: Mapping[str, Any]) -> str:
    """From when to when its tape runs, where that is known."""
    return f", from {book['begins_ns']} to {book['ends_ns']}" if "begins_ns" in book else ""


def text(value: Fraction) -> str:
    """A fraction that is a decimal, as exact text."""
    twos = fives = 0
    rest = value.denominator
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    assert rest == 1, f"{value} is no decimal"
    precision = max(twos, fives)
    return decimal_text(int(value * 10**precision), precision)


def _fee(ladder: Ladder, side: str, met: Levels, bps: Fraction) -> dict[str, Any]:
    """What the simulated venue takes (core's `sim/fee.rs`): spot buys pay in the base that they receive; the fee of
    each fill is rounded up.
    """
    in_base = side == "buy" and ladder.metadata["kind"] == "spot"
    size, step = ladder.contract, 10**FEE_PRECISION
    taken = [Fraction(ceil(part * (1 if in_base else px * size) * bps / 10_000 * step), step) for px, part in met]
    worth = sum((fee * (px if in_base else 1) for fee, (px, _) in zip(taken, met, strict=True)), Fraction(0))
    asset = ladder.metadata["base" if in_base else "quote"]
    return {"fee": worth, "fee_asset": asset, "fee_qty": sum(taken, Fraction(0))}


def _walk(levels: Levels, qty: Fraction) -> list[tuple[Fraction, Fraction]] | None:
    met, rest = [], qty
    for px, there in levels:
        met.append((px, min(there, rest)))
        rest -= met[-1][1]
        if not rest:
            return met
    return None


def _leg_row(ladder: Ladder, side: str, how: str, qty: Fraction, found: Leg) -> dict[str, Any]:
    digits = 10 ** (ladder.metadata["price_precision"] + VWAP_DIGITS)
    vwap = Fraction(round(found.notional / ladder.contract / qty * digits), digits)
    return {
        "side": side, "liquidity": how, "vwap_px": text(vwap), "worst_px": text(found.worst_px),
        "levels": found.levels, "notional_quote": text(found.notional), "fee_asset": found.fee_asset,
        "fee_qty": text(found.fee_qty),
        **_money([found], ladder.mid * qty * ladder.contract),
    }  # fmt: skip


def _money(legs: Sequence[Leg], worth: Fraction) -> dict[str, Any]:
    names = ("spread", "depth", "fee", "impact", "total")
    sums = {name: sum((getattr(one, name) for one in legs), Fraction(0)) for name in names}
    return {
        **{f"{name}_quote": text(value) for name, value in sums.items()},
        "total_bps": float(sums["total"] / worth * 10_000),
    }
