"""Mutants: real Keras layers with one seeded fault each, and equivalent ones without. They test the verifier itself.

Imported only where Keras is: a layer per hypothesis of `reference.hypotheses`, and layers whose fault no formula has:
precision, weights, arguments, leaks. An equivalent mutant computes the same by legitimate other arithmetic and must pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import ops

from bnverify.reference.formulas import KERAS, Backward, Formulas
from bnverify.reference.hypotheses import HYPOTHESES

KerasLayer = keras.layers.BatchNormalization


@dataclass(frozen=True)
class Mutant:
    """A key, what is wrong in words, the group of faults, and the layer class."""

    key: str
    fault: str
    group: str
    layer: Callable[..., Any]


class FormulaLayer(KerasLayer):
    """Keras' layer with its call written with `formulas`, in the precision that Keras computes in."""

    formulas: Formulas = KERAS

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        f = self.formulas
        x = self.enter(inputs)
        axis = self.axis % len(x.shape)
        axes = tuple(i for i in range(len(x.shape)) if i != axis)
        shape = [x.shape[axis] if i == axis else 1 for i in range(len(x.shape))]
        old = {w.name: ops.reshape(ops.cast(w, x.dtype), shape) for w in self.weights}
        if mask is not None:
            mask = ops.broadcast_to(ops.cast(ops.expand_dims(mask, -1), "bool"), x.shape)
        mean, variance = old["moving_mean"], old["moving_variance"]
        gamma, beta = old.get("gamma", ops.ones(shape, x.dtype)), old.get("beta", ops.zeros(shape, x.dtype))
        frozen = not self.trainable
        uses, updates = f.normalizes_with_batch(training, frozen), f.updates(training, frozen)
        if uses or updates:
            n: Any = int(np.prod([x.shape[a] for a in axes]))
            if mask is None:
                batch_mean, batch_variance = f.moments(ops, x, axes)
            else:
                batch_mean, batch_variance, n = f.masked_moments(ops, x, mask, axes)
            new = self.moved(old, batch_mean, batch_variance, n) if updates else {}
            for name, value in new.items():
                getattr(self, name).assign(ops.reshape(value, (-1,)))
            if uses:
                mean = f.training_statistics(batch_mean, new.get("moving_mean", mean))
                variance = f.training_statistics(batch_variance, new.get("moving_variance", variance))
                if self.renorm:
                    stddev = f.deviation(ops, batch_variance, self.epsilon)
                    past = (old["renorm_mean"], old["renorm_stddev"])
                    correction = f.renorm_correction(ops, batch_mean, stddev, *past, self.epsilon, self.renorm_clipping)
                    r, d = (ops.stop_gradient(part) for part in correction)
                    gamma, beta = gamma * r, gamma * d + beta
        inverse = f.inverse_deviation(ops, variance, self.epsilon)
        y = f.output(ops, x, mean, inverse, gamma, beta)
        return ops.cast(y if mask is None else f.masked_output(ops, y, x, mask), self.compute_dtype)

    def moved(self, old: Any, mean: Any, variance: Any, n: Any) -> dict[str, Any]:
        """The statistics after a training call."""
        f, momentum, epsilon = self.formulas, self.momentum, self.epsilon
        new = {"moving_mean": f.moving_mean(ops, old["moving_mean"], mean, momentum)}
        if not self.renorm:
            new["moving_variance"] = f.moving_variance(ops, old["moving_variance"], variance, momentum, n, epsilon)
            return new
        stddev = f.deviation(ops, variance, epsilon)
        new["moving_stddev"] = f.moving_mean(ops, old["moving_stddev"], stddev, momentum)
        new["moving_variance"] = f.renorm_variance(ops, new["moving_stddev"], epsilon)
        momenta = (momentum, self.renorm_momentum)
        new["renorm_mean"] = f.renorm_average(ops, old["renorm_mean"], mean, *momenta)
        new["renorm_stddev"] = f.renorm_average(ops, old["renorm_stddev"], stddev, *momenta)
        return new

    def enter(self, inputs: Any) -> Any:
        """The inputs in the dtype that the arithmetic is done in."""
        return ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))


