"""Targets: the layer under test with its environment; here the one in this process, and what every target speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Protocol

from bnverify.cases.case import RATE, Case, Step
from bnverify.cases.fills import Inputs
from bnverify.model import Environment, Failure, Interface, Observation, StepObservation, WeightInfo
from bnverify.targets.worker.observing import Worker


class Target(Protocol):
    """A layer under test: says where it runs, and observes cases."""

    @property
    def environment(self) -> Environment: ...

    def observe(self, case: Case, inputs: Inputs) -> Observation: ...


class InProcess:
    """A layer in this process. `factory` takes Keras' keyword arguments and returns a fresh layer; None is Keras' own.

    module: which Keras is meant: "keras", "tf_keras" or "tf.keras"; or the name of a route.
    """

    def __init__(self, factory: Callable[..., Any] | None = None, name: str = "", module: str = "keras") -> None:
        self._worker = Worker(module, factory)
        self.environment = environment(self._worker.environment(), name)

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        return observation(self._worker.observe(request(case, inputs)))

    @cached_property
    def interface(self) -> Interface:
        """What Keras' own layer declares."""
        return interface(self._worker.interface())

    def is_layer(self, thing: object) -> bool:
        """Whether `thing` is a Keras layer (an instance)."""
        return isinstance(thing, self._worker.keras.layers.Layer)


def environment(said: Mapping[str, Any], name: str = "") -> Environment:
    """Where a worker says that it runs; `name` is that of a layer which is neither Keras' own nor a route's."""
    return Environment(**{"target": name or f"{said['module']}.layers.BatchNormalization", **said})


def interface(said: Mapping[str, Any]) -> Interface:
    """What a worker says of the layer's arguments."""
    return Interface(
        arguments=dict(said["arguments"]),
        call=tuple(said["call"]),
        weights=tuple(said.get("weights", ())),
        config=dict(said.get("config") or {}),
    )


def request(case: Case, inputs: Inputs) -> dict[str, Any]:
    """What the worker is asked for a case."""
    steps: list[dict[str, Any]] = [
        {"do": "call", "training": step.training, "rate": RATE if step is Step.OPTIMIZE else None, **inputs.at(index)}
        if step.is_call
        else {"do": "trainable", "value": step is Step.UNFREEZE}
        for index, step in enumerate(case.steps)
    ]
    return {
        "layer": case.config.arguments(),
        "policy": case.policy,
        "shape": case.shape,
        "dtype": case.dtype,
        "weights": inputs.weights,
        "steps": steps,
    }


def observation(answer: Mapping[str, Any]) -> Observation:
    """The worker's answer as frozen values. Raises KeyError, TypeError or ValueError where it is none."""
    return Observation(
        weights=tuple(WeightInfo(w["name"], tuple(w["shape"]), w["dtype"], w["trainable"]) for w in answer["weights"]),
        initial=answer["initial"],
        config=answer["config"],
        steps=tuple(
            StepObservation(
                step["weights"],
                tuple(step["trainable"]),
                step["y"],
                step["y_dtype"],
                step.get("gradients", {}),
                step.get("dtypes", {}),
                tuple(step.get("losses", ())),
            )
            for step in answer["steps"]
        ),
        failure=Failure(**answer["failure"]) if answer["failure"] else None,
    )
