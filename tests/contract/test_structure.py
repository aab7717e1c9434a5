"""Clauses on arguments, weights, shapes and dtypes: each notices one planted change, and reads as the report shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.evidence import Change, at_step, evidence, failing, statuses

from bnverify.contract import structure
from bnverify.values import Failure, Mismatch, Observation, Status, WeightInfo

CHECKS = {clause.key: clause.check for clause in structure.CLAUSES}


def config(**changes: Any) -> Change:
    return lambda o: replace(
        o, config={name: value for name, value in {**(o.config or {}), **changes}.items() if value != "gone"}
    )


def infos(**changes: Any) -> Change:
    """A change of the first weight as it is listed."""
    return lambda o: replace(o, weights=(replace(o.weights[0], **changes), *o.weights[1:]))


ID = "shape:4x3/steps:TFUI"
FAULTS: tuple[tuple[str, Change, list[tuple[str, str, str]]], ...] = (  # clause, change, and quantity, expected, actual
    ("arguments", config(axis=1), [("axis", "-1", "1")]),
    ("arguments", config(momentum="gone"), [("momentum", "0.99", "'missing'")]),
    ("arguments", config(center=1), [("center", "True", "1")]),
    (
        "weights",
        infos(name="scale"),
        [("names in order", "gamma, beta, moving_mean, moving_variance", "scale, beta, moving_mean, moving_variance")],
    ),
    (
        "weights",
        lambda o: replace(o, weights=(*o.weights, WeightInfo("extra", (3,), "float32", True))),
        [("names in order", "gamma, beta, moving_mean, moving_variance", "gamma, beta, moving_mean, moving_variance, extra")],
    ),
    ("weight-shapes", infos(shape=(1, 3)), [("gamma", "(3,)", "(1, 3)")]),
    ("weight-dtypes", infos(dtype="float16"), [("gamma", "float32", "float16")]),
    ("trainable-weights", infos(trainable=False), [("gamma", "True", "False")]),
    ("trainable-weights", at_step(1, trainable=("gamma",)), [("listed", "", "gamma")]),
    ("trainable-weights", at_step(2, trainable=("beta", "gamma")), [("listed", "gamma, beta", "beta, gamma")]),
    ("output-shape", at_step(0, y=np.zeros((4, 3, 1), np.float32)), [("y", "(4, 3)", "(4, 3, 1)")]),
    ("output-dtype", at_step(3, y_dtype="float16"), [("y", "float32", "float16")]),
)


@pytest.mark.parametrize(("key", "change", "told"), FAULTS)
def test_a_change_fails_in_its_clause(key: str, change: Change, told: list[tuple[str, str, str]]) -> None:
    """What was expected and what was got; without the change every check conforms."""
    found = [check for check in CHECKS[key](evidence(ID, change)) if check.status is not Status.CONFORMS]
    assert [(check.quantity, check.mismatch) for check in found] == [(q, Mismatch(a, b)) for q, a, b in told]
    assert {check.status for check in found} == {Status.WRONG}
    assert failing(CHECKS[key](evidence(ID))) == []


def test_an_exception_is_a_crash_with_its_stage() -> None:
    """The stage, the type and the text; without one the clause conforms once."""
    failed = evidence(ID, lambda o: replace(o, failure=Failure("step 3", "ValueError", "no axis 3")))
    (check,) = CHECKS["returns"](failed)
    assert (check.status, check.quantity, check.reason) == (Status.CRASHED, "step 3", "step 3: ValueError: no axis 3")
    assert check.mismatch == Mismatch("no exception", "ValueError: no axis 3")
    assert statuses(CHECKS["returns"](evidence(ID))) == [("every step", None, "conforms")]


def test_a_layer_that_was_not_built_has_no_weights_to_judge() -> None:
    """After an exception in the constructor only that exception is reported."""
    e = evidence(ID, lambda o: Observation(failure=Failure("constructor", "ValueError", "no")))
    assert [key for key, check in CHECKS.items() if list(check(e))] == ["returns"]


def test_without_get_config_the_arguments_are_inconclusive() -> None:
    """A custom layer may have none."""
    (check,) = CHECKS["arguments"](evidence(ID, lambda o: replace(o, config=None)))
    assert (check.status, check.reason) == (Status.INCONCLUSIVE, "the layer has no get_config()")


@pytest.mark.parametrize(
    ("id_", "names"),
    [
        ("shape:4x3/steps:T", ["axis", "momentum", "epsilon", "center", "scale"]),
        ("shape:4x3/renorm:True/steps:T", ["axis", "momentum", "epsilon", "center", "scale", "renorm", "renorm_momentum"]),
        ("shape:4x3/synchronized:True/steps:T", ["axis", "momentum", "epsilon", "center", "scale", "synchronized"]),
    ],
)
def test_which_arguments_are_checked(id_: str, names: list[str]) -> None:
    """Arguments of renorm and of replicas only where the case sets them: not every Keras has them."""
    assert [quantity for quantity, _, _ in statuses(CHECKS["arguments"](evidence(id_)))] == names


def test_several_axes_may_be_a_list() -> None:
    """get_config() gives a list where the case has a tuple."""
    assert failing(CHECKS["arguments"](evidence("shape:3x4x5/axis:1+2/steps:T", config(axis=[1, 2])))) == []
    assert failing(CHECKS["arguments"](evidence("shape:3x4x5/axis:1+2/steps:T", config(axis=[2, 1])))) == [("axis", None)]


def test_initial_values_are_checked_before_any_are_set() -> None:
    """Only with weights:initial and a built layer; each weight by its own value."""

    def start(**values: float) -> Change:
        return lambda o: replace(o, initial={**o.initial, **{name: np.full(3, v, np.float32) for name, v in values.items()}})

    id_ = "shape:4x3/weights:initial/steps:T"
    assert failing(CHECKS["initial-values"](evidence(id_))) == []
    (wrong,) = [c for c in CHECKS["initial-values"](evidence(id_, start(moving_variance=0.0))) if c.status is Status.WRONG]
    assert (wrong.quantity, wrong.mismatch) == ("moving_variance", Mismatch("1", "0"))
    given = evidence("shape:4x3/beta_initializer:ones/weights:initial/steps:T")
    assert failing(CHECKS["initial-values"](given)) == []
    for other in ("shape:4x3/steps:T", "shape:4x3/weights:initial/mode:unbuilt/steps:T"):
        assert list(CHECKS["initial-values"](evidence(other, start(gamma=7.0)))) == []


RANDOM = "shape:4x3/gamma_initializer:random_normal/beta_initializer:random_uniform/steps:T"


def test_random_weights_differ() -> None:
    """Between values, weights and layers; a weight without a random initializer has its value."""

    def made(first: dict[str, list[float]], second: dict[str, list[float]]) -> Change:
        plain = {"moving_mean": [0.0] * 3, "moving_variance": [1.0] * 3}
        both = [{name: np.array(v) for name, v in {**plain, **given}.items()} for given in (first, second)]
        return lambda o: replace(o, made=tuple(both))

    def told(change: Change) -> dict[str, str]:
        checks = CHECKS["initializers"](evidence(RANDOM, change))
        return {c.quantity: c.mismatch.actual for c in checks if c.mismatch is not None}

    a, b, c, d = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9], [1.1, 1.2, 1.3]
    twice = "the same numbers twice"
    assert told(made({"gamma": a, "beta": b}, {"gamma": c, "beta": d})) == {}
    assert told(made({"gamma": a, "beta": b}, {"gamma": a, "beta": d})) == {"gamma": twice}
    assert told(made({"gamma": a, "beta": a}, {"gamma": c, "beta": d})) == {"gamma": twice, "beta": twice}
    assert told(made({"gamma": [0.1, 0.1, 0.2], "beta": b}, {"gamma": c, "beta": d})) == {"gamma": "2 different numbers"}
    wrong = {"gamma": a, "beta": b, "moving_mean": [1.0, 1.0, 1.0]}
    assert told(made(wrong, {"gamma": c, "beta": d})) == {"moving_mean": "1"}
    assert list(CHECKS["initializers"](evidence(RANDOM, lambda o: replace(o, made=())))) == []


def test_a_layer_that_its_first_call_builds_is_judged_by_its_last_state() -> None:
    """mode:unbuilt: the weights are listed after the steps, when the layer is frozen."""
    id_ = "shape:4x3/weights:initial/mode:unbuilt/steps:TF"
    frozen: Change = lambda o: replace(o, weights=tuple(replace(w, trainable=False) for w in o.weights))  # noqa: E731
    assert [c for c in CHECKS["trainable-weights"](evidence(id_, frozen)) if c.status is Status.WRONG] == []


def test_a_dtype_that_cannot_be_observed_is_not_checked() -> None:
    """Models that return NumPy arrays hide the dtype of the output."""
    e = evidence("shape:4x3/steps:TI", at_step(1, y_dtype=None, hidden=("y_dtype",)))
    assert statuses(CHECKS["output-dtype"](e)) == [("y", 0, "conforms")]


def test_the_listed_weights_are_checked_after_a_change_of_trainable() -> None:
    """After F and U; a call does not change what is listed, and has no check of it."""
    checks = CHECKS["trainable-weights"](evidence(ID))
    assert [step for quantity, step, _ in statuses(checks) if quantity == "listed"] == [1, 2]
