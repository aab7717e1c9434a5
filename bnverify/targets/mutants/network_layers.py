"""Layers that are right on their own and wrong in a network with other layers of their class."""

from __future__ import annotations

import weakref
from typing import Any

import keras

from bnverify.targets.mutants.formula_layers import KerasLayer


def upstream(tensor: Any, kind: type) -> Any:
    """The nearest layer of a class before a symbolic tensor, or None."""
    seen, waiting = set(), [tensor]
    while waiting:
        operation = waiting.pop(0)._keras_history.operation
        if operation is None or id(operation) in seen:
            continue
        seen.add(id(operation))
        if isinstance(operation, kind):
            return operation
        for node in operation._inbound_nodes:
            waiting.extend(node.input_tensors)
    return None


class Behind(KerasLayer):
    """A layer that knows the nearest layer of the same class before it in the model; None for the first."""

    before: Any = None  # a weak reference, because Keras would track the layer as a part of this one

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(inputs, keras.KerasTensor):
            found = upstream(inputs, type(self))
            self.before = found if found is None else weakref.ref(found)
        return super().__call__(inputs, *args, **kwargs)

    @property
    def other(self) -> Any:
        return self.before and self.before()


class DropsUpdateBehind(Behind):
    """The moving statistics are not updated if the input comes from another layer of the class."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if self.other is None:
            return super().call(inputs, training=training, mask=mask)
        given, self.momentum = self.momentum, 1.0
        try:
            return super().call(inputs, training=training, mask=mask)
        finally:
            self.momentum = given


class SharesStatistics(Behind):
    """The update also goes into the statistics of the layer before it."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        y = super().call(inputs, training=training, mask=mask)
        other = self.other
        if training and self.trainable and other is not None and other.moving_mean.shape == self.moving_mean.shape:
            other.moving_mean.assign(self.moving_mean)
            other.moving_variance.assign(self.moving_variance)
        return y


class LatestArguments(KerasLayer):
    """Computes with momentum and epsilon of the layer that was made last, because the class stores them."""

    latest: tuple[float, float] = (0.99, 1e-3)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        type(self).latest = self.momentum, self.epsilon

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        given = self.momentum, self.epsilon
        self.momentum, self.epsilon = type(self).latest
        try:
            return super().call(inputs, training=training, mask=mask)
        finally:
            self.momentum, self.epsilon = given
