"""Expected something else: each usual misunderstanding, computed here by NumPy alone, is named from its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bnverify
from bnverify.cases.posted import POSTED

RNG = np.random.default_rng(3)
X = (RNG.normal(size=(7, 4)) * [0.1, 1.0, 3.0, 0.5] + [1.0, -2.0, 0.0, 4.0]).astype(np.float32)
WEIGHTS = {
    "gamma": np.float32([1.5, -0.5, 2.0, 0.75]),
    "beta": np.float32([0.25, -1.0, 3.0, 0.5]),
    "moving_mean": np.float32([0.5, -1.0, 0.25, 2.0]),
    "moving_variance": np.float32([0.5, 2.0, 4.0, 0.25]),
}
GAMMA, BETA, MOVING_MEAN, MOVING_VARIANCE = (w.astype(float) for w in WEIGHTS.values())
E = 1e-3


def y(
    mean: Any = None,
    variance: Any = None,
    *,
    ddof: int = 0,
    epsilon: float = E,
    outside: bool = False,
    gamma: Any = GAMMA,
    beta: Any = BETA,
) -> np.ndarray:
    x = X.astype(float)
    mean = x.mean(0) if mean is None else mean
    variance = x.var(0, ddof=ddof) if variance is None else variance
    root = np.sqrt(variance) + epsilon if outside else np.sqrt(variance + epsilon)
    return np.asarray((x - mean) / root * gamma + beta)


def readings(expected: Any, training: bool | None = True, x: Any = X, weights: Any = WEIGHTS, **config: Any) -> tuple[str, ...]:
    (comparison,) = bnverify.explain(config, x, training=training, weights=weights, expected=expected).expected
    assert comparison.digits is None
    return comparison.readings


BATCH, MOVING = "the batch statistics normalize (as in training)", "the moving statistics normalize (as in inference)"


@pytest.mark.parametrize(
    ("training", "expected", "words"),
    [
        (True, y(MOVING_MEAN, MOVING_VARIANCE), MOVING),
        (False, y(), BATCH),
        (None, y(), BATCH),
        (True, y(ddof=1), "the variance is divided by n-1 (ddof=1)"),
        (True, y(epsilon=0.0), "epsilon is left out"),
        (True, y(outside=True), "epsilon is added to the deviation, outside the root"),
        (True, y(epsilon=1e-5), "epsilon is 1e-5, PyTorch's default"),
        (True, y(gamma=1.0), "gamma is not applied"),
        (True, y(beta=0.0), "beta is not applied"),
        (True, y(gamma=1.0, beta=0.0), "gamma and beta are not applied"),
        (False, y(epsilon=0.0), f"{BATCH} and epsilon is left out"),
        (True, y(ddof=1, epsilon=0.0), "the variance is divided by n-1 (ddof=1) and epsilon is left out"),
        (
            False,
            y(ddof=1, epsilon=0.0, gamma=1.0, beta=0.0),
            f"{BATCH} and the variance is divided by n-1 (ddof=1) and epsilon is left out",
        ),
    ],
)
def test_a_misunderstanding_of_y_is_named(training: bool | None, expected: np.ndarray, words: str) -> None:
    """In float64 as NumPy gives it, and rounded to float32."""
    for given in (expected, expected.astype(np.float32)):
        (found,) = readings(given, training)
        assert found.startswith(words)


def test_what_must_come_out_is_no_misunderstanding() -> None:
    """The reference's own numbers, and the layer's."""
    e = bnverify.explain({}, X, training=True, weights=WEIGHTS, expected=y())
    assert (e.expected[0].as_is, e.expected[0].readings) == (True, ())
    assert "expected y: exactly what the layer must give." in str(e)
    e = bnverify.explain({}, X, training=True, weights=WEIGHTS, expected=e["y"].layer)
    assert e.expected[0].as_is


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_another_axis_is_named(axis: int) -> None:
    """Statistics over other axes: each other one kept, the one that was named reduced, or all."""
    x = RNG.normal(size=(4, 5, 6)) * np.arange(1, 7) + np.arange(5)[:, None]
    given = (axis + 1) % 3
    over = tuple(a for a in range(3) if a != axis)
    expected = (x - x.mean(over, keepdims=True)) / np.sqrt(x.var(over, keepdims=True) + E)
    (found,) = readings(expected, x=x, weights=None, axis=given)
    assert found == f"the statistics are computed over axis {over[0]} and {over[1]}, one for each position of axis {axis}"
    expected = (x - x.mean(given, keepdims=True)) / np.sqrt(x.var(given, keepdims=True) + E)
    (found,) = readings(expected, x=x, weights=None, axis=given)
    assert found.startswith(f"the statistics are computed over axis {given}, one for each position of axis ")
    assert found.endswith("axis is read as in np.mean, as the axis to reduce")
    (found,) = readings((x - x.mean()) / np.sqrt(x.var() + E), x=x, weights=None, axis=given)
    assert found == "the statistics are computed over axis 0 and 1 and 2, one for all"


@pytest.mark.parametrize(
    ("name", "expected", "words"),
    [
        (
            "mean",
            X.astype(float).mean(1),
            "the statistics are computed over axis 1, one for each position of axis 0: axis is read as in np.mean",
        ),
        ("mean", MOVING_MEAN, MOVING),
        ("variance", X.astype(float).var(0, ddof=1), "the variance is divided by n-1 (ddof=1)"),
        (
            "moving_mean",
            0.01 * MOVING_MEAN + 0.99 * X.astype(float).mean(0),
            "momentum is the weight of the batch (PyTorch's convention), not of the old value",
        ),
        ("moving_mean", MOVING_MEAN, "the moving statistics are never updated"),
        ("moving_mean", X.astype(float).mean(0), "the moving statistics are replaced by the last batch's"),
        ("moving_mean", 0.9 * MOVING_MEAN + 0.1 * X.astype(float).mean(0), "momentum is 0.9, the default of other frameworks"),
        (
            "moving_variance",
            0.99 * MOVING_VARIANCE + 0.01 * X.astype(float).var(0, ddof=1),
            "the variance is divided by n-1 (ddof=1)",
        ),
    ],
)
def test_a_misunderstanding_of_statistics_is_named(name: str, expected: np.ndarray, words: str) -> None:
    """Over another axis, with n-1, with momentum the other way round."""
    (found,) = readings({name: expected})
    assert found.startswith(words)


def test_a_mask_that_was_forgotten() -> None:
    """The statistics of all values, where the mask leaves some out."""
    x = RNG.normal(size=(3, 5, 2)).astype(np.float32)
    mask = np.array([[1, 1, 0, 0, 1]] * 3, bool)
    expected = (x - x.mean((0, 1))) / np.sqrt(x.var((0, 1)) + E)
    e = bnverify.explain({}, x, training=True, mask=mask, expected=expected)
    assert e.expected[0].readings == ("the mask is left out",)


@pytest.mark.parametrize(
    ("name", "training", "config", "words"),
    [
        ("toy-as-printed", True, {}, ("the variance is divided by n-1 (ddof=1) and epsilon is left out",)),
        ("toy-as-printed", None, {}, (f"{BATCH} and the variance is divided by n-1 (ddof=1) and epsilon is left out",)),
        ("scale-alone", False, {"center": False}, (f"{BATCH} and epsilon is left out and gamma is not applied",)),
    ],
)
def test_what_was_expected_in_public(name: str, training: bool | None, config: Any, words: tuple[str, ...]) -> None:
    """The numbers that people posted as what they expected."""
    posted = POSTED[name]
    assert (
        readings(np.array(posted.expected, float), training, np.array(posted.x, float), posted.weights or None, **config)
        == words
    )


@pytest.mark.parametrize("config", [{}, {"trainable": False}])
def test_statistics_that_were_thought_to_move(config: Any) -> None:
    """A call that infers, or of a frozen layer, moves nothing."""
    moved = 0.99 * MOVING_MEAN + 0.01 * X.astype(float).mean(0)
    (found,) = readings({"moving_mean": moved}, bool(config), **config)
    assert found == "the call updates the moving statistics, as in training"


def test_whole_numbers_are_taken_as_they_stand() -> None:
    """Nothing is said to be what was expected because it rounds to it."""
    e = bnverify.explain({}, [[1.0, 2.0], [5.0, 4.0]], expected=[[1, 2], [5, 4]])
    assert e.expected[0].readings == ("epsilon is left out",)
    e = bnverify.explain({}, [[1.0, 2.0], [5.0, 4.0]], training=True, expected=[[0, 0], [0, 0]])
    assert (e.expected[0].as_is, e.expected[0].readings) == (False, ())


def test_rounded_figures_are_told_as_such() -> None:
    """Three decimal places cannot tell epsilon 1e-3 from none; what fits with the fewest departures is named."""
    given = np.round(y(ddof=1), 3)
    (comparison,) = bnverify.explain({}, X, training=True, weights=WEIGHTS, expected=given).expected
    assert comparison.digits == 3
    assert "the variance is divided by n-1 (ddof=1)" in comparison.readings


def test_numbers_of_another_world() -> None:
    """Nothing is named that does not fit; the nearest is said to be off, and by how much."""
    expected = y() + np.where(np.arange(28).reshape(7, 4) == 5, 0.125, 0.0)
    e = bnverify.explain({}, X, training=True, weights=WEIGHTS, expected=expected)
    (comparison,) = e.expected
    assert comparison.readings == ()
    assert comparison.nearest is not None
    assert comparison.nearest[1] == pytest.approx(0.125, rel=0.05)
    assert re_line(str(e), "expected y: none of ") in str(e)


def re_line(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


def test_float16_is_as_good_as_float16() -> None:
    """Numbers that were kept in half precision are told by what they are."""
    e = bnverify.explain({}, X, training=True, weights=WEIGHTS, expected=y().astype(np.float16))
    assert e.expected[0].as_is
    assert "the variance is divided by n-1 (ddof=1)" in readings(y(ddof=1).astype(np.float16))


@pytest.mark.parametrize("expected", [-y(), y()[::-1], np.roll(y(), 1, axis=1), RNG.normal(size=(7, 4))])
def test_what_is_far_from_everything_is_told_as_that(expected: np.ndarray) -> None:
    """No reading is named as the nearest where none is near."""
    e = bnverify.explain({}, X, training=True, weights=WEIGHTS, expected=expected)
    assert e.expected[0].readings == ()
    assert e.expected[0].nearest is None
    assert "gives these numbers" in str(e)


def test_a_large_input_is_searched_in_time() -> None:
    """Many values: two departures at most, and what fits is found all the same."""
    x = RNG.normal(size=(4096, 64)).astype(np.float32)
    expected = (x - x.mean(0)) / x.std(0, ddof=1)
    found = readings(expected.astype(np.float32), x=x, weights=None)
    assert "the variance is divided by n-1 (ddof=1) and epsilon is left out" in found


def test_a_layer_without_beta_is_not_said_to_lack_it() -> None:
    """gamma and beta are named as not applied only where there are both."""
    x = np.array([[[1.0], [5.0]]])
    weights = {"gamma": [0.8], "beta": [0.5], "moving_mean": [0.1], "moving_variance": [0.9]}
    normalized = np.array([[[-2.0], [2.0]]]) / 4.001**0.5
    assert readings(normalized, x=x, weights=weights) == ("gamma and beta are not applied",)
    del weights["beta"]
    assert readings(normalized, x=x, weights=weights, center=False) == ("gamma is not applied",)
