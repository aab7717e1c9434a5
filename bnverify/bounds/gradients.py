"""Bounds of gradients: running error analysis of the closed form, starting from the errors of the forward pass.

Three inputs have an error: x-mean (the error of the mean, and the roundings of x and mean separately), the inverse deviation,
and with renorm the corrections. The upstream gradient and gamma are exact. At the end a gradient is rounded to a format: dL/dx
to the format of x, because it passes back through the autocast, and the gradients of gamma and beta to the format of the
variables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bnverify.bounds.running import Arithmetic, Running
from bnverify.numeric.precision import FORMATS, Array, Format, Precision
from bnverify.reference.formulas import Backward
from bnverify.reference.machine import Call


@dataclass(frozen=True)
class Gradient:
    """An expected gradient and its bound. The bound has a leading axis over the grades; `format` is the storage format."""

    value: Array
    bound: Array
    format: Format


def gradient_numbers(
    call: Call,
    how: Arithmetic,
    mean: Array,
    inverse: Array,
    parts: tuple[Running, Running, Running] | None,
    formats: Precision,
    dtype: str,
) -> dict[str, Gradient]:
    """The gradients of a call by name: x, gamma, beta, and `second` for the gradient of dL/dx in the given direction.

    dtype: of x. mean, inverse: bounds of the statistics that normalize. parts: gamma*r, r and d of renorm with their errors.
    """
    exact = call.backward
    assert exact is not None
    u, kept = how.format.unit_roundoff, exact.inverse.shape
    reduced = tuple(axis for axis, size in enumerate(exact.d.shape) if kept[axis] != size or size == 1)
    gamma, r, shift = parts or (how.number(exact.gamma), how.number(exact.r), how.number(exact.shift))
    size = np.abs(call.x.astype(exact.d.dtype)) + np.abs(call.mean)
    with_errors = Backward(
        dy=how.number(exact.dy),
        mean=how.number(exact.mean, mean),
        d=how.number(exact.d, mean + 3 * u * size, size),
        n=exact.n,
        inverse=how.number(exact.inverse, inverse),
        gamma=gamma,
        r=r,
        shift=shift,
        total=lambda terms: how.sum(spread(terms, exact.d.shape), reduced, keepdims=True),
        within=lambda terms: terms if call.counted is None else masked(spread(terms, exact.d.shape), call.counted),
        direction=None if exact.direction is None else how.number(exact.direction),
    )
    values = call.gradients()
    found = dict(zip(("x", "gamma", "beta"), call.formulas.gradients(with_errors), strict=True))
    if "second" in values:
        found["second"] = call.formulas.second_gradient(with_errors)
    entry = min((formats.autocast or formats.arithmetic, FORMATS.get(dtype, formats.arithmetic)), key=lambda f: f.bits)
    own = {"x": entry, "second": entry, "gamma": formats.variable, "beta": formats.variable}
    bounds = {name: gradient_stored(np.abs(values[name]), found[name].error, own[name], how.format) for name in values}
    return {name: Gradient(values[name], bounds[name], own[name]) for name in values}


def spread(a: Running, shape: tuple[int, ...]) -> Running:
    """The number, broadcast to a larger shape."""
    error = np.broadcast_to(a.error, (3, *shape))
    return replace(a, value=np.broadcast_to(a.value, shape), error=error, size=np.broadcast_to(a.size, shape))


def masked(a: Running, mask: Array) -> Running:
    """The number, with value 0 and error 0 where the mask is False."""
    return replace(a, value=np.where(mask, a.value, 0.0), error=np.where(mask, a.error, 0.0), size=np.where(mask, a.size, 0.0))


def gradient_stored(value: Array, error: Array, narrow: Format, arithmetic: Format) -> Array:
    """The bound after a number is rounded to a format that may be narrower."""
    error = np.where(np.isnan(error) & np.isfinite(value), np.inf, error)
    return error if narrow.bits >= arithmetic.bits else error + narrow.unit_roundoff * (value + error) + narrow.smallest_step
