"""Markouts: where the market went after each fill, and for which fills it went the wrong way.

The markout of a fill after h is side x (reference at h - price) / price in basis points: above zero the market moved
our way. References are mid and microprice of the venue's book in venue time, the time of the fill itself. A markout is
NaN where the book was not Live without a break from the fill through the horizon, or the recording ends before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tickerml.bootstrap import Estimate, block_length, mean_estimate, resampled_sums
from tickerml.schema import UNDEF_I64

__all__ = ["HORIZONS_S", "REFERENCES", "Fills", "Marked", "mark", "rule", "table"]

HORIZONS_S: Final = (0.1, 1.0, 5.0, 30.0, 60.0, 300.0)
REFERENCES: Final = ("mid", "microprice")

FEW: Final = 10
"""A group with fewer markouts decides nothing."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Fills(NamedTuple):
    """Fills of one instrument in the order of venue time; arrays of shape (n,).

    Attributes
    ----------
    px : scaled as the instrument's prices. ahead_ratio : NaN for takers, and where it is not known.
    """

    ts_event_ns: Ints
    side: Ints
    px: Ints
    maker: Bools
    ahead_ratio: Floats


class Marked(NamedTuple):
    """Fills with their markouts.

    Attributes
    ----------
    spread_ticks : float array of shape (n,): the spread at the fill in ticks, NaN where there was no true book.
    bps : float array of shape (n, references, horizons).
    """

    fills: Fills
    spread_ticks: Floats
    bps: Floats


def mark(fills: Fills, quotes: Any, tick: int) -> Marked:
    """Looks up the books.

    Parameters
    ----------
    quotes : gives for a sorted int64 array of venue times the columns of `_native.quotes_at`.
    tick : of the instrument, scaled.
    """
    after_ns = np.array([0, *(round(h * 1e9) for h in HORIZONS_S)], dtype=np.int64)
    times, place = np.unique(fills.ts_event_ns[:, None] + after_ns, return_inverse=True)
    book: Mapping[str, Ints] = quotes(times)
    place = place.reshape(-1, len(after_ns))
    bid, ask, bid_qty, ask_qty, stretch = (
        book[name][place] for name in ("bid_px", "ask_px", "bid_qty", "ask_qty", "stretch")
    )
    whole = (bid != UNDEF_I64) & (ask != UNDEF_I64) & (stretch > 0) & (stretch == stretch[:, :1])
    with np.errstate(invalid="ignore"):
        b, a = np.where(whole, bid, np.nan), np.where(whole, ask, np.nan)
        micro = (b * ask_qty + a * bid_qty) / np.where(whole, bid_qty + ask_qty, 1)
    reference = np.stack([(b + a) / 2, micro], axis=1)[:, :, 1:]
    px = fills.px[:, None, None]
    return Marked(fills, (a - b)[:, 0] / tick, fills.side[:, None, None] * (reference - px) / px * 1e4)


def joined(parts: Sequence[Marked]) -> Marked:
    """Several instruments as one, in the order of venue time."""
    order = np.argsort(np.concatenate([p.fills.ts_event_ns for p in parts]), kind="stable")
    columns = (np.concatenate([p.fills[k] for p in parts])[order] for k in range(len(Fills._fields)))
    spread, bps = (np.concatenate([p[k] for p in parts])[order] for k in (1, 2))
    return Marked(Fills(*columns), spread, bps)


