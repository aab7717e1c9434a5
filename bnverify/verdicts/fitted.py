"""Hypotheses with a value that is fitted to the numbers of a case: an epsilon, a momentum or a scale.

One element gives the value and the others must confirm it, so a fit is tried only if there are several channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from bnverify.contract.evidence import Evidence, Expectation
from bnverify.reference.formulas import KERAS
from bnverify.reference.hypotheses import Hypothesis
from bnverify.values import Grade, Observation


def fitted(expectation: Expectation, observation: Observation) -> Iterator[tuple[Hypothesis, str]]:
    """Hypotheses that the numbers suggest, each with the fitted value."""
    if np.prod(expectation.case.channels_shape) < 2:
        return
    evidence = Evidence(expectation, observation, Grade.SEQUENTIAL)
    given = expectation.case.config
    with np.errstate(all="ignore"):
        momentum = _momentum(evidence)
        if momentum is not None and momentum != given.momentum:
            changes: dict[str, Any] = {
                "moving_mean": lambda xp, old, new, m: old * momentum + new * (1 - momentum),
                "moving_variance": lambda xp, old, new, m, n, e: old * momentum + new * (1 - momentum),
            }
            cause = "momentum is not the given value"
            yield Hypothesis("fitted-momentum", cause, replace(KERAS, **changes)), f"it acts as {momentum:.9g}"
        epsilon = _epsilon(evidence)
        if epsilon is not None and epsilon != given.epsilon:
            formulas = replace(KERAS, inverse_deviation=lambda xp, v, e: 1.0 / xp.sqrt(v + epsilon))
            cause = "epsilon is not the given value"
            yield Hypothesis("fitted-epsilon", cause, formulas), f"it acts as {epsilon:.9g}"
        factor = _factor(evidence)
        if factor is not None and factor != 1.0:
            formulas = replace(KERAS, inverse_deviation=lambda xp, v, e: factor / xp.sqrt(v + e))
            cause = "the normalized values are multiplied by a constant factor"
            yield Hypothesis("fitted-factor", cause, formulas), f"the factor is {factor:.9g}"


def _momentum(evidence: Evidence) -> float | None:
    """From the first update of the mean: (new - batch) / (old - batch), in the channel where old and batch differ most."""
    for c in evidence.calls:
        if c.call.batch is not None and c.call.updates:
            old, batch = c.call.before.weights["moving_mean"].ravel(), c.call.batch.mean.ravel()
            new = c.observed.weights.get("moving_mean")
            if new is None or new.size != old.size:
                return None
            at = int(np.nanargmax(np.abs(old - batch))) if np.isfinite(old - batch).any() else 0
            return _sensible((new.ravel()[at] - batch[at]) / (old[at] - batch[at]), -0.5, 1.5)
    return None


def _element(evidence: Evidence) -> tuple[float, float, float, float] | None:
    """d, y - beta, gamma and variance at the element of the first output that is furthest from beta."""
    for c in evidence.calls:
        y = c.observed.y
        if y is None or y.shape != c.call.x.shape:
            return None
        d = c.call.x.astype(c.call.mean.dtype) - c.call.mean
        variance = np.broadcast_to(c.call.variance, d.shape)
        weight = np.abs(d) / np.sqrt(variance)
        if not np.isfinite(weight).any():
            return None
        at = np.unravel_index(int(np.nanargmax(np.where(np.isfinite(weight), weight, -1.0))), d.shape)
        gamma, beta = (np.broadcast_to(w, d.shape)[at] for w in (c.call.gamma, c.call.beta))
        return float(d[at]), float(y[at] - beta), float(gamma), float(variance[at])
    return None


def _epsilon(evidence: Evidence) -> float | None:
    """Solves gamma*(x-mean)/(y-beta) = sqrt(variance + epsilon) for epsilon."""
    element = _element(evidence)
    if element is None:
        return None
    d, shifted, gamma, variance = element
    return _sensible((gamma * d / shifted) ** 2 - variance if shifted else float("nan"), 0.0, 1e6)


def _factor(evidence: Evidence) -> float | None:
    element = _element(evidence)
    if element is None:
        return None
    d, shifted, gamma, variance = element
    normal = gamma * d / (variance + evidence.case.config.epsilon) ** 0.5
    return _sensible(shifted / normal if normal else float("nan"), -1e6, 1e6)


def _sensible(value: float, low: float, high: float) -> float | None:
    return float(value) if low <= value <= high else None
