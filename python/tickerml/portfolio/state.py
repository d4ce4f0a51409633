"""A portfolio's state in canonical fixed-width integers: what the digest covers and what a restart takes back.

Order: version, number of currencies, number of instruments; cash by currency name; for each instrument quantity, cost,
traded, realised, fees, funding; the change counter; then what moves with the market: each instrument's mark; peak,
deepest fall and its peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tickerml.errors import UnsoundDataError
from tickerml.portfolio.position import FIELDS, Position

__all__ = ["Broken", "marked", "restore", "settled"]

VERSION: Final = 2
WIDTH: Final = 16
"""Bytes of an integer: signed, little endian."""

HEAD: Final = 3
TAIL: Final = 4
"""Numbers that are there once: before the cash, and the counter with peak and deepest fall."""


class Broken(UnsoundDataError):
    """The accounts do not balance, or a saved state does not fit: the run stops (exit 6)."""


def settled(cash: dict[str, int], positions: Sequence[Position], version: int) -> bytes:
    """What only fills and settlements change."""
    numbers = [VERSION, len(cash), len(positions), *cash.values()]
    for position in positions:
        numbers += [getattr(position, name) for name in FIELDS]
    return _encode([*numbers, version])


def marked(positions: Sequence[Position], peak: int, worst: tuple[int, int]) -> bytes:
    """What moves with the market."""
    return _encode([*(position.mark2 for position in positions), peak, *worst])


def restore(saved: bytes, cash: dict[str, int], positions: Sequence[Position]) -> tuple[int, int, tuple[int, int]]:
    """Puts a saved state into cash and positions; the change counter, the peak and the deepest fall with its peak.

    Raises
    ------
    Broken
        When it is of another shape.
    """
    numbers = [int.from_bytes(saved[k : k + WIDTH], "little", signed=True) for k in range(0, len(saved), WIDTH)]
    shape = [VERSION, len(cash), len(positions)]
    count = HEAD + len(cash) + (len(FIELDS) + 1) * len(positions) + TAIL
    if len(saved) % WIDTH or numbers[:HEAD] != shape or len(numbers) != count:
        raise Broken("a saved portfolio does not fit this run's currencies and instruments")
    rest = iter(numbers[HEAD:])
    for currency in cash:
        cash[currency] = next(rest)
    for position in positions:
        for name in FIELDS:
            setattr(position, name, next(rest))
    version = next(rest)
    for position in positions:
        position.mark2 = next(rest)
    return version, next(rest), (next(rest), next(rest))


def _encode(numbers: Sequence[int]) -> bytes:
    try:
        return b"".join([number.to_bytes(WIDTH, "little", signed=True) for number in numbers])
    except OverflowError:
        raise Broken(f"an amount leaves {8 * WIDTH} bits: {max(numbers, key=abs)}") from None
