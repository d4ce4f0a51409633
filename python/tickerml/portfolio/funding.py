"""What a settlement of funding is worth (exchanges.md 11): above zero the rate is paid by longs to shorts."""

from __future__ import annotations

from typing import Final

from tickerml.schema import MARK_PRECISION, POW10, RATE_PRECISION, Funding, InstrumentInfo

__all__ = ["funding_e18", "settled_e18"]

STEP_E18: Final = 10**10
"""Binance books funding with 8 decimals; in which direction it rounds is documented nowhere, so it is against us."""


def funding_e18(info: InstrumentInfo, qty: int, mark_e8: int, rate_e12: int) -> int:
    """What is received (below 0: paid) for a position, 10^-18 of the currency that the contract settles in.

    Parameters
    ----------
    qty : the position at the settlement, signed, scaled.
    mark_e8, rate_e12 : mark price x 10^8 and rate x 10^12.
    """
    size = info.contract_size_e18
    if info.kind == "inverse":
        owed = qty * size * POW10[MARK_PRECISION] * rate_e12
        whole = mark_e8 * POW10[info.qty_precision + RATE_PRECISION]
    else:
        owed = qty * mark_e8 * size * rate_e12
        whole = POW10[info.qty_precision + MARK_PRECISION + RATE_PRECISION]
    return -owed // (whole * STEP_E18) * STEP_E18


def settled_e18(info: InstrumentInfo, settlement: Funding) -> int | None:
    """What a settlement books; None where nobody knows its rate."""
    if settlement.rate_e12 is None:
        return None
    return funding_e18(info, settlement.qty, settlement.mark_e8, settlement.rate_e12)
