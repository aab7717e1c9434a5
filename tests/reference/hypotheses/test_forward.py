"""Hypotheses about output and moving statistics predict the numbers that their causes say, worked out by hand."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from bnverify.reference.formulas import KERAS, Formulas
from bnverify.reference.hypotheses.forward import FORWARD

BY_KEY = {hypothesis.key: hypothesis.formulas for hypothesis in FORWARD}
X = np.array([[1.0, 5.0], [2.0, 4.0], [6.0, 3.0]])  # means 3 and 4, sums of squared deviations 14 and 2
IMAGE = np.array([[[1.0], [2.0]], [[5.0], [10.0]]])  # one channel with the values 1, 2 and 5, 10

INVERSE = {  # with a variance of 4 and epsilon 1/16, where 1/sqrt(4.0625) is right
    "epsilon-outside": 1 / 2.0625,
    "no-epsilon": 0.5,
    "epsilon-squared": 1 / math.sqrt(4.00390625),
    "epsilon-twice": 1 / math.sqrt(4.125),
    "epsilon-floor": 0.5,
    "epsilon-0.001": 1 / math.sqrt(4.001),
    "epsilon-1e-5": 1 / math.sqrt(4.00001),
    "epsilon-at-least": 1 / math.sqrt(4.0625),
    "no-root": 1 / 4.0625,
}
OUTPUT = {  # with x̂ = 3, gamma = -2 and beta = 0.5, where -5.5 is right
    "gamma-ignored": 3.5,
    "beta-ignored": -6.0,
    "beta-first": -7.0,
    "gamma-plus-one": -2.5,
    "beta-subtracted": -6.5,
    "gamma-beta-swapped": -0.5,
    "gamma-absolute": 6.5,
}
MOMENTS: dict[str, tuple[list[Any], list[Any]]] = {  # of X, where [3, 4] and [14/3, 2/3] are right
    "unbiased": ([3, 4], [7, 1]),
    "unbiased-output": ([3, 4], [7, 1]),
    "about-zero": ([3, 4], [Fraction(41, 3), Fraction(50, 3)]),
    "mean-deviation": ([3, 4], [4, Fraction(4, 9)]),
    "no-mean": ([0, 0], [Fraction(14, 3), Fraction(2, 3)]),
    "all-axes": ([3.5, 3.5], [Fraction(35, 12), Fraction(35, 12)]),
    "last-left-out": ([1.5, 4.5], [0.25, 0.25]),
    "first-left-out": ([4, 3.5], [4, 0.25]),
    "one-left-out": ([1.5, 4.5], [0.25, 0.25]),
    "half-range": ([3, 4], [Fraction(14, 3), Fraction(2, 3)]),
}
OF_IMAGE = {  # where 4.5 and 12.25 are right
    "mean-of-variances": (4.5, 10),
    "last-left-out": (1.5, 0.25),
    "first-left-out": (7.5, 6.25),
    "one-left-out": (Fraction(8, 3), Fraction(26, 9)),
}
MOVING = {  # mean and variance with momentum 0.75 from 8 to 4, n = 3 and epsilon = 0.5, where 7 is right
    "unbiased-moving": (7, 7.5),
    "bessel-epsilon": (7, 8),
    "bessel-twice": (7, 9),
    "unbiased-output": (7, Fraction(20, 3)),
    "momentum-swapped": (5, 5),
    "momentum-0.99": (7.96, 7.96),
    "momentum-0.9": (7.6, 7.6),
    "momentum-squared": (6.25, 6.25),
    "moving-sum": (10, 10),
    "moving-no-decay": (9, 9),
    "moving-replaced": (4, 4),
    "mean-never-updated": (8, 7),
    "variance-never-updated": (7, 8),
    "moving-deviation": (7, 6.5),
    "moving-with-epsilon": (7, 7.00025),
}
CALLS = {  # which calls normalize with the batch, and which update: T, I, N, and in lower case the same of a frozen layer
    "never-updated": ("T", ""),
    "always-moving": ("", "T"),
    "always-batch": ("TINtin", "T"),
    "not-given-trains": ("TN", "TN"),
    "always-trains": ("TIN", "TIN"),
    "never-trains": ("", ""),
    "inference-updates": ("T", "TIN"),
    "freeze-parameters-only": ("Tt", "Tt"),
    "frozen-updates": ("T", "Tt"),
    "frozen-normalizes-with-batch": ("Tt", "T"),
}
OTHER = {  # a test of its own below
    "momentum-single",
    "updated-moving",
    "outer-training-wins",
    "frozen-at-once",
    "settled-by-fit",
    "frozen-for-good",
}


def test_every_hypothesis_has_its_numbers_here() -> None:
    """No hypothesis about the forward pass is without a number or a call that shows it."""
    assert set(BY_KEY) == {*INVERSE, *OUTPUT, *MOMENTS, *OF_IMAGE, *MOVING, *CALLS, *OTHER}


@pytest.mark.parametrize("key", INVERSE)
def test_where_epsilon_goes(key: str) -> None:
    """The inverse deviation of a variance of 4 with epsilon 1/16."""
    assert float(BY_KEY[key].inverse_deviation(np, 4.0, 0.0625)) == pytest.approx(INVERSE[key], rel=1e-15)


@pytest.mark.parametrize(("key", "variance"), [("epsilon-floor", 1 / 64), ("epsilon-at-least", 0.0)])
def test_a_floor_of_epsilon(key: str, variance: float) -> None:
    """max(1/64, 1/16) is 1/16; an epsilon of 1e-7 counts as 1.001e-5."""
    epsilon, expected = (0.0625, 4.0) if key == "epsilon-floor" else (1e-7, 1 / math.sqrt(1.001e-5))
    assert float(BY_KEY[key].inverse_deviation(np, variance, epsilon)) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("key", OUTPUT)
def test_what_gamma_and_beta_do(key: str) -> None:
    """The output for x̂ = (8-2)*0.5 = 3."""
    assert BY_KEY[key].output(np, 8.0, 2.0, 0.5, -2.0, 0.5) == OUTPUT[key]


@pytest.mark.parametrize("key", MOMENTS)
def test_what_the_statistics_are(key: str) -> None:
    """Mean and variance of two channels of three values."""
    mean, variance = BY_KEY[key].moments(np, X, (0,))
    for found, expected in zip((mean, variance), MOMENTS[key], strict=True):
        assert found.shape == (1, 2)
        assert found.ravel().tolist() == pytest.approx([float(v) for v in expected], rel=1e-14, abs=0)


@pytest.mark.parametrize("key", OF_IMAGE)
def test_what_the_statistics_of_images_are(key: str) -> None:
    """A slice of the batch and a single value are different things where another axis is reduced, too."""
    mean, variance = BY_KEY[key].moments(np, IMAGE, (0, 1))
    assert (float(mean[0, 0, 0]), float(variance[0, 0, 0])) == pytest.approx(tuple(map(float, OF_IMAGE[key])), rel=1e-14)


@pytest.mark.parametrize("key", ["unbiased", "one-left-out", "last-left-out", "first-left-out", "unbiased-output"])
def test_a_single_value_has_the_right_statistics(key: str) -> None:
    """With n = 1 there is nothing to leave out and no n-1 to divide by."""
    mean, variance = BY_KEY[key].moments(np, X[:1], (0,))
    assert (mean.tolist(), variance.tolist()) == ([[1.0, 5.0]], [[0.0, 0.0]])


def test_half_range_clips() -> None:
    """float16's largest number is 65504."""
    mean, variance = BY_KEY["half-range"].moments(np, np.array([[-1e5], [-1e5 - 2000]]), (0,))
    assert (mean.tolist(), variance.tolist()) == ([[-65504.0]], [[65504.0]])


