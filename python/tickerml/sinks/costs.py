"""The costs of all fills, summed up for the summary: a row for each instrument's makers and takers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

from tickerml import cost
from tickerml.cost import Gauge
from tickerml.schema import Fill, InstrumentInfo, Intent, Refused, View, decimal_text

LIQUIDITY: Final = ("taker", "maker")


@dataclass(slots=True)
class Sum:
    """Sums of one instrument's makers or takers. What a part is multiplied with, price or half of it times quantity, is
    turned into money at the end.

    Attributes
    ----------
    unknown : fills whose cost cannot be split, because a book was not true; they are in no part.
    split : price times quantity of the others.
    toxic : maker fills with more ahead than the threshold.
    large : fills of orders beyond the allowed participation.
    no_volume : taker fills without an impact: nothing was printed in the five minutes before.
    """

    fills: int = 0
    unknown: int = 0
    qty: int = 0
    notional: int = 0
    split: int = 0
    delay2: int = 0
    wait2: int = 0
    spread2: int = 0
    depth2: int = 0
    fee_e18: int = 0
    impact_e18: int = 0
    no_volume: int = 0
    toxic: int = 0
    large: int = 0

    def add(self, fill: Fill, info: InstrumentInfo, gauge: Gauge) -> None:
        """Takes one fill."""
        qty = cost.weight(fill, info)
        notional = fill.px * qty
        self.fills += 1
        self.qty += fill.qty
        self.notional += notional
        self.fee_e18 += cost.fee_quote_e18(fill, info)
        if fill.maker:
            self.toxic += cost.is_toxic(fill, gauge)
        else:
            impact = cost.fill_impact_e18(fill, info, gauge)
            self.impact_e18 += impact or 0
            self.no_volume += impact is None
        self.large += cost.is_large(fill, gauge)
        found = cost.parts(fill)
        if found is None:
            self.unknown += 1
            return
        delay2, wait2, spread2, depth2 = found
        self.split += notional
        self.delay2 += delay2 * qty
        self.wait2 += wait2 * qty
        self.spread2 += spread2 * qty
        self.depth2 += depth2 * qty


class CostTally:
    """A sink: what the fills of a run cost."""

    def __init__(self, instruments: Sequence[InstrumentInfo], gauge: Gauge) -> None:
        self._infos, self._gauge = tuple(instruments), gauge
        self._sums: dict[tuple[int, bool], Sum] = {}

    def write(self, view: View, approved: Sequence[Intent], refused: Sequence[Refused], portfolio: Any) -> None:
        """Adds the view's fills."""
        for fill in view.fills:
            one = self._sums.get((fill.instrument, fill.maker))
            if one is None:
                one = self._sums[fill.instrument, fill.maker] = Sum()
            one.add(fill, self._infos[fill.instrument], self._gauge)

    def close(self) -> None:
        """Nothing to close."""

    def state(self) -> bytes:
        """What a checkpoint must keep."""
        sums = [[i, int(maker), *astuple(one)] for (i, maker), one in sorted(self._sums.items())]
        return json.dumps(sums, separators=(",", ":")).encode()

    def restore(self, state: bytes) -> None:
        """Takes back what `state` gave."""
        self._sums = {(i, bool(maker)): Sum(*values) for i, maker, *values in json.loads(state)}

    def rows(self) -> list[dict[str, Any]]:
        """The table of the summary; money is exact text, `cost` the sum of the four parts."""
        return [self._row(i, maker, one) for (i, maker), one in sorted(self._sums.items())]

    def _row(self, i: int, maker: bool, one: Sum) -> dict[str, Any]:
        info = self._infos[i]
        precision, unit = cost.money_precision(info), 5 * info.contract_size_e18
        split = {name: getattr(one, f"{name}2") * unit for name in ("delay", "wait", "spread", "depth")}
        split["cost"] = whole = sum(split.values())
        return {
            "instrument": info.id, "liquidity": LIQUIDITY[maker], "fills": one.fills, "unknown": one.unknown,
            "qty": decimal_text(one.qty, info.qty_precision),
            "notional_quote": decimal_text(one.notional * 2 * unit, precision),
            **{f"{name}_quote": decimal_text(value, precision) for name, value in split.items()},
            "fee_quote": decimal_text(one.fee_e18, 18), "impact_quote": decimal_text(one.impact_e18, 18),
            "no_volume": one.no_volume, "cost_bps": whole / (one.split * 2 * unit) * 1e4 if one.split else None,
            "toxic": one.toxic, "large": one.large,
        }  # fmt: skip


def costs_text(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The table for people, in 100 columns: basis points would hide who paid, so it is money."""
    if not rows:
        return []
    names = ("fills", "delay", "wait", "spread", "depth", "fee", "impact", "toxic")
    lines = [f"{'cost of fills, quote':{LABEL}}" + _cells(names)]
    shown = ""
    for row in rows:
        if row["instrument"] != shown:
            lines.append(shown := row["instrument"])
        money = [_money(float(row[f"{name}_quote"])) for name in names[1:-1]]
        lines.append(f"{'  ' + row['liquidity']:{LABEL}}" + _cells([str(row["fills"]), *money, str(row["toxic"])]))
        if row["unknown"]:
            lines.append(f"  of {row['unknown']} fills the cost is not known: a book was not true")
        if row["large"]:
            lines.append(f"  {row['large']} fills are too good to be true: their orders were beyond")
            lines.append("  participation_frac_max of what was printed in the five minutes before")
    return lines


LABEL: Final = 20
"""Columns of a row's name."""


def _cells(texts: Sequence[str]) -> str:
    """Cells of a row: two counts around six amounts, each with a blank before it."""
    first, *money, last = texts
    return f"{first:>7}" + "".join(f"{text:>11}" for text in money) + f"{last:>7}"


def _money(amount: float) -> str:
    """An amount in ten characters: of large ones nobody reads the fourth decimal."""
    decimals = 4 if abs(amount) < 1_000 else 2 if abs(amount) < 100_000 else 0
    return f"{amount:.{decimals}f}"
