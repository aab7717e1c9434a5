"""Edges: nothing to normalize, nothing under the root, a root of a negative number, a thousand steps."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnverify.cases.case import Case
from bnverify.cases.fields import FILLS, MASKS
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.cases.ids import parse
from bnverify.contract.evidence import Evidence, expect
from bnverify.numeric.precision import FORMATS, precision
from bnverify.reference.machine import trace_case
from bnverify.running.run import run
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.targets.target import InProcess
from bnverify.values import Grade, Observation, Status, StepObservation

EMPTY = (
    *(f"shape:0x3/fill:{fill}/steps:TI" for fill in FILLS),
    *(f"shape:{shape}/mask:{kind}/steps:TI" for kind in MASKS for shape in ("0x4x3", "2x0x3")),
    *(f"shape:{shape}/{more}" for shape in ("0x3", "3x2x0x4/axis:1") for more in ("gradients:2/steps:TI", "steps:TO")),
    "shape:0x3/renorm:True/steps:TIFT",
    "shape:0x3/policy:mixed_float16/dtype:float16/steps:TI",
    "shape:0x3/dtype:int32/steps:TI",
    *(
        f"shape:0x4x3/law:{law}/steps:T"
        for law in ("shift", "scale", "permutation", "channels", "axes", "statistics", "renorm")
    ),
)


class Off(ReferenceTarget):
    """A perfect layer whose first output is what `change` makes of it."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        self.change = change

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        seen = super().observe(case, inputs)
        return replace(seen, steps=(replace(seen.steps[0], y=self.change(seen.steps[0].y)), *seen.steps[1:]))


@pytest.mark.parametrize("id_", EMPTY)
def test_nothing_to_normalize_is_inconclusive(id_: str) -> None:
    """An empty batch: no crash, no warning, no failure, and a reason for every check that is open."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (verdict,) = run([parse(id_)], ReferenceTarget()).verdicts
    assert verdict.status is Status.INCONCLUSIVE
    open_ = [check for check in verdict.checks if check.status is Status.INCONCLUSIVE]
    assert open_
    assert all(check.reason for check in open_)
    assert "no elements" in {check.reason for check in open_}


def test_an_empty_batch_still_has_a_shape() -> None:
    """That y has no elements does not excuse another shape or dtype."""
    (verdict,) = run([parse("shape:0x3/steps:I")], Off(lambda y: np.zeros((0, 4), y.dtype))).verdicts
    assert {check.clause for check in verdict.failures} >= {"output-shape"}


@pytest.mark.usefixtures("keras")
@pytest.mark.parametrize("id_", ["shape:0x3/steps:I", "shape:0x4x3/steps:IN"])
def test_keras_infers_an_empty_batch(id_: str) -> None:
    """Keras' own layer gives an empty output for an empty batch, and is not called wrong for it."""
    (verdict,) = run([parse(id_)], InProcess()).verdicts
    assert verdict.status is Status.INCONCLUSIVE


@pytest.mark.parametrize("fill", ["constant", "normal", "offset"])
@pytest.mark.parametrize("more", ["", "/gradients:2", "/renorm:True"])
def test_no_epsilon_is_not_called_wrong(fill: str, more: str) -> None:
    """epsilon 0: y is what the data allow; of a constant batch it is 0/0, of which NaN, infinity and 0 are all sound."""
    id_ = f"shape:13x4/epsilon:0.0/fill:{fill}{more}/steps:TI"
    (verdict,) = run([parse(id_)], ReferenceTarget()).verdicts
    assert verdict.status is (Status.INCONCLUSIVE if fill == "constant" else Status.CONFORMS)
    if fill != "constant":
        return
    for value in (np.nan, np.inf, 0.0, 3.5):
        (verdict,) = run([parse(id_)], Off(lambda y, v=value: np.full_like(y, v))).verdicts
        assert not verdict.status.fails


def test_no_epsilon_leaves_other_data_as_strict_as_ever() -> None:
    """epsilon 0 on normal data: an output off by a factor 1 + 1e-5, or with an epsilon, is wrong."""
    case = parse("shape:13x4/epsilon:0.0/steps:TI")
    assert run([case], Off(lambda y: y * np.float32(1.00001))).verdicts[0].status is Status.WRONG

    class Epsilon(ReferenceTarget):
        def observe(self, case: Case, inputs: Inputs) -> Observation:
            return super().observe(replace(case, config=replace(case.config, epsilon=1e-3)), inputs)

    assert "training-output" in {check.clause for check in run([case], Epsilon()).verdicts[0].failures}


@pytest.mark.parametrize("epsilon", [0.001, 0.5])
def test_the_root_of_a_negative_number_is_nan(epsilon: float) -> None:
    """A moving variance below -epsilon gives NaN in its channel, one above gives numbers; a number for NaN is wrong."""
    case = parse(f"shape:13x8/weights:negative/epsilon:{epsilon}/steps:IT")
    inputs = make_inputs(case)
    assert inputs.weights is not None
    variance = inputs.weights["moving_variance"]
    assert np.all(variance < 0)
    below = variance + epsilon < 0
    assert below.any()
    assert not below.all()
    infer, train = trace_case(case, inputs)
    assert np.array_equal(np.isnan(infer.y()), np.broadcast_to(below, case.shape))
    assert np.isfinite(train.y()).all()
    assert run([case], ReferenceTarget()).verdicts[0].status is Status.CONFORMS
    clamped = run([case], Off(lambda y: np.where(np.isnan(y), np.float32(1.0), y))).verdicts[0]
    assert {check.clause for check in clamped.failures} == {"inference-output"}
    lost = run([case], Off(lambda y: np.where(np.isnan(y), y, y + np.float32(1e-3)))).verdicts[0]
    assert {check.clause for check in lost.failures} == {"inference-output"}


