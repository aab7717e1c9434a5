"""The numbers of questions that people posted: they come out of the reference, and of real Keras, to the last digit."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

import bnverify
from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.cases.posted import POSTED
from bnverify.cases.suites import suite
from bnverify.contract.evidence import expect
from bnverify.errors import BadInput
from bnverify.reference.machine import trace_case

CASES = {case.posted: case for case in suite("regressions") if case.posted}


def half_a_digit(posted: float) -> float:
    """Half of one in the last digit posted."""
    exponent = Decimal(repr(float(posted))).as_tuple().exponent
    assert isinstance(exponent, int)
    return 0.5 * 10.0**exponent


def test_each_question_is_a_regression_case() -> None:
    """All posted numbers are asked of every Keras that runs the regressions."""
    assert set(CASES) == set(POSTED)


@pytest.mark.parametrize("name", [name for name, posted in POSTED.items() if posted.figures])
def test_the_reference_gives_what_was_posted(name: str) -> None:
    """They are what float32 layers printed: off by the bound of such a layer, and half a unit of the last digit, at most."""
    case = CASES[name]
    expectation = expect(case, make_inputs(case))
    call, bounds = expectation.calls[0], expectation.bounds[0]
    for quantity, posted in POSTED[name].figures.items():
        figures = np.array(posted, float)
        if quantity == "y":
            value, bound = call.y(), np.abs(call.x - call.mean) * bounds.slope[0] + bounds.offset[0]
        else:
            value, bound = call.after.weights[quantity].reshape(-1), bounds.moving[quantity][0].reshape(-1)
        assert (np.abs(value - figures) <= bound + np.vectorize(half_a_digit)(figures)).all()
        assert bound.max() < 1e-5 * np.abs(figures).max()


@pytest.mark.parametrize("name", POSTED)
def test_real_keras_conforms_on_what_was_posted(name: str) -> None:
    """Within the bounds of the reference, which gives the figures."""
    report = bnverify.check_layer(cases=[CASES[name].id])
    assert report.ok, report.summary()


def test_what_was_expected_is_not_what_comes_out() -> None:
    """The z-scores of the toy batch need n-1 and no epsilon; the answer of ±1 the batch's own statistics."""
    for name in ("toy-as-printed", "scale-alone"):
        case = CASES[name]
        call = trace_case(case, make_inputs(case))[0]
        assert np.abs(call.y() - np.array(POSTED[name].expected, float)).min() > 0.1, name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shape:3x2/posted:toy/steps:I", "posted:toy has shape:2x2; got shape:3x2"),
        (
            "shape:2x2/posted:toy/fill:offset/steps:I",
            "posted:toy sets the input and the weights; fill:offset cannot be set with it",
        ),
        ("shape:2x2/posted:toy/weights:initial/steps:I", "weights:initial cannot be set with it"),
        (
            "shape:1x2x1/posted:scale-alone/steps:I",
            "has the weights gamma, moving_mean, moving_variance, but the layer has gamma, beta, ",
        ),
        ("shape:2x2/posted:toi/steps:I", "posted is 'toi'; allowed: one of none, axis-means, toy, "),
    ],
)
def test_posted_numbers_are_of_one_layer(text: str, message: str) -> None:
    """Their shape and weights are part of what was posted."""
    with pytest.raises(BadInput) as error:
        parse(text)
    assert message in str(error.value)
