"""Comparing an array with what was expected, element by element against its bound, in bounded memory.

NaN is expected where the reference has NaN, an infinity where it has that infinity, and where the bound reaches past the
largest number of the format, the infinity of the right sign is a correct rounding, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bnverify.model import Grade, Mismatch
from bnverify.precision import Array, Format
from bnverify.reference.machine import Call
from bnverify.reference.moments import Index, blocks
from bnverify.bounds.derive import GRADES

Pieces = Iterator[tuple[Index, Array, Array]]  # where, expected values, bounds


@dataclass(frozen=True)
class Numbers:
    """Expected numbers and their bounds: `pieces(grade)` gives them part by part, `bounded(grade)` says if any is finite."""

    shape: tuple[int, ...]
    pieces: Callable[[Grade], Pieces]
    bounded: Callable[[Grade], bool]
    format: Format


@dataclass(frozen=True)
class Comparison:
    """margin: the largest error / bound, infinite where a number is missing or unexpected. grade: what explains it."""

    grade: Grade
    margin: float
    conclusive: bool


def weight_numbers(value: Array, bounds: Array, format_: Format) -> Numbers:
    """A statistic: `value` of any shape, `bounds` the same with a leading axis over the grades."""

    def pieces(grade: Grade) -> Pieces:
        yield (slice(None),) * value.ndim, value, bounds[grade]

    return Numbers(value.shape, pieces, lambda grade: bool(np.isfinite(bounds[grade]).any()), format_)


def output_numbers(call: Call, slope: Array, offset: Array, format_: Format) -> Numbers:
    """The output of a call, never held as a whole: each block is normalized and bounded on its own."""

    def pieces(grade: Grade) -> Pieces:
        shape = call.x.shape
        wide = call.mean.dtype
        per_channel = [call.mean, call.inverse, slope[grade], offset[grade], call.gamma, call.beta]
        spread = [np.broadcast_to(a, shape) if np.ndim(a) else a for a in per_channel]
        for index in blocks(shape):
            x = call.x[index].astype(wide, copy=False)
            mean, inverse, a, b, gamma, beta = (part[index] if np.ndim(part) else part for part in spread)
            expected = call.formulas.output(np, x, mean, inverse, gamma, beta)
            deviation = x - mean
            bound = np.abs(deviation, out=deviation)
            bound *= a
            bound += b
            yield index, expected, bound

    return Numbers(call.x.shape, pieces, lambda grade: bool(np.isfinite(offset[grade]).any()), format_)


def compare(actual: Array, numbers: Numbers) -> Comparison:
    """The most accurate grade whose bounds explain `actual`, and the largest margin under that grade's bounds.

    When none does, the grade is NONE and the margin that of the last one. `actual` must have the shape of `numbers`.
    """
    margin, grade = 0.0, Grade.NONE
    for grade in GRADES:
        margin = largest_margin(actual, numbers, grade)
        if margin <= 1.0:
            return Comparison(grade, margin, numbers.bounded(grade))
    return Comparison(Grade.NONE, margin, True)


def largest_margin(actual: Array, numbers: Numbers, grade: Grade) -> float:
    found = 0.0
    with np.errstate(all="ignore"):
        for index, expected, bound in numbers.pieces(grade):
            error = np.abs(actual[index] - expected)
            error /= bound
            here = float(error.max()) if error.size else 0.0
            if not here < np.inf:
                here = float(_margins(actual[index], expected, bound, numbers.format).max())
            found = max(found, here)
    return found


def _margins(actual: Array, expected: Array, bound: Array, format_: Format) -> Array:
    """Margins where numbers may be infinite or NaN: on each side, or in the bound."""
    actual = actual.astype(expected.dtype, copy=False)
    bound = np.broadcast_to(bound, expected.shape)
    margin = np.abs(actual - expected) / bound
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    reach = np.abs(expected) + bound
    overflow = np.isinf(actual) & (np.sign(actual) == np.sign(expected)) & (reach >= format_.overflow)
    unbounded = np.isfinite(expected) & ~np.isfinite(bound)
    margin = np.where(same | overflow | unbounded, 0.0, margin)
    return np.where(np.isnan(margin), np.inf, margin)


def locate(actual: Array, numbers: Numbers, grade: Grade, channel_axis: int | None) -> Mismatch:
    """The worst element under the bounds of `grade`, and the share of elements beyond them."""
    worst, place, bad = -1.0, None, 0
    with np.errstate(all="ignore"):
        for index, expected, bound in numbers.pieces(grade):
            margins = _margins(actual[index], expected, bound, numbers.format)
            bad += int((margins > 1.0).sum())
            here = np.unravel_index(int(margins.argmax()), margins.shape)
            if margins[here] > worst:
                worst = float(margins[here])
                bound = np.broadcast_to(bound, margins.shape)
                found = (float(expected[here]), float(actual[index][here]), float(bound[here]))
                place = tuple(int(i) + (cut.start or 0) for i, cut in zip(here, index, strict=True))
        assert place is not None
        expected_value, actual_value, bound_value = found
        error = abs(actual_value - expected_value)
        digits = 9 if numbers.format.bits <= 24 else 17
    return Mismatch(
        expected=f"{expected_value:.{digits}g}",
        actual=f"{actual_value:.{digits}g}",
        index=place,
        channel=place[channel_axis] if channel_axis is not None else None,
        error=error,
        bound=bound_value,
        share=bad / max(1, int(np.prod(numbers.shape))),
    )