class GradientLayer(KerasLayer):
    """Keras' layer whose output is right and whose gradients are those of `formulas`; frozen layers and masks as in Keras."""

    formulas: Formulas = KERAS

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None or self.renorm or not (self.center and self.scale):
            return super().call(inputs, training=training, mask=mask)
        trains = bool(training) and self.trainable
        axis = self.axis % len(inputs.shape)
        axes = tuple(i for i in range(len(inputs.shape)) if i != axis)
        shape = [inputs.shape[axis] if i == axis else 1 for i in range(len(inputs.shape))]
        x = ops.stop_gradient(ops.cast(inputs, "float32"))
        old = [ops.reshape(ops.cast(w, "float32"), shape) for w in (self.moving_mean, self.moving_variance)]
        mean, variance = ops.moments(x, axes, keepdims=True) if trains else old
        y = ops.stop_gradient(super().call(inputs, training=training))

        @ops.custom_gradient
        def through(inputs: Any, gamma: Any, beta: Any) -> Any:
            def gradient(*upstream: Any) -> Any:
                b = Backward(
                    dy=ops.cast(upstream[-1], "float32"),
                    d=x - mean,
                    n=float(np.prod([x.shape[a] for a in axes])) if trains else None,
                    inverse=1.0 / ops.sqrt(variance + self.epsilon),
                    gamma=ops.reshape(ops.cast(gamma, "float32"), shape),
                    r=1.0,
                    shift=0.0,
                    total=lambda terms: ops.sum(ops.broadcast_to(terms, x.shape), axis=axes, keepdims=True),
                    within=lambda terms: terms,
                )
                dx, of_gamma, of_beta = self.formulas.gradients(b)
                own = (ops.reshape(of_gamma, (-1,)), ops.reshape(of_beta, (-1,)))
                return ops.cast(dx, inputs.dtype), *(ops.cast(g, gamma.dtype) for g in own)

            return y, gradient

        return through(ops.convert_to_tensor(inputs), self.gamma.value, self.beta.value)


def formula_layer(**changes: Any) -> type:
    """A layer class with some formulas replaced."""
    return type("FormulaMutant", (FormulaLayer,), {"formulas": replace(KERAS, **changes)})


def _rounded(x: Any, dtype: str) -> Any:
    return ops.cast(ops.cast(x, dtype), x.dtype)


def _relative(change: float) -> Callable[..., Any]:
    return lambda xp, x, mean, inverse, gamma, beta: (x - mean) * (inverse * gamma * (1.0 + change)) + beta


def _one_pass(clamp: bool) -> Callable[..., Any]:
    def moments(xp: Any, x: Any, axes: Any) -> Any:
        mean = xp.mean(x, axis=axes, keepdims=True)
        variance = xp.mean(xp.square(x), axis=axes, keepdims=True) - xp.square(mean)
        return mean, xp.maximum(variance, 0.0) if clamp else variance

    return moments


def _moments_in(dtype: str) -> Callable[..., Any]:
    def moments(xp: Any, x: Any, axes: Any) -> Any:
        mean, variance = KERAS.moments(xp, ops.cast(x, dtype), axes)
        return ops.cast(mean, x.dtype), ops.cast(variance, x.dtype)

    return moments


def _leaking_moments(xp: Any, x: Any, axes: Any) -> Any:
    mean, variance = KERAS.moments(xp, x, axes)
    return mean + xp.sum(mean) * 0.0, variance


class InHalf(FormulaLayer):
    """Everything in float16."""

    def enter(self, inputs: Any) -> Any:
        return ops.cast(inputs, "float16")


class InComputeDtype(FormulaLayer):
    """Statistics and normalization in the policy's compute dtype: half under half policies."""

    def enter(self, inputs: Any) -> Any:
        return ops.cast(inputs, self.compute_dtype)


