"""Keras layers made from formulas: `FormulaLayer` computes its output with them, `GradientLayer` its gradients.

They turn the hypotheses of the reference into mutants. Importing this imports Keras.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from bnverify.reference.formulas import KERAS, Backward, Formulas

KerasLayer = keras.layers.BatchNormalization


def of_all_replicas(x: Any) -> Any:
    """The batch of all replicas, if there are several."""
    tf = importlib.import_module("tensorflow")
    here = tf.distribute.get_replica_context()
    return x if here is None or here.num_replicas_in_sync == 1 else here.all_gather(x, axis=0)


class FormulaLayer(KerasLayer):
    """Keras' layer with a call that uses `formulas`, in the precision of Keras."""

    formulas: Formulas = KERAS

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        f = self.formulas
        x = self.enter(inputs)
        axis = self.axis % len(x.shape)
        axes = tuple(i for i in range(len(x.shape)) if i != axis)
        shape = [x.shape[axis] if i == axis else 1 for i in range(len(x.shape))]
        old = {w.name: ops.reshape(ops.cast(w, x.dtype), shape) for w in self.weights}
        if mask is not None:
            if len(mask.shape) != len(x.shape) - 1:
                raise ValueError(f"a mask of shape {tuple(mask.shape)} for inputs of shape {tuple(x.shape)}")
            mask = ops.cast(ops.expand_dims(mask, -1), "bool")
        mean, variance = old["moving_mean"], old["moving_variance"]
        gamma, beta = old.get("gamma", ops.ones(shape, x.dtype)), old.get("beta", ops.zeros(shape, x.dtype))
        frozen = not self.trainable
        uses, updates = f.normalizes_with_batch(training, frozen), f.updates(training, frozen)
        if uses or updates:
            batch = of_all_replicas(x) if self.synchronized and mask is None else x
            sizes = [batch.shape[a] for a in axes]
            count = ops.prod(ops.shape(batch)) // x.shape[axis] if None in sizes else None
            n: Any = int(np.prod(sizes)) if count is None else ops.cast(count, x.dtype)
            if mask is None:
                batch_mean, batch_variance = f.moments(ops, batch, axes)
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
        """The moving statistics after a training call."""
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
        """The inputs in the dtype of the arithmetic."""
        return ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))


class GradientLayer(KerasLayer):
    """Keras' layer with the right output and the gradients of `formulas`. Freezing and masks work as in Keras."""

    formulas: Formulas = KERAS

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None or self.renorm or not (self.center and self.scale):
            return super().call(inputs, training=training, mask=mask)
        trains = bool(training) and self.trainable
        axis = self.axis % len(inputs.shape)
        axes = tuple(i for i in range(len(inputs.shape)) if i != axis)
        shape = [inputs.shape[axis] if i == axis else 1 for i in range(len(inputs.shape))]
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        x = ops.stop_gradient(ops.cast(inputs, dtype))
        old = [ops.reshape(ops.cast(w, dtype), shape) for w in (self.moving_mean, self.moving_variance)]
        mean, variance = ops.moments(x, axes, keepdims=True) if trains else old
        y = ops.stop_gradient(super().call(inputs, training=training, mask=mask))

        @ops.custom_gradient
        def through(inputs: Any, gamma: Any, beta: Any) -> Any:
            def gradient(*upstream: Any) -> Any:
                b = Backward(
                    dy=ops.cast(upstream[-1], dtype),
                    mean=mean,
                    d=x - mean,
                    n=float(np.prod([x.shape[a] for a in axes])) if trains else None,
                    inverse=1.0 / ops.sqrt(variance + self.epsilon),
                    gamma=ops.reshape(ops.cast(gamma, dtype), shape),
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
