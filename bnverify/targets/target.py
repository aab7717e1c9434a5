"""Targets: the layer under test with its environment. Both kinds speak with the same worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from bnverify.cases.case import Case, Step
from bnverify.cases.fills import Inputs
from bnverify.model import KERAS_LAYER, Environment, Failure, Observation, StepObservation, WeightInfo
from bnverify.targets import worker

WORKER = Path(worker.__file__)


class Target(Protocol):
    """A layer under test: says where it runs, and observes cases."""

    @property
    def environment(self) -> Environment: ...

    def observe(self, case: Case, inputs: Inputs) -> Observation: ...


class InProcess:
    """A layer in this process. `factory` takes Keras' keyword arguments and returns a fresh layer; None is Keras' own."""

    def __init__(self, factory: Callable[..., Any] | None = None, name: str = KERAS_LAYER) -> None:
        self._worker = worker.Worker(factory)
        self.environment = Environment(target=name, **self._worker.environment())

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        return observation(self._worker.observe(request(case, inputs)))

    def is_layer(self, thing: object) -> bool:
        """Whether `thing` is a Keras layer (an instance)."""
        return isinstance(thing, self._worker.keras.layers.Layer)


class Subprocess:
    """Keras' own layer in another interpreter, which needs Keras but not bnverify."""

    def __init__(self, python: str = sys.executable, env: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [python, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
        )
        self.environment = Environment(target=KERAS_LAYER, **self._answer())

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        assert self._process.stdin is not None
        self._process.stdin.write(worker.pack(request(case, inputs)))
        self._process.stdin.flush()
        return observation(self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] | None = worker.unpack(self._process.stdout)
        if answer is None:
            self.close()
            raise EOFError(f"the worker ended with exit code {self._process.returncode}")
        return answer

    def __enter__(self) -> Subprocess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the worker by ending its input."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


def request(case: Case, inputs: Inputs) -> dict[str, Any]:
    """What the worker is asked for a case."""
    steps: list[dict[str, Any]] = [
        {"do": "trainable", "value": step is Step.UNFREEZE}
        if batch is None
        else {"do": "call", "training": step.training, "x": batch}
        for step, batch in zip(case.steps, inputs.batches, strict=True)
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
    """The worker's answer as frozen values."""
    return Observation(
        weights=tuple(WeightInfo(w["name"], tuple(w["shape"]), w["dtype"], w["trainable"]) for w in answer["weights"]),
        initial=answer["initial"],
        config=answer["config"],
        steps=tuple(
            StepObservation(step["weights"], tuple(step["trainable"]), step["y"], step["y_dtype"]) for step in answer["steps"]
        ),
        failure=Failure(**answer["failure"]) if answer["failure"] else None,
    )
