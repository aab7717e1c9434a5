"""The bounds: no algorithm of a family exceeds its own, the next worse family does where the data tell them apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnverify.bounds.compare import compare, largest_margin, output_numbers, weight_numbers
from bnverify.bounds.derive import summation_error
from bnverify.bounds.screen import output_screen
from bnverify.cases.case import Case
from bnverify.cases.fields import FILLS
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.cases.ids import parse
from bnverify.contract.evidence import Expectation, expect
from bnverify.numeric.blocks import blocks
from bnverify.numeric.precision import FORMATS
from bnverify.values import Grade

F = np.float32
WORST = {
    "blocked": Grade.BLOCKED,
    "sequential": Grade.SEQUENTIAL,
    "welford": Grade.SEQUENTIAL,
    "one-pass": Grade.ONE_PASS,
}
FINITE = tuple(fill for fill in FILLS if fill != "nonfinite")


def layer(case: Case, inputs: Inputs, algorithm: str, folded: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y and the moving statistics of one training call on (rows, channels), computed in float32 by one family of algorithms."""
    (x,) = inputs.batches
    w = {name: value.astype(F) for name, value in (inputs.weights or {}).items()}
    assert x is not None
    n = F(len(x))

    def total(values: np.ndarray) -> np.ndarray:
        if algorithm == "blocked":
            return np.array([np.add.reduce(np.ascontiguousarray(column)) for column in values.T], F)  # NumPy sums pairwise
        return np.cumsum(values, axis=0, dtype=F)[-1]

    if algorithm == "welford":
        return finish(case, x, w, folded, *welford(x))
    mean = total(x) / n
    variance = total(x * x) / n - mean * mean if algorithm == "one-pass" else total((x - mean) ** 2) / n
    return finish(case, x, w, folded, mean, variance)


