"""The formulas of batch normalization, written to be read. Every other file takes from here what Keras promises.

Each function takes the array namespace `xp` (numpy, keras.ops) of its arrays. So the same text serves the reference and, with
one formula replaced, the hypotheses and the mutant layers. Statistics have the rank of x, with size 1 on reduced axes.

Sources: S. Ioffe and C. Szegedy, "Batch Normalization", 2015, https://arxiv.org/abs/1502.03167, algorithms 1 and 2; the
docstring of keras.layers.BatchNormalization, https://keras.io/api/layers/normalization_layers/batch_normalization/.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Tensor = Any  # an array of the namespace `xp`
Axes = tuple[int, ...]
Clipping = Mapping[str, float]


def moments(xp: Any, x: Tensor, axes: Axes) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of the batch: sum(x)/n and sum((x-mean)^2)/n over `axes` (Ioffe & Szegedy, algorithm 1)."""
    mean = xp.mean(x, axis=axes, keepdims=True)
    return mean, xp.mean(xp.square(x - mean), axis=axes, keepdims=True)


def masked_moments(xp: Any, x: Tensor, mask: Tensor, axes: Axes) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance of the values where `mask` is True, and their count; 0/0 if there are none.

    mask: has the rank of x, and size 1 along an axis where one value applies to the whole axis.
    """
    n = xp.sum(xp.where(mask, xp.ones_like(x), 0.0), axis=axes, keepdims=True)
    mean = xp.sum(xp.where(mask, x, 0.0), axis=axes, keepdims=True) / n
    return mean, xp.sum(xp.square(xp.where(mask, x - mean, 0.0)), axis=axes, keepdims=True) / n, n


def inverse_deviation(xp: Any, variance: Tensor, epsilon: float) -> Tensor:
    """1/sqrt(variance + epsilon): epsilon is added to the variance, under the root."""
    return 1.0 / xp.sqrt(variance + epsilon)


def output(xp: Any, x: Tensor, mean: Tensor, inverse: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """gamma*(x-mean)/sqrt(variance+epsilon) + beta."""
    return (x - mean) * (inverse * gamma) + beta


def masked_output(xp: Any, y: Tensor, x: Tensor, mask: Tensor) -> Tensor:
    """Masked positions are normalized like all others."""
    return y


def moving_mean(xp: Any, moving: Tensor, batch: Tensor, momentum: float) -> Tensor:
    """moving*momentum + batch*(1-momentum): momentum is the weight of the old value."""
    return moving * momentum + batch * (1.0 - momentum)


def moving_variance(xp: Any, moving: Tensor, batch: Tensor, momentum: float, n: int, epsilon: float) -> Tensor:
    """The moving mean's formula with the biased variance of the batch. The number n of summands and epsilon have no effect."""
    return moving * momentum + batch * (1.0 - momentum)


def told(training: bool | None, pinned: bool | None) -> bool | None:
    """The `training` that a layer in a model gets: the value fixed when the model was made, else that of the model's call."""
    return training if pinned is None else pinned


def normalizes_with_batch(training: bool | None, frozen: bool) -> bool:
    """Batch statistics are used only if training=True and the layer is not frozen. A call without `training` is inference."""
    return bool(training) and not frozen


def updates(training: bool | None, frozen: bool) -> bool:
    """The moving statistics are updated in exactly the calls that normalize with the batch statistics."""
    return bool(training) and not frozen


def penalizes(frozen: bool) -> bool:
    """The regularizers of gamma and beta add their losses while these weights are trainable, and none when they are frozen."""
    return not frozen


def penalizes_always(frozen: bool) -> bool:
    """The losses are added when the weights are made, and stay when the layer is frozen (Keras 2: Layer.add_weight)."""
    return True


def training_statistics(batch: Tensor, updated: Tensor) -> Tensor:
    """In training the batch statistic is used, not the moving one that was just updated."""
    return batch


def deviation(xp: Any, variance: Tensor, epsilon: float) -> Tensor:
    """The standard deviation of batch renormalization: sqrt(variance + epsilon)."""
    return xp.sqrt(variance + epsilon)


def renorm_correction(
    xp: Any, mean: Tensor, stddev: Tensor, renorm_mean: Tensor, renorm_stddev: Tensor, epsilon: float, clipping: Clipping
) -> tuple[Tensor, Tensor]:
    """r = stddev/renorm_stddev in [rmin, rmax] and d = (mean-renorm_mean)/renorm_stddev in [-dmax, dmax].

    S. Ioffe, "Batch Renormalization", 2017, https://arxiv.org/abs/1702.03275, algorithm 1; y = (x̂*r + d)*gamma + beta. The
    statistics have their values from before this batch, and renorm_stddev is at least sqrt(epsilon).
    """
    scale = xp.maximum(renorm_stddev, epsilon**0.5)
    r, d = stddev / scale, (mean - renorm_mean) / scale
    r = xp.minimum(xp.maximum(r, clipping.get("rmin", 0.0)), clipping.get("rmax", math.inf))
    largest = clipping.get("dmax", math.inf)
    return r, xp.minimum(xp.maximum(d, -largest), largest)


def renorm_average(xp: Any, old: Tensor, new: Tensor, momentum: float, renorm_momentum: float) -> Tensor:
    """renorm_mean and renorm_stddev are updated with renorm_momentum."""
    return old * renorm_momentum + new * (1.0 - renorm_momentum)


