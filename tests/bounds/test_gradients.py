"""Bounds of gradients: their storage formats, their roundings, and the values that a mask leaves out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnverify.bounds.derive import summation_error
from bnverify.bounds.gradients import gradient_stored, masked, spread
from bnverify.bounds.running import Arithmetic
from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.contract.evidence import expect
from bnverify.numeric.precision import FORMATS

SINGLE = FORMATS["float32"]
HOW = Arithmetic(SINGLE, summation_error(4, SINGLE.unit_roundoff))


@given(st.floats(-6e4, 6e4), st.floats(0, 10), st.floats(-1, 1), st.sampled_from(("float16", "bfloat16")))
def test_a_gradient_is_rounded_by_no_more_than_its_bound(value: float, error: float, share: float, name: str) -> None:
    """Any number within `error` of the gradient, rounded to the format that stores it, is within the bound."""
    narrow = FORMATS[name]
    bound = float(gradient_stored(np.array(abs(value)), np.array(error), narrow, SINGLE))
    rounded = float(narrow.round(np.array(value + share * error)))
    assert not np.isfinite(rounded) or abs(rounded - value) <= bound


def test_a_format_as_wide_as_the_arithmetic_adds_nothing() -> None:
    """float32 of float32: the error stays; NaN in a bound of a finite number means that there is none."""
    found = gradient_stored(np.array([1.0, 1.0, np.nan]), np.array([0.5, np.nan, np.nan]), SINGLE, SINGLE)
    np.testing.assert_array_equal(found, [0.5, np.inf, np.nan])


@pytest.mark.parametrize(
    ("id_", "of_x", "of_parameters"),
    [
        ("shape:4x3/gradients:1/steps:T", "float32", "float32"),
        ("shape:4x3/policy:mixed_float16/dtype:float16/gradients:1/steps:T", "float16", "float32"),
        ("shape:4x3/policy:float16/dtype:float32/gradients:1/steps:T", "float16", "float16"),
        ("shape:4x3/policy:float32/dtype:bfloat16/gradients:1/steps:T", "bfloat16", "float32"),
        ("shape:4x3/policy:float64/dtype:float64/gradients:1/steps:T", "float64", "float64"),
    ],
)
def test_the_formats_that_store_gradients(id_: str, of_x: str, of_parameters: str) -> None:
    """dL/dx passes back through the autocast to the dtype of x; gamma and beta have the format of the variables."""
    case = parse(id_)
    (bounds,) = expect(case, make_inputs(case)).bounds
    assert {name: g.format.name for name, g in bounds.gradients.items()} == {
        "x": of_x,
        "gamma": of_parameters,
        "beta": of_parameters,
    }


def test_the_direction_adds_a_second_gradient_in_training_only() -> None:
    """Inference is linear in x, so its second derivative is 0 and is not asked for."""
    case = parse("shape:4x3/gradients:2/steps:TI")
    train, infer = expect(case, make_inputs(case)).bounds
    assert list(train.gradients) == ["x", "gamma", "beta", "second"]
    assert list(infer.gradients) == ["x", "gamma", "beta"]
    assert train.gradients["second"].bound.shape == (3, 4, 3)
    assert train.gradients["beta"].bound.shape == (3, 1, 3)


def test_values_that_a_mask_leaves_out_are_zero_without_an_error() -> None:
    """masked sets value, error and size to 0; spread repeats them along the axes of a larger shape."""
    number = spread(HOW.number(np.array([[3.0, 5.0]]), np.full((3, 1, 2), 0.5)), (2, 2))
    assert number.value.tolist() == [[3.0, 5.0], [3.0, 5.0]]
    assert number.error.shape == (3, 2, 2)
    found = masked(number, np.array([[True, True], [False, True]]))
    assert found.value.tolist() == [[3.0, 5.0], [0.0, 5.0]]
    assert found.error[1].tolist() == [[0.5, 0.5], [0.0, 0.5]]
    assert found.size.tolist() == [[3.0, 5.0], [0.0, 5.0]]
