"""The formulas of the paper and of Keras, each in exact rational arithmetic or with numbers worked out by hand."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import exact

from bnverify.reference import formulas
from bnverify.reference.formulas import KERAS

X = np.array([[1.0, 5.0], [2.0, 4.0], [6.0, 0.0]])  # column means 3 and 3, biased variances 14/3 and 14/3
small = st.integers(-8, 8)


@given(st.lists(st.lists(small, min_size=2, max_size=2), min_size=1, max_size=6))
def test_moments_are_the_biased_ones(rows: list[list[int]]) -> None:
    """sum(x)/n and sum((x-mean)^2)/n per column, as rational arithmetic gives them; the rank is kept."""
    x = np.array(rows, float)
    mean, variance = formulas.moments(np, x, (0,))
    assert mean.shape == variance.shape == (1, 2)
    for c, values in exact.channels(x, 1).items():
        expected = exact.moments(values)
        assert [float(mean[0, c]), float(variance[0, c])] == pytest.approx([float(v) for v in expected], rel=1e-14, abs=1e-14)


def test_masked_moments_leave_values_out() -> None:
    """Unmasked 1, 2 of the first column and 5, 4 of the second; the masked row may hold NaN; the count is returned."""
    x = np.where([[False], [False], [True]], np.nan, X)
    mean, variance, n = formulas.masked_moments(np, x, np.array([[True], [True], [False]]), (0,))
    assert mean.tolist() == [[1.5, 4.5]]
    assert variance.tolist() == [[0.25, 0.25]]
    assert n.tolist() == [[2.0, 2.0]]


def test_masked_moments_of_no_value_are_zero_over_zero() -> None:
    """If no position counts, mean and variance are NaN and the count is 0."""
    with np.errstate(invalid="ignore"):
        mean, variance, n = formulas.masked_moments(np, X, np.zeros((3, 1), bool), (0,))
    assert np.isnan([mean, variance]).all()
    assert n.tolist() == [[0.0, 0.0]]


def test_epsilon_is_under_the_root() -> None:
    """1/sqrt(0.75 + 0.25) = 1 and 1/sqrt(3.75 + 0.25) = 1/2; neither outside the root nor twice."""
    assert formulas.inverse_deviation(np, np.array([0.75, 3.75]), 0.25).tolist() == [1.0, 0.5]


def test_the_output_scales_and_shifts() -> None:
    """gamma*(x-mean)*inverse + beta = 3*(7-5)*0.5 - 1 = 2; under a mask nothing changes."""
    y = formulas.output(np, 7.0, 5.0, 0.5, 3.0, -1.0)
    assert y == 2.0
    assert formulas.masked_output(np, y, 7.0, False) == 2.0


def test_momentum_is_the_weight_of_the_old_value() -> None:
    """0.75*8 + 0.25*4 = 7, for the mean and, whatever n and epsilon are, for the variance."""
    assert formulas.moving_mean(np, 8.0, 4.0, 0.75) == 7.0
    assert formulas.moving_variance(np, 8.0, 4.0, 0.75, 2, 0.5) == 7.0


@pytest.mark.parametrize(
    ("training", "frozen", "uses_batch"),
    [
        (True, False, True),
        (True, True, False),
        (False, False, False),
        (False, True, False),
        (None, False, False),
        (None, True, False),
    ],
)
def test_a_call_trains_only_if_it_says_so_and_the_layer_is_not_frozen(
    training: bool | None, frozen: bool, uses_batch: bool
) -> None:
    """Batch statistics and updates belong to the same calls."""
    assert formulas.normalizes_with_batch(training, frozen) is uses_batch
    assert formulas.updates(training, frozen) is uses_batch


@pytest.mark.parametrize(
    ("training", "pinned", "reached"), [(True, None, True), (None, None, None), (True, False, False), (None, False, False)]
)
def test_a_value_that_the_model_was_made_with_wins(training: bool | None, pinned: bool | None, reached: bool | None) -> None:
    """What reaches a layer is the pinned value, and the call's own if there is none."""
    assert formulas.told(training, pinned) is reached


def test_a_frozen_layer_has_losses_in_keras_2_only() -> None:
    """Keras 3 adds no penalty while frozen; Keras 2 keeps it."""
    assert [KERAS.penalizes(frozen) for frozen in (False, True)] == [True, False]
    assert [formulas.penalizes_always(frozen) for frozen in (False, True)] == [True, True]


def test_what_is_read_from_replicas() -> None:
    """Keras 3 promises nothing; Keras 2 the mean over the replicas."""
    values = np.array([[1.0, 2.0], [3.0, 6.0]])
    assert formulas.replicas_read(np, values) is None
    assert formulas.mean_of_replicas(np, values).tolist() == [2.0, 4.0]


def test_renorm_corrects_towards_the_moving_statistics() -> None:
    """r = 6/2 = 3, d = (5-1)/2 = 2; limits rmax 1.5, rmin 4, dmax 1 change them to 1.5, 4, and 1."""
    given: tuple[Any, ...] = (np, np.array(5.0), np.array(6.0), np.array(1.0), np.array(2.0), 1e-3)
    for clipping, expected in (
        ({}, (3.0, 2.0)),
        ({"rmax": 1.5}, (1.5, 2.0)),
        ({"rmin": 4.0}, (4.0, 2.0)),
        ({"dmax": 1.0}, (3.0, 1.0)),
    ):
        assert tuple(map(float, formulas.renorm_correction(*given, clipping))) == expected
    narrow = formulas.renorm_correction(np, np.array(5.0), np.array(1.0), *given[3:], {"rmax": 1.5})
    assert float(narrow[0]) == 0.5  # without rmin r may be any positive number
    negative = formulas.renorm_correction(np, np.array(-5.0), *given[2:], {"dmax": 1.0})
    assert float(negative[1]) == -1.0


