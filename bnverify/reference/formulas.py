"""The formulas of batch normalization, written to be read: every other file asks these functions what Keras promises.

Each takes the array namespace `xp` (numpy, keras.ops) that its arrays belong to, so that the same text serves the reference
and, with one formula replaced, the hypotheses and the mutant layers. Statistics have the rank of x, with size 1 on
reduced axes.

Sources: S. Ioffe and C. Szegedy, "Batch Normalization", 2015, https://arxiv.org/abs/1502.03167, algorithms 1 and 2; the
docstring of keras.layers.BatchNormalization, https://keras.io/api/layers/normalization_layers/batch_normalization/.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Tensor = Any  # an array of the namespace `xp`
Axes = tuple[int, ...]


def moments(xp: Any, x: Tensor, axes: Axes) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of the batch: sum(x)/n and sum((x-mean)^2)/n over `axes` (Ioffe & Szegedy, algorithm 1)."""
    mean = xp.mean(x, axis=axes, keepdims=True)
    return mean, xp.mean(xp.square(x - mean), axis=axes, keepdims=True)


def inverse_deviation(xp: Any, variance: Tensor, epsilon: float) -> Tensor:
    """1/sqrt(variance + epsilon): epsilon is added to the variance, under the root."""
    return 1.0 / xp.sqrt(variance + epsilon)


def output(xp: Any, x: Tensor, mean: Tensor, inverse: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """gamma*(x-mean)/sqrt(variance+epsilon) + beta."""
    return (x - mean) * (inverse * gamma) + beta


def moving_mean(xp: Any, moving: Tensor, batch: Tensor, momentum: float) -> Tensor:
    """moving*momentum + batch*(1-momentum): momentum is the share of the old value that stays."""
    return moving * momentum + batch * (1.0 - momentum)


def moving_variance(xp: Any, moving: Tensor, batch: Tensor, momentum: float, n: int, epsilon: float) -> Tensor:
    """As the moving mean, of the batch's biased variance; n, the number of summands, and epsilon play no part."""
    return moving * momentum + batch * (1.0 - momentum)


def normalizes_with_batch(training: bool | None, frozen: bool) -> bool:
    """Batch statistics only if training=True and the layer is not frozen; `training` not given means inference."""
    return bool(training) and not frozen


def updates(training: bool | None, frozen: bool) -> bool:
    """The moving statistics move in exactly the calls that normalize with the batch's."""
    return bool(training) and not frozen


def training_statistics(batch: Tensor, updated: Tensor) -> Tensor:
    """In training the batch's own statistic is used, not the moving one just updated."""
    return batch


@dataclass(frozen=True)
class Formulas:
    """One complete set of formulas; `dataclasses.replace` gives a set with a fault."""

    moments: Callable[..., tuple[Tensor, Tensor]] = moments
    inverse_deviation: Callable[..., Tensor] = inverse_deviation
    output: Callable[..., Tensor] = output
    moving_mean: Callable[..., Tensor] = moving_mean
    moving_variance: Callable[..., Tensor] = moving_variance
    normalizes_with_batch: Callable[[bool | None, bool], bool] = normalizes_with_batch
    updates: Callable[[bool | None, bool], bool] = updates
    training_statistics: Callable[[Tensor, Tensor], Tensor] = training_statistics


KERAS = Formulas()


def count(shape: tuple[int, ...], axes: Axes) -> int:
    """The number n of values that each statistic is taken over."""
    return math.prod(shape[axis] for axis in axes)
