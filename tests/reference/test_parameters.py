"""gamma and beta beside their use: losses of regularizers, projections of constraints, and a step of gradient descent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.cases.ids import parse
from bnverify.cases.layer_config import CONSTRAINTS, REGULARIZERS
from bnverify.cases.steps import RATE
from bnverify.contract.eras import era_of
from bnverify.reference.formulas import KERAS, penalizes_always
from bnverify.reference.machine import trace_case
from bnverify.reference.parameters import constrained, regularization
from bnverify.running.run import run
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Observation, Status, StepObservation, Verdict

VECTORS = ([0.5, -1.5, 2.0], [-3.0, 4.0], [0.1, 0.2, -0.1], [-1.0], [2.0, 0.0, 0.0], [1e-3, -1e-3])


@pytest.mark.parametrize("kind", [kind for kind in REGULARIZERS if kind])
@pytest.mark.parametrize("vector", VECTORS)
def test_losses_are_those_of_keras(keras: Any, kind: str, vector: list[float]) -> None:
    """Each name means Keras' regularizer of that name, with its default."""
    theirs = float(keras.regularizers.get(kind)(np.array(vector, np.float32)))
    np.testing.assert_allclose(regularization(np, kind, np.array(vector)), theirs, rtol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in CONSTRAINTS if kind])
@pytest.mark.parametrize("vector", VECTORS)
def test_projections_are_those_of_keras(keras: Any, kind: str, vector: list[float]) -> None:
    """Each name means Keras' constraint of that name, with its default."""
    theirs = keras.ops.convert_to_numpy(keras.constraints.get(kind)(keras.ops.convert_to_tensor(vector, "float32")))
    np.testing.assert_allclose(constrained(np, kind, np.array(vector)), theirs, rtol=1e-6)


def test_projections_in_words() -> None:
    """No negative value; norm 1; norm at most 2, a shorter vector as it was; and without a constraint nothing changes."""
    w = np.array([-3.0, 4.0])
    assert constrained(np, "non_neg", w).tolist() == [0.0, 4.0]
    np.testing.assert_allclose(constrained(np, "unit_norm", w), [-0.6, 0.8], rtol=1e-7)
    np.testing.assert_allclose(constrained(np, "max_norm", w), [-1.2, 1.6], rtol=1e-7)
    np.testing.assert_allclose(constrained(np, "max_norm", w / 10), w / 10, rtol=1e-6)
    assert constrained(np, "", w) is w


