"""Keras layers whose fault shows in some modes only: in graphs, in models, unbuilt, by position."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from bnverify.targets.mutants.formula_layers import FormulaLayer, KerasLayer
from bnverify.targets.mutants.mutant import Mutant


def statistics(layer: Any) -> tuple[Any, Any]:
    """The moving statistics."""
    return layer.moving_mean, layer.moving_variance


def without_updates(layer: Any, call: Any) -> Any:
    """What a call returns; the moving statistics are put back."""
    kept = [ops.copy(w.value) for w in statistics(layer)]
    y = call()
    for weight, value in zip(statistics(layer), kept, strict=True):
        weight.assign(value)
    return y


class WithoutContext(KerasLayer):
    """Only an explicit `training` counts; the `training` of a model is ignored."""

    def __call__(self, inputs: Any, training: bool | None = None, **kwargs: Any) -> Any:
        return super().__call__(inputs, training=bool(training), **kwargs)


class UpdatesAtOnce(KerasLayer):
    """Updates the moving statistics in eager calls only; a call in a tf.function leaves them."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        run = super().call
        if tf.executing_eagerly():
            return run(inputs, training=training, mask=mask)
        return without_updates(self, lambda: run(inputs, training=training, mask=mask))


class HalfInGraphs(KerasLayer):
    """In graphs the output passes through bfloat16."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        y = super().call(inputs, training=training, mask=mask)
        return y if tf.executing_eagerly() else ops.cast(ops.cast(y, "bfloat16"), y.dtype)


class TrainsInGraphs(KerasLayer):
    """In graphs inference normalizes with the batch."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        run = super().call
        if tf.executing_eagerly() or training:
            return run(inputs, training=training, mask=mask)
        return without_updates(self, lambda: run(inputs, training=True, mask=mask))


class StatelessForgets(KerasLayer):
    """Inside stateless_call the moving statistics are not updated."""

    def stateless_call(self, own: Any, others: Any, *args: Any, **kwargs: Any) -> Any:
        y, _ = super().stateless_call(own, others, *args, **kwargs)
        return y, others


class IgnoresConstructor(KerasLayer):
    """trainable=False in the constructor is ignored."""

    def __init__(self, *args: Any, trainable: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class FrozenWhenBuilt(KerasLayer):
    """A layer that is frozen when it is built stays in inference mode."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.frozen = not self.trainable

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return super().call(inputs, training=bool(training) and not self.frozen, mask=mask)


class StaticSizes(FormulaLayer):
    """Sums are divided by the sizes that are known when the layer is built."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if None not in inputs.shape or not training:
            return KerasLayer.call(self, inputs, training=training, mask=mask)
        known = [size for i, size in enumerate(inputs.shape) if size is not None and i != self.axis % len(inputs.shape)]
        return KerasLayer.call(self, inputs * (1.0 + 1e-3 * (len(known) + 1)), training=training, mask=mask)


class ExplicitMask(KerasLayer):
    """A mask is used only if it is passed to the call, not if an earlier layer made it."""

    handed = False

    def __call__(self, inputs: Any, mask: Any = None, **kwargs: Any) -> Any:
        self.handed = mask is not None
        return super().__call__(inputs, mask=mask, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return super().call(inputs, training=training, mask=mask if self.handed else None)


class SharedSeed(KerasLayer):
    """Random initializers draw the same numbers for every weight."""

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        if isinstance(kwargs["initializer"], keras.initializers.RandomNormal):
            kwargs["initializer"] = keras.initializers.RandomNormal(seed=7)
        return super().add_weight(*args, **kwargs)


class SeedOfTheClass(KerasLayer):
    """Every layer draws the same numbers as the first one."""

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        if isinstance(kwargs["initializer"], keras.initializers.RandomNormal):
            seed = sum(map(ord, kwargs["name"]))
            kwargs["initializer"] = keras.initializers.RandomNormal(seed=seed)
        return super().add_weight(*args, **kwargs)


class IgnoresInitializers(KerasLayer):
    """gamma starts at 1; gamma_initializer is ignored."""

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_weight(
            *args, **{**kwargs, "initializer": "ones" if kwargs["name"] == "gamma" else kwargs["initializer"]}
        )


class OtherOrder(KerasLayer):
    """The constructor takes epsilon before momentum."""

    def __init__(self, axis: int = -1, epsilon: float = 1e-3, momentum: float = 0.99, *args: Any, **kwargs: Any) -> None:
        super().__init__(axis, momentum, epsilon, *args, **kwargs)


class Noise(KerasLayer):
    """The last bit of the output depends on how many calls there were before."""

    calls = itertools.count()

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        y = super().call(inputs, training=training, mask=mask)
        return y * (1.0 + 2.0**-23 * (next(self.calls) % 3 == 0))


class FirstOfTwo(KerasLayer):
    """A layer with two inputs updates its statistics with the first only."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        run = super().call
        if len(self._inbound_nodes) > 1 and training and inputs is not None:
            self.count = getattr(self, "count", 0) + 1
            if self.count % 2 == 0:
                return without_updates(self, lambda: run(inputs, training=training, mask=mask))
        return run(inputs, training=training, mask=mask)


MODE_MUTANTS = (
    Mutant("without-context", "`training` of the model is not passed on", "modes", WithoutContext),
    Mutant("updates-at-once", "the moving statistics are updated in eager calls only", "modes", UpdatesAtOnce),
    Mutant("half-in-graphs", "in graphs y passes through bfloat16", "modes", HalfInGraphs),
    Mutant("trains-in-graphs", "in graphs inference normalizes with the batch", "modes", TrainsInGraphs),
    Mutant("stateless-forgets", "stateless_call returns moving statistics without an update", "modes", StatelessForgets),
    Mutant("ignores-constructor", "trainable=False in the constructor is ignored", "modes", IgnoresConstructor),
    Mutant("frozen-when-built", "a layer that is frozen when it is built stays in inference mode", "modes", FrozenWhenBuilt),
    Mutant("static-sizes", "sums are wrong if sizes are unknown when the layer is built", "modes", StaticSizes),
    Mutant("explicit-mask", "masks made by an earlier layer are ignored", "modes", ExplicitMask),
    Mutant("shared-seed", "gamma and beta start from the same random numbers", "weights", SharedSeed),
    Mutant("seed-of-the-class", "every layer starts from the same random numbers", "weights", SeedOfTheClass),
    Mutant("ignores-initializer", "gamma_initializer is ignored", "weights", IgnoresInitializers),
    Mutant("other-order", "the constructor takes epsilon before momentum", "arguments", OtherOrder),
    Mutant("noise", "the last bit of y depends on the calls before", "determinism", Noise),
    Mutant("first-of-two", "a layer with two inputs updates its statistics with the first only", "modes", FirstOfTwo),
)
