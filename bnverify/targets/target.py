"""Targets: the layer under test and its environment. This module has the target in this process and the messages of all
targets.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.misuse import MISUSES
from bnverify.cases.steps import RATE, Step
from bnverify.errors import printable
from bnverify.targets.worker.observing import Worker
from bnverify.values import Environment, Failure, InnerCall, Interface, Observation, StepObservation, WeightInfo


class Target(Protocol):
    """A layer under test: it says where it runs, and it observes cases."""

    @property
    def environment(self) -> Environment: ...

    def observe(self, case: Case, inputs: Inputs) -> Observation: ...


class InProcess:
    """A layer in this process. `factory` takes Keras' keyword arguments and returns a new layer; None means Keras' own.

    module: which Keras: "keras", "tf_keras" or "tf.keras"; or the name of a function target.
    """

    def __init__(self, factory: Callable[..., Any] | None = None, name: str = "", module: str = "keras") -> None:
        self._worker = Worker(module, factory)
        self.environment = environment(self._worker.environment(), name)

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        return observation(self._worker.observe(request(case, inputs)))

    @cached_property
    def interface(self) -> Interface:
        """The interface of Keras' own layer."""
        return interface(self._worker.interface())

    @property
    def layers(self) -> type:
        """Keras' class of all layers."""
        return self._worker.keras.layers.Layer

    def is_batch_normalization(self, thing: object) -> bool:
        """Whether `thing` is Keras' own batch normalization, or an instance of a subclass."""
        return isinstance(thing, self._worker.keras.layers.BatchNormalization)

    def load_layers(self, path: str) -> dict[str, Any]:
        """The layers of a model file by name, including those of nested models. Exceptions of Keras pass through.

        Code in the file runs.
        """
        load = self._worker.keras.models.load_model
        given = {"safe_mode": False} if "safe_mode" in inspect.signature(load).parameters else {}
        model = load(path, compile=False, **given)
        return {layer.name: layer for layer in model._flatten_layers(include_self=False)}


def environment(said: Mapping[str, Any], name: str = "") -> Environment:
    """The environment in a worker's message. name: the layer's name, unless it is Keras' own or a function target."""
    texts: dict[str, Any] = {key: printable(value) if isinstance(value, str) else value for key, value in said.items()}
    return Environment(**{"target": printable(name) or f"{said['module']}.layers.BatchNormalization", **texts})


def interface(said: Mapping[str, Any]) -> Interface:
    """The interface in a worker's message."""
    return Interface(
        arguments={printable(name): printable(default) for name, default in said["arguments"].items()},
        call=tuple(said["call"]),
        weights=tuple(printable(weight) for weight in said.get("weights", ())),
        config=dict(said.get("config") or {}),
    )


def request(case: Case, inputs: Inputs) -> dict[str, Any]:
    """The request to the worker for a case."""
    asked = {
        "layer": case.config.arguments(),
        "policy": case.policy,
        "shape": case.shape,
        "dtype": case.dtype,
        "weights": inputs.weights,
        "steps": [_step(case, inputs, index) for index in range(len(case.steps))],
        "mode": case.mode,
        "layout": case.layout,
        "made": bool(case.config.draws),
        "network": case.network if case.network else None,
    }
    return asked if not case.misuse else {**asked, **misused(case, asked)}


def _step(case: Case, inputs: Inputs, index: int) -> dict[str, Any]:
    step = case.steps[index]
    if step.is_call:
        rate = RATE if step is Step.OPTIMIZE else None
        return {"do": "call", "training": step.training, "rate": rate, **inputs.at(index)}
    if step is Step.SAVE:
        return {"do": "file", "format": case.file}
    return {"do": "trainable", "value": step is Step.UNFREEZE}


def misused(case: Case, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the request that a mistake changes."""
    mistake = MISUSES[case.misuse]
    changed: dict[str, Any] = {"layer": {**asked["layer"], **mistake.layer}, "weights": None}
    if mistake.build is not None:
        changed["shape"] = mistake.build
    if mistake.call is not None or mistake.mask is not None:
        x = np.ones(mistake.call or case.shape)
        mask = np.ones(*mistake.mask) if isinstance(mistake.mask, tuple) else mistake.mask
        changed["steps"] = [{**step, "x": x, "mask": mask} if step["do"] == "call" else step for step in asked["steps"]]
    return changed


def observation(answer: Mapping[str, Any]) -> Observation:
    """The worker's answer as frozen values. Raises KeyError, TypeError or ValueError if it is malformed."""
    return Observation(
        weights=_infos(answer["weights"]),
        initial=answer["initial"],
        made=tuple(answer.get("made") or ()),
        config=answer["config"],
        steps=tuple(_observed(step) for step in answer["steps"]),
        failure=_failure(answer["failure"]) if answer["failure"] else None,
        inner=tuple(InnerCall(**{**call, "after": _observed(call["after"])}) for call in answer.get("inner", ())),
    )


def _failure(said: Mapping[str, Any]) -> Failure:
    return Failure(said["stage"], printable(said["type"]), printable(said["text"]), tuple(said.get("kinds", ())))


def _infos(weights: Sequence[Mapping[str, Any]]) -> tuple[WeightInfo, ...]:
    return tuple(WeightInfo(printable(w["name"]), tuple(w["shape"]), w["dtype"], w["trainable"]) for w in weights)


def _observed(step: Mapping[str, Any]) -> StepObservation:
    return StepObservation(
        step["weights"],
        tuple(step["trainable"]),
        step["y"],
        step["y_dtype"],
        step.get("gradients", {}),
        step.get("dtypes", {}),
        tuple(step.get("losses", ())),
        {printable(name): (printable(before), printable(after)) for name, (before, after) in step.get("config", {}).items()},
        tuple(step.get("hidden", ())),
        bytes(step.get("file", b"")),
    )
