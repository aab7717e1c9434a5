r"""Running error analysis: each number carries a bound of its error through a formula, operation by operation.

Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 3.3; Wilkinson, *Error Analysis Revisited*, 1986. A
formula evaluated with such numbers in place of arrays yields its own error bound:

    a*b    |a|e_b + |b|e_a + e_a e_b + r|ab|          a+b   e_a + e_b + r|a+b|
    a/b    (e_a + |a/b|e_b) / (|b|-e_b) + r|a/b|      sqrt  the root at both ends of the interval, + r|sqrt a|
    sum    sum(e) + g*sum(size + e) + r|sum|

r is `ROUNDINGS` unit roundoffs: automatic differentiation multiplies the same factors in its own order and may round each once
more. g is the error of the summation (`derive.summation_error`). size is the sum of the magnitudes of a number's terms, for
example |x|+|mean| for x-mean: a layer that computes x*scale + (beta - mean*scale) sums x*dy and mean*dy separately.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnverify.numeric.precision import Array, Format

ROUNDINGS = 3.0


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """How a format computes: unit roundoff, underflow threshold and g, one value per grade.

    Formulas take it as their array namespace, in place of NumPy.
    """

    format: Format
    g: Array

    def number(self, value: Any, error: Any = 0.0, size: Any = None) -> Running:
        """Returns the value with a bound of its error. If `error` is an array, its first axis is the grades."""
        value = np.asarray(value)
        return Running(value, error + np.zeros((3, *value.shape), value.dtype), np.abs(value) if size is None else size, self)

    def sum(self, a: Running, axis: Any = None, keepdims: bool = False) -> Running:
        """The sum over the given axes. A sum over all axes keeps the rank, so that it broadcasts with arrays."""
        over, keepdims = (tuple(range(a.value.ndim)), True) if axis is None else (axis, keepdims)

        def total(terms: Array, lead: int = 0) -> Array:
            return np.asarray(np.sum(terms, axis=tuple(i + lead for i in over), keepdims=keepdims))

        value, size, errors = total(a.value), total(a.size), total(a.error, 1)
        g = self.g.astype(value.dtype).reshape(3, *(1,) * value.ndim)
        return self.rounded(value, errors + g * (size + errors), size)

    def sqrt(self, a: Running) -> Running:
        value = np.sqrt(a.value)
        low, high = np.sqrt(np.maximum(a.value - a.error, 0.0)), np.sqrt(np.maximum(a.value, 0.0) + a.error)
        return self.rounded(value, np.maximum(value - low, high - value), value)

    def abs(self, a: Running) -> Running:
        return Running(np.abs(a.value), a.error, a.size, self)

    def maximum(self, a: Running, b: float) -> Running:
        return self._clipped(a, np.maximum, b)

    def minimum(self, a: Running, b: float) -> Running:
        return self._clipped(a, np.minimum, b)

    def _clipped(self, a: Running, choose: Callable[..., Array], limit: float) -> Running:
        """Clipping does not increase the distance between two numbers; the limit is rounded."""
        of_limit = self.format.unit_roundoff * abs(limit) if np.isfinite(limit) else 0.0
        value = choose(a.value, limit)
        return Running(value, a.error + of_limit, np.abs(value), self)

    def rounded(self, value: Array, error: Array, size: Array) -> Running:
        """The rounded result of an operation; `error` is the error that the arguments cause."""
        own = ROUNDINGS * self.format.unit_roundoff * (np.abs(value) + error) + self.format.smallest_normal
        return Running(value, error + own, size, self)


@dataclass(frozen=True, eq=False)
class Running:
    """A value, the bound of its error (with a leading axis over the grades) and its size."""

    value: Array
    error: Array
    size: Array
    how: Arithmetic
    __array_ufunc__ = None  # makes NumPy use the methods below for array * number

    def _other(self, other: Any) -> Running:
        if isinstance(other, Running):
            return other
        plain = np.asarray(other, self.value.dtype)
        return self.how.number(plain.reshape((1,) * (self.value.ndim - plain.ndim) + plain.shape))

    def __mul__(self, other: Any) -> Running:
        b = self._other(other)
        error = np.abs(self.value) * b.error + np.abs(b.value) * self.error + self.error * b.error
        return self.how.rounded(self.value * b.value, error, self.size * b.size)

    def __add__(self, other: Any) -> Running:
        b = self._other(other)
        return self.how.rounded(self.value + b.value, self.error + b.error, self.size + b.size)

    def __sub__(self, other: Any) -> Running:
        b = self._other(other)
        return self.how.rounded(self.value - b.value, self.error + b.error, self.size + b.size)

    def __truediv__(self, other: Any) -> Running:
        b = self._other(other)
        value = self.value / b.value
        least = np.abs(b.value) - b.error
        error = np.where(least > 0, (self.error + np.abs(value) * b.error) / np.where(least > 0, least, 1.0), np.inf)
        return self.how.rounded(value, error, self.size / np.abs(b.value))

    def __rtruediv__(self, other: Any) -> Running:
        return self._other(other) / self

    def __rsub__(self, other: Any) -> Running:
        return self._other(other) - self

    __rmul__ = __mul__
    __radd__ = __add__
