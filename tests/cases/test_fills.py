"""Fills have the property that they are made for, and inputs depend on the id and the seed alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from support import exact as rational

from bnverify.cases.fields import FILLS
from bnverify.cases.fills import describe, make_inputs
from bnverify.cases.ids import parse
from bnverify.numeric.precision import FORMATS, POLICIES
from bnverify.reference.machine import trace_case


def test_inputs_depend_on_the_id_and_the_seed_alone() -> None:
    """The same case has the same inputs in every run; another seed gives others."""
    case = parse("shape:4x3/steps:T")
    first, again, other = make_inputs(case), make_inputs(parse(case.id)), make_inputs(case, seed=1)
    np.testing.assert_array_equal(first.batches[0], again.batches[0])
    assert not np.array_equal(first.batches[0], other.batches[0])
    # a literal, so that a change of the generator does not pass unseen: records of old runs would no longer reproduce
    assert first.batches[0].ravel()[:2].tolist() == [-0.2783273458480835, -0.5861745476722717]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 37, 4096])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_exact_fill_is_exact(rows: int, dtype: str) -> None:
    """Mean and variance are small dyadic numbers: plain float32 sums in any order give them bit for bit."""
    case = parse(f"shape:{rows}x3/dtype:{dtype}/fill:exact/steps:T")
    batch = make_inputs(case).batches[0]
    assert batch is not None
    order = np.random.default_rng(0).permutation(rows)
    for c, values in rational.channels(batch, 1).items():
        mean, variance = rational.moments(values)
        assert mean.denominator <= 2
        assert variance.denominator <= 4
        if rows >= 3:
            assert variance > 0
        shuffled = batch[order, c].astype(np.float32)
        total = np.cumsum(shuffled, dtype=np.float32)[-1]
        assert Fraction(float(total)) / rows == mean


def test_fills_have_the_property_that_they_are_made_for() -> None:
    """offset: mean ≫ spread; constant: no variance; tiny: variance ≪ epsilon; huge, subnormal, nonfinite: as they say."""

    def batch(fill: str) -> np.ndarray:
        made = make_inputs(parse(f"shape:64x4/fill:{fill}/steps:T")).batches[0]
        assert made is not None
        return made.astype(np.float64)

    offset, spike = batch("offset"), batch("spike")
    assert (np.abs(offset.mean(0)) > 500 * offset.std(0)).all()
    assert (batch("constant").std(0) == 0).all()
    assert (batch("tiny").var(0) < 1e-3 / 30).all()
    assert (np.abs(spike - np.median(spike, 0)).max(0) > 20).all()
    assert np.abs(batch("huge")).max() > 1e13
    assert (np.abs(batch("subnormal")) < FORMATS["float32"].smallest_normal).all()
    nonfinite = np.isfinite(batch("nonfinite")).all(axis=0)
    assert nonfinite.tolist() == [False, True, True, False]


@pytest.mark.parametrize("fill", FILLS)
def test_every_fill_says_what_it_exposes(fill: str) -> None:
    """The docstring of a fill names the class of faults that it is for."""
    assert "expose" in describe(fill).lower() or "shows" in describe(fill).lower()


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_initial_weights_are_exact_in_the_format_that_stores_them(policy: str) -> None:
    """No rounding happens when the weights are set, so none has to be allowed for."""
    case = parse(f"shape:4x5/policy:{policy}/steps:T")
    weights = make_inputs(case).weights
    assert weights is not None
    for value in weights.values():
        np.testing.assert_array_equal(FORMATS[POLICIES[policy].variable.name].round(value).astype(float), value)
    assert len(trace_case(case, make_inputs(case))) == 1
