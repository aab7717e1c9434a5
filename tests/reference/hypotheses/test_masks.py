"""Hypotheses about masks predict the numbers that their causes say, worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from bnverify.reference.hypotheses.masks import MASK_HYPOTHESES

BY_KEY = {hypothesis.key: hypothesis.formulas for hypothesis in MASK_HYPOTHESES}
X, MASK = np.array([[1.0], [2.0], [6.0]]), np.array([[True], [True], [False]])
MOMENTS: dict[str, tuple[Any, Any, Any]] = {  # mean, variance and count, where 1.5, 0.25 and 2 are right
    "mask-ignored": (3, Fraction(14, 3), 3),
    "mask-inverted": (6, 0, 1),
    "mask-as-zeros": (1, Fraction(2, 3), 3),
    "mask-multiplied": (1.5, 0.25, 2),
    "mask-mean-only": (1.5, Fraction(83, 12), 2),
    "mask-unbiased": (1.5, 0.5, 2),
    "mask-divided-by-all": (1, Fraction(1, 6), 2),
}
MORE = Fraction(20_000_001, 10_000_000)  # a count of 2 plus 1e-7
COUNTED = ("mask-count-epsilon", "mask-multiplied-epsilon", "mask-count-unbroadcast")
OUTPUTS = {"mask-zeroes-output": 0.0, "mask-passes-input": 7.0}


def test_every_hypothesis_has_its_numbers_here() -> None:
    """No hypothesis about masks is without a number that shows it."""
    assert set(BY_KEY) == {*MOMENTS, *COUNTED, *OUTPUTS}


@pytest.mark.parametrize("key", MOMENTS)
def test_which_values_count(key: str) -> None:
    """Of 1, 2 and 6 the last is masked."""
    found = BY_KEY[key].masked_moments(np, X, MASK, (0,))
    assert [float(np.ravel(v)[0]) for v in found] == pytest.approx([float(v) for v in MOMENTS[key]], rel=1e-14, abs=1e-14)


@pytest.mark.parametrize("key", COUNTED)
def test_a_count_that_is_a_little_too_large(key: str) -> None:
    """Sums over 1 and 2, divided by 2 + 1e-7; the deviations are from that mean."""
    mean = 3 / MORE
    variance = ((1 - mean) ** 2 + (2 - mean) ** 2) / MORE
    found = BY_KEY[key].masked_moments(np, X, MASK, (0,))
    assert [float(v[0, 0]) for v in found] == pytest.approx([float(v) for v in (mean, variance, MORE)], rel=1e-14)


def test_a_count_before_broadcasting() -> None:
    """One of two samples of two positions counts: the mask has one True, the mean is over two values."""
    x, mask = np.array([[[1.0], [2.0]], [[8.0], [9.0]]]), np.array([[[True]], [[False]]])
    mean, _, n = BY_KEY["mask-count-unbroadcast"].masked_moments(np, x, mask, (0, 1))
    assert (float(mean[0, 0, 0]), float(n[0, 0, 0])) == pytest.approx((3 / 1.0000001, 1.0000001), rel=1e-14)
    mean, _, n = BY_KEY["mask-multiplied-epsilon"].masked_moments(np, x, mask, (0, 1))
    assert (float(mean[0, 0, 0]), float(n[0, 0, 0])) == pytest.approx((3 / 2.0000001, 2.0000001), rel=1e-14)


@pytest.mark.parametrize(
    ("key", "keeps"),
    [
        ("mask-count-epsilon", False),
        ("mask-multiplied-epsilon", True),
        ("mask-multiplied", True),
        ("mask-count-unbroadcast", True),
        ("mask-as-zeros", False),
    ],
)
def test_whether_a_masked_nan_reaches_the_statistics(key: str, keeps: bool) -> None:
    """A product with 0 keeps NaN; a value that is left out or replaced does not."""
    mean, variance, _ = BY_KEY[key].masked_moments(np, np.where(MASK, X, np.nan), MASK, (0,))
    assert bool(np.isnan(mean).all()) is bool(np.isnan(variance).all()) is keeps


def test_no_position_counts() -> None:
    """mask-multiplied gives 0 for 0/0; dividing by the count + 1e-7 gives 0, too; the unbiased divisor is at least 1."""
    none = np.zeros((3, 1), bool)
    for key in ("mask-multiplied", "mask-multiplied-epsilon", "mask-count-epsilon"):
        mean, variance, _ = BY_KEY[key].masked_moments(np, X, none, (0,))
        assert (float(mean[0, 0]), float(variance[0, 0])) == (0.0, 0.0)
    one = np.array([[True], [False], [False]])
    assert float(BY_KEY["mask-unbiased"].masked_moments(np, X, one, (0,))[1][0, 0]) == 0.0


@pytest.mark.parametrize("key", OUTPUTS)
def test_what_masked_positions_return(key: str) -> None:
    """0, or x = 7, in place of y; unmasked positions return y."""
    y = BY_KEY[key].masked_output(np, np.array([5.0, 5.0]), np.array([7.0, 7.0]), np.array([True, False]))
    assert y.tolist() == [5.0, OUTPUTS[key]]
