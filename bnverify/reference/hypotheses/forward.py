"""Hypotheses about the output and the moving statistics, without mask and renorm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnverify.reference import formulas as f
from bnverify.reference.formulas import KERAS, Axes, Tensor
from bnverify.reference.hypotheses.hypothesis import Hypothesis


def _n(x: Tensor, axes: Axes) -> int:
    return f.count(tuple(x.shape), axes)


def _unbiased(xp, x, axes):
    mean, variance = f.moments(xp, x, axes)
    n = _n(x, axes)
    return mean, variance * (n / max(n - 1, 1))


def _unbiased_moving(xp, moving, batch, momentum, n, epsilon):
    return moving * momentum + batch * (n / xp.maximum(n - 1.0, 1.0)) * (1.0 - momentum)


def _biased_moving_of_unbiased(xp, moving, batch, momentum, n, epsilon):
    return moving * momentum + batch * (xp.maximum(n - 1.0, 1.0) / n) * (1.0 - momentum)


def _bessel_with_epsilon(xp, moving, batch, momentum, n, epsilon):
    return moving * momentum + batch * (n / (n - (1.0 + epsilon))) * (1.0 - momentum)


def _bessel_twice(xp, moving, batch, momentum, n, epsilon):
    return _bessel_with_epsilon(xp, moving, batch * (n / xp.maximum(n - 1.0, 1.0)), momentum, n, epsilon)


def _about_zero(xp, x, axes):
    mean = xp.mean(x, axis=axes, keepdims=True)
    return mean, xp.mean(xp.square(x), axis=axes, keepdims=True)


def _mean_deviation(xp, x, axes):
    mean = xp.mean(x, axis=axes, keepdims=True)
    return mean, xp.square(xp.mean(xp.abs(x - mean), axis=axes, keepdims=True))


def _zero_mean(xp, x, axes):
    mean, variance = f.moments(xp, x, axes)
    return mean * 0.0, variance


def _all_axes(xp, x, axes):
    mean, variance = f.moments(xp, x, tuple(range(len(x.shape))))
    own = xp.mean(x, axis=axes, keepdims=True) * 0.0
    return mean + own, variance + own


def _mean_of_variances(xp, x, axes):
    """Statistics over the first reduced axis, at each position, then averaged: the moments of moments."""
    mean = xp.mean(x, axis=axes[0], keepdims=True)
    variance = xp.mean(xp.square(x - mean), axis=axes[0], keepdims=True)
    return xp.mean(mean, axis=axes, keepdims=True), xp.mean(variance, axis=axes, keepdims=True)


def _without(first: bool):
    def moments(xp, x, axes):
        if x.shape[axes[0]] < 2:
            return f.moments(xp, x, axes)
        cut = [slice(None)] * len(x.shape)
        cut[axes[0]] = slice(1, None) if first else slice(0, -1)
        return f.moments(xp, x[tuple(cut)], axes)

    return moments


def _one_value_left_out(xp, x, axes):
    """The last of the n values of each channel is left out of the sum, and the divisor is n-1."""
    n = _n(x, axes)
    if n < 2:
        return f.moments(xp, x, axes)
    last = x[tuple(slice(-1, None) if axis in axes else slice(None) for axis in range(len(x.shape)))]
    mean = (xp.sum(x, axis=axes, keepdims=True) - last) / (n - 1)
    squares = xp.sum(xp.square(x - mean), axis=axes, keepdims=True) - xp.square(last - mean)
    return mean, squares / (n - 1)


def _half_range(xp, x, axes):
    mean, variance = f.moments(xp, x, axes)
    return xp.clip(mean, -65504.0, 65504.0), xp.clip(variance, -65504.0, 65504.0)


def _output(expression):
    def output(xp, x, mean, inverse, gamma, beta):
        return expression((x - mean) * inverse, gamma, beta)

    return output


def _moving(old, new):
    """Both moving statistics with other weights: old(momentum)*moving + new(momentum)*batch."""

    def mean(xp, moving, batch, momentum):
        return moving * old(momentum) + batch * new(momentum)

    def variance(xp, moving, batch, momentum, n, epsilon):
        return moving * old(momentum) + batch * new(momentum)

    return {"moving_mean": mean, "moving_variance": variance}


def _with(key: str, cause: str, **changes):
    return Hypothesis(key, cause, replace(KERAS, **changes))


def _epsilon(key: str, cause: str, expression):
    return _with(key, cause, inverse_deviation=expression)


FORWARD: tuple[Hypothesis, ...] = (
    _epsilon("epsilon-outside", "epsilon is added to the deviation, outside the root", lambda xp, v, e: 1 / (xp.sqrt(v) + e)),
    _epsilon("no-epsilon", "epsilon is left out", lambda xp, v, e: 1 / xp.sqrt(v)),
    _epsilon("epsilon-squared", "epsilon is squared before it is added", lambda xp, v, e: 1 / xp.sqrt(v + e * e)),
    _epsilon("epsilon-twice", "epsilon is added twice", lambda xp, v, e: 1 / xp.sqrt(v + 2 * e)),
    _epsilon("epsilon-floor", "epsilon is a floor: max(variance, epsilon)", lambda xp, v, e: 1 / xp.sqrt(xp.maximum(v, e))),
    _epsilon("epsilon-0.001", "epsilon is always 0.001; the argument is ignored", lambda xp, v, e: 1 / xp.sqrt(v + 1e-3)),
    _epsilon("epsilon-1e-5", "epsilon is 1e-5, PyTorch's default", lambda xp, v, e: 1 / xp.sqrt(v + 1e-5)),
    _epsilon(
        "epsilon-at-least",
        "epsilon is at least 1.001e-5, which cuDNN requires",
        lambda xp, v, e: 1 / xp.sqrt(v + max(e, 1.001e-5)),
    ),
    _epsilon("no-root", "x - mean is divided by variance + epsilon, without the square root", lambda xp, v, e: 1 / (v + e)),
    _with("gamma-ignored", "gamma is not applied", output=_output(lambda x, g, b: x + b)),
    _with("beta-ignored", "beta is not applied", output=_output(lambda x, g, b: x * g)),
    _with("beta-first", "beta is added before the product with gamma", output=_output(lambda x, g, b: (x + b) * g)),
    _with("gamma-plus-one", "the scale is 1 + gamma", output=_output(lambda x, g, b: x * (1 + g) + b)),
    _with("beta-subtracted", "beta is subtracted", output=_output(lambda x, g, b: x * g - b)),
    _with("gamma-beta-swapped", "gamma and beta are swapped", output=_output(lambda x, g, b: x * b + g)),
    _with("gamma-absolute", "|gamma| is used in place of gamma", output=_output(lambda x, g, b: x * abs(g) + b)),
    _with("unbiased", "the variance has the divisor n-1, not n", moments=_unbiased),
    _with("unbiased-moving", "the moving variance gets the variance with divisor n-1, not n", moving_variance=_unbiased_moving),
    _with("bessel-epsilon", "the moving variance gets variance*n/(n-(1+epsilon))", moving_variance=_bessel_with_epsilon),
    _with(
        "bessel-twice",
        "the moving variance gets the variance with divisor n-1, multiplied by n/(n-(1+epsilon))",
        moving_variance=_bessel_twice,
    ),
    _with(
        "unbiased-output",
        "the output uses the variance with divisor n-1; the moving variance gets the one with divisor n",
        moments=_unbiased,
        moving_variance=_biased_moving_of_unbiased,
    ),
    _with("about-zero", "the variance is mean(x²): the mean is not subtracted", moments=_about_zero),
    _with("mean-deviation", "the mean absolute deviation is used in place of the standard deviation", moments=_mean_deviation),
    _with("no-mean", "the mean is taken as 0", moments=_zero_mean),
    _with("all-axes", "statistics are shared by all channels (all axes are reduced)", moments=_all_axes),
    _with(
        "mean-of-variances", "statistics are computed over the first reduced axis, then averaged", moments=_mean_of_variances
    ),
    _with("last-left-out", "the last slice of the batch is left out of the statistics", moments=_without(first=False)),
    _with("first-left-out", "the first slice of the batch is left out of the statistics", moments=_without(first=True)),
    _with("one-left-out", "one value per channel is left out of the statistics", moments=_one_value_left_out),
    _with("half-range", "statistics are clipped to float16's range, ±65504", moments=_half_range),
    _with(
        "momentum-swapped",
        "momentum is the weight of the batch (PyTorch's convention), not of the old value",
        **_moving(lambda m: 1 - m, lambda m: m),
    ),
    _with("momentum-0.99", "momentum is always 0.99; the argument is ignored", **_moving(lambda m: 0.99, lambda m: 1 - 0.99)),
    _with("momentum-0.9", "momentum is 0.9, the default of other frameworks", **_moving(lambda m: 0.9, lambda m: 1 - 0.9)),
    _with(
        "momentum-single",
        "1-momentum is rounded to float32",
        **_moving(lambda m: 1.0 - float(np.float32(1.0 - m)), lambda m: float(np.float32(1.0 - m))),
    ),
    _with("momentum-squared", "the moving statistics are updated twice", **_moving(lambda m: m * m, lambda m: 1 - m * m)),
    _with("moving-sum", "the batch statistics are added without the factor 1-momentum", **_moving(lambda m: m, lambda m: 1.0)),
    _with(
        "moving-no-decay", "the old moving statistics are not multiplied by momentum", **_moving(lambda m: 1.0, lambda m: 1 - m)
    ),
    _with("moving-replaced", "the moving statistics are replaced by the last batch's", **_moving(lambda m: 0.0, lambda m: 1.0)),
    _with("never-updated", "the moving statistics are never updated", updates=lambda training, frozen: False),
    _with("mean-never-updated", "the moving mean is never updated", moving_mean=lambda xp, old, new, m: old),
    _with("variance-never-updated", "the moving variance is never updated", moving_variance=lambda xp, old, new, m, n, e: old),
    _with(
        "moving-deviation",
        "the moving variance holds standard deviations",
        moving_variance=lambda xp, old, new, m, n, e: old * m + xp.sqrt(new) * (1 - m),
    ),
    _with(
        "moving-with-epsilon",
        "the moving variance is updated with variance + epsilon",
        moving_variance=lambda xp, old, new, m, n, e: old * m + (new + 1e-3) * (1 - m),
    ),
    _with(
        "always-moving",
        "training normalizes with the moving statistics",
        normalizes_with_batch=lambda training, frozen: False,
    ),
    _with(
        "updated-moving",
        "training normalizes with the moving statistics after their update",
        training_statistics=lambda batch, updated: updated,
    ),
    _with(
        "always-batch",
        "inference normalizes with the batch statistics",
        normalizes_with_batch=lambda training, frozen: True,
    ),
    _with(
        "not-given-trains",
        "a call without `training` trains",
        normalizes_with_batch=lambda training, frozen: training is not False and not frozen,
        updates=lambda training, frozen: training is not False and not frozen,
    ),
    _with(
        "always-trains",
        "training=False is ignored: every call trains",
        normalizes_with_batch=lambda training, frozen: not frozen,
        updates=lambda training, frozen: not frozen,
    ),
    _with(
        "never-trains",
        "training=True is ignored: every call is inference",
        normalizes_with_batch=lambda training, frozen: False,
        updates=lambda training, frozen: False,
    ),
    _with(
        "inference-updates",
        "inference updates the moving statistics",
        updates=lambda training, frozen: not frozen,
    ),
    _with(
        "freeze-parameters-only",
        "trainable=False freezes gamma and beta only, as before TensorFlow 2",
        normalizes_with_batch=lambda training, frozen: bool(training),
        updates=lambda training, frozen: bool(training),
    ),
    _with(
        "frozen-updates",
        "a frozen layer still updates its moving statistics",
        updates=lambda training, frozen: bool(training),
    ),
    _with(
        "frozen-normalizes-with-batch",
        "a frozen layer still normalizes with the batch's statistics",
        normalizes_with_batch=lambda training, frozen: bool(training),
    ),
    _with(
        "outer-training-wins",
        "the model's `training` replaces the training=False that the layer was called with",
        told=lambda training, pinned: pinned if training is None else training,
    ),
    _with(
        "frozen-at-once",
        "in a compiled model, a change of `trainable` takes effect at once, not at the next compile()",
        settles="never",
    ),
    _with(
        "settled-by-fit",
        "in a compiled model, a change of `trainable` counts until the first fit, not until compile()",
        settles="fit",
    ),
    _with(
        "frozen-for-good",
        "a frozen layer stays frozen after trainable=True",
        unfreezes=False,
    ),
)
