"""Compare an array with the expected numbers, element by element against its bound, in bounded memory.

Where the reference has NaN or an infinity, a finite number is wrong. There is one exception: 0/0 from a variance that is 0 in
exact arithmetic only; its bound is infinite. A correct layer may give NaN in place of an infinity or the reverse, because the
order of the operations decides (inf-inf is NaN), but an infinity of the wrong sign is wrong. If the bound reaches beyond the
largest number of the format, the infinity of the right sign is a correct rounding too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from bnverify.bounds.screen import Screen, output_screen
from bnverify.numeric.blocks import PARALLEL, Index, blocks, over_blocks
from bnverify.numeric.precision import Array, Format
from bnverify.reference.formulas import KERAS
from bnverify.reference.machine import Call
from bnverify.values import BOUNDED_GRADES, Grade, Mismatch

Piece = tuple[Array, Array]  # expected values, bounds


@dataclass(frozen=True)
class Numbers:
    """Expected numbers and their bounds for an array of `shape` in `format`, computed block by block.

    piece(grade, index): the expected values and bounds of one block. bounded(grade): whether any element can be judged wrong,
    because its bound is finite or because only NaN is right. screen(grade): a cheap upper bound of a block's largest margin, or
    None.
    """

    shape: tuple[int, ...]
    format: Format
    piece: Callable[[Grade, Index], Piece]
    bounded: Callable[[Grade], bool]
    screen: Callable[[Grade], Screen | None] = lambda grade: None


@dataclass(frozen=True)
class Comparison:
    """margin: the maximum of error / bound over all elements; infinite if one is NaN or infinite and should not be, or the
    reverse. grade: the best grade whose bound no error exceeds.
    """

    grade: Grade
    margin: float
    conclusive: bool


def weight_numbers(value: Array, bounds: Array, format_: Format) -> Numbers:
    """The expected numbers of a statistic: `value` of any shape; `bounds` has the same shape with a leading axis over the
    grades.
    """
    return Numbers(
        value.shape,
        format_,
        piece=lambda grade, index: (value[index], bounds[grade][index]),
        bounded=lambda grade: bool((np.isfinite(bounds[grade]) | (np.isnan(bounds[grade]) & ~np.isfinite(value))).any()),
    )


def output_numbers(call: Call, slope: Array, offset: Array, format_: Format) -> Numbers:
    """The expected output of a call. It is never held as a whole: each block is normalized and bounded separately."""
    shape, wide = call.x.shape, call.mean.dtype

    def spread(values: Array | float) -> Array:
        return np.broadcast_to(values, shape)

    mean, inverse, gamma, beta = map(spread, (call.mean, call.inverse, call.gamma, call.beta))

    steep = bool(np.isinf(slope).any())

    def piece(grade: Grade, index: Index) -> Piece:
        expected = call.part(index, mean, inverse, gamma, beta)
        x = call.x[index].astype(wide, copy=False)
        bound = np.abs(x - mean[index])
        at_mean = bound == 0.0 if steep else None
        bound *= spread(slope[grade])[index]
        if at_mean is not None:
            bound[at_mean] = 0.0  # 0*inf would give NaN
        bound += spread(offset[grade])[index]
        if call.mask is not None:  # a hypothesis may predict a finite number where x and the statistics have none
            bound[np.isfinite(expected) & (np.isnan(bound) | ~np.isfinite(x))] = 0.0
        return expected, bound

    def screen(grade: Grade) -> Screen | None:
        large = call.x.size >= PARALLEL and call.formulas.output is KERAS.output and call.mask is None and wide == np.float64
        return output_screen(call, slope[grade], offset[grade]) if large else None

    def bounded(grade: Grade) -> bool:
        return bool((np.isfinite(offset[grade]) | np.isnan(call.mean)).any())

    return Numbers(shape, format_, piece, bounded, screen)


def compare(actual: Array, numbers: Numbers) -> Comparison:
    """The most accurate grade whose bounds explain `actual`, and the largest margin under the bounds of that grade.

    If no grade explains it, the grade is NONE and the margin is the one under the last grade. `actual` must have the shape of
    `numbers`.
    """
    margin, grade = 0.0, Grade.NONE
    for grade in BOUNDED_GRADES:
        margin = largest_margin(actual, numbers, grade)
        if margin <= 1.0:
            return Comparison(grade, margin, numbers.bounded(grade))
    return Comparison(Grade.NONE, margin, True)


def largest_margin(actual: Array, numbers: Numbers, grade: Grade) -> float:
    """The largest error / bound over all elements."""

    screen = numbers.screen(grade)

    def share(cut: Iterable[Index]) -> float:
        with np.errstate(all="ignore"):
            found = 0.0
            for index in cut:
                if screen is None or not screen(actual, index) <= found:
                    found = max(found, _margin(actual[index], *numbers.piece(grade, index), numbers.format))
            return found

    return max(over_blocks(numbers.shape, share))


def _margin(actual: Array, expected: Array, bound: Array, format_: Format) -> float:
    error = np.abs(actual - expected)
    error /= bound
    found = float(error.max())
    return found if found < np.inf else float(_margins(actual, expected, bound, format_).max())


def _margins(actual: Array, expected: Array, bound: Array, format_: Format) -> Array:
    """The margins of elements where the actual value, the expected value or the bound may be infinite or NaN."""
    actual = actual.astype(expected.dtype, copy=False)
    bound = np.broadcast_to(bound, expected.shape)
    margin = np.abs(actual - expected) / bound
    same = (actual == expected) | (np.isnan(actual) & ~np.isfinite(expected)) | (~np.isfinite(actual) & np.isnan(expected))
    reach = np.abs(expected) + bound
    overflow = np.isinf(actual) & (np.sign(actual) == np.sign(expected)) & (reach >= format_.overflow)
    unbounded = (np.isfinite(expected) & ~np.isfinite(bound)) | (np.isnan(expected) & np.isposinf(bound))
    margin = np.where(same | overflow | unbounded, 0.0, margin)
    return np.where(np.isnan(margin), np.inf, margin)


def locate(actual: Array, numbers: Numbers, grade: Grade, channel_axis: int | None) -> Mismatch:
    """The worst element under the bounds of `grade`, and the share of elements that exceed their bound."""
    worst, place, bad = -1.0, None, 0
    with np.errstate(all="ignore"):
        for index in blocks(numbers.shape):
            expected, bound = numbers.piece(grade, index)
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
