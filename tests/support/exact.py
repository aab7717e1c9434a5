"""Batch normalization in exact rational arithmetic, written apart from the package: the route that checks the reference."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def sqrt(value: Fraction, digits: int = 60) -> Fraction:
    """The square root to `digits` decimal digits after the point, and more for small values."""
    scale = 10 ** (2 * digits)
    return Fraction(math.isqrt(value.numerator * scale * scale // value.denominator), scale)


def channels(x: Array, axis: int) -> dict[int, list[Fraction]]:
    """The values of each index along `axis`, exact, in memory order."""
    found: dict[int, list[Fraction]] = {}
    for index in itertools.product(*map(range, x.shape)):
        found.setdefault(index[axis], []).append(Fraction(float(x[index])))
    return found


def moments(values: list[Fraction]) -> tuple[Fraction, Fraction]:
    mean = sum(values, Fraction(0)) / len(values)
    return mean, sum(((v - mean) ** 2 for v in values), Fraction(0)) / len(values)


def normalize(x: Array, axis: int, statistics: dict[int, tuple[Fraction, Fraction]], epsilon: float, gamma: Array, beta: Array):  # type: ignore[no-untyped-def]
    """y as an object array of fractions."""
    y = np.empty(x.shape, dtype=object)
    roots = {c: sqrt(variance + Fraction(epsilon)) for c, (_, variance) in statistics.items()}
    for index in itertools.product(*map(range, x.shape)):
        c = index[axis]
        deviation = Fraction(float(x[index])) - statistics[c][0]
        y[index] = Fraction(float(gamma[c])) * deviation / roots[c] + Fraction(float(beta[c]))
    return y


def update(moving: Fraction, batch: Fraction, momentum: float) -> Fraction:
    return moving * Fraction(momentum) + batch * (1 - Fraction(momentum))
