"""A user's numbers as text: a call explained on the reference in place of Keras, readings of expected values, trajectories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.shown import ENVIRONMENT
from support.targets import Changed, raises

from bnverify.cases.ids import parse
from bnverify.explaining.expected import Answer
from bnverify.explaining.explanation import Explanation, explain_subject
from bnverify.explaining.subject import make_subject
from bnverify.explaining.trajectory import Trajectory
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.values import Check, Failure, Status
from bnverify.views import explanation_text as text

X = np.array([[1, 5], [3, 5]], np.float32)


def explained(
    arguments: dict[str, Any] | None = None, training: object = True, target: Changed | None = None, **more: Any
) -> Explanation:
    return explain_subject(make_subject("bn", arguments or {}, None, [more.pop("x", X)], training, **more), target or Changed())


def rows(e: Explanation) -> dict[str, tuple[str, ...]]:
    return {cells[0]: cells[1:4] for cells in map(text.cells, e.quantities)}


def test_the_steps_of_a_training_call() -> None:
    """Columns 1, 3 and 5, 5: means 2 and 5, variances 1 and 0, moved by a hundredth."""
    assert rows(explained({"epsilon": 0.25})) == {
        "mean": ("sum(x) / n", "2 5", "2 5"),
        "variance": ("sum((x - mean)²) / n", "1 0", "1 0"),
        "variance + epsilon": ("epsilon = 0.25 is added", "1.25 0.25", ""),
        "deviation": ("sqrt(variance + epsilon), the divisor", "1.118034 0.5", ""),
        "x̂, first sample": ("(x - mean) / deviation", "-0.8944272 0", "-0.8944272 0"),
        "y, first sample": ("gamma·x̂ + beta", "-0.8944272 0", "-0.8944272 0"),
        "moving_mean": ("0.99·old + 0.01·batch", "0.02 0.05", "0.02 0.05"),
        "moving_variance": ("0.99·old + 0.01·batch", "1 0.99", "1 0.99"),
    }


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        (
            {},
            [
                "call        training=True; x is float32 of shape (2, 2)",
                "axes        axis=-1: axis 1 is kept (2 channels), 0 reduced; n is 2 values",
                "statistics  the batch's own: training=True, and the layer is trainable",
            ],
        ),
        (
            {"training": None, "arguments": {"axis": [0, 1], "dtype": "float64"}, "x": X.astype(float), "keras": "2.13.1"},
            [
                "call        training not given; x is float64 of shape (2, 2), dtype policy float64",
                "axes        axis=[0, 1]: axis 0, 1 is kept (4 channels), none reduced; n is 1 value",
                "statistics  the moving statistics: training is not given, so the call is inference",
                "promises    judged by those of Keras 2 in TensorFlow 2",
            ],
        ),
        (
            {"masks": [[[True], [False]]], "x": X[:, None]},
            [
                "call        training=True, with a mask; x is float32 of shape (2, 1, 2)",
                "axes        axis=-1: axis 2 is kept (2 channels), 0, 1 reduced; n is 1 value",
                "statistics  the batch's own: training=True, and the layer is trainable",
            ],
        ),
    ],
)
def test_the_heading(more: dict[str, Any], lines: list[str]) -> None:
    """The call, the axes, which statistics and why, and whose promises if not today's."""
    given = dict(more)
    target = Changed(keras=given.pop("keras")) if "keras" in given else None
    head = list(text.heading(explained(given.pop("arguments", None), given.pop("training", True), target, **given)))
    assert head[0].startswith("bn · bnverify's reference · Keras ")
    assert head[1:] == lines


def test_three_channels_are_listed() -> None:
    """With seven digits, and the number of values if there are more."""
    assert text.shown_values(np.array([1 / 3, 1e-9, 2.0])) == "0.3333333 1e-09 2"
    assert text.shown_values(np.arange(4.0)) == "0 1 2 … (4)"
    assert text.shown_values(np.arange(1200.0)) == f"0 1 2 … ({text.number(1200)})"
    assert text.counts(np.array([3, 5])) == "3 to 5 values"
    assert text.counts(np.array(1)) == "1 value"


def test_the_conclusion() -> None:
    """Right, wrong with its cause and stage, or an exception."""
    assert text.explanation_conclusion(explained()).startswith("The layer computes what Keras promises: ")
    batch = np.arange(15, dtype=np.float32).reshape(5, 3) ** 2 / 50
    wrong = explained(target=Changed(formulas=HYPOTHESIS_BY_KEY["epsilon-outside"].formulas), x=batch)
    assert text.explanation_conclusion(wrong) == (
        "WRONG: epsilon is added to the deviation, outside the root; first wrong: inverse deviation"
    )
    crashed = explained(target=Changed(raises("step 0", "ValueError", "no")))
    assert text.explanation_conclusion(crashed) == "CRASHED: at step 0 the layer raises ValueError: no"