@pytest.mark.parametrize("key", MOVING)
def test_how_the_moving_statistics_move(key: str) -> None:
    """One update from 8 towards 4."""
    f = BY_KEY[key]
    found = (f.moving_mean(np, 8.0, 4.0, 0.75), f.moving_variance(np, 8.0, 4.0, 0.75, 3, 0.5))
    assert tuple(map(float, found)) == pytest.approx(tuple(map(float, MOVING[key])), rel=1e-15)


def test_a_momentum_of_single_precision() -> None:
    """1-0.9 as float32 is 13421773/2^27: the update from 8 to 4 moves by four times as much."""
    share = Fraction(13421773, 2**27)
    f = BY_KEY["momentum-single"]
    for found in (f.moving_mean(np, 8.0, 4.0, 0.9), f.moving_variance(np, 8.0, 4.0, 0.9, 3, 0.5)):
        assert float(found) == pytest.approx(float(8 - 4 * share), rel=1e-15)
        assert float(found) != pytest.approx(7.6, rel=1e-10)


@pytest.mark.parametrize("key", CALLS)
def test_which_calls_train(key: str) -> None:
    """Each kind of call of a layer that is frozen or not: whether it uses the batch, and whether it updates."""
    f, letters = BY_KEY[key], {True: "T", False: "I", None: "N"}

    def calls(rule: Any) -> set[str]:
        return {
            letters[training].lower() if frozen else letters[training]
            for training, frozen in itertools.product(letters, (True, False))
            if rule(training, frozen)
        }

    assert (calls(f.normalizes_with_batch), calls(f.updates)) == tuple(map(set, CALLS[key]))


def test_the_updated_statistics_normalize() -> None:
    """In training the statistic that was just updated is used, not the batch's."""
    assert BY_KEY["updated-moving"].training_statistics("batch", "updated") == "updated"


@pytest.mark.parametrize(("training", "reached"), [(True, True), (False, False), (None, False)])
def test_the_outer_training_wins(training: bool | None, reached: bool) -> None:
    """The model's value replaces the layer's own training=False, unless the model has none."""
    assert BY_KEY["outer-training-wins"].told(training, False) is reached


def test_when_a_freeze_counts() -> None:
    """At once, until the first fit, or for good; Keras takes it over in compile(), and takes it back."""
    changed = {key: (f.settles, f.unfreezes) for key, f in BY_KEY.items() if (f.settles, f.unfreezes) != ("compile", True)}
    assert changed == {
        "frozen-at-once": ("never", True),
        "settled-by-fit": ("fit", True),
        "frozen-for-good": ("compile", False),
    }


@pytest.mark.parametrize("key", BY_KEY)
def test_a_hypothesis_has_one_fault(key: str) -> None:
    """It changes one formula, or the two that one fault shows in, and leaves the gradients, masks and renorm alone."""
    changed = {name for name in Formulas.__dataclass_fields__ if getattr(BY_KEY[key], name) is not getattr(KERAS, name)}
    pairs: tuple[set[str], ...] = (
        {"moving_mean", "moving_variance"},
        {"normalizes_with_batch", "updates"},
        {"moments", "moving_variance"},
    )
    assert len(changed) == 1 or changed in pairs
    assert not {name for name in changed if "mask" in name or "renorm" in name or "gradient" in name}
