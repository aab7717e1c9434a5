"""A stand-in for a framework of the worker, where what is tested is the worker and not the framework."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np


class Variable:
    """A weight as Keras has it: a name, a shape and a value."""

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, np.asarray(value, np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape


@dataclass
class Layer:
    """A layer with weights; the first two are trainable unless the layer is frozen."""

    weights: list[Variable] = field(default_factory=list)
    trainable: bool = True
    losses: tuple[float, ...] = ()
    momentum: float = 0.99

    @property
    def trainable_weights(self) -> list[Variable]:
        return self.weights[:2] if self.trainable else []


class Framework:
    """Arrays are NumPy's. The global policy can be read and set."""

    generation = 3
    backend = "numpy"

    def __init__(self) -> None:
        mixed = SimpleNamespace(
            dtype_policy=lambda: SimpleNamespace(name=self.policy), set_dtype_policy=lambda p: setattr(self, "policy", p)
        )
        backend = SimpleNamespace(set_floatx=lambda name: setattr(self, "floatx", name))
        self.keras = SimpleNamespace(mixed_precision=mixed, backend=backend)
        self.policy, self.floatx = "float32", "float32"

    def arrays(self, variables: list[Variable]) -> list[np.ndarray]:
        return [v.value.copy() for v in variables]

    def array(self, tensor: Any) -> np.ndarray:
        return np.asarray(tensor.value if isinstance(tensor, Variable) else tensor)

    def dtype(self, tensor: Any) -> str:
        return str(self.array(tensor).dtype)

    def assign(self, variable: Variable, value: np.ndarray) -> None:
        variable.value = np.asarray(value, np.float32)

    def losses(self, layer: Layer) -> tuple[float, ...]:
        return layer.losses


def batch_normalization(**changes: Any) -> Layer:
    """A layer with the four weights, named as Keras 2 names them."""
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    return Layer([Variable(f"bn_1/{name}:0", [i, i + 0.5]) for i, name in enumerate(names)], **changes)