def test_renorm_keeps_variance_and_deviation_consistent() -> None:
    """deviation^2 - epsilon is the variance again, never below 0; its averages take renorm_momentum, not momentum."""
    assert formulas.deviation(np, 0.75, 0.25) == 1.0
    assert formulas.renorm_variance(np, 1.0, 0.25) == 0.75
    assert formulas.renorm_variance(np, 0.25, 0.25) == 0.0
    assert formulas.renorm_average(np, 8.0, 4.0, 0.0, 0.75) == 7.0


def test_the_count_is_the_product_of_the_reduced_sizes() -> None:
    """Over axes 0 and 2 of (2, 3, 5) each statistic has 10 values; over no axis it has one."""
    assert formulas.count((2, 3, 5), (0, 2)) == 10
    assert formulas.count((2, 3, 5), ()) == 1


def rational_gradient(x: list[Fraction], dy: list[Fraction], gamma: Fraction, epsilon: Fraction) -> list[Fraction]:
    """dL/dx of one column by differences of the exact loss: (L(x+h) - L(x-h))/2h, whose error is of the order of h^2."""
    h = Fraction(1, 10**20)

    def loss(values: list[Fraction]) -> Fraction:
        mean, variance = exact.moments(values)
        root = exact.sqrt(variance + epsilon, 70)
        return sum((d * gamma * (v - mean) / root for d, v in zip(dy, values, strict=True)), Fraction(0))

    shifted = [[[v + s * h * (i == j) for j, v in enumerate(x)] for s in (1, -1)] for i in range(len(x))]
    return [(loss(up) - loss(down)) / (2 * h) for up, down in shifted]


def backward(x: list[int], dy: list[int], gamma: float, epsilon: float, **changes: Any) -> formulas.Backward:
    column, n = np.array(x, float), len(x)
    given = {
        "dy": np.array(dy, float),
        "mean": column.mean(),
        "d": column - column.mean(),
        "n": n,
        "inverse": 1 / math.sqrt(column.var() + epsilon),
        "gamma": gamma,
        "r": 1.0,
        "shift": 0.0,
        "total": np.sum,
        "within": lambda terms: terms,
    }
    return formulas.Backward(**{**given, **changes})


@given(
    st.lists(st.tuples(small, small), min_size=2, max_size=5),
    st.sampled_from((-2.0, 0.5, 3.0)),
    st.sampled_from((0.25, 1.0)),
)
def test_the_gradient_is_the_derivative_of_the_exact_loss(pairs: list[tuple[int, int]], gamma: float, epsilon: float) -> None:
    """dL/dx agrees with differences of a loss in rational arithmetic; dL/dgamma and dL/dbeta are sums of dy*x̂ and dy."""
    x, dy = map(list, zip(*pairs, strict=True))
    dx, of_gamma, of_beta = formulas.gradients(backward(x, dy, gamma, epsilon))
    expected = rational_gradient([Fraction(v) for v in x], [Fraction(v) for v in dy], Fraction(gamma), Fraction(epsilon))
    assert dx.tolist() == pytest.approx([float(v) for v in expected], rel=1e-12, abs=1e-12)
    mean, variance = exact.moments([Fraction(v) for v in x])
    weighted = sum((d * (v - mean) for d, v in zip(dy, x, strict=True)), Fraction(0))
    assert float(of_gamma) == pytest.approx(float(weighted / exact.sqrt(variance + Fraction(epsilon))), rel=1e-12, abs=1e-12)
    assert float(of_beta) == sum(dy)


@given(st.lists(st.tuples(small, small, small), min_size=2, max_size=5))
def test_the_second_gradient_is_the_derivative_of_the_first(triples: list[tuple[int, int, int]]) -> None:
    """In direction v it agrees with the difference quotient of dL/dx along v."""
    x, dy, v = map(list, zip(*triples, strict=True))
    h = 1e-5
    ends = [formulas.gradients(backward([a + s * h * b for a, b in zip(x, v, strict=True)], dy, 2.0, 1.0))[0] for s in (1, -1)]  # type: ignore[misc]
    found = formulas.second_gradient(backward(x, dy, 2.0, 1.0, direction=np.array(v, float)))
    np.testing.assert_allclose(found, (ends[0] - ends[1]) / (2 * h), rtol=1e-5, atol=1e-5)


def test_statistics_that_do_not_depend_on_x_have_a_linear_gradient() -> None:
    """In inference (n is None) dL/dx = gamma*inverse*dy: 3 * 0.5 * [1, -2]."""
    dx, _, _ = formulas.gradients(backward([0, 2], [1, -2], 3.0, 0.0, n=None, inverse=0.5))
    assert dx.tolist() == [1.5, -3.0]


def test_renorm_adds_its_correction_to_the_gradient_of_gamma() -> None:
    """dL/dgamma = r*sum(dy*x̂) + d*sum(dy) = 2*(1*(-1) + 4*1) + 3*5 = 21, with x̂ = [-1, 1]."""
    _, of_gamma, of_beta = formulas.gradients(backward([-1, 1], [1, 4], 1.0, 0.0, r=2.0, shift=3.0))
    assert [float(of_gamma), float(of_beta)] == [21.0, 5.0]
