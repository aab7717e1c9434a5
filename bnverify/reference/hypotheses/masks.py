"""Hypotheses about masks: which positions the statistics include, and what masked positions return."""

from __future__ import annotations

from dataclasses import replace

from bnverify.reference import formulas as f
from bnverify.reference.formulas import KERAS
from bnverify.reference.hypotheses.hypothesis import Hypothesis


def _mask(key: str, cause: str, moments):
    return Hypothesis(key, cause, replace(KERAS, masked_moments=moments))


def _ignored(xp, x, mask, axes):
    return *f.moments(xp, x, axes), f.count(tuple(x.shape), axes)


def _inverted(xp, x, mask, axes):
    return f.masked_moments(xp, x, xp.logical_not(mask), axes)


def _counted_with(more):
    """Sums over the unmasked values, divided by their count plus a constant."""

    def moments(xp, x, mask, axes):
        n = xp.sum(xp.where(mask, xp.ones_like(x), 0.0), axis=axes, keepdims=True) + more
        mean = xp.sum(xp.where(mask, x, 0.0), axis=axes, keepdims=True) / n
        return mean, xp.sum(xp.square(xp.where(mask, x - mean, 0.0)), axis=axes, keepdims=True) / n, n

    return moments


def _as_zeros(xp, x, mask, axes):
    return _ignored(xp, xp.where(mask, x, 0.0), mask, axes)


def _multiplied(more, unbroadcast=False):
    """Masked values are multiplied by 0 instead of being left out. This keeps NaN and turns infinities into NaN."""

    def moments(xp, x, mask, axes):
        weight = xp.where(mask, xp.ones_like(x), 0.0)
        counted = weight[tuple(slice(None if size > 1 else 1) for size in mask.shape)] if unbroadcast else weight
        n = xp.sum(counted, axis=axes, keepdims=True) + more
        mean = xp.sum(weight * x, axis=axes, keepdims=True) / n
        return mean, xp.sum(weight * xp.square(x - mean), axis=axes, keepdims=True) / n, n

    return moments


def _no_nan(xp, x, mask, axes):
    """The same, with 0 for 0/0."""
    weight = xp.where(mask, xp.ones_like(x), 0.0)
    n = xp.sum(weight, axis=axes, keepdims=True)
    count = xp.where(n > 0, n, 1.0)
    mean = xp.where(n > 0, xp.sum(weight * x, axis=axes, keepdims=True) / count, 0.0)
    return mean, xp.where(n > 0, xp.sum(weight * xp.square(x - mean), axis=axes, keepdims=True) / count, 0.0), n


def _mean_only(xp, x, mask, axes):
    mean, _, n = f.masked_moments(xp, x, mask, axes)
    return mean, xp.mean(xp.square(x - mean), axis=axes, keepdims=True), n


def _unbiased(xp, x, mask, axes):
    mean, variance, n = f.masked_moments(xp, x, mask, axes)
    return mean, variance * (n / xp.maximum(n - 1.0, 1.0)), n


def _divided_by_all(xp, x, mask, axes):
    mean, variance, n = f.masked_moments(xp, x, mask, axes)
    share = n / (1.0 * f.count(tuple(x.shape), axes))
    return mean * share, variance * share, n


MASK_HYPOTHESES = (
    _mask("mask-ignored", "the mask is ignored", _ignored),
    _mask("mask-inverted", "the mask is inverted", _inverted),
    _mask("mask-count-epsilon", "masked sums are divided by their count + 1e-7", _counted_with(1e-7)),
    _mask("mask-as-zeros", "masked values count as zeros", _as_zeros),
    _mask(
        "mask-multiplied-epsilon",
        "masked values are multiplied by 0, which keeps NaN, and masked sums are divided by their count + 1e-7",
        _multiplied(1e-7),
    ),
    _mask("mask-multiplied", "masked values are multiplied by 0, which keeps NaN", _no_nan),
    _mask(
        "mask-count-unbroadcast",
        "masked sums are divided by the count of True in the mask itself, before it is broadcast to x",
        _multiplied(1e-7, unbroadcast=True),
    ),
    _mask("mask-mean-only", "the variance includes masked positions", _mean_only),
    _mask("mask-unbiased", "under a mask the variance has the divisor n-1, not n", _unbiased),
    _mask("mask-divided-by-all", "masked sums are divided by the count of all positions", _divided_by_all),
    Hypothesis(
        "mask-zeroes-output",
        "masked positions give 0",
        replace(KERAS, masked_output=lambda xp, y, x, mask: xp.where(mask, y, 0.0)),
    ),
    Hypothesis(
        "mask-passes-input",
        "masked positions return x unchanged",
        replace(KERAS, masked_output=lambda xp, y, x, mask: xp.where(mask, y, x)),
    ),
)
