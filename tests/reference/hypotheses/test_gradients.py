"""Hypotheses about gradients predict the numbers that their causes say, worked out by hand for two values."""

from __future__ import annotations

import numpy as np
import pytest

from bnverify.reference.formulas import KERAS, Backward
from bnverify.reference.hypotheses.gradients import GRADIENTS

BY_KEY = {hypothesis.key: hypothesis for hypothesis in GRADIENTS}
# x = 9, 11; dy = 1, 4; gamma = 3; 1/sqrt(1 + epsilon) = 1/2. The sums of dy and of dy*(x-mean) are 5 and 3.
B = Backward(
    dy=np.array([1.0, 4.0]),
    mean=10.0,
    d=np.array([-1.0, 1.0]),
    n=2,
    inverse=0.5,
    gamma=3.0,
    r=1.0,
    shift=0.0,
    total=np.sum,
    within=lambda terms: terms,
    direction=np.array([1.0, 3.0]),
)
RIGHT = ([-1.6875, 1.6875], 1.5, 5.0)
# s*dy is 1.5, 6. Its mean 3.75 comes back through the mean, and gamma*inverse^3*3/2*(x-mean) = -+0.5625 through the variance.
FOUND = {
    "gradient-constant-statistics": ([1.5, 6.0], 1.5, 5.0),
    "gradient-constant-variance": ([-2.25, 2.25], 1.5, 5.0),
    "gradient-constant-mean": ([2.0625, 5.4375], 1.5, 5.0),
    "gradient-unbiased": ([-1.125, 1.125], 1.5, 5.0),
    "gradient-without-gamma": ([-0.5625, 0.5625], 1.5, 5.0),
    "gradient-raw-gamma": ([-1.6875, 1.6875], 3.0, 5.0),
    "gradient-beta-halved": ([-1.6875, 1.6875], 1.5, 2.5),
    "gradient-swapped": ([-1.6875, 1.6875], 5.0, 1.5),
    "gradient-negative": ([1.6875, -1.6875], 1.5, 5.0),
    "gradient-of-square": ([-7.3125, -3.9375], 1.5, 5.0),  # 0.5625*9 and 0.5625*11 come back through E[x²]
}
SECOND = {  # along v = 1, 3; [1.265625, -1.265625] is right
    "second-of-constant-mean": [0.140625, -2.390625],
    "gradient-of-square": [85.921875, 77.765625],  # the variance changes by mean(2*x*v) = 42 instead of 2
}


def test_the_right_gradients() -> None:
    """The numbers that the table below departs from."""
    dx, of_gamma, of_beta = KERAS.gradients(B)
    assert (dx.tolist(), float(of_gamma), float(of_beta)) == RIGHT
    assert KERAS.second_gradient(B).tolist() == [1.265625, -1.265625]


def test_every_hypothesis_has_its_numbers_here() -> None:
    """Each changes gradients only, of the first order, the second, or both."""
    assert set(BY_KEY) == {*FOUND, *SECOND}
    assert all(hypothesis.backward for hypothesis in GRADIENTS)


@pytest.mark.parametrize("key", FOUND)
def test_first_order(key: str) -> None:
    """dL/dx, dL/dgamma and dL/dbeta."""
    dx, of_gamma, of_beta = BY_KEY[key].formulas.gradients(B)
    assert [*dx, of_gamma, of_beta] == pytest.approx([*FOUND[key][0], *FOUND[key][1:]], rel=1e-5)


@pytest.mark.parametrize("key", SECOND)
def test_second_order(key: str) -> None:
    """The derivative of dL/dx in a direction."""
    assert BY_KEY[key].formulas.second_gradient(B).tolist() == SECOND[key]


@pytest.mark.parametrize(
    "key", ["gradient-constant-variance", "gradient-constant-mean", "gradient-unbiased", "gradient-of-square"]
)
def test_in_inference_nothing_comes_back_through_statistics(key: str) -> None:
    """If the statistics do not depend on x, dL/dx is s*dy whatever is wrong about their derivatives."""
    constant = Backward(**{**vars(B), "n": None})
    dx, _, _ = BY_KEY[key].formulas.gradients(constant)
    assert dx.tolist() == [1.5, 6.0]


def test_masked_values_get_nothing_back_from_the_statistics() -> None:
    """Values that the statistics leave out keep s*dy, here the second one."""
    masked = Backward(**{**vars(B), "n": 1, "within": lambda terms: np.where([True, False], terms, 0.0)})
    for key in ("gradient-constant-variance", "gradient-of-square"):
        dx, _, _ = BY_KEY[key].formulas.gradients(masked)
        assert float(dx[1]) == 6.0