def table(marked: Marked, ratio: float, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Mean markouts with 95 % intervals: a row for each group, reference and horizon.

    Parameters
    ----------
    ratio : the threshold between the groups of `ahead_ratio`.
    """
    rows: list[dict[str, Any]] = []
    for dimension, group, chosen in groups(marked, ratio):
        for r, reference in enumerate(REFERENCES):
            for h, horizon_s in enumerate(HORIZONS_S):
                rng = np.random.default_rng([seed, len(rows)])
                found = mean_estimate(_known(marked.bps[chosen, r, h]), resamples, rng)
                head = {"by": dimension, "group": group, "reference": reference, "horizon_s": horizon_s}
                rows.append({**head, "fills": int(chosen.sum()), **_numbers(found)})
    return rows


def groups(marked: Marked, ratio: float) -> Iterator[tuple[str, str, Bools]]:
    """What the fills are told apart by: (dimension, group, which fills); groups without a fill are left out."""
    fills, spread = marked.fills, marked.spread_ticks
    maker, ahead = fills.maker, fills.ahead_ratio
    low = min(1.0, ratio)
    found: tuple[tuple[str, str, Bools], ...] = (
        ("all", "all", np.ones(len(maker), dtype=bool)),
        ("liquidity", "maker", maker),
        ("liquidity", "taker", ~maker),
        ("side", "buy", fills.side > 0),
        ("side", "sell", fills.side < 0),
        ("ahead_ratio", f"up to {low:g}", maker & (ahead <= low)),
        ("ahead_ratio", f"{low:g} to {ratio:g}", maker & (ahead > low) & (ahead <= ratio)),
        ("ahead_ratio", f"above {ratio:g}", maker & (ahead > ratio)),
        ("ahead_ratio", "unknown", maker & np.isnan(ahead)),
        ("spread", "one tick", spread <= 1),
        ("spread", "wider", spread > 1),
        ("spread", "unknown", np.isnan(spread)),
    )
    return (entry for entry in found if entry[2].any())


def rule(marked: Marked, ratio: float, resamples: int, seed: int) -> dict[str, Any]:
    """Whether fills with more than `ratio` ahead fared worse: the rule of thumb that they are toxic.

    At each horizon the difference of the two means (mid; above the threshold less not above) with its interval, from
    resamples of all maker fills together, so that fills of one moment stay together.
    """
    known = marked.fills.maker & ~np.isnan(marked.fills.ahead_ratio)
    high = marked.fills.ahead_ratio[known] > ratio
    rows = []
    for h, horizon_s in enumerate(HORIZONS_S):
        bps = marked.bps[known, 0, h]
        there = ~np.isnan(bps)
        rng = np.random.default_rng([seed, 1 << 20, h])
        rows.append({"horizon_s": horizon_s, **_difference(bps[there], high[there], resamples, rng)})
    return {"ahead_ratio": ratio, "horizons": rows, "verdict": _verdict(rows)}


def _difference(bps: Floats, high: Bools, resamples: int, rng: np.random.Generator) -> dict[str, Any]:
    counts = {"n_above": int(high.sum()), "n_not_above": int((~high).sum())}
    nothing = {"difference_bps": None, "low_bps": None, "high_bps": None, "found": "too few fills"}
    if min(counts.values()) < FEW:
        return {**counts, **nothing}
    columns = np.stack([bps * high, high, bps * ~high, ~high], axis=1).astype(np.float64)
    sums = resampled_sums(columns, block_length(bps), resamples, rng)
    sums = sums[(sums[:, 1] > 0) & (sums[:, 3] > 0)]
    differences = sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3]
    low, top = (float(edge) for edge in np.quantile(differences, [0.025, 0.975]))
    found = "worse" if top < 0 else "better" if low > 0 else "no difference shown"
    mean = float(bps[high].mean() - bps[~high].mean())
    return {**counts, "difference_bps": mean, "low_bps": low, "high_bps": top, "found": found}


def _verdict(rows: Iterable[Mapping[str, Any]]) -> str:
    """Worse at half of the horizons that can be judged, or more, bears the rule out."""
    found = [row["found"] for row in rows if row["difference_bps"] is not None]
    worse, better = found.count("worse"), found.count("better")
    if not found:
        return "not decided: too few fills"
    if worse and better:
        return "contradictory"
    if better:
        return "contradicted"
    return "borne out" if 2 * worse >= len(found) else "partly borne out" if worse else "not borne out"


def _known(values: Floats) -> Floats:
    known: Floats = values[~np.isnan(values)]
    return known


def _numbers(found: Estimate) -> dict[str, Any]:
    def number(value: float) -> float | None:
        return None if np.isnan(value) else value

    return {
        "n": found.n, "n_eff": round(found.n_eff, 1), "block": round(found.block, 2), "mean_bps": number(found.mean),
        "low_bps": number(found.low), "high_bps": number(found.high),
    }  # fmt: skip
