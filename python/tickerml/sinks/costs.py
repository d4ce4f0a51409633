"""The costs of all fills, summed up for the summary: a row for each instrument's makers and takers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tickerml import cost
from tickerml.cost import Gauge
from tickerml.schema import POW10, Fill, InstrumentInfo, Intent, Refused, View, decimal_text

LIQUIDITY: Final = ("taker", "maker")


@dataclass
class Sum:
    """Sums of one instrument's makers or takers. Money of the parts is 10^-`cost.money_precision`, the rest 10^-18.

    Attributes
    ----------
    unknown : fills whose cost cannot be split, because a book was not true; they are in no part.
    toxic : maker fills with more ahead than the threshold.
    large : fills of orders beyond the allowed participation.
    no_volume : taker fills without an impact: nothing was printed in the five minutes before.
    """

    fills: int = 0
    unknown: int = 0
    qty: int = 0
    notional: int = 0
    split: int = 0
    delay: int = 0
    wait: int = 0
    spread: int = 0
    depth: int = 0
    fee: int = 0
    impact: int = 0
    no_volume: int = 0
    toxic: int = 0
    large: int = 0

    def add(self, fill: Fill, info: InstrumentInfo, gauge: Gauge) -> None:
        """Takes one fill."""
        notional = fill.px * fill.qty * info.contract_size_e18 // POW10[info.price_precision + info.qty_precision]
        found, ratio = cost.parts(fill), cost.ahead_ratio(fill)
        impact = cost.fill_impact_e18(fill, info, gauge)
        self.fills += 1
        self.qty += fill.qty
        self.notional += notional
        self.fee += fill.fee_e18
        self.impact += impact or 0
        self.no_volume += impact is None
        self.toxic += ratio is not None and ratio > gauge.toxic_ahead_ratio
        self.large += cost.is_large(fill, gauge)
        if found is None:
            self.unknown += 1
            return
        unit = 5 * fill.qty * info.contract_size_e18
        self.split += notional
        self.delay += found.delay2 * unit
        self.wait += found.wait2 * unit
        self.spread += found.spread2 * unit
        self.depth += found.depth2 * unit


class CostTally:
    """A sink: what the fills of a run cost."""

    def __init__(self, instruments: Sequence[InstrumentInfo], gauge: Gauge) -> None:
        self._infos, self._gauge = tuple(instruments), gauge
        self._sums: dict[tuple[int, bool], Sum] = {}

    def write(self, view: View, approved: Sequence[Intent], refused: Sequence[Refused], portfolio: Any) -> None:
        """Adds the view's fills."""
        for fill in view.fills:
            info = self._infos[fill.instrument]
            self._sums.setdefault((fill.instrument, fill.maker), Sum()).add(fill, info, self._gauge)

    def close(self) -> None:
        """Nothing to close."""

    def state(self) -> bytes:
        """What a checkpoint must keep."""
        sums = [[i, int(maker), *asdict(one).values()] for (i, maker), one in sorted(self._sums.items())]
        return json.dumps(sums, separators=(",", ":")).encode()

    def restore(self, state: bytes) -> None:
        """Takes back what `state` gave."""
        self._sums = {(i, bool(maker)): Sum(*values) for i, maker, *values in json.loads(state)}

    def rows(self) -> list[dict[str, Any]]:
        """The table of the summary; money is exact text, `cost` the sum of the four parts."""
        return [self._row(i, maker, one) for (i, maker), one in sorted(self._sums.items())]

    def _row(self, i: int, maker: bool, one: Sum) -> dict[str, Any]:
        info = self._infos[i]
        precision = cost.money_precision(info)
        whole = one.delay + one.wait + one.spread + one.depth
        split = {f"{name}_quote": decimal_text(getattr(one, name), precision)
                 for name in ("delay", "wait", "spread", "depth")}  # fmt: skip
        return {
            "instrument": info.id, "liquidity": LIQUIDITY[maker], "fills": one.fills, "unknown": one.unknown,
            "qty": decimal_text(one.qty, info.qty_precision), "notional_quote": decimal_text(one.notional, 18),
            **split, "cost_quote": decimal_text(whole, precision), "fee_quote": decimal_text(one.fee, 18),
            "impact_quote": decimal_text(one.impact, 18), "no_volume": one.no_volume,
            "cost_bps": whole / POW10[precision - 18] / one.split * 1e4 if one.split else None,
            "toxic": one.toxic, "large": one.large,
        }  # fmt: skip


def costs_text(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The table for people: basis points would hide who paid, so it is money."""
    if not rows:
        return []
    names = ("fills", "delay", "wait", "spread", "depth", "fee", "impact", "toxic")
    lines = [f"{'cost of fills, quote':35}" + "".join(f"{name:>12}" for name in names)]
    for row in rows:
        money = [f"{float(row[f'{name}_quote']):.4f}" for name in names[1:-1]]
        cells = [str(row["fills"]), *money, str(row["toxic"])]
        lines.append(f"{row['instrument'] + ' ' + row['liquidity']:35}" + "".join(f"{cell:>12}" for cell in cells))
        if row["unknown"]:
            lines.append(f"  of {row['unknown']} fills the cost is not known: a book was not true")
        if row["large"]:
            beyond = "their orders were beyond participation_frac_max of what was printed in the five minutes before"
            lines.append(f"  {row['large']} fills are too good to be true: {beyond}")
    return lines
