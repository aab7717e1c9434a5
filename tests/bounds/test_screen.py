"""The screen of a large output: never below the largest margin of a block, and absent where it could be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnverify.bounds.screen import output_screen
from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.contract.evidence import Expectation, expect

WHOLE = (slice(None), slice(None))


def expectation(id_: str = "shape:64x3/steps:T") -> Expectation:
    case = parse(id_)
    return expect(case, make_inputs(case))


@given(st.floats(-1.0, 1.0), st.integers(0, 2**32 - 1))
def test_a_screen_is_at_least_the_margin_and_hardly_more(scale: float, seed: int) -> None:
    """For errors of up to one bound, in a block of the middle rows, screen and margin differ by 2 percent at most."""
    found = expectation()
    (call,), (bounds,) = found.calls, found.bounds
    slope, offset = bounds.slope[1], bounds.offset[1]
    limit = np.abs(call.x - call.mean) * slope + offset
    y = call.y() + limit * scale * np.random.default_rng(seed).uniform(0, 1, call.x.shape)
    screen = output_screen(call, slope, offset)
    assert screen is not None
    index = (slice(16, 48), slice(None))
    margin = float((np.abs(y - call.y()) / limit)[index].max())
    assert margin <= screen(y, index) <= 1.05 * margin + 1e-4 or screen(y, index) == np.inf
    assert np.isfinite(screen(y, index)) or margin > 0.99


@pytest.mark.parametrize("wrong", [1e-3, -1e-3, np.nan, np.inf, -np.inf])
def test_an_error_beyond_its_bound_is_never_screened_out(wrong: float) -> None:
    """The screen of a block with one wrong element, of either sign, is infinite; the block beside it is not."""
    found = expectation()
    (call,), (bounds,) = found.calls, found.bounds
    screen = output_screen(call, bounds.slope[1], bounds.offset[1])
    assert screen is not None
    y = call.y()
    y[40, 2] += wrong
    with np.errstate(all="ignore"):  # as where margins are computed
        assert not screen(y, (slice(32, 64), slice(None))) <= 1e300
    assert screen(y, (slice(0, 32), slice(None))) <= 1.0


def test_blocks_of_channels_have_the_coefficients_of_their_channels() -> None:
    """Blocks that are cut along the channels, and a block of another shape, each get their own coefficients."""
    found = expectation("shape:8x6/steps:T")
    (call,), (bounds,) = found.calls, found.bounds
    screen = output_screen(call, bounds.slope[1], bounds.offset[1])
    assert screen is not None
    for index in (
        (slice(0, 4), slice(0, 3)),
        (slice(0, 4), slice(3, 6)),
        (slice(4, 8), slice(3, 6)),
        (slice(0, 2), slice(3, 5)),
    ):
        assert screen(call.y(), index) <= 1e-3


@pytest.mark.parametrize(
    ("slope", "offset", "there"), [(0.009, 1e-6, True), (0.011, 1e-6, False), (0.009, 0.0, False), (0.009, 1e31, False)]
)
def test_without_its_assumptions_there_is_no_screen(slope: float, offset: float, there: bool) -> None:
    """A slope above a hundredth of the scale, and an offset that float32 cannot hold, are judged exactly instead."""
    (call,) = expectation().calls
    scale = np.abs(call.inverse * call.gamma)
    assert (output_screen(call, slope * scale, np.full_like(scale, offset)) is not None) is there
