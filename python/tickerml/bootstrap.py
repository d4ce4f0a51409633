"""The stationary bootstrap, for means of what depends on itself: fills of one minute meet the same market.

Politis and Romano (1994): blocks that begin anywhere with equal chance, whose lengths are geometric, laid end to end
around the circle. The mean length is chosen as Politis and White (2004) say, with the correction of Patton, Politis and
White (2009).
"""

from __future__ import annotations

from math import ceil, log10, sqrt
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Estimate", "block_length", "mean_estimate", "resampled_sums"]

CELLS_MAX: Final = 2_000_000
"""Indices that are drawn at once: 16 MB."""

LAGS_MIN: Final = 5
"""Lags in a row that must be without correlation: K of the papers is this, or log10 of n."""

SAMPLES_MIN: Final = 10
"""Below so many the length cannot be estimated; they are taken as independent."""

Floats = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    """A mean with its confidence interval.

    Attributes
    ----------
    n, n_eff : samples, and how many independent ones would be as uncertain.
    block : mean length of a block.
    mean, low, high : the mean and its 95 % interval; NaN where there is too little for it.
    """

    n: int
    n_eff: float
    block: float
    mean: float
    low: float
    high: float


def mean_estimate(samples: Floats, resamples: int, rng: np.random.Generator) -> Estimate:
    """The mean of a series in the order of time, with a 95 % percentile interval.

    Parameters
    ----------
    samples : array of shape (n,); none is NaN.
    resamples : how many series are drawn.
    """
    n = len(samples)
    if n < 2:
        nan = float("nan")
        return Estimate(n, float(n), 1.0, float(samples[0]) if n else nan, nan, nan)
    block = block_length(samples)
    means = resampled_sums(samples[:, None], block, resamples, rng)[:, 0] / n
    low, high = np.quantile(means, [0.025, 0.975])
    spread = float(means.var())
    effective = min(float(n), max(1.0, float(samples.var(ddof=1)) / spread)) if spread > 0 else float(n)
    return Estimate(n, effective, block, float(samples.mean()), float(low), float(high))


def block_length(samples: Floats) -> float:
    """The mean length of blocks that is best for the mean's variance: 1 for what does not depend on itself.

    b = (2 G^2 / D)^(1/3) n^(1/3) with G = sum of |k| R(k) and D = 2 (sum of R(k))^2 over a flat-top window of 2 m lags,
    where m is the first of K lags in a row without correlation, as in the authors' own program.
    """
    n = len(samples)
    if n < SAMPLES_MIN or np.all(samples == samples[0]):
        return 1.0
    centred = samples - samples.mean()
    lags = max(LAGS_MIN, int(log10(n)))
    lags_max = min(ceil(sqrt(n)) + lags, n - 2)
    covariance = np.array([centred[k:] @ centred[: n - k] / n for k in range(lags_max + 1)])
    quiet = np.abs(covariance / covariance[0]) < 2 * sqrt(log10(n) / n)
    first = next((k for k in range(1, lags_max - lags + 1) if quiet[k : k + lags].all()), None)
    window = lags_max if first is None else min(2 * first, lags_max)
    lag = np.arange(1, window + 1)
    weight = np.minimum(1.0, 2 * (1 - lag / window)) * covariance[1 : window + 1]
    spectrum = covariance[0] + 2 * weight.sum()
    slope = 2 * (weight * lag).sum()
    length = (slope / spectrum) ** 2 * n if spectrum else 0.0
    return float(min(max(np.cbrt(length), 1.0), ceil(min(3 * sqrt(n), n / 3))))


def resampled_sums(columns: Floats, block: float, resamples: int, rng: np.random.Generator) -> Floats:
    """Sums over each resampled series of each column: an array of shape (resamples, columns).

    Parameters
    ----------
    columns : array of shape (n, columns), rows in the order of time.
    block : mean length of a block, 1 or more.
    """
    n = len(columns)
    at_once = max(1, CELLS_MAX // n)
    done: list[Any] = []
    for first in range(0, resamples, at_once):
        shape = (min(at_once, resamples - first), n)
        begins = rng.random(shape) < 1 / block
        begins[:, 0] = True
        starts = rng.integers(0, n, shape)
        place = np.arange(n)
        begun = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
        index = (np.take_along_axis(starts, begun, axis=1) + place - begun) % n
        done.append(columns[index].sum(axis=1))
    sums: Floats = np.concatenate(done)
    return sums
