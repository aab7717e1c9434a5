"""Evidence: what a check says of an array or a text, and what is known of each call."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.evidence import at_step, evidence, weight_at

from bnverify.bounds.compare import weight_numbers
from bnverify.contract.evidence import UNSEEN
from bnverify.numeric.precision import FORMATS
from bnverify.values import Failure, Grade, Mismatch, Observation, Status

E = evidence("shape:4x3/steps:TI")
BOUNDS = np.array([[1.0, 1.0], [2.0, 2.0], [8.0, 8.0]])
NUMBERS = weight_numbers(np.array([4.0, 4.0]), BOUNDS, FORMATS["float32"])


@pytest.mark.parametrize(
    ("error", "required", "status", "grade", "margin"),
    [
        (0.5, Grade.BLOCKED, Status.CONFORMS, Grade.BLOCKED, 0.5),
        (1.5, Grade.SEQUENTIAL, Status.CONFORMS, Grade.SEQUENTIAL, 0.75),
        (1.5, Grade.BLOCKED, Status.UNSTABLE, Grade.SEQUENTIAL, 1.5),
        (4.0, Grade.SEQUENTIAL, Status.UNSTABLE, Grade.ONE_PASS, 2.0),
        (4.0, Grade.ONE_PASS, Status.CONFORMS, Grade.ONE_PASS, 0.5),
        (16.0, Grade.SEQUENTIAL, Status.WRONG, Grade.NONE, 8.0),
        (16.0, Grade.ONE_PASS, Status.WRONG, Grade.NONE, 2.0),
    ],
)
def test_the_required_grade_decides(error: float, required: Grade, status: Status, grade: Grade, margin: float) -> None:
    """With bounds of 1, 2 and 8: conforms up to the required grade, else unstable, or wrong if no grade explains the error.

    The margin of a failure is the one under the required grade.
    """
    found = replace(E, required=required).numbers("c", "q", 1, np.array([4.0, 4.0 + error]), NUMBERS, 0)
    assert (found.status, found.grade, found.margin) == (status, grade, margin)
    assert (found.mismatch is None) == (status is Status.CONFORMS)
    assert (found.clause, found.quantity, found.step) == ("c", "q", 1)


@pytest.mark.parametrize(
    ("actual", "expected", "got"),
    [
        (np.zeros(3), "shape (2,)", "shape (3,)"),
        (np.zeros((2, 1)), "shape (2,)", "shape (2, 1)"),
        (np.zeros(2, complex), "real numbers", "complex128"),
        (np.array(["a", "b"]), "real numbers", "<U1"),
    ],
)
def test_an_array_that_cannot_be_compared_is_wrong(actual: np.ndarray, expected: str, got: str) -> None:
    """Another shape, and values that are no real numbers, are told as texts."""
    found = E.numbers("c", "q", None, actual, NUMBERS, 0)
    assert (found.status, found.mismatch) == (Status.WRONG, Mismatch(expected, got))


def test_what_no_bound_can_judge_is_inconclusive() -> None:
    """No elements, or no bound for any of them; the reason says which."""
    empty = weight_numbers(np.zeros(0), np.zeros((3, 0)), FORMATS["float32"])
    boundless = weight_numbers(np.ones(2), np.full((3, 2), np.inf), FORMATS["float32"])
    found = [E.numbers("c", "q", 0, np.zeros(n.shape), n, 0) for n in (empty, boundless)]
    assert [check.status for check in found] == [Status.INCONCLUSIVE] * 2
    assert [check.reason for check in found] == ["no elements", "every bound is infinite, so no error can be detected"]


def test_the_same_values_with_the_same_dtype_and_shape() -> None:
    """NaN equals NaN; one other value is located, with the share of values that differ."""
    a = np.array([[1.0, np.nan], [3.0, 4.0]], np.float32)
    b = a.copy()
    b[1, 0] = np.nextafter(np.float32(3), np.float32(4))

    def check(expected: np.ndarray | None, actual: np.ndarray | None) -> tuple[Status, Mismatch | None]:
        found = E.same_bits("c", "q", 0, expected=expected, actual=actual, promised="as before", channel_axis=1)
        return found.status, found.mismatch

    assert check(a, a.copy()) == (Status.CONFORMS, None)
    status, mismatch = check(a, b)
    assert status is Status.WRONG
    assert mismatch == Mismatch("np.float32(3.0) as before", "np.float32(3.0000002)", (1, 0), 0, share=0.25)
    assert check(a, a.astype(float))[1] == Mismatch("float32 of shape (2, 2)", "float64 of shape (2, 2)")
    assert check(a, a[:1])[1] == Mismatch("float32 of shape (2, 2)", "float32 of shape (1, 2)")
    assert check(a, None)[1] == check(None, a)[1] == Mismatch("present", "missing")


def test_a_step_that_changes_a_weight_is_noticed() -> None:
    """The first step is compared with the initial weights, each other step with the one before it."""
    e = evidence("shape:4x3/steps:I3", weight_at(1, "beta", lambda w: w + 1))
    assert [e.unchanged("c", "beta", index).status for index in range(3)] == [Status.CONFORMS, Status.WRONG, Status.WRONG]
    first = evidence("shape:4x3/steps:I", weight_at(0, "beta", lambda w: w + 1))
    assert first.unchanged("c", "beta", 0).status is Status.WRONG


def test_weights_that_cannot_be_observed_are_not_checked() -> None:
    """Neither in the step that hides them nor in the next one; nor without initial weights in the first step."""
    e = evidence("shape:4x3/steps:TI3", at_step(1, hidden=("weights",)))
    assert [e.unchanged("c", "beta", index) is UNSEEN for index in range(4)] == [False, True, True, False]
    assert evidence("shape:4x3/steps:I", lambda o: replace(o, initial={})).unchanged("c", "beta", 0) is UNSEEN
    hidden = evidence("shape:4x3/steps:T", at_step(0, hidden=("weights",)))
    assert hidden.moving("c", "moving_mean", hidden.calls[0]) is UNSEEN


def test_a_statistic_that_is_missing_is_wrong() -> None:
    """A layer whose moving_mean is gone after a call."""
    e = evidence("shape:4x3/steps:T", weight_at(0, "moving_mean", lambda w: None))
    assert e.moving("c", "moving_mean", e.calls[0]).mismatch == Mismatch("present", "missing")
    assert e.moving("c", "moving_variance", e.calls[0]).status is Status.CONFORMS


def test_gradients_have_their_names_and_may_be_missing_or_hidden() -> None:
    """dL/dx, dL/dgamma, and dL/dx' for the second; none where one is promised is wrong."""
    e = evidence("shape:4x3/gradients:2/steps:T")
    assert [e.gradient("c", name, e.calls[0]).quantity for name in ("x", "gamma", "second")] == ["dL/dx", "dL/dgamma", "dL/dx'"]
    assert {e.gradient("c", name, e.calls[0]).status for name in ("x", "gamma", "beta", "second")} == {Status.CONFORMS}
    none = evidence("shape:4x3/gradients:1/steps:T", at_step(0, gradients={"x": None}))
    assert none.gradient("c", "x", none.calls[0]).mismatch == Mismatch("a gradient", "none")
    hidden = evidence("shape:4x3/gradients:1/steps:T", at_step(0, gradients={}, hidden=("gradients",)))
    assert hidden.gradient("c", "x", hidden.calls[0]) is UNSEEN


