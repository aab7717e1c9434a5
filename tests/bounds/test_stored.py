"""Stored weights: rounding to a narrower format, on writing or on reading, stays within the bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnverify.bounds.stored import reread, stored
from bnverify.numeric.precision import FORMATS, precision

NARROW = ("float16", "bfloat16")
values, shares = st.floats(-7e4, 7e4), st.floats(-1.0, 1.0)
errors = st.floats(1e-12, 1e3)


@given(values, errors, shares, st.sampled_from(NARROW))
def test_storage_rounds_by_no_more_than_its_bound(value: float, error: float, share: float, name: str) -> None:
    """Any number within `error` of the value, rounded to the format, is within the new bound; infinite where it overflows."""
    formats = precision(name, "float32")
    bound = float(stored(np.array(value), np.array(error), formats))
    found = float(FORMATS[name].round(np.array(value + share * error)))
    assert abs(found - value) <= bound
    assert error <= bound


@given(values, errors, shares, st.sampled_from(NARROW))
def test_reading_rounds_by_no_more_than_its_bound(value: float, error: float, share: float, name: str) -> None:
    """The value and a number within `error` of it, both rounded on reading, are within the new bound of each other."""
    format_ = FORMATS[name]
    formats = replace(precision("float32", "float32"), read=format_)
    ends = [float(format_.round(np.array(v))) for v in (value, value + share * error)]
    if np.isfinite(ends).all():
        assert abs(ends[1] - ends[0]) <= float(reread(np.array(value), np.array(error), formats))


def test_a_format_as_wide_as_the_arithmetic_adds_nothing() -> None:
    """float32 weights of a float32 layer, and float32 weights of a mixed policy, are stored as they are computed."""
    error = np.array([0.0, 1e-3])
    for policy in ("float32", "mixed_float16", "float64"):
        np.testing.assert_array_equal(stored(np.ones(2), error, precision(policy, "float32")), error)
        np.testing.assert_array_equal(reread(np.ones(2), error, precision(policy, "float32")), error)


def test_a_value_without_an_error_is_read_without_one() -> None:
    """Both sides round the same number in the same way."""
    formats = replace(precision("float32", "float32"), read=FORMATS["bfloat16"])
    assert reread(np.array([1.001]), np.array([0.0]), formats).tolist() == [0.0]


@pytest.mark.parametrize(("value", "error"), [(65504.0, 0.0), (65503.0, 2.0), (-65504.0, 1.0)])
def test_a_number_that_may_overflow_has_no_bound(value: float, error: float) -> None:
    """float16 weights that may round to infinity."""
    assert float(stored(np.array(value), np.array(error), precision("float16", "float16"))) == np.inf


def test_the_bound_is_no_larger_than_a_rounding_or_two() -> None:
    """At 1 with no error before: half a unit in the last place of float16, 2^-11, and hardly more."""
    bound = float(stored(np.array(1.0), np.array(0.0), precision("float16", "float16")))
    assert 2.0**-11 <= bound <= 1.01 * 2.0**-11
