"""Messages of targets: the request for a case, and the worker's answer as frozen values with harmless texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.targets.target import environment, interface, observation, request
from bnverify.values import Failure, Interface


def asked(id_: str) -> dict[str, Any]:
    case = parse(id_)
    return request(case, make_inputs(case))


def test_each_step_of_a_request() -> None:
    """A call with its training argument, changes of trainable, a file, and the learning rate of an optimizer step."""
    found = asked("shape:4x3/gradients:1/file:h5/steps:TNFUSO")["steps"]
    assert [step["do"] for step in found] == ["call", "call", "trainable", "trainable", "file", "call"]
    assert [step.get("training", "-") for step in found] == [True, None, "-", "-", "-", True]
    assert [step.get("value") for step in found[2:4]] == [False, True]
    assert (found[4]["format"], found[0]["rate"], found[5]["rate"]) == ("h5", None, 0.125)
    assert found[0]["upstream"].shape == (4, 3)
    assert found[0]["direction"] is None


def test_a_request_has_what_differs_from_keras_defaults() -> None:
    """Constructor arguments without dtype, which is the policy; the network is None where there is none."""
    found = asked("shape:4x3/momentum:0.5/policy:mixed_float16/mode:fit/layout:fortran/steps:T")
    assert (found["layer"], found["policy"], found["mode"], found["layout"]) == (
        {"momentum": 0.5},
        "mixed_float16",
        "fit",
        "fortran",
    )
    assert (found["network"], found["made"], found["shape"]) == (None, False, (4, 3))
    assert asked("shape:4x3/gamma_initializer:random_normal/steps:T")["made"] is True
    assert asked("shape:4x3/weights:initial/steps:T")["weights"] is None


def test_a_mistake_replaces_what_it_is_about() -> None:
    """The argument, the shape to build for, the input, or the mask; no weights are set."""
    assert asked("shape:4x3/misuse:momentum-large/steps:TI")["layer"] == {"momentum": 1.5}
    assert asked("shape:4x3/misuse:undefined/steps:I")["shape"] == (4, None)
    (step,) = asked("shape:4x5/misuse:rank-more/steps:I")["steps"]
    assert (step["x"].shape, step["mask"]) == ((4, 7, 5), None)
    first, second = asked("shape:5x4x3/misuse:mask-size/steps:TI")["steps"]
    assert (first["x"].shape, first["mask"].shape, second["mask"].dtype) == ((5, 4, 3), (5, 7), bool)
    assert asked("shape:5x4x3/misuse:mask-bool/steps:TI")["steps"][0]["mask"] is True
    assert asked("shape:4x3/misuse:keyword/steps:I")["weights"] is None


ANSWER: dict[str, Any] = {
    "weights": [{"name": "gamma\x1b[1m", "shape": [3], "dtype": "float32", "trainable": True}],
    "initial": {},
    "made": None,
    "config": None,
    "steps": [{"weights": {}, "trainable": ["gamma"], "y": np.ones(2), "y_dtype": "float32"}],
    "failure": None,
}


def test_an_answer_becomes_frozen_values() -> None:
    """Fields that may be missing are empty; texts of a layer cannot move the cursor."""
    found = observation(ANSWER)
    (weight,) = found.weights
    assert (weight.name, weight.shape) == ("gamma\\x1b[1m", (3,))
    (step,) = found.steps
    assert (step.gradients, step.dtypes, step.losses, step.config, step.hidden, step.file) == ({}, {}, (), {}, (), b"")
    assert (step.trainable, found.made, found.inner, found.failure) == (("gamma",), (), (), None)
    failed = observation({**ANSWER, "failure": {"stage": "step 0", "type": "E", "text": "a\nb"}})
    assert failed.failure == Failure("step 0", "E", "a b")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {**ANSWER, "steps": [{}]},
        {**ANSWER, "steps": None},
        {**ANSWER, "weights": [{"name": "gamma"}]},
        {**ANSWER, "inner": [{"label": "x"}]},
        {**ANSWER, "steps": [{**ANSWER["steps"][0], "config": {"axis": ["one"]}}]},
    ],
)
def test_a_malformed_answer_raises(answer: dict[str, Any]) -> None:
    """One of three exceptions, which a target in another process reports as its fault."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        observation(answer)


def test_the_environment_and_interface_of_a_first_message() -> None:
    """Keras' own layer has the name of its module; a user's layer and a function have their own."""
    said = {
        "module": "tf_keras", "keras": "2.15.0", "backend": "tensorflow", "backend_version": "2.15", "device": "CPU",
        "float64": True, "numpy": "1.26", "python": "3.11", "cpu": "x\ny",
    }  # fmt: skip
    assert environment(said).target == "tf_keras.layers.BatchNormalization"
    assert environment(said, "mine:Mine").target == "mine:Mine"
    assert environment({**said, "target": "tf.nn.moments"}).target == "tf.nn.moments"
    assert environment(said).cpu == "x y"
    assert interface({"arguments": {"axis": "-1"}, "call": ["inputs"]}) == Interface({"axis": "-1"}, ("inputs",), (), {})
