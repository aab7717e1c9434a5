"""Batch renormalization against Ioffe's algorithm 1 written as loops, step after step."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.cases.ids import parse
from bnverify.cases.steps import Step
from bnverify.reference.formulas import KERAS, renorm_correction, renorm_variance
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.reference.machine import trace_case
from bnverify.running.run import run
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Status

LAYERS = (
    "shape:6x4/renorm:True/momentum:0.9/renorm_momentum:0.5/steps:T5",
    "shape:6x4/renorm:True/renorm_clipping:rmax1.5+rmin0.8+dmax0.5/steps:T3",
    "shape:6x4/renorm:True/renorm_clipping:rmax1.1/steps:T3",
    "shape:6x4/renorm:True/renorm_clipping:rmin1.2/steps:T3",
    "shape:6x4/renorm:True/renorm_clipping:dmax0.1/steps:T3",
    "shape:6x4/renorm:True/renorm_clipping:rmax1.0+rmin1.0+dmax0.0/steps:T3",
    "shape:2x3x5x4/axis:1/renorm:True/momentum:0.7/renorm_momentum:0.3/steps:T3I",
    "shape:4x5/axis:0/renorm:True/renorm_momentum:0.0/steps:T2I",
    "shape:6x4/renorm:True/momentum:0.0/renorm_momentum:1.0/steps:T2I",
    "shape:6x4/renorm:True/epsilon:0.5/fill:tiny/momentum:0.5/steps:T4I",
    "shape:6x4/renorm:True/fill:offset/steps:T2ITFTUT",
    "shape:6x4/renorm:True/center:False/steps:T2I",
    "shape:6x4/renorm:True/scale:False/steps:T2I",
    "shape:6x4/renorm:True/weights:initial/momentum:0.9/renorm_momentum:0.6/steps:T4I",
    "shape:5x4x3/renorm:True/mask:random/momentum:0.5/steps:T3I",
)


class Loops:
    """A layer with renorm, one channel and one value at a time, in float64."""

    def __init__(self, case: Case, inputs: Inputs) -> None:
        self.case, self.axis = case, case.kept[0]
        self.channels = case.shape[self.axis]
        initial = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0}
        initial.update(moving_stddev=1.0, renorm_mean=0.0, renorm_stddev=1.0)
        given = inputs.weights or {}
        self.w = {
            name: [float(given[name][c]) if name in given else v for c in range(self.channels)] for name, v in initial.items()
        }

    def infer(self, x: np.ndarray) -> np.ndarray:
        y = np.empty(x.shape)
        for index in np.ndindex(*x.shape):
            c = index[self.axis]
            root = math.sqrt(self.w["moving_variance"][c] + self.case.config.epsilon)
            y[index] = (float(x[index]) - self.w["moving_mean"][c]) / root * self.w["gamma"][c] + self.w["beta"][c]
        return y

    def train(self, x: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """y = (x̂*r + d)*gamma + beta, then the five averages, as the paper and Keras' documentation have it."""
        config, w, y = self.case.config, self.w, np.empty(x.shape)
        limits = dict(config.renorm_clipping)
        for c in range(self.channels):
            places = [index for index in np.ndindex(*x.shape) if index[self.axis] == c]
            values = [float(x[index]) for index in places if mask[index]]
            mean = sum(values) / len(values)
            sigma = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values) + config.epsilon)
            r, d = sigma / w["renorm_stddev"][c], (mean - w["renorm_mean"][c]) / w["renorm_stddev"][c]
            if "rmax" in limits:
                r = min(r, limits["rmax"])
            if "rmin" in limits:
                r = max(r, limits["rmin"])
            if "dmax" in limits:
                d = min(max(d, -limits["dmax"]), limits["dmax"])
            for index in places:
                y[index] = ((float(x[index]) - mean) / sigma * r + d) * w["gamma"][c] + w["beta"][c]
            for name, new, momentum in (
                ("moving_mean", mean, config.momentum),
                ("moving_stddev", sigma, config.momentum),
                ("renorm_mean", mean, config.renorm_momentum),
                ("renorm_stddev", sigma, config.renorm_momentum),
            ):
                w[name][c] = w[name][c] * momentum + new * (1.0 - momentum)
            w["moving_variance"][c] = max(w["moving_stddev"][c] ** 2 - config.epsilon, 0.0)
        return y


