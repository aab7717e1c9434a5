"""Running error analysis: no float32 computation errs by more than its bound, and the bound is not much larger than that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bnverify.bounds.derive import summation_error
from bnverify.bounds.running import ROUNDINGS, Arithmetic, Running
from bnverify.numeric.precision import FORMATS

F = np.float32
U = FORMATS["float32"].unit_roundoff
N = 24


def arithmetic(n: int = N) -> Arithmetic:
    return Arithmetic(FORMATS["float32"], summation_error(n, U))


def number(value: Any, error: float = 0.0) -> Running:
    return arithmetic().number(np.asarray(value, np.float64), error)


def single_sum(values: np.ndarray) -> np.ndarray:
    """One running total in float32 over the last axis, which keeps size 1."""
    return np.cumsum(values, axis=-1, dtype=F)[..., -1:]


# One operation each: in float32 on two arrays, and with running errors.
OPERATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Running]]] = {
    "a*b": (lambda a, b: a * b, lambda how, a, b: a * b),
    "a+b": (lambda a, b: a + b, lambda how, a, b: a + b),
    "a-b": (lambda a, b: a - b, lambda how, a, b: a - b),
    "a/b": (lambda a, b: a / b, lambda how, a, b: a / b),
    "1/b": (lambda a, b: F(1.0) / b, lambda how, a, b: 1.0 / b),
    "2-a": (lambda a, b: F(2.0) - a, lambda how, a, b: 2.0 - a),
    "0.3*a": (lambda a, b: F(0.3) * a, lambda how, a, b: 0.3 * a),
    "a+0.1": (lambda a, b: a + F(0.1), lambda how, a, b: a + 0.1),
    "sqrt": (lambda a, b: np.sqrt(np.abs(a)), lambda how, a, b: how.sqrt(how.abs(a))),
    "sum": (lambda a, b: single_sum(a), lambda how, a, b: how.sum(a, (a.value.ndim - 1,), keepdims=True)),
    "max": (lambda a, b: np.maximum(a, F(0.1)), lambda how, a, b: how.maximum(a, 0.1)),
    "min": (lambda a, b: np.minimum(a, F(0.1)), lambda how, a, b: how.minimum(a, 0.1)),
}
SAFE = tuple(name for name in OPERATIONS if name not in ("a/b", "1/b"))  # a divisor near 0 rightly has no bound


def within(a: Running, actual: np.ndarray) -> np.ndarray:
    """Error over bound, of the grade that a running total falls under."""
    return np.abs(actual.astype(np.float64) - a.value) / a.error[1]


@pytest.mark.parametrize("seed", range(40))
def test_random_computations_stay_within_their_bound(seed: int) -> None:
    """Eight random operations, one after another on what the last two gave, err in float32 by no more than the bound."""
    rng = np.random.default_rng(seed)
    values = [rng.uniform(0.5, 2.0, (64, N)).astype(F) * rng.choice([-1, 1], (64, N)).astype(F) for _ in range(2)]
    bounded = [number(v) for v in values]
    how = arithmetic()
    for _ in range(8):
        divisor_is_safe = float(np.min(np.abs(bounded[-1].value) - bounded[-1].error)) > 1e-3
        single, running = OPERATIONS[str(rng.choice(tuple(OPERATIONS) if divisor_is_safe else SAFE))]
        values.append(np.broadcast_to(single(*values[-2:]), (64, N)).astype(F))
        found = running(how, *bounded[-2:])
        shape = found.value.shape
        bounded.append(Running(*(np.broadcast_to(v, (*lead, 64, N)) for v, lead in parts(found)), how))
        assert shape in ((64, N), (64, 1))
        assert np.all(within(bounded[-1], values[-1]) <= 1.0)


def parts(a: Running) -> tuple[tuple[np.ndarray, tuple[int, ...]], ...]:
    return (a.value, ()), (a.error, (3,)), (a.size, ())


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"max", "min"}))
def test_the_bound_of_an_operation_is_no_larger_than_it_must_be(name: str) -> None:
    """The largest error of one operation on many numbers is a sixth of its bound or more, that of a sum 1/sqrt(N) of that.

    One rounding reaches unit roundoff itself, and its bound is ROUNDINGS of them. A sum of N terms may err by N-1 unit
    roundoffs; a random one errs by about sqrt(N) of them.
    """
    rng = np.random.default_rng(1)
    a, b = (rng.uniform(0.03, 2.0, (4000, N)).astype(F) for _ in range(2))
    single, running = OPERATIONS[name]
    largest = float(within(running(arithmetic(), number(a), number(b)), single(a, b)).max())
    limit = 1 / (2 * ROUNDINGS) / (1.0 if name != "sum" else N**0.5)
    assert limit < largest <= 1.0


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {"max", "min"}))
def test_the_tightness_check_notices_a_bound_that_is_far_too_large(name: str) -> None:
    """The measure above, taken of bounds 100 times as large, is far outside its limit."""
    rng = np.random.default_rng(1)
    a, b = (rng.uniform(0.03, 2.0, (4000, N)).astype(F) for _ in range(2))
    single, running = OPERATIONS[name]
    found = running(arithmetic(), number(a), number(b))
    loose = Running(found.value, 100 * found.error, found.size, found.how)
    limit = 1 / (2 * ROUNDINGS) / (1.0 if name != "sum" else N**0.5)
    assert float(within(loose, single(a, b)).max()) < limit / 10


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_errors_of_the_arguments_carry_over(name: str) -> None:
    """Arguments that are off by up to their error, in any direction, move the result by no more than the bound says."""
    rng = np.random.default_rng(2)
    a, b = (rng.uniform(0.05, 2.0, (500, N)) * rng.choice([-1, 1], (500, N)) for _ in range(2))
    error = 1e-3
    off = [v + 0.999 * error * rng.choice([-1.0, 1.0], v.shape) for v in (a, b)]  # then rounded to float32
    single, running = OPERATIONS[name]
    found = running(arithmetic(), number(a, error), number(b, error))
    moved = np.asarray(single(*(v.astype(F) for v in off)), np.float64)
    margin = np.abs(moved - found.value) / found.error[1]
    assert np.all(margin <= 1.0)
    if name != "sum":  # random signs cancel in a sum
        assert margin.max() > 0.5


def test_a_clip_brings_numbers_no_further_apart() -> None:
    """A number known up to e is known up to e after it is clipped; the limit brings its own rounding, infinity none."""
    how = arithmetic()
    for clip in (how.maximum, how.minimum):
        found = clip(number([0.1, 0.5, 3.0], 1e-3), 0.5)
        np.testing.assert_allclose(found.error, 1e-3 + U * 0.5, rtol=1e-12)
    assert np.all(how.minimum(number([0.1], 1e-3), np.inf).error == 1e-3)
    assert np.all(how.maximum(number([0.1], 1e-3), -np.inf).error == 1e-3)


def test_a_given_number_is_exact() -> None:
    """A plain number and an array given without an error have none; a factor written in a formula rounds the product alone."""
    assert np.all(number([1.0, 2.0]).error == 0)
    doubled = number([1.0, 0.0]) * 2.0
    tiny = FORMATS["float32"].smallest_normal
    np.testing.assert_allclose(doubled.error[0], [ROUNDINGS * U * 2 + tiny, tiny], rtol=1e-6)


def test_a_divisor_that_may_be_zero_leaves_no_bound() -> None:
    """a/b has an infinite bound, not a negative or a small one, once the error of b reaches b itself."""
    with np.errstate(all="ignore"):
        found = number([1.0, 1.0, 1.0, 1.0]) / number([2e-3, -2e-3, 1e-3, 0.0], 1e-3)
    assert np.isfinite(found.error[:, :2]).all()
    assert np.all(found.error[:, :2] > 400)  # 1/1e-3 - 1/2e-3 = 500
    assert np.isposinf(found.error[:, 2:]).all()


def test_a_root_near_zero_errs_by_the_root_of_the_error() -> None:
    """sqrt(0 ± e) may be sqrt(e); far from 0 it errs by e/(2*sqrt(a))."""
    found = arithmetic().sqrt(number([0.0, 1e-12, 4.0], 1e-6))
    np.testing.assert_allclose(found.error[0], [1e-3, np.sqrt(1e-12 + 1e-6) - 1e-6, 0.25e-6 + ROUNDINGS * U * 2], rtol=1e-3)


def test_infinities_are_never_a_small_bound() -> None:
    """What is infinite or NaN, or has an infinite error, keeps a bound that is infinite or NaN through every operation."""
    how = arithmetic()
    with np.errstate(all="ignore"):
        unknown = how.number(np.array([1.0, 2.0]), np.inf)
        for found in (unknown * 2.0, unknown + 1.0, 1.0 - unknown, 1.0 / unknown, unknown / 2.0, how.sqrt(unknown)):
            assert not np.isfinite(found.error).any()
        assert not np.isfinite(how.sum(unknown, (0,)).error).any()
        assert not np.isfinite((number([np.inf]) * 2.0).error).any()
        assert not np.isfinite((number([np.nan]) + 2.0).error).any()


def test_size_is_that_of_the_terms() -> None:
    """x-mean has the size |x|+|mean|, and its sum that of the sums apart: a layer may fold x*scale + (beta - mean*scale)."""
    how = arithmetic()
    difference = number([1000.0, 1001.0]) - number([1000.0, 1000.0])
    assert difference.size.tolist() == [2000.0, 2001.0]
    total = how.sum(difference, (0,))
    folded = how.sum(number([1000.0, 1001.0]), (0,)) - how.sum(number([1000.0, 1000.0]), (0,))
    assert total.size == folded.size == 4001.0
    assert np.all(total.error >= how.g * 4001.0)


def test_grades_follow_the_summation() -> None:
    """Each grade sums with its own g: blocked sums of many terms have a smaller bound than one running total."""
    many = arithmetic(10_000)
    found = many.sum(many.number(np.ones(10_000)), (0,))
    assert found.error[0] < found.error[1] / 10
    assert found.error[1] == found.error[2]