def test_a_step_of_gradient_descent() -> None:
    """gamma - rate*dL/dgamma and beta - rate*dL/dbeta, then the constraint; the statistics move as in any training call."""
    case = parse("shape:6x4/gamma_constraint:non_neg/steps:O")
    inputs = make_inputs(case)
    (call,) = trace_case(case, inputs)
    (plain,) = trace_case(parse("shape:6x4/steps:T"), replace(inputs, upstream=()))
    assert inputs.upstream[0] is not None
    assert inputs.weights is not None
    x, dy = call.x.astype(float), inputs.upstream[0].astype(float)
    normal = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-3)
    gamma = inputs.weights["gamma"] - 0.125 * (dy * normal).sum(axis=0)
    beta = inputs.weights["beta"] - 0.125 * dy.sum(axis=0)
    assert RATE == 0.125
    assert np.any(gamma < 0)
    np.testing.assert_allclose(call.after.weights["gamma"].ravel(), np.maximum(gamma, 0), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(call.after.weights["beta"].ravel(), beta, rtol=1e-12)
    for name in ("moving_mean", "moving_variance"):
        assert np.array_equal(call.after.weights[name], plain.after.weights[name])


def test_a_frozen_layer_takes_no_step() -> None:
    """trainable=False: an optimizer finds nothing to change."""
    case = parse("shape:6x4/steps:FO")
    (call,) = trace_case(case, make_inputs(case))
    assert call.after is call.before


class Changed(ReferenceTarget):
    """A perfect layer but for what `change` does to the observation of its last step."""

    def __init__(self, change: Callable[[StepObservation], dict[str, Any]]) -> None:
        super().__init__()
        self.change = change

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        seen = super().observe(case, inputs)
        last = seen.steps[-1]
        return replace(seen, steps=(*seen.steps[:-1], replace(last, **self.change(last))))


def verdict(id_: str, change: Callable[[StepObservation], dict[str, Any]] = lambda step: {}) -> Verdict:
    return run([parse(id_)], Changed(change)).verdicts[0]


def scaled(name: str, factor: float) -> Callable[[StepObservation], dict[str, Any]]:
    return lambda step: {"weights": {**step.weights, name: step.weights[name] * np.float32(factor)}}


def gradient(name: str, factor: float) -> Callable[[StepObservation], dict[str, Any]]:
    return lambda step: {"gradients": {**step.gradients, name: step.gradients[name] * np.float32(factor)}}


REGULARIZED = "shape:6x4/gamma_regularizer:l2/beta_regularizer:l1/steps:T"
THAWED = "shape:6x4/gamma_regularizer:l2/beta_regularizer:l1/steps:FTUT"
PENALIZED = "shape:6x4/gamma_regularizer:l2/beta_regularizer:l1/steps:TFT"
CONSTRAINED = "shape:6x4/gamma_constraint:unit_norm/beta_constraint:max_norm/steps:O"
FROZEN = "shape:4x3/gradients:1/steps:FT"
FAULTS = {
    "a loss is missing": (REGULARIZED, lambda s: {"losses": s.losses[:1]}, "regularizer-losses"),
    "losses are doubled": (REGULARIZED, lambda s: {"losses": s.losses * 2}, "regularizer-losses"),
    "a loss is off by 1e-5": (REGULARIZED, lambda s: {"losses": tuple(v * 1.00001 for v in s.losses)}, "regularizer-losses"),
    "there are no losses": (REGULARIZED, lambda s: {"losses": ()}, "regularizer-losses"),
    "a frozen layer has losses": (PENALIZED, lambda s: {"losses": (0.25,)}, "regularizer-losses"),
    "a frozen layer has a loss of 0": (PENALIZED, lambda s: {"losses": (0.0,)}, "regularizer-losses"),
    "losses do not come back": (THAWED, lambda s: {"losses": ()}, "regularizer-losses"),
    "gamma is off after a step": (CONSTRAINED, scaled("gamma", 1.0001), "optimizer-step"),
    "beta is off after a step": (CONSTRAINED, scaled("beta", 1.0001), "optimizer-step"),
    "dL/dx is off": ("shape:6x4/gradients:1/steps:T", gradient("x", 1.0001), "gradient-training"),
    "dL/dgamma is off": ("shape:6x4/gradients:1/steps:T", gradient("gamma", 1.0001), "gradient-training"),
    "dL/dbeta is off": ("shape:6x4/gradients:1/steps:I", gradient("beta", 1.0001), "gradient-inference"),
    "dL/dx is off when frozen": (FROZEN, gradient("x", 1.0001), "gradient-frozen"),
    "dL/dx is off under a mask": ("shape:5x4x3/mask:random/gradients:1/steps:T", gradient("x", 1.0001), "masked-gradient"),
    "dL/dx is off with renorm": ("shape:6x4/renorm:True/gradients:1/steps:T", gradient("x", 1.0001), "renorm-gradient"),
    "the second derivative is off": ("shape:6x4/gradients:2/steps:T", gradient("second", 1.0001), "gradient-second"),
    "there is no dL/dx": ("shape:6x4/gradients:1/steps:T", lambda s: {"gradients": without(s, "x")}, "gradient-training"),
    "gamma has a gradient when frozen": (
        FROZEN,
        lambda s: {"gradients": {**s.gradients, "gamma": np.ones(3, np.float32)}},
        "gradient-frozen",
    ),
    "dL/dx is wider than x": (
        "shape:6x4/policy:mixed_float16/dtype:float16/gradients:1/steps:T",
        lambda s: {"dtypes": {**s.dtypes, "x": "float32"}},
        "gradient-dtypes",
    ),
    "dL/dgamma is half": (
        "shape:6x4/gradients:1/steps:T",
        lambda s: {"dtypes": {**s.dtypes, "gamma": "float16"}},
        "gradient-dtypes",
    ),
}


def without(step: StepObservation, name: str) -> dict[str, Any]:
    return {key: value for key, value in step.gradients.items() if key != name}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_breaks_its_clause_alone(fault: str) -> None:
    """What is wrong about gradients, losses or an optimizer step fails in the clause about it and in no other."""
    id_, change, clause = FAULTS[fault]
    assert verdict(id_).status is Status.CONFORMS
    assert {check.clause for check in verdict(id_, change).failures} == {clause}


@pytest.mark.parametrize(("keras", "stays"), [("2.1.2", True), ("2.3.1", True), ("2.15.0", True), ("3.0.0", False)])
@pytest.mark.parametrize("penalizes", [penalizes_always, KERAS.penalizes])
def test_the_penalty_of_a_frozen_layer(keras: str, stays: bool, penalizes: Callable[[bool], bool]) -> None:
    """Keras 2 has the losses of a frozen layer, Keras 3 has not; each is a fault in the other."""

    class There(ReferenceTarget):
        def __init__(self) -> None:
            environment = replace(ReferenceTarget().environment, keras=keras)
            super().__init__(replace(era_of(environment).formulas, penalizes=penalizes))
            self.environment = environment

    (found,) = run([parse(PENALIZED)], There()).verdicts
    conforms = (penalizes is penalizes_always) is stays
    assert [check.step for check in found.failures if check.clause == "regularizer-losses"] == ([] if conforms else [2])
    assert {check.clause for check in found.failures} <= {"regularizer-losses"}


@pytest.mark.parametrize("name", ["gamma", "beta"])
def test_only_an_optimizer_changes_parameters(name: str) -> None:
    """In a plain training call a changed gamma or beta is a fault of its own clause."""
    failures = verdict("shape:6x4/gradients:1/steps:T", scaled(name, 1.0001)).failures
    assert {check.clause for check in failures} == {"calls-keep-parameters"}