@pytest.mark.parametrize("id_", LAYERS)
def test_every_step_is_that_of_the_algorithm(id_: str) -> None:
    """Outputs and all five statistics are those of the loops, after each of several steps."""
    case = parse(id_)
    inputs = make_inputs(case)
    loops, frozen = Loops(case, inputs), False
    calls = iter(trace_case(case, inputs))
    for index, step in enumerate(case.steps):
        if not step.is_call:
            frozen = step is Step.FREEZE
            continue
        x, mask = inputs.batches[index], inputs.at(index)["mask"]
        assert x is not None
        counts = np.ones(case.shape, bool) if mask is None else np.broadcast_to(mask[..., None], case.shape)
        y = loops.train(x, counts) if step.training and not frozen else loops.infer(x)
        call = next(calls)
        np.testing.assert_allclose(call.y(), y, rtol=1e-9, atol=1e-9)
        assert set(case.config.statistics) == set(loops.w) - {"gamma", "beta"}
        for name in case.config.statistics:
            np.testing.assert_allclose(call.after.weights[name].ravel(), loops.w[name], rtol=1e-10, atol=1e-12)


def test_the_cases_clip_at_every_end() -> None:
    """Among the cases above each limit is reached in some channel and not in another: the comparison covers both."""
    reached = {"rmax": set(), "rmin": set(), "dmax": set()}  # type: dict[str, set[bool]]
    for id_ in LAYERS:
        case = parse(id_)
        for call in trace_case(case, make_inputs(case)):
            if call.correction is not None:
                r, d = call.correction
                for name, limit in case.config.renorm_clipping:
                    reached[name] |= set(np.isclose(r if name[0] == "r" else np.abs(d), limit).ravel().tolist())
    assert reached == {"rmax": {True, False}, "rmin": {True, False}, "dmax": {True, False}}


def test_what_is_corrected_is_what_inference_gives() -> None:
    """Without limits and with statistics that do not move, training gives what normalizing with them gives: Ioffe's idea."""
    case = parse("shape:40x3/renorm:True/epsilon:0.25/momentum:1.0/renorm_momentum:1.0/steps:TI")
    inputs = make_inputs(case)
    weights = dict(inputs.weights or {})
    stddev = weights["renorm_stddev"] + 1.0
    weights.update(
        renorm_stddev=stddev, renorm_mean=weights["moving_mean"], moving_stddev=stddev, moving_variance=stddev**2 - 0.25
    )
    x = inputs.batches[0]
    train, infer = trace_case(case, replace(inputs, weights=weights, batches=(x, x)))
    np.testing.assert_allclose(train.y(), infer.y(), rtol=1e-12)


def test_the_variance_is_never_negative() -> None:
    """moving_variance = max(moving_stddev^2 - epsilon, 0)."""
    stddev = np.array([0.0, 0.5, 1.0, 2.0])
    assert renorm_variance(np, stddev, 0.25).tolist() == [0.0, 0.0, 0.75, 3.75]
    assert renorm_variance(np, stddev, 1.0).tolist() == [0.0, 0.0, 0.0, 3.0]
    case = parse("shape:6x4/renorm:True/epsilon:0.5/weights:initial/momentum:0.0/fill:tiny/steps:TI")
    train, infer = trace_case(case, make_inputs(case))
    np.testing.assert_allclose(train.after.weights["moving_variance"], train.batch.variance, rtol=1e-12)  # type: ignore[union-attr]
    assert np.isfinite(infer.y()).all()
    short = parse("shape:6x4/renorm:True/epsilon:9.0/steps:T")  # moving_stddev is below 2, epsilon^0.5 is 3
    (call,) = trace_case(short, make_inputs(short))
    assert np.all(call.after.weights["moving_variance"] == 0)


