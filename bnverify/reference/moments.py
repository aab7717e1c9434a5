"""Batch moments of arrays of any size: the arithmetic of `formulas.moments`, block by block in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from bnverify.numeric.blocks import BLOCK, Index, over_blocks
from bnverify.numeric.precision import Array


def by_channel(x: Array, kept: tuple[int, ...]) -> Array:
    """`x` as (outer, channels, inner): a view of a contiguous array with one kept axis."""
    if len(kept) == 1:
        axis = kept[0]
        return x.reshape(math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))
    order = [axis for axis in range(x.ndim) if axis not in kept] + list(kept)
    return x.transpose(order).reshape(-1, math.prod(x.shape[axis] for axis in kept), 1)


def blocked_moments(x: Array, kept: tuple[int, ...], wide: type[np.floating[Any]]) -> tuple[Array, Array]:
    """Mean and biased variance of `x` over all axes except `kept`, computed in `wide`. Both keep the rank, with size 1.

    One pass over deviations from a shift c close to the mean: variance = mean((x-c)^2) - mean(x-c)^2 (Chan, Golub & LeVeque
    1983, section 3). Nothing cancels while (mean-c)^2 is at most the variance. Otherwise a second pass uses the mean of the
    first as c; this is the two-pass formula with its correction term. The error of summing blocks of b values one after another
    is at most (b + n/b) unit roundoffs of `wide`: 2^-38 for a billion values in float64, far below a float32 layer's
    sqrt(n)*2^-24.
    """
    view = by_channel(x, kept)
    shape = tuple(size if axis in kept else 1 for axis, size in enumerate(x.shape))
    n = view.shape[0] * view.shape[2]

    def sums(cut: Iterable[Index]) -> Array:
        total = np.zeros((2, view.shape[1]), wide)
        for index in cut:
            deviation = np.asarray(view[index], wide) - shift[index[1], None]
            total[0, index[1]] += _sum(deviation)
            total[1, index[1]] += _sum(np.multiply(deviation, deviation, out=deviation))
        return total

    with np.errstate(all="ignore"):
        shift = _pilot(view, wide)
        for _ in range(2):
            first, second = np.add.reduce(over_blocks(view.shape, sums)) / n
            mean, variance = shift + first, second - first * first
            if not np.any(first * first > variance):
                break
            shift = np.where(np.isfinite(mean), mean, shift)
    return mean.reshape(shape), variance.reshape(shape)


def _pilot(view: Array, wide: type[np.floating[Any]]) -> Array:
    """The mean of the first rows, rounded to 11 bits, so that deviations from it are exact for simple data."""
    rows = max(1, BLOCK // max(1, view.shape[1] * view.shape[2]))
    fraction, exponent = np.frexp(view[:rows].astype(wide).mean(axis=(0, 2)))
    pilot = np.ldexp(np.rint(fraction * 2**11) / 2**11, exponent)
    return np.where(np.isfinite(pilot), pilot, 0)


def _sum(block: Array) -> Array:
    """Sums of an (outer, channels, inner) block per channel. The contiguous axis comes first, because NumPy sums it
    pairwise.
    """
    if block.shape[2] > 1:
        return np.add.reduce(np.add.reduce(block, axis=2), axis=0)
    if block.dtype == np.float64 and block.shape[0] > 64:
        return np.ones(block.shape[0]) @ block[:, :, 0]  # three times as fast as a sum over the outer axis
    return np.add.reduce(block[:, :, 0], axis=0)
