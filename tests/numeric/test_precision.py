"""Formats: correct rounding and the constants that the bounds are made of."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from bnverify.numeric.precision import FORMATS, POLICIES, precision


def test_bfloat16_rounds_as_ml_dtypes_does() -> None:
    """Every float32 bit pattern of a dense sample rounds to the bfloat16 that ml_dtypes gives, ties and infinities included."""
    bits = np.arange(0, 2**32, 9973, dtype=np.uint64).astype(np.uint32)
    ties = (np.arange(0, 2**16, dtype=np.uint32) << 16) | 0x8000
    values = np.concatenate([bits, ties]).view(np.float32)
    with np.errstate(invalid="ignore"):
        expected = values.astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(FORMATS["bfloat16"].round(values), expected)


def test_rounding_keeps_the_shape_of_a_scalar() -> None:
    """A number stays a number in every format."""
    assert [np.shape(f.round(np.float64(0.99))) for f in FORMATS.values()] == [()] * 4


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_constants_are_those_of_numpy(name: str) -> None:
    """Unit roundoff, range and smallest step agree with np.finfo."""
    info, ours = np.finfo(name), FORMATS[name]
    assert ours.unit_roundoff == float(info.eps) / 2
    assert (ours.largest, ours.smallest_normal) == (float(info.max), float(info.smallest_normal))
    assert ours.smallest_step == float(info.smallest_subnormal)


def test_constants_of_bfloat16_are_those_of_ml_dtypes() -> None:
    """The same for bfloat16."""
    info, ours = ml_dtypes.finfo(ml_dtypes.bfloat16), FORMATS["bfloat16"]
    assert ours.unit_roundoff == float(info.eps) / 2
    assert (ours.largest, ours.smallest_normal) == (float(info.max), float(info.smallest_normal))


@pytest.mark.parametrize(
    ("policy", "dtype", "formats"),
    [
        ("float32", "float32", ("float32", "float32", "float32", "float32")),
        ("mixed_float16", "float32", ("float16", "float32", "float32", "float16")),
        ("bfloat16", "float64", ("bfloat16", "float32", "bfloat16", "bfloat16")),
        ("float64", "float32", ("float64", "float64", "float64", "float64")),
        ("mixed_float16", "int32", (None, "float32", "float32", "float16")),
    ],
)
def test_a_case_goes_through_these_formats(policy: str, dtype: str, formats: tuple[str | None, ...]) -> None:
    """autocast, arithmetic, variables, output under each kind of policy."""
    p = precision(policy, dtype)
    assert (p.autocast and p.autocast.name, p.arithmetic.name, p.variable.name, p.output.name) == formats


def test_the_reference_is_wider_than_the_layer() -> None:
    """float64 for layers that compute in float32, extended precision for float64 layers."""
    assert {name: precision(name, "float32").wide for name in POLICIES} == {
        name: np.longdouble if name == "float64" else np.float64 for name in POLICIES
    }