def welford(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance updated one row after another, in float32."""
    mean, squares = np.zeros(x.shape[1], F), np.zeros(x.shape[1], F)
    for k, row in enumerate(x, 1):
        delta = row - mean
        mean = mean + delta / F(k)
        squares = squares + delta * (row - mean)
    return mean, squares / F(len(x))


def finish(
    case: Case, x: np.ndarray, w: dict[str, np.ndarray], folded: bool, mean: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y and the moved statistics, in float32."""
    inverse = F(1) / np.sqrt(variance + F(case.config.epsilon))
    scale = inverse * w["gamma"]
    y = x * scale + (w["beta"] - mean * scale) if folded else (x - mean) * scale + w["beta"]
    momentum = F(case.config.momentum)
    moved = [w[k] * momentum + b * (F(1) - momentum) for k, b in (("moving_mean", mean), ("moving_variance", variance))]
    return y, moved[0], moved[1]


def grades(case: Case, expectation: Expectation, numbers: tuple[np.ndarray, ...]) -> list[Grade]:
    (call,), (bounds,) = expectation.calls, expectation.bounds
    y, *moving = numbers
    found = [compare(y, output_numbers(call, bounds.slope, bounds.offset, FORMATS["float32"])).grade]
    for name, value in zip(("moving_mean", "moving_variance"), moving, strict=True):
        expected, bound = call.after.weights[name].ravel(), bounds.moving[name].reshape(3, -1)
        found.append(compare(value, weight_numbers(expected, bound, FORMATS["float32"])).grade)
    return found


@settings(max_examples=150, deadline=None)
@given(
    rows=st.integers(1, 3000),
    fill=st.sampled_from(FINITE),
    epsilon=st.sampled_from((1e-12, 1e-7, 1e-3, 1.0)),
    momentum=st.sampled_from((0.0, 0.3, 0.99, 1.0)),
    algorithm=st.sampled_from(("blocked", "sequential", "welford", "one-pass")),
    folded=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_algorithm_stays_within_the_bound_of_its_family(
    rows: int, fill: str, epsilon: float, momentum: float, algorithm: str, folded: bool, seed: int
) -> None:
    """For any data, float32 layers of the three families never come out worse than their family: no false alarm."""
    case = parse(f"shape:{rows}x3/momentum:{momentum}/epsilon:{epsilon}/fill:{fill}/steps:T")
    inputs = make_inputs(case, seed)
    with np.errstate(all="ignore"):
        numbers = layer(case, inputs, algorithm, folded)
    worst = WORST[algorithm]
    assert max(grades(case, expect(case, inputs), numbers)) <= worst


def test_sums_one_after_another_are_recognized() -> None:
    """A constant column summed in one running total errs by about n·u: grade sequential, not noise and not wrong."""
    case = parse("shape:65536x2/fill:constant/steps:T")
    inputs = make_inputs(case)
    assert max(grades(case, expect(case, inputs), layer(case, inputs, "blocked", False))) is Grade.BLOCKED
    assert max(grades(case, expect(case, inputs), layer(case, inputs, "sequential", False))) is Grade.SEQUENTIAL


def test_the_one_pass_variance_is_unmistakable() -> None:
    """With a mean of 1,000 spreads E[x²]−E[x]² is far outside every bound but its own."""
    case = parse("shape:256x4/fill:offset/steps:T")
    inputs = make_inputs(case)
    expectation = expect(case, inputs)
    y, _, _ = layer(case, inputs, "one-pass", False)
    assert grades(case, expectation, layer(case, inputs, "one-pass", False))[2] is Grade.ONE_PASS
    (call,), (bounds,) = expectation.calls, expectation.bounds
    numbers = output_numbers(call, bounds.slope, bounds.offset, FORMATS["float32"])
    assert largest_margin(y, numbers, Grade.SEQUENTIAL) > 25


def test_a_nan_from_a_negative_variance_is_explained_by_one_pass_alone() -> None:
    """Where the one-pass variance can come out below −epsilon, NaN is its grade; under two-pass bounds it is not explained."""
    case = parse("shape:256x2/epsilon:1e-12/fill:offset/steps:T")
    expectation = expect(case, make_inputs(case))
    (call,), (bounds,) = expectation.calls, expectation.bounds
    numbers = output_numbers(call, bounds.slope, bounds.offset, FORMATS["float32"])
    assert compare(np.full(case.shape, np.nan, F), numbers).grade is Grade.ONE_PASS
    assert largest_margin(np.full(case.shape, np.nan, F), numbers, Grade.SEQUENTIAL) == np.inf


@pytest.mark.parametrize("fill", FINITE)
def test_bounds_are_nested(fill: str) -> None:
    """Each family's bound contains the one before, for outputs and statistics."""
    case = parse(f"shape:100x3/fill:{fill}/steps:T3I")
    for bounds in expect(case, make_inputs(case)).bounds:
        for array in (bounds.slope, bounds.offset, *bounds.moving.values()):
            assert np.all(array[:-1] <= array[1:])
            assert np.all(array > 0)


def test_summation_errors_are_those_of_the_literature() -> None:
    """(n−1)u for one running total; 6√n·u for blocked sums, but never more than the former."""
    u = 2.0**-24
    assert summation_error(1, u).tolist() == [0, 0, 0]
    assert summation_error(10, u).tolist() == [9 * u] * 3
    assert summation_error(10_000, u).tolist() == [600 * u, 9999 * u, 9999 * u]


@pytest.mark.parametrize(("rows", "grade"), [(65536, Grade.BLOCKED), (4096, Grade.SEQUENTIAL)])
def test_exact_data_leave_no_room_for_a_value_left_out(rows: int, grade: Grade) -> None:
    """Under the exact fill one value left out of 65,536 is outside the bound of exact sums, of 4,096 that of running means."""
    case = parse(f"shape:{rows}x16/momentum:0.0/fill:exact/steps:T")
    inputs = make_inputs(case)
    expectation = expect(case, inputs)
    value, bound = (
        expectation.calls[0].after.weights["moving_variance"].ravel(),
        expectation.bounds[0].moving["moving_variance"],
    )
    (x,) = inputs.batches
    assert x is not None
    old = 4.0  # the largest moving variance that a case starts with
    assert (bound[Grade.BLOCKED].ravel() <= 8 * 2.0**-24 * (value + old)).all()
    left_out = np.array([np.var(column[:-1]) for column in x.T.astype(float)])
    assert (np.abs(left_out - value) > bound[grade].ravel()).any()


def test_half_storage_is_allowed_for_over_a_whole_trace() -> None:
    """A moving average stored as float16 after every one of 100 steps stays within its bound."""
    case = parse("shape:8x3/policy:float16/dtype:float16/steps:T100")
    expectation = expect(case, make_inputs(case))
    stored = {name: value.astype(np.float16) for name, value in expectation.calls[0].before.weights.items()}
    for call, bounds in zip(expectation.calls, expectation.bounds, strict=True):
        assert call.batch is not None
        for name, batch in (("moving_mean", call.batch.mean), ("moving_variance", call.batch.variance)):
            stored[name] = (stored[name].astype(F) * F(0.99) + batch.astype(F) * F(0.01)).astype(np.float16)
            error = np.abs(stored[name].astype(float) - call.after.weights[name])
            assert (error <= bounds.moving[name][Grade.BLOCKED]).all()


def test_the_screen_is_an_upper_bound_of_the_margin() -> None:
    """Every block's screen is at least its exact largest margin, and at most a tenth more."""
    case = parse("shape:40000x32/fill:normal/steps:T")
    inputs = make_inputs(case)
    expectation = expect(case, inputs)
    (call,), (bounds,) = expectation.calls, expectation.bounds
    y, _, _ = layer(case, inputs, "blocked", True)
    numbers = output_numbers(call, bounds.slope, bounds.offset, FORMATS["float32"])
    for grade in (Grade.BLOCKED, Grade.SEQUENTIAL):
        screen = output_screen(call, bounds.slope[grade], bounds.offset[grade])
        assert screen is not None
        for index in list(blocks(case.shape))[::7]:
            expected, bound = numbers.piece(grade, index)
            exact = float((np.abs(y[index] - expected) / bound).max())
            screened = screen(y, index)
            assert exact <= screened <= 1.1 * exact + 1e-6