class InSingle(FormulaLayer):
    """float32 under a float64 policy, too."""

    def enter(self, inputs: Any) -> Any:
        return ops.cast(inputs, "float32")


class InTenBits(FormulaLayer):
    """Inputs rounded to TF32's 11 bits of significand before the arithmetic."""

    def enter(self, inputs: Any) -> Any:
        x = super().enter(inputs)
        scale = ops.cast(2.0**13 + 1.0, x.dtype)
        high = x * scale
        return high - (high - x)


class FloatOutput(KerasLayer):
    """y stays in float32 under half policies."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return ops.cast(super().call(inputs, training=training), "float32")


class FlatOutput(KerasLayer):
    """y loses axes of size 1."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return ops.squeeze(super().call(inputs, training=training))


class SingleWeights(KerasLayer):
    """Weights are float32 under every policy."""

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_weight(*args, **{**kwargs, "dtype": "float32"})


class RenamedWeights(KerasLayer):
    """gamma is called scale."""

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_weight(*args, **{**kwargs, "name": kwargs["name"].replace("gamma", "scale")})


class TrainableStatistics(KerasLayer):
    """The moving statistics are trainable."""

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_weight(*args, **{**kwargs, "trainable": True})


class FixedGamma(KerasLayer):
    """gamma is not trainable."""

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_weight(*args, **{**kwargs, "trainable": kwargs["trainable"] and kwargs["name"] != "gamma"})


class ExtraWeight(KerasLayer):
    """A counter of batches beside Keras' weights, as PyTorch has."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.batches = self.add_weight(shape=(input_shape[self.axis],), name="num_batches", trainable=False)


class AlwaysBeta(KerasLayer):
    """center=False is ignored."""

    def build(self, input_shape: Any) -> None:
        center, self.center = self.center, True
        super().build(input_shape)
        self.center = center

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        center, self.center = self.center, True
        y = super().call(inputs, training=training)
        self.center = center
        return y


class SwappedWeights(KerasLayer):
    """beta is created, and listed, before gamma."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self._trainable_variables.reverse()


class WrongAxisForImages(KerasLayer):
    """axis=1 is taken for the last axis."""

    def build(self, input_shape: Any) -> None:
        if self.axis == 1:
            self.axis = -1
        super().build(input_shape)


class NegativeAxisOffByOne(KerasLayer):
    """Negative axes below -1 are off by one."""

    def build(self, input_shape: Any) -> None:
        if self.axis < -1:
            self.axis += 1
        super().build(input_shape)


class KeepsFrozen(KerasLayer):
    """Once frozen, a layer stays in inference mode."""

    was_frozen = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        self.was_frozen = self.was_frozen or not self.trainable
        return super().call(inputs, training=bool(training) and not self.was_frozen)


