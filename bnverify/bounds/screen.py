"""Screening large outputs: an upper bound of a block's largest margin, several times cheaper than the margin itself.

The margin of an element is |y^-y| / (|d|*slope + offset). Here the error is taken in float64 from the folded form x*s + q, and
the bound in float32 from |y^-beta|*slope/s + offset; y^-beta replaces d*s; the two differ by the error only. With r = error /
that bound and slope/s <= 0.01, the margin is at most r/(1-0.01r) <= 1.02r for r <= 1, float32's roundings included. Only a
block whose screen exceeds the largest margin so far is judged exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from bnverify.numeric.blocks import Index
from bnverify.numeric.precision import Array
from bnverify.reference.machine import Call

FLATTEST = 0.01
SLACK = 1.02
Screen = Callable[[Array, Index], float]


def output_screen(call: Call, slope: Array, offset: Array) -> Screen | None:
    """The screen for one call's output under one grade. None if the assumptions do not hold."""
    signed = call.inverse * call.gamma
    scale = np.abs(signed)
    if not (np.all(slope <= FLATTEST * scale) and np.all((offset > 1e-30) & (offset < 1e30)) and np.all(scale < 1e30)):
        return None
    wide = (signed, call.beta - call.mean * signed)
    single = (slope / scale, -call.beta * slope / scale, offset)

    @lru_cache(maxsize=8)
    def coefficients(shape: tuple[int, ...], index: tuple[tuple[int | None, int | None], ...]) -> tuple[Array, ...]:
        """The coefficients of a block in full shape: most blocks of an array share them, and NumPy is fastest without
        broadcasting.
        """
        cut = tuple(slice(*ends) for ends in index)

        def held(values: Array | float, dtype: type) -> Array:
            part = np.asarray(values)
            part = part[tuple(c if n > 1 else slice(None) for c, n in zip(cut, part.shape, strict=True))] if part.ndim else part
            return np.broadcast_to(part, shape).astype(dtype, order="C")  # order C, because K would put the channels first

        return (*(held(v, np.float64) for v in wide), *(held(v, np.float32) for v in single))

    kept = [axis for axis, size in enumerate(call.mean.shape) if size > 1]

    def screen(actual: Array, index: Index) -> float:
        y = actual[index]
        ends = tuple((c.start, c.stop) if axis in kept else (None, None) for axis, c in enumerate(index))
        p, q, a, b, c = coefficients(y.shape, ends)
        error = call.x[index].astype(np.float64)
        error *= p
        error += q
        error -= y.astype(np.float64)
        bound = np.multiply(y, a, dtype=np.float32)
        bound += b
        np.abs(bound, out=bound)
        bound += c
        ratio = error.astype(np.float32)
        ratio /= bound
        largest = float(max(ratio.max(), -ratio.min()))
        return largest * SLACK if largest <= 1.0 else np.inf

    return screen
