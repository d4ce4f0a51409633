"""An account by names and in exact text, so that a run with other instruments, another order of them or other steps
can go on from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from tickerml.errors import ConfigError
from tickerml.portfolio.position import FIELDS, Position
from tickerml.schema import MONEY_PRECISION, UNDEF_I64, decimal_text

__all__ = ["Known", "by_name", "money", "take", "unlisted"]

_AMOUNTS: Final = FIELDS[1:-1]
"""All but the quantity and a count."""


class Known(NamedTuple):
    """What the account needs to know of an instrument."""

    id: str
    kind: str
    base: str
    quote: str
    price_precision: int
    qty_precision: int
    contract_size_e18: int


def unlisted(carried: Mapping[str, Any], listed: set[str]) -> list[Any]:
    """The instruments of a carried account that are not among the session's."""
    rows = [row for row in carried["lots"] if row["instrument"] not in listed]
    return [
        Known(
            row["instrument"], row["kind"], row["base"], row["quote"], row["price_precision"], row["qty_precision"],
            money(row["contract_size"]),
        )
        for row in rows
    ]  # fmt: skip


def by_name(position: Position) -> dict[str, Any]:
    """One position as a row of a carried account."""
    info = position.info
    return {
        "instrument": info.id, "kind": info.kind, "base": info.base, "quote": info.quote,
        "price_precision": info.price_precision, "qty_precision": info.qty_precision,
        "contract_size": decimal_text(info.contract_size_e18, MONEY_PRECISION),
        "qty": decimal_text(position.qty, position.precision),
        "mark2": None if position.mark2 == UNDEF_I64 else decimal_text(position.mark2, info.price_precision),
        **{name: decimal_text(getattr(position, name), MONEY_PRECISION) for name in _AMOUNTS},
        "unknown": position.unknown,
    }  # fmt: skip


def take(position: Position, row: Mapping[str, Any]) -> None:
    """Sets a position from a row of a carried account.

    Raises
    ------
    ConfigError
        When the quantity cannot be held in the instrument's present steps.
    """
    info = position.info
    qty, rest = _scaled(row["qty"], position.precision)
    if rest:
        decimals = position.precision
        raise ConfigError([f"{info.id}: {row['qty']} are held, and its steps now have {decimals} decimals; start afresh"
                           " with --new"])  # fmt: skip
    position.qty = qty
    # A coarser price scale costs the mark its last digits until the next mid.
    position.mark2 = UNDEF_I64 if row["mark2"] is None else _scaled(row["mark2"], info.price_precision)[0]
    for name in _AMOUNTS:
        setattr(position, name, money(row[name]))
    position.unknown = row.get("unknown", 0)


def money(amount: Decimal | str) -> int:
    """A decimal of at most 18 places as an integer of 10^-18."""
    scaled, rest = _scaled(format(Decimal(amount), "f"), MONEY_PRECISION)
    assert not rest, f"a balance has at most 18 decimals: {amount}"
    return scaled


def _scaled(text: str, precision: int) -> tuple[int, bool]:
    """Decimal text as an integer of 10^-precision, whatever its length, and whether digits were left over."""
    whole, _, part = text.partition(".")
    return int(whole + part[:precision].ljust(precision, "0")), bool(part[precision:].strip("0"))
