"""The pipeline of one case: asked only if it can be, with the inputs of its seed, and judged by the required grade."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from support.targets import Changed, raises

from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.values import Grade, Status
from bnverify.verdicts.pipeline import verify, verify_inputs

CASE = parse("shape:4x3/steps:T")


def test_a_case_that_cannot_be_asked_is_not_observed() -> None:
    """The target is left alone, and the verdict has the reason."""
    target = Changed(backend="openvino")
    found = verify(CASE, target)
    assert (found.verdict.status, found.verdict.reason) == (Status.UNSUPPORTED, "Keras' OpenVINO backend does inference only")
    assert (target.asked, found.observed, found.verdict.checks) == ([], None, ())


def test_a_target_that_refuses_is_unsupported() -> None:
    """With the reason, and with what was observed."""
    found = verify(CASE, Changed(raises("step 0", "NotHere", "no CPU")))
    assert (found.verdict.status, found.verdict.reason) == (Status.UNSUPPORTED, "no CPU")
    assert found.observed is not None


def test_a_right_target_conforms_in_a_case_of_any_seed() -> None:
    """The inputs are those of the seed."""
    found = verify(CASE, Changed(), seed=5)
    assert found.verdict.status is Status.CONFORMS
    assert found.observed is not None
    np.testing.assert_array_equal(found.observed.inputs.batches[0], make_inputs(CASE, 5).batches[0])


def test_given_inputs_are_used() -> None:
    """verify_inputs makes none of its own."""
    inputs = replace(make_inputs(CASE), batches=(np.ones((4, 3), np.float32),))
    found = verify_inputs(CASE, inputs, Changed())
    assert found.observed is not None
    assert found.observed.inputs is inputs
    assert found.verdict.status is Status.CONFORMS


def test_the_required_grade_reaches_the_verdict() -> None:
    """A sum one value after another over 2,500 equal values conforms by default, and is unstable if blocked is required."""
    case = parse("shape:2500x4/fill:constant/steps:T")
    x = make_inputs(case).batches[0]
    assert x is not None
    mean = np.cumsum(x, axis=0, dtype=np.float32)[-1] / np.float32(2500)
    weights = make_inputs(case).weights
    assert weights is not None
    moved = (weights["moving_mean"] * 0.99 + mean.astype(float) * 0.01).astype(np.float32)

    def change(case, o):  # type: ignore[no-untyped-def]
        step = replace(o.steps[0], weights={**o.steps[0].weights, "moving_mean": moved})
        return replace(o, steps=(step,))

    assert verify(case, Changed(change)).verdict.status is Status.CONFORMS
    assert verify(case, Changed(change), required=Grade.BLOCKED).verdict.status is Status.UNSTABLE