def test_a_deviation_of_zero_is_taken_for_the_root_of_epsilon() -> None:
    """renorm_stddev below sqrt(epsilon) does not make r or d infinite."""
    one = np.ones(3)
    r, d = renorm_correction(np, 2 * one, one, 0 * one, np.array([0.0, 0.05, 4.0]), 0.01, {})
    np.testing.assert_allclose(r, [10.0, 10.0, 0.25])
    np.testing.assert_allclose(d, [20.0, 20.0, 0.5])


def test_limits_are_on_both_sides_of_d() -> None:
    """r is clipped to [rmin, rmax], d to [-dmax, dmax]; what is not given has no limit."""
    old, stddev = np.zeros(4), np.array([0.1, 1.0, 3.0, 3.0])
    mean = np.array([-5.0, -0.5, 0.5, 5.0])
    r, d = renorm_correction(np, mean, stddev, old, old + 1.0, 1e-3, {"rmax": 2.0, "rmin": 0.5, "dmax": 1.0})
    assert (r.tolist(), d.tolist()) == ([0.5, 1.0, 2.0, 2.0], [-1.0, -0.5, 0.5, 1.0])
    r, d = renorm_correction(np, mean, stddev, old, old + 1.0, 1e-3, {})
    assert (r.tolist(), d.tolist()) == (stddev.tolist(), mean.tolist())


@pytest.mark.parametrize("key", [key for key in HYPOTHESIS_BY_KEY if key.startswith("renorm-")])
def test_hypotheses_about_renorm_differ_from_the_right_formula(key: str) -> None:
    """Each is found wrong in some case with renorm, and changes nothing without."""
    ids = (*LAYERS[:2], "shape:6x4/renorm:True/epsilon:0.5/fill:tiny/steps:T2I")
    target = ReferenceTarget(HYPOTHESIS_BY_KEY[key].formulas)
    assert any(verdict.status is Status.WRONG for verdict in run([*map(parse, ids)], target).verdicts)
    assert run([parse("shape:6x4/steps:T2I")], target).ok


@pytest.mark.parametrize("name", ["moving_mean", "moving_stddev", "moving_variance", "renorm_mean", "renorm_stddev"])
def test_bounds_of_renorm_are_not_vacuous(name: str) -> None:
    """Each statistic off by a factor 1 + 1e-5 is wrong, and so is an output off by as much."""

    class Off(ReferenceTarget):
        def observe(self, case, inputs):  # type: ignore[no-untyped-def]
            seen = super().observe(case, inputs)
            weights = {**seen.steps[0].weights, name: seen.steps[0].weights[name] * np.float32(1.00001)}
            y = seen.steps[0].y * np.float32(1.00001) if name == "moving_mean" else seen.steps[0].y
            return replace(seen, steps=(replace(seen.steps[0], weights=weights, y=y),))

    (verdict,) = run([parse("shape:6x4/renorm:True/momentum:0.5/renorm_momentum:0.5/steps:T")], Off()).verdicts
    wrong = {check.quantity for check in verdict.failures if check.status is Status.WRONG}
    assert wrong == {name, "y"} if name == "moving_mean" else wrong == {name}


def test_without_renorm_its_formulas_play_no_part() -> None:
    """A layer without renorm is the same whatever the formulas of renorm are."""
    case = parse("shape:6x4/steps:T2I")
    inputs = make_inputs(case)
    broken = replace(KERAS, renorm_correction=lambda *_: 1 / 0, renorm_average=lambda *_: 1 / 0, deviation=lambda *_: 1 / 0)
    for a, b in zip(trace_case(case, inputs), trace_case(case, inputs, broken), strict=True):
        assert np.array_equal(a.y(), b.y())