def test_a_subnormal_variance_is_nothing_beside_epsilon() -> None:
    """A moving variance below the smallest normal number may be flushed to zero: y is the same to its last digit."""
    case = parse("shape:13x4/weights:subnormal/steps:I")
    inputs = make_inputs(case)
    weights = dict(inputs.weights or {})
    assert np.all((weights["moving_variance"] > 0) & (weights["moving_variance"] < np.finfo(np.float32).smallest_normal))
    flushed = replace(inputs, weights={**weights, "moving_variance": 0 * weights["moving_variance"]})
    assert np.array_equal(trace_case(case, inputs)[0].y(), trace_case(case, flushed)[0].y())


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "float64/dtype:float64", "float16/dtype:float16", "bfloat16/dtype:bfloat16"])
def test_a_thousand_steps(policy: str) -> None:
    """After T1000 the statistics are those of the recursion, the reference passes, and the bounds have not run away."""
    case = parse(f"shape:6x3/policy:{policy}/momentum:0.9/steps:T1000")
    (verdict,) = run([case], ReferenceTarget()).verdicts
    assert verdict.status is Status.CONFORMS
    inputs = make_inputs(case)
    expectation = expect(case, inputs)
    last, bounds = expectation.calls[-1], expectation.bounds[-1]
    assert len(expectation.calls) == 1000
    u = max(expectation.formats.variable.unit_roundoff, expectation.formats.arithmetic.unit_roundoff)
    largest = max(float(np.abs(call.after.weights["moving_mean"]).max()) for call in expectation.calls)
    # each step adds some roundings of a number below `largest` and keeps 0.9 of those before: 10 times those of one step
    assert float(bounds.moving["moving_mean"][Grade.BLOCKED].max()) <= 10 * 8 * u * (largest + 3.0)
    assert np.isfinite(last.after.weights["moving_variance"]).all()


def test_the_moving_average_after_a_thousand_steps() -> None:
    """The recursion in rational steps of its own: sum of momentum^k*(1-momentum)*mean_(t-k)."""
    case = parse("shape:6x3/momentum:0.9/steps:T1000")
    inputs = make_inputs(case)
    assert inputs.weights is not None
    means = np.array([x.astype(np.longdouble).mean(axis=0) for x in inputs.batches if x is not None])
    powers = np.longdouble(0.9) ** np.arange(999, -1, -1)
    expected = (powers[:, None] * means * (1 - np.longdouble(0.9))).sum(axis=0)
    expected += np.longdouble(0.9) ** 1000 * inputs.weights["moving_mean"]
    last = trace_case(case, inputs)[-1]
    np.testing.assert_allclose(last.after.weights["moving_mean"].ravel(), expected.astype(float), rtol=1e-12)


@pytest.mark.slow
def test_an_early_fault_shows_after_many_steps() -> None:
    """With momentum 0.999 a statistic that is off by 1e-3 after the first step is still wrong after 300."""

    class Late(ReferenceTarget):
        def observe(self, case: Case, inputs: Inputs) -> Observation:
            seen = super().observe(case, inputs)
            last = seen.steps[-1]
            weights = {**last.weights, "moving_mean": last.weights["moving_mean"] + np.float32(1e-3 * 0.999**300)}
            return replace(seen, steps=(*seen.steps[:-1], replace(last, weights=weights)))

    (verdict,) = run([parse("shape:6x3/momentum:0.999/steps:T300")], Late()).verdicts
    assert {check.clause for check in verdict.failures} == {"moving-mean"}


def test_what_overflows_in_narrower_arithmetic_is_excused_with_it() -> None:
    """Where float64 layers are known to compute in float32, an infinity of the right sign is that, too, and no other number."""
    case = parse("shape:3x2/policy:float64/steps:I")
    x = np.array([[3e38, -3e38], [1e38, 2.0], [3.3e38, 1.0]], np.float32)
    weights = {"gamma": [4.0, 4.0], "beta": [0.0, 0.0], "moving_mean": [0.0, 0.0], "moving_variance": [1.0, 1.0]}
    inputs = Inputs({name: np.array(value) for name, value in weights.items()}, (x,))
    promised = precision(case.policy, case.dtype)
    single = replace(promised, arithmetic=FORMATS["float32"])
    with np.errstate(over="ignore"):
        y = (np.array([4.0], np.float32) * (x / np.sqrt(np.float32(1.001)))).astype(np.float64)
    for formats, sign, fits in ((single, 1, True), (single, -1, False), (promised, 1, False)):
        observed = StepObservation(inputs.weights or {}, (), np.where(np.isinf(y), sign * y, y))
        evidence = Evidence(expect(case, inputs, formats=formats), Observation(steps=(observed,)), Grade.SEQUENTIAL)
        assert (not evidence.output("inference-output", evidence.calls[0]).status.fails) is fits