class MovesBeta(KerasLayer):
    """A training call nudges beta."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        y = super().call(inputs, training=training)
        if training and self.center:
            self.beta.assign(self.beta + 1e-6)
        return y


class FirstStepOnly(KerasLayer):
    """The moving statistics move in the first training call alone."""

    moved = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        before = [ops.copy(self.moving_mean.value), ops.copy(self.moving_variance.value)]
        y = super().call(inputs, training=training)
        if training and self.trainable:
            if self.moved:
                self.moving_mean.assign(before[0])
                self.moving_variance.assign(before[1])
            self.moved = True
        return y


def with_defaults(**defaults: Any) -> type:
    """A layer class with other defaults in its constructor."""

    def __init__(self: Any, **kwargs: Any) -> None:
        KerasLayer.__init__(self, **{**defaults, **kwargs})

    return type("OtherDefaults", (KerasLayer,), {"__init__": __init__})


def with_argument(name: str, change: Callable[[float], float]) -> type:
    """A layer class that computes with a changed argument and reports the one that it was given."""

    def call(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        given = getattr(self, name)
        setattr(self, name, change(given))
        y = KerasLayer.call(self, inputs, training=training)
        setattr(self, name, given)
        return y

    return type("ChangedArgument", (KerasLayer,), {"call": call})


def _half(value: float) -> float:
    return float(np.float16(value))


def _moving_rounded(dtype: str) -> dict[str, Any]:
    return {
        "moving_mean": lambda xp, old, new, m: _rounded(old * m + new * (1 - m), dtype),
        "moving_variance": lambda xp, old, new, m, n, e: _rounded(old * m + new * (1 - m), dtype),
    }


def _output_rounding(part: str, dtype: str) -> Callable[..., Any]:
    def output(xp: Any, x: Any, mean: Any, inverse: Any, gamma: Any, beta: Any) -> Any:
        parts = {"x": x, "mean": mean, "inverse": inverse}
        parts[part] = _rounded(parts[part], dtype)
        return (parts["x"] - parts["mean"]) * (parts["inverse"] * gamma) + beta

    return output


OF_KERAS = ("second-of-constant-mean", "mask-count-epsilon")  # what Keras itself does cannot be planted in it

MUTANTS: tuple[Mutant, ...] = (
    *(
        Mutant(h.key, h.cause, "gradient" if h.backward else "formula", type("Mutant", (kind,), {"formulas": h.formulas}))
        for h in HYPOTHESES
        for kind in [GradientLayer if h.backward else FormulaLayer]
        if h.key not in OF_KERAS
    ),
    Mutant("gamma-1e-6", "the scale is off by a factor 1 + 1e-6", "subtle", formula_layer(output=_relative(1e-6))),
    Mutant("epsilon-1e-4", "epsilon is off by a factor 1 + 1e-4", "subtle", with_argument("epsilon", lambda e: e * 1.0001)),
    Mutant("epsilon-half", "epsilon is rounded to float16", "subtle", with_argument("epsilon", _half)),
    Mutant("momentum-1e-5", "momentum is off by a factor 1 - 1e-5", "subtle", with_argument("momentum", lambda m: m * 0.99999)),
    Mutant("momentum-half", "momentum is rounded to float16", "subtle", with_argument("momentum", _half)),
    Mutant("one-pass", "the variance is E[x²]−E[x]²", "stability", formula_layer(moments=_one_pass(False))),
    Mutant("one-pass-clamped", "the variance is max(E[x²]−E[x]², 0)", "stability", formula_layer(moments=_one_pass(True))),
    Mutant("half", "everything is computed in float16", "precision", InHalf),
    Mutant("compute-dtype", "half policies compute statistics in half", "precision", InComputeDtype),
    Mutant("single", "float64 policies compute in float32", "precision", InSingle),
    Mutant("ten-bits", "inputs are rounded to TF32's significand", "precision", InTenBits),
    Mutant("moments-half", "moments are computed in float16", "precision", formula_layer(moments=_moments_in("float16"))),
    Mutant("moments-bfloat16", "moments are computed in bfloat16", "precision", formula_layer(moments=_moments_in("bfloat16"))),
    Mutant(
        "mean-half", "the mean is rounded to float16", "precision", formula_layer(output=_output_rounding("mean", "float16"))
    ),
    Mutant(
        "inverse-half",
        "1/sqrt(…) is rounded to float16",
        "precision",
        formula_layer(output=_output_rounding("inverse", "float16")),
    ),
    Mutant("moving-half", "moving statistics are rounded to float16", "precision", formula_layer(**_moving_rounded("float16"))),
    Mutant("leak", "NaN in one channel reaches the others", "leak", formula_layer(moments=_leaking_moments)),
    Mutant("float-output", "y is float32 under half policies", "form", FloatOutput),
    Mutant("flat-output", "y loses axes of size 1", "form", FlatOutput),
    Mutant("single-weights", "weights are float32 under every policy", "weights", SingleWeights),
    Mutant("renamed-weights", "gamma is called scale", "weights", RenamedWeights),
    Mutant("trainable-statistics", "the moving statistics are trainable", "weights", TrainableStatistics),
    Mutant("fixed-gamma", "gamma is not trainable", "weights", FixedGamma),
    Mutant("extra-weight", "there is a weight that Keras' layer does not have", "weights", ExtraWeight),
    Mutant("always-beta", "center=False is ignored", "weights", AlwaysBeta),
    Mutant("swapped-weights", "beta is listed before gamma", "weights", SwappedWeights),
    Mutant("zero-variance", "moving_variance starts at 0", "arguments", with_defaults(moving_variance_initializer="zeros")),
    Mutant("default-momentum", "momentum is 0.9 by default", "arguments", with_defaults(momentum=0.9)),
    Mutant("default-epsilon", "epsilon is 1e-5 by default", "arguments", with_defaults(epsilon=1e-5)),
    Mutant("default-axis", "axis is 1 by default", "arguments", with_defaults(axis=1)),
    Mutant("images-axis", "axis=1 is taken for the last axis", "axis", WrongAxisForImages),
    Mutant("negative-axis", "negative axes below -1 are off by one", "axis", NegativeAxisOffByOne),
    Mutant("keeps-frozen", "unfreezing does not bring training back", "modes", KeepsFrozen),
    Mutant("moves-beta", "a training call nudges beta by 1e-6", "modes", MovesBeta),
    Mutant("first-step-only", "the moving statistics move once and never again", "modes", FirstStepOnly),
)


def _folded(xp: Any, x: Any, mean: Any, inverse: Any, gamma: Any, beta: Any) -> Any:
    scale = inverse * gamma
    return x * scale + (beta - mean * scale)


def _one_after_another(xp: Any, x: Any, axes: Any) -> Any:
    """Sums in one running total per channel."""
    kept = next(i for i in range(len(x.shape)) if i not in axes)
    order = (*axes, kept)
    shape = [x.shape[kept] if i == kept else 1 for i in range(len(x.shape))]
    rows = np.asarray(ops.convert_to_numpy(x)).transpose(order).reshape(-1, x.shape[kept])
    mean = np.cumsum(rows, axis=0, dtype=rows.dtype)[-1] / rows.dtype.type(len(rows))
    squares = np.cumsum((rows - mean) ** 2, axis=0, dtype=rows.dtype)[-1] / rows.dtype.type(len(rows))
    values = (ops.reshape(ops.convert_to_tensor(v), shape) for v in (mean, squares))
    return tuple(  # the values summed here, with the gradients of Keras' own
        ops.stop_gradient(value) + (own - ops.stop_gradient(own))
        for value, own in zip(values, KERAS.moments(xp, x, axes), strict=True)
    )


EQUIVALENT: tuple[Mutant, ...] = (
    Mutant("textbook", "the formulas as written in the reference", "equivalent", formula_layer()),
    Mutant("folded", "x·scale + (beta − mean·scale)", "equivalent", formula_layer(output=_folded)),
    Mutant(
        "scaled-last",
        "gamma·((x−mean)·inverse) + beta",
        "equivalent",
        formula_layer(output=lambda xp, x, mean, inverse, gamma, beta: gamma * ((x - mean) * inverse) + beta),
    ),
    Mutant("rsqrt", "1/sqrt as one operation", "equivalent", formula_layer(inverse_deviation=lambda xp, v, e: xp.rsqrt(v + e))),
    Mutant(
        "difference-update",
        "moving − (moving − batch)·(1 − momentum)",
        "equivalent",
        formula_layer(
            moving_mean=lambda xp, old, new, m: old - (old - new) * (1 - m),
            moving_variance=lambda xp, old, new, m, n, e: old - (old - new) * (1 - m),
        ),
    ),
    Mutant("one-after-another", "sums in one running total", "equivalent", formula_layer(moments=_one_after_another)),
    Mutant("subclass", "a subclass that changes nothing", "equivalent", type("Subclass", (KerasLayer,), {})),
)
