"""How right the fills are: queue models against true queues, and the curve that is measured there.

The truth is that of the loopback venue (`tickerml_venue::truth`): one-lot orders in its real queues, against what the
simulator says of them from diffs and trades alone. No decision rests on this module.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tickerml import _native
from tickerml.config.queue_file import FORMAT, Curve, read_curve
from tickerml.errors import ConfigError, NotFoundError, TickerError
from tickerml.sources.l3 import bitstamp_columns
from tickerml.writing import replacing

__all__ = ["GivenCurve", "fit_files", "fit_loopback", "read_given", "truth", "truth_text", "write_curve"]

FIT_SEED = 1_000_003
"""Added to the seed of a table for the market that its curve is measured on: another one."""

LOOK_NS = 100_000_000
"""How often a level is looked at in an order-by-order recording: as often as a diff comes."""


class GivenCurve(NamedTuple):
    """A curve of a file, for `fitted`."""

    path: Path
    curve: Curve

    def is_of(self, law: str, regime: str, seed: int) -> bool:
        """Whether it was measured on this very market."""
        wanted = (law, regime, seed)
        return any((s.get("law"), s.get("regime"), s.get("seed")) == wanted for s in self.curve.sources)


def read_given(
    path: Path, laws: Sequence[str], regimes: Sequence[str], *, seed: int, allow_insample: bool = False
) -> GivenCurve:
    """A curve to be judged by some markets; all are asked for before the first of them takes its minutes.

    Raises
    ------
    NotFoundError
        For a file that is not there.
    ConfigError
        For a curve that cannot be read, or that was measured on one of these markets.
    """
    if not path.exists():
        raise NotFoundError(f"--curve {path}: No such file; `tickerml execution fit -o {path}` writes one")
    try:
        given = GivenCurve(path, read_curve(path))
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    same = [(law, regime) for law in laws for regime in regimes if given.is_of(law, regime, seed)]
    if same and not allow_insample:
        raise ConfigError(
            [f"{path}: was measured on this market ({law}, {regime}, seed {seed}); give another --seed, or "
             "--allow-insample, which marks the report" for law, regime in same]
        )  # fmt: skip
    return given


def truth(
    law: str,
    regime: str,
    *,
    orders: int,
    seed: int,
    horizon_s: int = 30,
    curve: GivenCurve | None = None,
    fit_orders: int = 0,
    grid: bool = False,
) -> dict[str, Any]:
    """One table: every model, the band and the naive pair, in one law and one regime.

    Parameters
    ----------
    orders : orders to follow; they come every half second.
    horizon_s : an order that is not met within it counts as not met.
    curve : for `fitted`; without it one is measured on another market of `fit_orders` orders' length.
    grid : also what the policy `grid` earns, by each model and in truth.
    """
    asked: dict[str, Any] = {"law": law, "regime": regime, "orders": orders, "seed": seed, "horizon_s": horizon_s}
    report: dict[str, Any] = {}
    if curve is not None:
        asked["queue_share"] = [float(share) for share in curve.curve.share]
        report = {"curve": str(curve.path), **({"insample": True} if curve.is_of(law, regime, seed) else {})}
    elif fit_orders:
        fit = fit_loopback([law], [regime], orders=fit_orders, seed=seed + FIT_SEED)
        asked["queue_share"] = fit["share"]
        report = {"curve": {key: fit[key] for key in ("share", "observations", "error", "sources")}}
    found: dict[str, Any] = json.loads(_native.execution_truth(json.dumps({**asked, "grid": grid})))
    return {**found, **report}


def fit_loopback(laws: Sequence[str], regimes: Sequence[str], *, orders: int, seed: int) -> dict[str, Any]:
    """The curve of one market of the loopback venue, or the mean curve of several."""
    parts, sources = [], []
    for law in laws:
        for regime in regimes:
            asked = {"law": law, "regime": regime, "orders": orders, "seed": seed}
            parts.append(json.loads(_native.queue_fit_loopback(json.dumps(asked))))
            sources.append({"kind": "loopback", **asked})
    return _joined(parts, sources)


def fit_files(files: Sequence[Path]) -> dict[str, Any]:
    """The curve of Bitstamp order events, each file weighed by what was seen in it.

    Raises
    ------
    NotFoundError, UnsoundDataError
    """
    parts, sources = [], []
    for path in files:
        columns = bitstamp_columns(path)
        parts.append(json.loads(_native.queue_fit_l3(*columns.arrays(), LOOK_NS)))
        sources.append({"kind": "bitstamp", "file": path.name, "fit_begin_ns": columns.rows[0].ts_ns})
    return _joined(parts, sources)


def _joined(parts: Sequence[dict[str, Any]], sources: list[dict[str, Any]]) -> dict[str, Any]:
    seen = sum(part["observations"] for part in parts)
    if not seen:
        raise TickerError("nothing to measure: no level shrank while an order rested there; give more data")
    weights = [part["observations"] / seen for part in parts]

    def mean(values: Sequence[float]) -> float:
        return float(sum(weight * value for weight, value in zip(weights, values, strict=True)))

    shares = zip(*(part["share"] for part in parts), strict=True)
    return {
        "format": FORMAT,
        "model": "fitted",
        "share": [round(mean(points), 6) for points in shares],
        "fit_end_ns": max(part["end_ns"] for part in parts),
        "observations": seen,
        "error": round(mean([part["error"] for part in parts]), 6),
        "sources": sources,
    }


def write_curve(curve: dict[str, Any], path: Path) -> None:
    """Writes the file for ``--set queue_file=``: whole, or not at all.

    Raises
    ------
    TickerError, NotFoundError
    """
    with replacing(path) as draft:
        draft.write_text(json.dumps(curve, indent=1) + "\n", encoding="utf-8")


def truth_text(tables: Sequence[dict[str, Any]]) -> str:
    """The tables for people."""
    return "\n\n".join(_table(table) for table in tables)


def _table(table: dict[str, Any]) -> str:
    lines = [
        f"{table['law']}, {table['regime']}, seed {table['seed']}: {table['orders']} orders, "
        f"{table['filled_frac']:.1%} truly met within {table['horizon_s']} s ({table['refused']} would have taken)"
        + (", IN SAMPLE" if table.get("insample") else ""),
        f"  {'model':16}{'met':>8}{'Brier':>9}{'over best':>18}{'time off, s':>13}{'too late, s':>13}"
        f"{'calibration':>13}" + (f"{'grid, half ticks':>24}" if table["models"][0].get("grid") else ""),
    ]
    for row in table["models"]:
        over = f"{row['brier_over_best']:+.4f} +- {row['brier_over_best_se']:.4f}"
        money = row.get("grid")
        earned = f"{money['pnl_half_ticks']:>11} (true {money['true_pnl_half_ticks']})" if money else ""
        lines.append(
            f"  {row['model']:16}{row['filled_frac']:>8.1%}{row['brier']:>9.4f}{over:>18}{row['time_error_s']:>13.2f}"
            f"{row['time_bias_s']:>+13.2f}{row['calibration_error']:>13.3f}{earned:>24}".rstrip()
        )
    for name, key in (("early to late", "band"), ("touch to through", "naive")):
        band = table[key]
        lines.append(
            f"  {name:16} holds {band['coverage_frac']:.1%} (met before it {band['before_frac']:.1%}, after "
            f"{band['after_frac']:.1%}), {band['width_s']:.2f} s wide"
        )
    return "\n".join(lines)