def test_the_whole_text() -> None:
    """Heading, table, conclusion and comparisons, in this order, without markup."""
    answer = Answer("y", np.zeros(2), True)
    shown = text.as_text(text.explanation(explained(), [answer])).splitlines()
    assert shown[0].startswith("bn · ")
    assert [line.split()[0] for line in shown[5:] if line][:5] == ["formula", "mean", "variance", "variance", "deviation"]
    assert shown[-1] == "expected y: exactly what the layer must give."
    assert not any("[/" in line for line in shown)


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ({"as_is": True}, ["expected y: exactly what the layer must give."]),
        ({"as_is": True, "digits": 3}, ["expected y: what the layer must give, to 3 decimal places."]),
        ({"readings": ("a", "b")}, ["expected y: exactly these numbers result if a", "  or if b"]),
        ({"readings": ("a",), "digits": 1}, ["expected y: these numbers, to 1 decimal place, result if a"]),
        (
            {"nearest": ("epsilon is left out", 0.5), "tried": 1},
            ["expected y: none of 1 reading gives these numbers; the nearest differs by 0.5: epsilon is left out"],
        ),
        (
            {"nearest": ("", 0.5), "tried": 70},
            ["expected y: none of 70 readings gives these numbers; the nearest differs by 0.5: what the layer must give"],
        ),
        ({"tried": 70}, ["expected y: none of 70 readings gives these numbers"]),
    ],
)
def test_what_expected_values_are(answer: dict[str, Any], lines: list[str]) -> None:
    """The layer's own result, one or more readings, or the nearest of those that were tried."""
    assert list(text.comparison_lines(Answer("y", np.zeros(2), **{"as_is": False, **answer}))) == lines


def followed(**changes: Any) -> Trajectory:
    """Twelve steps of one channel with momentum 0.8 that agree from step 7 on."""
    statistics = {"moving_mean": np.linspace(0, 1, 13)[:, None], "moving_variance": np.ones((13, 1))}
    given: dict[str, Any] = {
        "name": "bn",
        "environment": ENVIRONMENT,
        "case": parse("shape:4x1/momentum:0.8/steps:T12"),
        "moving": statistics,
        "reference": statistics,
        "batch": {"mean": np.ones((12, 1)), "variance": np.ones((12, 1))},
        "data": {"mean": np.ones(1), "variance": np.full(1, 2.0)},
        "apart": np.linspace(1, 0.004, 13),
        "within": 0.5,
        "agrees_after": 7,
        "needed": 22,
        "checks": (Check("moving-mean", "moving_mean", 0, Status.CONFORMS, None, 0.25),),
    }
    return Trajectory(**{**given, **changes})


def test_the_steps_of_a_trajectory_that_are_shown() -> None:
    """1, 2 and 5 times powers of ten, the first and the last."""
    assert text.shown_steps(followed()) == [0, 1, 2, 5, 10, 12]
    assert text.row(followed(), 12) == ("12", "1", "1", "1", "1", "0.004")


def test_a_trajectory_in_words() -> None:
    """Whether it is right, when inference agrees with training, and how many steps other momenta need."""
    first, second, third = text.trajectory_lines(followed())
    assert first == "The moving statistics are what Keras promises (largest margin 0.25)."
    assert second == (
        "Inference agrees with training within 0.5 standard deviations from step 7 on; after 12 steps: "
        "0.004 standard deviations apart."
    )
    assert third.startswith(
        "Steps needed to agree within 0.5 standard deviations, if all batches were alike, by momentum: 0.8: 22, 0.9: "
    )


def test_a_trajectory_that_never_agrees() -> None:
    """The batches' variance is half of that of all values."""
    lines = list(text.trajectory_lines(followed(agrees_after=None, needed=None)))
    assert lines[1] == "After 12 steps inference and training are 0.004 standard deviations apart."
    assert lines[2] == "Never, because the batches differ: on average their variance is 0.5 of the variance of all values."
    assert "by momentum: 0.8: never, 0.9: " in lines[3]


def test_a_trajectory_of_a_wrong_a_frozen_or_a_broken_layer() -> None:
    """The cause, that nothing moves, or the exception alone."""
    wrong = (Check("moving-mean", "moving_mean", 0, Status.WRONG, None, 2500.0),)
    assert next(text.trajectory_lines(followed(checks=wrong, cause="momentum is swapped"))) == (
        f"WRONG: the moving statistics are not what Keras promises (margin {text.number(2500)}): momentum is swapped"
    )
    frozen = list(text.trajectory_lines(followed(still=True)))
    assert frozen[-1] == "The layer is frozen (trainable=False): its moving statistics do not change."
    broken = followed(failure=Failure("step 1", "ValueError", "no"))
    assert list(text.trajectory_lines(broken)) == ["CRASHED: at step 1 the layer raises ValueError: no"]
