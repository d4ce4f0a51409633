"""What bounds orders beside the book, by chance: a price band, the mark prices of a contract, and balances of spot."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Protocol

from simulated import Flag, Market, Message, Row

MS = 1_000_000
ONE = 10**8


class Chance(Protocol):
    """The numbers that are used here."""

    def chance(self, part: float) -> bool: ...
    def whole(self, low: int, high: int) -> int: ...


def bounded(market: Market, draw: Chance, usual_px: int) -> Market:
    """The same market with a band and with balances, both often narrow."""
    instrument, settings = dict(market.instrument), dict(market.settings)
    spot = instrument["kind"] == "spot"
    if draw.chance(0.6):
        above, below = ONE + draw.whole(5, 80) * 10**4, ONE - draw.whole(5, 80) * 10**4
        instrument["band"] = (
            {
                "against": {"prints": {"minutes": draw.whole(0, 2)}},
                "buy_e8": [below, above],
                "sell_e8": [below, above + 10**5],
            }
            if spot
            else {"against": "mark", "buy_e8": [None, above], "sell_e8": [below, None]}
        )
    if draw.chance(0.7):
        settings |= {"balance": balance(instrument, draw, usual_px), "short_spot": draw.chance(0.1)}
    messages = market.messages if spot else marked(market, draw)
    return Market(instrument, settings, [m._replace(pos=n) for n, m in enumerate(messages)])


def balance(instrument: dict[str, Any], draw: Chance, usual_px: int) -> dict[str, str]:
    """Enough for so many lots of either side."""
    decimals = {"DEMO": instrument["qty_precision"]}
    decimals["USDT"] = decimals["DEMO"] + instrument["price_precision"]
    lots = {"DEMO": draw.whole(0, 60), "USDT": draw.whole(0, 60) * usual_px * instrument["tick"]}
    return {name: f"{Decimal(n * instrument['lot']).scaleb(-decimals[name]):f}" for name, n in lots.items()}


def marked(market: Market, draw: Chance) -> list[Message]:
    """With a mark price behind some messages, near their level or print, stamped up to now or not at all."""
    offset = int(market.settings["clock"].removeprefix("fixed:"))
    unit, found = 10 ** (8 - market.instrument["price_precision"]), []
    for message in market.messages:
        found.append(message)
        kind, px, *_ = message.rows[0]
        if kind in (Row.BID, Row.ASK, Row.BUY_TRADE, Row.SELL_TRADE) and draw.chance(0.2):
            mark = px * unit + draw.whole(-30, 30) * 10**4
            stamp = None if draw.chance(0.05) else message.ts_recv_ns - offset - draw.whole(0, 200) * MS
            rows = ((Row.MARK, mark, 0, 0), (Row.MARK, mark // 2, 0, Flag.ASK_SIDE | Flag.LAST))
            found.append(Message(0, message.ts_recv_ns, stamp, rows))
    return found
