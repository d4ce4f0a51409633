"""The stationary bootstrap: block lengths equal those of a published program, and the closed forms hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from tickerml.bootstrap import block_length, mean_estimate, resampled_sums


def series(phi: float, n: int) -> npt.NDArray[np.float64]:
    """An autoregression of order 1, by chance."""
    noise = np.random.default_rng([n, int((phi + 1) * 10)]).standard_normal(n)
    found = np.empty(n)
    found[0] = noise[0]
    for k in range(1, n):
        found[k] = phi * found[k - 1] + noise[k]
    return found


@pytest.mark.parametrize(
    ("phi", "n", "published"),
    # arch 8.0.0, `optimal_block_length(series)["stationary"]`; what it gives below 1 is 1 here.
    [
        (0.0, 50, 1.614736), (0.0, 200, 1.0), (0.0, 5000, 2.126451), (0.3, 1000, 4.793797), (0.3, 5000, 13.941428),
        (0.6, 50, 2.608525), (0.6, 200, 6.721859), (0.6, 1000, 13.82706), (0.9, 200, 17.797368),
        (0.9, 1000, 39.998221), (0.9, 5000, 48.923304), (-0.5, 200, 7.850699), (-0.5, 5000, 23.29671),
    ],
)  # fmt: skip
def test_block_lengths_are_the_published_ones(phi: float, n: int, published: float) -> None:
    assert block_length(series(phi, n)) == pytest.approx(published, abs=1e-5)


def test_short_and_constant_series_are_taken_as_independent() -> None:
    for samples in (np.zeros(0), np.ones(1), np.arange(9.0), np.full(100, 3.5)):
        assert block_length(samples) == 1.0
    for n in range(10, 40):
        assert block_length(series(0.9, n)) >= 1.0


def test_the_variance_of_the_mean_is_the_closed_form() -> None:
    """Politis and Romano 1994, lemma 1: (R(0) + 2 sum of (1 - p)^k weights x R(k)) / n with circular covariances."""
    samples, block, n = series(0.6, 300), 8.0, 300
    centred = samples - samples.mean()
    circular = np.array([centred @ np.roll(centred, -k) / n for k in range(n)])
    p, k = 1 / block, np.arange(1, n)
    weight = (1 - k / n) * (1 - p) ** k + (k / n) * (1 - p) ** (n - k)
    exact = (circular[0] + (weight * circular[1:]).sum()) / n
    means = resampled_sums(samples[:, None], block, 40_000, np.random.default_rng(5))[:, 0] / n
    assert means.var() == pytest.approx(exact, rel=0.03)
    assert means.mean() == pytest.approx(samples.mean(), abs=4 * np.sqrt(exact / 40_000))


def test_rows_stay_together_and_memory_is_bounded() -> None:
    x = series(0.0, 50_000)
    sums = resampled_sums(np.stack([x, 2 * x], axis=1), 20.0, 50, np.random.default_rng(1))
    assert sums.shape == (50, 2)
    assert np.allclose(sums[:, 1], 2 * sums[:, 0])


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    """Over 200 dependent series the 95 % interval holds 0 nearly that often; one for independent samples does not."""
    held = ignorant = 0
    effective = []
    for seed in range(200):
        noise = np.random.default_rng([seed, 9]).standard_normal(400)
        x = np.convolve(noise, np.ones(8), "valid")
        found = mean_estimate(x, 1_000, np.random.default_rng(seed))
        held += found.low <= 0 <= found.high
        ignorant += abs(x.mean()) <= 1.96 * x.std() / np.sqrt(len(x))
        effective.append(found.n_eff / found.n)
    assert 170 <= held <= 200
    assert 1 / 8 < np.median(effective) < 1 / 4, "a moving sum of eight is worth an eighth of its samples"
    assert ignorant < 130


def test_the_same_seed_gives_the_same_and_little_gives_no_interval() -> None:
    x = series(0.3, 200)
    one, two = (mean_estimate(x, 1_000, np.random.default_rng(3)) for _ in range(2))
    assert one == two
    alone = mean_estimate(np.array([4.0]), 1_000, np.random.default_rng(3))
    assert (alone.n, alone.mean, np.isnan(alone.low)) == (1, 4.0, True)
    assert np.isnan(mean_estimate(np.zeros(0), 1_000, np.random.default_rng(3)).mean)
