"""Comparison: the best grade that explains an array, its margin, and the worst element, in one block or in many."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from bnverify.bounds.compare import Numbers, compare, largest_margin, locate, output_numbers, weight_numbers
from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.contract.evidence import expect
from bnverify.numeric import blocks
from bnverify.numeric.precision import FORMATS
from bnverify.values import Grade

F = np.float32
SINGLE, HALF = FORMATS["float32"], FORMATS["float16"]


def numbers(expected: list[float], *bounds: float, of: str = "float64") -> Numbers:
    """Expected numbers with one bound for each grade."""
    value = np.array(expected)
    return weight_numbers(value, np.array([np.full(value.shape, bound) for bound in bounds]), FORMATS[of])


@pytest.mark.parametrize(
    ("error", "grade", "margin"),
    [
        (0.0, Grade.BLOCKED, 0.0),
        (0.5, Grade.BLOCKED, 0.5),
        (1.0, Grade.BLOCKED, 1.0),  # the bound itself is still explained
        (1.5, Grade.SEQUENTIAL, 0.75),
        (6.0, Grade.ONE_PASS, 0.75),
        (16.0, Grade.NONE, 2.0),  # the margin under the last grade
    ],
)
def test_the_first_grade_that_explains_an_error_is_given(error: float, grade: Grade, margin: float) -> None:
    """With bounds of 1, 2 and 8: the grade, and error / bound under it."""
    found = compare(np.array([4.0, 4.0 + error]), numbers([4.0, 4.0], 1.0, 2.0, 8.0))
    assert (found.grade, found.margin, found.conclusive) == (grade, margin, True)


@pytest.mark.parametrize(
    ("actual", "expected", "bound", "margin"),
    [
        (3.0, 1.0, 4.0, 0.5),
        (1.0, 1.0, 0.0, 0.0),  # 0/0: the numbers agree
        (2.0, 1.0, 0.0, np.inf),
        (2.0, 1.0, np.inf, 0.0),  # no bound
        (2.0, 1.0, np.nan, 0.0),
        (2.0, np.nan, np.inf, 0.0),  # 0/0 of a variance that is 0 in exact arithmetic only
        (2.0, np.nan, 1.0, np.inf),
        (2.0, np.inf, np.inf, np.inf),
        (np.nan, 1.0, 1.0, np.inf),
        (np.nan, np.inf, 1.0, 0.0),  # the order of the operations decides
        (np.inf, np.nan, 1.0, 0.0),
        (-np.inf, np.inf, 1.0, np.inf),
        (np.inf, 65503.0, 16.0, np.inf),  # 65519 does not round to infinity
        (np.inf, 65504.0, 16.0, 0.0),  # 65520 does
        (-np.inf, 65504.0, 16.0, np.inf),
        (-np.inf, -65504.0, 16.0, 0.0),
    ],
)
def test_the_margin_of_numbers_that_may_be_infinite(actual: float, expected: float, bound: float, margin: float) -> None:
    """float16: which NaN and infinities are right, and where the bound reaches over the largest number."""
    given = weight_numbers(np.array([expected]), np.full((3, 1), bound), HALF)
    assert largest_margin(np.array([actual]), given, Grade.BLOCKED) == margin


@pytest.mark.parametrize(
    ("value", "bounds", "conclusive"),
    [
        ([1.0, 2.0], [np.inf, 1.0], True),
        ([1.0, 2.0], [np.inf, np.inf], False),
        ([np.nan, 2.0], [np.nan, np.inf], True),  # only NaN is right, so a number would be wrong
        ([1.0, 2.0], [np.nan, np.inf], False),
    ],
)
def test_without_any_bound_a_comparison_is_inconclusive(value: list[float], bounds: list[float], conclusive: bool) -> None:
    """One element that can be judged is enough."""
    given = weight_numbers(np.array(value), np.array([bounds] * 3), SINGLE)
    assert compare(np.array(value), given).conclusive is conclusive


def test_the_worst_element_is_located() -> None:
    """Place, channel, both values, error, bound, and the share of elements that exceed their bound."""
    expected = np.arange(12.0).reshape(3, 4)
    actual = expected + np.where(expected == 6, 3.0, np.where(expected == 9, -2.5, 0.5))
    given = weight_numbers(expected, np.array([np.full((3, 4), bound) for bound in (1.0, 2.0, 9.0)]), SINGLE)
    found = locate(actual, given, Grade.SEQUENTIAL, 1)
    assert (found.index, found.channel, found.expected, found.actual) == ((1, 2), 2, "6", "9")
    assert (found.error, found.bound, found.share) == (3.0, 2.0, 2 / 12)
    assert locate(actual, given, Grade.SEQUENTIAL, None).channel is None
    assert locate(actual, given, Grade.SEQUENTIAL, 0).channel == 1


@pytest.mark.parametrize(("name", "text"), [("float32", "0.333333333"), ("float64", "0.33333333333333331")])
def test_values_are_shown_with_the_digits_of_their_format(name: str, text: str) -> None:
    """Nine digits tell float32 numbers apart, 17 those of float64."""
    assert locate(np.array([2.0]), numbers([1 / 3], 1.0, 1.0, 1.0, of=name), Grade.BLOCKED, 0).expected == text


def test_every_block_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """In blocks of four elements an error in any place gives its margin and its place in the whole array."""
    monkeypatch.setattr(blocks.blocks, "__defaults__", (4,))
    expected = np.arange(15.0).reshape(5, 3)
    given = weight_numbers(expected, np.ones((3, 5, 3)), SINGLE)
    for place in np.ndindex(5, 3):
        actual = expected.copy()
        actual[place] += 7.0
        assert largest_margin(actual, given, Grade.ONE_PASS) == 7.0
        assert locate(actual, given, Grade.ONE_PASS, 1).index == place


def test_an_output_is_bounded_by_slope_and_offset() -> None:
    """|x - mean|*slope + offset for each element, in rational arithmetic; the expected value is the formula's."""
    case = parse("shape:4x3/steps:T")
    (call,) = expect(case, make_inputs(case)).calls
    slope = np.array([[[1.0, 2.0, 4.0]]] * 3) * 2.0**-20
    offset = np.array([[[0.5, 0.25, 1.0]]] * 3) * 2.0**-20
    expected, bound = output_numbers(call, slope, offset, SINGLE).piece(Grade.BLOCKED, (slice(1, 3), slice(0, 2)))
    assert bound.shape == (2, 2)
    for i, c in np.ndindex(2, 2):
        distance = abs(Fraction(float(call.x[1 + i, c])) - Fraction(float(call.mean[0, c])))
        by_hand = distance * Fraction(float(slope[0, 0, c])) + Fraction(float(offset[0, 0, c]))
        assert float(bound[i, c]) == pytest.approx(float(by_hand), rel=1e-14)
    np.testing.assert_array_equal(expected, call.y()[1:3, :2])


