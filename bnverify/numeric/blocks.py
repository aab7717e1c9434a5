"""Work through large arrays block by block, on all cores. NumPy releases the interpreter lock inside its loops."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

BLOCK = 1 << 14  # elements; 128 KB in float64, so a few blocks fit a core's cache
PARALLEL = 1 << 20  # from this number of elements on, threads are faster
Index = tuple[slice, ...]
Result = TypeVar("Result")


def blocks(shape: tuple[int, ...], limit: int = BLOCK) -> Iterator[Index]:
    """Index tuples that cut an array of `shape` into blocks of about `limit` elements, in memory order."""
    if math.prod(shape) <= limit:
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


def over_blocks(shape: tuple[int, ...], work: Callable[[Iterable[Index]], Result]) -> list[Result]:
    """The results of `work`, one share of the blocks per thread. A small array is one share and needs no thread."""
    cut = list(blocks(shape))
    threads = os.cpu_count() or 1
    if math.prod(shape) < PARALLEL or threads == 1:
        return [work(cut)]
    size = -(-len(cut) // threads)
    shares = [cut[start : start + size] for start in range(0, len(cut), size)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, shares))
