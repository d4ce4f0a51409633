"""What bounds an order in profile `shared` beside the book, in plain Python: the price band, and the balances of spot.

`reference_shared.py` tells what has been chosen.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

SECOND = 10**9


class Band:
    """How far from the market a price may be."""

    def __init__(self, instrument: dict[str, Any]) -> None:
        self.band, self.unit = instrument.get("band"), 10 ** instrument["price_precision"]
        # Venue times with mark prices as they are heard, and with prints.
        self.marks: list[tuple[int, int]] = []
        self.prints: list[tuple[int, int, int]] = []

    def marked(self, at: int, mark_e8: int) -> None:
        self.marks.append((max(at, self.marks[-1][0] if self.marks else at), mark_e8))

    def is_beyond(self, side: int, px: int, now: int) -> bool:
        middle = self._middle(now) if self.band else None
        if middle is None:
            return False
        least, most = self.band["buy_e8" if side == 1 else "sell_e8"]
        too_low = least is not None and px < middle * Fraction(least, 10**8)
        return too_low or (most is not None and px > middle * Fraction(most, 10**8))

    def _middle(self, now: int) -> Fraction | None:
        """In units of the price scale."""
        if self.band["against"] == "mark":
            known = [px for at, px in self.marks if at <= now]
            return Fraction(known[-1] * self.unit, 10**8) if known else None
        first = now // SECOND - 60 * self.band["against"]["prints"]["minutes"]
        recent = [(px, qty) for at, px, qty in self.prints if at // SECOND > first]
        if recent:
            return Fraction(sum(px * qty for px, qty in recent), sum(qty for _, qty in recent))
        return Fraction(self.prints[-1][1]) if self.prints else None


class Purse:
    """What is owned, by the side that gives it: a buy the quote, a sell the base. A contract's keeps nothing."""

    def __init__(self, instrument: dict[str, Any], settings: dict[str, Any]) -> None:
        self.scale = 10 ** instrument["qty_precision"]
        self.money = 10 ** (18 - instrument["price_precision"] - instrument["qty_precision"])
        self.kept = instrument["kind"] == "spot" and "balance" in settings and not settings.get("short_spot", False)
        names = {1: instrument["quote"], -1: instrument["base"]}
        balance = settings.get("balance", {})
        self.owned = {side: int(Decimal(balance.get(name, 0)) * 10**18) for side, name in names.items()}

    def gives(self, side: int, px: int, qty: int) -> int:
        return px * qty * self.money if side == 1 else qty * 10**18 // self.scale

    def lacks(self, side: int, needed: int, resting: list[tuple[int, int]]) -> bool:
        """Whether so much is more than what resting orders (price, rest) of the side leave."""
        return self.kept and needed > self.owned[side] - sum(self.gives(side, px, left) for px, left in resting)

    def filled(self, side: int, px: int, qty: int, fee: int, in_base: bool) -> None:
        self.owned[1] -= side * self.gives(1, px, qty) + fee * (not in_base)
        self.owned[-1] += side * self.gives(-1, px, qty) - fee * in_base
