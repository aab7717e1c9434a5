"""Hypotheses about batch renormalization."""

from __future__ import annotations

from dataclasses import replace

from bnverify.reference import formulas as f
from bnverify.reference.formulas import KERAS
from bnverify.reference.hypotheses.hypothesis import Hypothesis


def _renorm(key: str, cause: str, change):
    """Other corrections, made from r, d and the values that these are computed from."""

    def correction(xp, mean, stddev, renorm_mean, renorm_stddev, epsilon, clipping):
        r, d = f.renorm_correction(xp, mean, stddev, renorm_mean, renorm_stddev, epsilon, clipping)
        return change(xp, r, d, mean, stddev, renorm_mean, renorm_stddev)

    return Hypothesis(key, cause, replace(KERAS, renorm_correction=correction))


def _unclipped(xp, mean, stddev, renorm_mean, renorm_stddev, epsilon, clipping):
    return f.renorm_correction(xp, mean, stddev, renorm_mean, renorm_stddev, epsilon, {})


RENORM_HYPOTHESES = (
    _renorm("renorm-ignored", "renorm is ignored: r is 1 and d is 0", lambda xp, r, d, *_: (r * 0.0 + 1.0, d * 0.0)),
    _renorm("renorm-without-r", "r of renorm is always 1", lambda xp, r, d, *_: (r * 0.0 + 1.0, d)),
    _renorm("renorm-without-d", "d of renorm is always 0", lambda xp, r, d, *_: (r, d * 0.0)),
    _renorm("renorm-r-inverted", "r of renorm is renorm_stddev/stddev", lambda xp, r, d, *_: (1.0 / r, d)),
    _renorm("renorm-d-negative", "d of renorm has the wrong sign", lambda xp, r, d, *_: (r, d * -1.0)),
    _renorm("renorm-d-by-batch", "d of renorm is divided by the batch's stddev", lambda xp, r, d, *_: (r, d / r)),
    Hypothesis("renorm-unclipped", "r and d of renorm are not clipped", replace(KERAS, renorm_correction=_unclipped)),
    Hypothesis(
        "renorm-without-epsilon",
        "the stddev of renorm is sqrt(variance), without epsilon",
        replace(KERAS, deviation=lambda xp, variance, epsilon: xp.sqrt(variance)),
    ),
    Hypothesis(
        "renorm-momentum",
        "renorm_mean and renorm_stddev are updated with momentum, not with renorm_momentum",
        replace(KERAS, renorm_average=lambda xp, old, new, m, own: old * m + new * (1.0 - m)),
    ),
    Hypothesis(
        "renorm-never-updated",
        "renorm_mean and renorm_stddev are never updated",
        replace(KERAS, renorm_average=lambda xp, old, new, m, own: old),
    ),
    Hypothesis(
        "renorm-keeps-epsilon",
        "the moving variance of renorm is moving_stddev^2; epsilon is not subtracted",
        replace(KERAS, renorm_variance=lambda xp, stddev, epsilon: stddev * stddev),
    ),
)
