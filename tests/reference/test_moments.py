"""Batch moments, block by block and with threads, are those of the plain formula."""

from __future__ import annotations

import numpy as np
import pytest

from bnverify.reference import formulas
from bnverify.reference.moments import blocked_moments


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        ((300, 7, 40), (2,)),
        ((5, 30000), (1,)),
        ((4, 6, 50, 50), (1,)),
        ((70000, 3), (1,)),
        ((4, 6, 50, 20), (0, 3)),
        ((9, 9), (0,)),
    ],
)
@pytest.mark.parametrize("mean", [0.0, 1e6])
def test_blocked_moments_are_the_textbook_moments(shape: tuple[int, ...], kept: tuple[int, ...], mean: float) -> None:
    """Block by block, with threads and a shift, the same mean and variance come out as from the plain two-pass formula."""
    x = mean + np.random.default_rng(3).standard_normal(shape)
    axes = tuple(axis for axis in range(len(shape)) if axis not in kept)
    expected_mean, expected_variance = formulas.moments(np, x.astype(np.longdouble), axes)
    actual_mean, actual_variance = blocked_moments(x, kept, np.float64)
    assert actual_mean.shape == expected_mean.shape
    np.testing.assert_allclose(actual_mean, expected_mean.astype(float), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(actual_variance, expected_variance.astype(float), rtol=1e-11)


def test_moments_of_a_million_values_use_threads_and_agree() -> None:
    """Above the size at which threads start, an exactly representable mean and variance come out exactly."""
    x = np.tile(np.array([[3.0, -1.0], [5.0, 7.0]], np.float32), (600_000, 1))
    mean, variance = blocked_moments(x, (1,), np.float64)
    assert mean.ravel().tolist() == [4.0, 3.0]
    assert variance.ravel().tolist() == [1.0, 16.0]


def test_statistics_far_from_the_first_rows_take_a_second_pass() -> None:
    """A first block that says nothing about the rest does not cost accuracy."""
    x = np.full((100_000, 1), 1e8)
    x[:20_000] = 0.0
    x[50_000:] += np.arange(50_000)[:, None] % 2
    mean, variance = blocked_moments(x, (1,), np.float64)
    values = x.ravel().astype(np.longdouble)
    np.testing.assert_allclose(mean.item(), float(values.mean()), rtol=1e-14)
    np.testing.assert_allclose(variance.item(), float(values.var()), rtol=1e-13)


def test_moments_of_infinities_are_those_of_the_formula() -> None:
    """An infinity gives mean ±inf and variance NaN, wherever in the array it stands; NaN gives NaN; neither spreads."""
    x = np.ones((50_000, 5))
    x[0, 0], x[40_000, 1], x[0, 2], x[7, 3] = np.inf, -np.inf, np.nan, 3.0
    mean, variance = blocked_moments(x, (1,), np.float64)
    assert [str(v) for v in mean.ravel()[:3]] == ["inf", "-inf", "nan"]
    assert np.isnan(variance.ravel()[:3]).all()
    np.testing.assert_allclose(mean.ravel()[3:], [1.00004, 1.0], rtol=1e-14)
    np.testing.assert_allclose(variance.ravel()[3:], [4 / 50_000 - 0.00004**2, 0.0], rtol=1e-9)