def renorm_variance(xp: Any, stddev: Tensor, epsilon: float) -> Tensor:
    """With renorm the moving variance is computed from the moving deviation: max(moving_stddev^2 - epsilon, 0)."""
    return xp.maximum(stddev * stddev - epsilon, 0.0)


@dataclass(frozen=True)
class Backward:
    """What the gradient of a call is computed from, for an upstream gradient dy = dL/dy.

    mean: the mean that normalizes. d: x - mean. within: sets values that are left out of the statistics to 0. n: the count of
    the values that they include, or None if the statistics do not depend on x. inverse: 1/sqrt(variance + epsilon). gamma:
    r*gamma with renorm. r, shift: the correction of renorm, else 1 and 0. direction: the direction of the second derivative.
    total: sums over the reduced axes.
    """

    dy: Tensor
    mean: Tensor
    d: Tensor
    n: Tensor
    inverse: Tensor
    gamma: Tensor
    r: Tensor
    shift: Tensor
    total: Callable[[Tensor], Tensor]
    within: Callable[[Tensor], Tensor]
    direction: Tensor = None


def gradients(b: Backward) -> tuple[Tensor, Tensor, Tensor]:
    """dL/dx, dL/dgamma and dL/dbeta. In a training call the statistics are functions of x (Ioffe & Szegedy, section 3).

    With s = gamma*inverse: dL/dx = s*dy - s*mean(dy) - gamma*inverse^3*mean(dy*d)*d, with means over n values. The correction
    of renorm is a constant (Ioffe 2017, section 3: gradients do not flow through r and d).
    """
    scale, of_beta, of_scale = b.gamma * b.inverse, b.total(b.dy), b.total(b.dy * b.d)
    dx = scale * b.dy
    if b.n is not None:
        curve = b.gamma * b.inverse * b.inverse * b.inverse * of_scale
        dx = dx - b.within((scale * of_beta + curve * (b.d - b.total(b.within(b.d)) / b.n)) / b.n)
    return dx, b.inverse * of_scale * b.r + b.shift * of_beta, of_beta


def second_gradient(b: Backward) -> Tensor:
    """The derivative of dL/dx in a direction v: the product rule applied to `gradients`, term by term.

    Primes mark derivatives: d' = v - mean(v), variance' = 2*mean(d*d'), inverse' = -inverse^3*variance'/2.
    """
    v = b.direction
    d = v - b.total(b.within(v)) / b.n
    inverse = -1.0 * b.inverse * b.inverse * b.inverse * b.total(b.within(b.d * d)) / b.n
    of_beta, of_scale, of_scale_ = b.total(b.dy), b.total(b.dy * b.d), b.total(b.dy * d)
    curve = b.gamma * b.inverse * b.inverse * b.inverse * of_scale
    curve_ = b.gamma * b.inverse * b.inverse * (3.0 * inverse * of_scale + b.inverse * of_scale_)
    scale, off, off_ = b.gamma * inverse, b.total(b.within(b.d)) / b.n, b.total(b.within(d)) / b.n
    return scale * b.dy - b.within((scale * of_beta + curve_ * (b.d - off) + curve * (d - off_)) / b.n)


def replicas_read(xp: Any, values: Tensor) -> Tensor | None:
    """What reading gives for a statistic that each replica updates by itself; `values` along the first axis. None: not
    promised.
    """
    return None


def mean_of_replicas(xp: Any, values: Tensor) -> Tensor | None:
    """Reading gives the mean of the replicas' values (Keras 2: tf.VariableSynchronization.ON_READ)."""
    return xp.mean(values, axis=0)


@dataclass(frozen=True)
class Formulas:
    """One complete set of formulas; `dataclasses.replace` gives a set with a fault."""

    moments: Callable[..., tuple[Tensor, Tensor]] = moments
    inverse_deviation: Callable[..., Tensor] = inverse_deviation
    output: Callable[..., Tensor] = output
    moving_mean: Callable[..., Tensor] = moving_mean
    moving_variance: Callable[..., Tensor] = moving_variance
    told: Callable[[bool | None, bool | None], bool | None] = told
    normalizes_with_batch: Callable[[bool | None, bool], bool] = normalizes_with_batch
    updates: Callable[[bool | None, bool], bool] = updates
    penalizes: Callable[[bool], bool] = penalizes
    training_statistics: Callable[[Tensor, Tensor], Tensor] = training_statistics
    masked_moments: Callable[..., tuple[Tensor, Tensor, Tensor]] = masked_moments
    masked_output: Callable[..., Tensor] = masked_output
    deviation: Callable[..., Tensor] = deviation
    renorm_correction: Callable[..., tuple[Tensor, Tensor]] = renorm_correction
    renorm_average: Callable[..., Tensor] = renorm_average
    renorm_variance: Callable[..., Tensor] = renorm_variance
    gradients: Callable[[Backward], tuple[Tensor, Tensor, Tensor]] = gradients
    second_gradient: Callable[[Backward], Tensor] = second_gradient
    replicas_read: Callable[..., Tensor | None] = replicas_read
    unfreezes: bool = True  # whether trainable=True undoes trainable=False
    settles: str = "compile"  # when fit takes over a change of `trainable`: at "compile", at the first "fit", or "never"


KERAS = Formulas()


def count(shape: tuple[int, ...], axes: Axes) -> int:
    """The number n of values in each statistic."""
    return math.prod(shape[axis] for axis in axes)
