"""Batch moments of arrays of any size: the arithmetic of `formulas.moments`, block by block in bounded memory.

A block is small enough for the processor's cache, so that a 100 MB input is neither copied to float64 as a whole nor read
from memory more often than twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from bnverify.precision import Array

BLOCK = 1 << 16  # elements; 512 KB in float64
Index = tuple[slice, ...]


def blocks(shape: tuple[int, ...], limit: int = BLOCK) -> Iterator[Index]:
    """Index tuples that cut an array of `shape` into pieces of about `limit` elements, in memory order."""
    if not shape or math.prod(shape) <= limit:
        yield (slice(None),) * len(shape)
        return
    inner = math.prod(shape[1:])
    rows = max(1, limit // max(inner, 1))
    for start in range(0, shape[0], rows):
        here = slice(start, min(start + rows, shape[0]))
        if inner <= limit:
            yield (here, *(slice(None),) * (len(shape) - 1))
        else:
            yield from ((here, *rest) for rest in blocks(shape[1:], limit))


def by_channel(x: Array, kept: tuple[int, ...]) -> Array:
    """`x` seen as (outer, channels, inner): a view for one kept axis of a contiguous array."""
    if len(kept) == 1:
        axis = kept[0]
        return x.reshape(math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))
    order = [axis for axis in range(x.ndim) if axis not in kept] + list(kept)
    return x.transpose(order).reshape(-1, math.prod(x.shape[axis] for axis in kept), 1)


def blocked_moments(x: Array, kept: tuple[int, ...], wide: type[np.floating[Any]]) -> tuple[Array, Array]:
    """Mean and biased variance of `x` over all axes but `kept`, computed in `wide`, two passes.

    Both have the rank of x with size 1 on reduced axes. Summing block sums one after another errs by at most
    (BLOCK + n/BLOCK) unit roundoffs of `wide`, which is below 1e-10 of a float32 layer's own unit roundoff times sqrt(n).
    """
    view = by_channel(x, kept)
    shape = tuple(size if axis in kept else 1 for axis, size in enumerate(x.shape))
    n = view.shape[0] * view.shape[2]
    total = np.zeros(view.shape[1], wide)
    for index in blocks(view.shape):
        total[index[1]] += _sum(view[index].astype(wide, copy=False))
    mean = total / n
    total = np.zeros(view.shape[1], wide)
    for index in blocks(view.shape):
        deviation = view[index] - mean[index[1], None]
        total[index[1]] += _sum(np.multiply(deviation, deviation, out=deviation))
    return mean.reshape(shape), (total / n).reshape(shape)


def _sum(block: Array) -> Array:
    """Sums of an (outer, channels, inner) block per channel; the contiguous axis first, where NumPy sums pairwise."""
    if block.shape[2] == 1:
        return np.add.reduce(block[:, :, 0], axis=0)
    return np.add.reduce(np.add.reduce(block, axis=2), axis=0)