def test_at_the_mean_an_infinite_slope_has_no_effect() -> None:
    """x = mean leaves the offset, although 0*inf is NaN; elsewhere there is no bound."""
    case = parse("shape:3x2/fill:constant/steps:T")
    (call,) = expect(case, make_inputs(case)).calls
    assert (call.x == call.mean).all()
    given = output_numbers(call, np.full((3, 1, 2), np.inf), np.full((3, 1, 2), 0.25), SINGLE)
    with np.errstate(all="ignore"):  # as where margins are computed
        _, bound = given.piece(Grade.BLOCKED, (slice(None),) * 2)
    np.testing.assert_array_equal(bound, np.full((3, 2), 0.25))
    assert given.bounded(Grade.BLOCKED)
    assert not output_numbers(call, np.full((3, 1, 2), np.inf), np.full((3, 1, 2), np.inf), SINGLE).bounded(Grade.BLOCKED)


@pytest.mark.parametrize("wrong", [0.1, np.nan, np.inf])
def test_one_wrong_element_of_a_large_output_is_found(wrong: float) -> None:
    """Screening hides nothing: one element of a million decides the margin, and is located."""
    case = parse("shape:40000x32/fill:normal/steps:T")
    inputs = make_inputs(case)
    expectation = expect(case, inputs)
    (call,), (bounds,) = expectation.calls, expectation.bounds
    y = call.y().astype(F)
    numbers = output_numbers(call, bounds.slope, bounds.offset, FORMATS["float32"])
    assert compare(y, numbers).grade is Grade.BLOCKED
    y[31_234, 17] += wrong
    assert compare(y, numbers).grade is Grade.NONE
    mismatch = locate(y, numbers, Grade.SEQUENTIAL, 1)
    assert (mismatch.index, mismatch.channel, mismatch.share) == ((31_234, 17), 17, 1 / y.size)


def test_unexpected_infinities_and_nans_never_pass() -> None:
    """NaN or infinity where a number is due, a number where neither is finite, and the wrong infinity are outside any bound."""
    expected, bound = np.array([1.0, np.nan, np.inf, -np.inf]), np.full((3, 4), 1e-6)
    numbers = weight_numbers(expected, bound, FORMATS["float32"])
    assert compare(expected.astype(F), numbers).grade is Grade.BLOCKED
    for place, wrong in ((0, np.nan), (0, np.inf), (1, 1.0), (2, -np.inf), (2, 1.0), (3, np.inf), (3, 3e38)):
        actual = expected.astype(F)
        actual[place] = wrong
        assert compare(actual, numbers).grade is Grade.NONE


def test_an_overflow_of_the_output_format_is_a_correct_rounding() -> None:
    """Beyond float16's range the infinity of the right sign passes, the other one does not."""
    numbers = weight_numbers(np.array([7e4, -7e4]), np.full((3, 2), 1.0), FORMATS["float16"])
    assert compare(np.array([np.inf, -np.inf], np.float16), numbers).grade is Grade.BLOCKED
    assert compare(np.array([-np.inf, -np.inf], np.float16), numbers).grade is Grade.NONE
