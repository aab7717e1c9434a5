"""The reference as a target: every number rounded once to the format that stores it, in the form of a real observation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from support import exact

from bnverify.cases.fills import Inputs, make_inputs
from bnverify.cases.ids import parse
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Observation


def observed(id_: str) -> Observation:
    case = parse(id_)
    return ReferenceTarget().observe(case, make_inputs(case))


def test_an_output_is_the_exact_one_rounded_once() -> None:
    """In rational arithmetic, rounded to float32: no element is a unit in the last place off."""
    case = parse("shape:6x3/weights:initial/steps:T")
    inputs = make_inputs(case)
    (x,) = inputs.batches
    assert x is not None
    (step,) = ReferenceTarget().observe(case, inputs).steps
    statistics = {c: exact.moments(values) for c, values in exact.channels(x, 1).items()}
    expected = exact.normalize(x, 1, statistics, 1e-3, np.ones(3), np.zeros(3))
    np.testing.assert_array_equal(step.y, np.vectorize(lambda v: np.float32(float(v)))(expected))
    moved = {c: exact.update(Fraction(0), mean, 0.99) for c, (mean, _) in statistics.items()}
    np.testing.assert_array_equal(step.weights["moving_mean"], [np.float32(float(moved[c])) for c in range(3)])


def test_the_form_of_an_observation() -> None:
    """Weights in order with their dtypes; what is trainable in each step; no output in a step without a call."""
    o = observed("shape:4x3/policy:mixed_float16/dtype:float16/gradients:1/steps:TFI")
    assert [(w.name, w.shape, w.dtype, w.trainable) for w in o.weights] == [
        ("gamma", (3,), "float32", True),
        ("beta", (3,), "float32", True),
        ("moving_mean", (3,), "float32", False),
        ("moving_variance", (3,), "float32", False),
    ]
    assert [step.trainable for step in o.steps] == [("gamma", "beta"), (), ()]
    assert [None if step.y is None else step.y_dtype for step in o.steps] == ["float16", None, "float16"]
    assert o.steps[0].dtypes == {"x": "float16", "gamma": "float32", "beta": "float32"}
    assert set(o.steps[2].gradients) == {"x"}  # a frozen layer has no gradients of its weights
    assert o.config is not None
    assert (o.config["axis"], o.config["momentum"]) == (-1, 0.99)


def test_regularizers_give_losses_unless_frozen() -> None:
    """0.01*sum(gamma^2) of the stored gamma."""
    o = observed("shape:4x3/gamma_regularizer:l2/steps:TFT")
    expected = 0.01 * sum(float(v) ** 2 for v in o.initial["gamma"])
    assert o.steps[0].losses == pytest.approx((expected,), rel=1e-6)
    assert [len(step.losses) for step in o.steps] == [1, 0, 0]


def test_random_initializers_are_drawn_for_two_layers() -> None:
    """Other numbers in each; a weight that is not random has its value."""
    o = observed("shape:4x3/gamma_initializer:random_normal/steps:T")
    first, second = o.made
    assert not np.array_equal(first["gamma"], second["gamma"])
    assert first["moving_variance"].tolist() == [1.0, 1.0, 1.0]
    assert observed("shape:4x3/steps:T").made == ()


@pytest.mark.parametrize(
    "id_", ["shape:4x4/network:iris/steps:T", "shape:4x3/file:keras/steps:TS", "shape:4x3/mode:mirrored2/steps:T"]
)
def test_what_it_is_not(id_: str) -> None:
    """No layer in a model: networks, files and replicas are not here."""
    found = ReferenceTarget().observe(parse(id_), Inputs(None, ()))
    assert found.failure is not None
    assert (found.failure.type, found.steps) == ("NotHere", ())


def test_a_mistake_is_refused_at_its_stage() -> None:
    """With an allowed type, the argument's name and its value."""
    failure = observed("shape:4x3/misuse:momentum-large/steps:TI").failure
    assert failure is not None
    assert (failure.stage, failure.type, failure.text) == ("constructor", "ValueError", "momentum is wrong: 1.5")


def test_slices_are_put_together_along_their_axis() -> None:
    """TimeDistributed: each slice normalized with its own statistics; the weights are those after the last."""
    case = parse("shape:4x2x3/weights:initial/mode:timedistributed/steps:TF")
    inputs = make_inputs(case)
    (x, _) = inputs.batches
    assert x is not None
    o = ReferenceTarget().observe(case, inputs)
    assert (len(o.steps), o.steps[1].y) == (2, None)
    y = o.steps[0].y
    assert y is not None
    wide = x.astype(float)
    np.testing.assert_allclose(y, (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-3), rtol=1e-6, atol=1e-6)
    moved = 0.99 * 0.01 * wide[:, 0].mean(0) + 0.01 * wide[:, 1].mean(0)
    np.testing.assert_allclose(o.steps[0].weights["moving_mean"], moved, rtol=1e-5)


def test_another_formula_is_a_perfect_layer_with_that_fault() -> None:
    """gamma-ignored: y - beta is x̂, whatever gamma is."""
    case = parse("shape:4x3/steps:T")
    inputs = make_inputs(case)
    assert inputs.weights is not None
    wrong = ReferenceTarget(HYPOTHESIS_BY_KEY["gamma-ignored"].formulas).observe(case, inputs).steps[0].y
    right = ReferenceTarget().observe(case, inputs).steps[0].y
    assert wrong is not None
    assert right is not None
    beta, gamma = inputs.weights["beta"], inputs.weights["gamma"]
    np.testing.assert_allclose((right - beta) / gamma, wrong - beta, rtol=1e-5, atol=1e-5)