@pytest.mark.parametrize(
    ("id_", "thawed"),
    [
        ("shape:4x3/steps:TFTUTI", [False, False, True, True]),
        ("shape:4x3/steps:UT", [False]),
        ("shape:4x3/steps:FUTFT", [True, False]),
    ],
)
def test_which_calls_come_after_unfreezing(id_: str, thawed: list[bool]) -> None:
    """A freeze and then an unfreeze; neither alone."""
    assert [call.thawed for call in evidence(id_).calls] == thawed


def test_when_the_layer_is_frozen() -> None:
    """After each step, and before the first one from its argument."""
    e = evidence("shape:4x3/steps:TFTUT")
    assert [e.frozen_after(index) for index in range(-1, 5)] == [False, False, True, True, False, False]
    assert evidence("shape:4x3/trainable:False/steps:TU").frozen_after(-1)
    assert evidence("shape:4x3/trainable:False/steps:TU").frozen_after(0)


def test_calls_are_those_that_returned() -> None:
    """Steps after an exception, and calls without an output, are left out."""
    e = evidence("shape:4x3/steps:TFTI", lambda o: replace(o, steps=o.steps[:3]))
    assert [c.call.index for c in e.calls] == [0, 2]
    silent = evidence("shape:4x3/steps:T2", at_step(0, y=None))
    assert [c.call.index for c in silent.calls] == [1]


def test_a_pinned_layer_is_told_to_infer_when_the_model_trains() -> None:
    """Only calls that train the model count as pinned."""
    assert [c.pinned for c in evidence("shape:6x4/mode:pinned/steps:TIT").calls] == [True, False, True]
    assert [c.pinned for c in evidence("shape:6x4/steps:TI").calls] == [False, False]


def test_the_bound_of_an_output_is_that_of_its_comparison() -> None:
    """|x-mean|*slope + offset, with the grades as first axis."""
    c = E.calls[0]
    assert c.output_bound.shape == (3, 4, 3)
    by_hand = abs(float(c.call.x[2, 1]) - float(c.call.mean[0, 1])) * c.bounds.slope[1, 0, 1] + c.bounds.offset[1, 0, 1]
    assert c.output_bound[1, 2, 1] == pytest.approx(float(by_hand), rel=1e-14)


@pytest.mark.parametrize(
    ("id_", "stage", "built"),
    [
        ("shape:4x3/steps:T", "constructor", False),
        ("shape:4x3/steps:T", "step 0", True),
        ("shape:4x3/weights:initial/mode:unbuilt/steps:T", "step 0", False),  # the first call builds the layer
    ],
)
def test_whether_the_layer_was_built(id_: str, stage: str, built: bool) -> None:
    """An exception in a call comes after build(), unless the call builds."""
    failed = Observation(config={"axis": -1}, failure=Failure(stage, "ValueError", "no"))
    assert evidence(id_, lambda o: failed).built is built
    assert evidence(id_).built


def test_the_channel_of_an_element() -> None:
    """The kept axis if there is one; several have no single channel."""
    assert evidence("shape:4x3x2/axis:1/steps:T").channel_axis == 1
    assert evidence("shape:4x3x2/axis:1+2/steps:T").channel_axis is None
