"""Floating-point formats and Keras dtype policies: unit roundoff, range, and correct rounding to a format."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Format:
    """A binary floating-point format with `bits` bits of significand, including the hidden one.

    `smallest_normal` and `largest` are the ends of its normal range (IEEE 754-2019, section 3.3; bfloat16 has float32's
    exponents).
    """

    name: str
    bits: int
    smallest_normal: float
    largest: float

    @cached_property
    def unit_roundoff(self) -> float:
        """Largest relative error of rounding to nearest: 2^-bits."""
        return 2.0**-self.bits

    @cached_property
    def smallest_step(self) -> float:
        """Spacing of the subnormal numbers. Half of it bounds the absolute rounding error near 0."""
        return self.smallest_normal * 2.0 * self.unit_roundoff

    @cached_property
    def overflow(self) -> float:
        """From this magnitude on, numbers round to infinity: half a spacing above `largest`."""
        return self.largest + self.largest * self.unit_roundoff / 2

    def round(self, values: Array) -> Array:
        """`values` rounded to nearest, ties to even, in the narrowest NumPy type that holds the format.

        float16, float32 and float64 keep their dtype; bfloat16 values have dtype float32, which contains them.
        """
        if self.name != "bfloat16":
            with np.errstate(over="ignore"):
                return np.asarray(values).astype(self.name, copy=False)
        with np.errstate(over="ignore"):
            single = np.array(values, dtype=np.float32, ndmin=1)
        raw = single.view(np.uint32)
        to_even = ((raw >> 16) & 1) + np.uint32(0x7FFF)
        rounded = ((raw + to_even) & np.uint32(0xFFFF0000)).view(np.float32)
        return np.where(np.isnan(single), np.float32(np.nan), rounded).reshape(np.shape(values))


FORMATS = {
    f.name: f
    for f in (
        Format("bfloat16", 8, 2.0**-126, (2.0 - 2.0**-7) * 2.0**127),
        Format("float16", 11, 2.0**-14, 65504.0),
        Format("float32", 24, 2.0**-126, (2.0 - 2.0**-23) * 2.0**127),
        Format("float64", 53, 2.0**-1022, float(np.finfo(np.float64).max)),
    )
}

INTEGERS = ("int8", "uint8", "int16", "int32", "int64")


@dataclass(frozen=True)
class Policy:
    """A Keras dtype policy: the format of the layer's inputs and outputs, and the format of its variables."""

    name: str
    compute: Format
    variable: Format


POLICIES = {
    name: Policy(name, FORMATS[compute], FORMATS[variable])
    for name, compute, variable in (
        ("float32", "float32", "float32"),
        ("float64", "float64", "float64"),
        ("float16", "float16", "float16"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("mixed_float16", "float16", "float32"),
        ("mixed_bfloat16", "bfloat16", "float32"),
    )
}


@dataclass(frozen=True)
class Precision:
    """The formats that the numbers of one case are rounded to, in order.

    `autocast` is the format of a floating-point input on entry (None for integers, which Keras does not autocast).
    `read` is the format of weights when a layer rounds them on reading (Keras does not).
    `direct` means that float64 is cast to a half format in one step, not through float32.
    `arithmetic` is the format of the statistics and the normalization;
    `variable` is the format of stored weights.
    `output` is the format of y.
    """

    autocast: Format | None
    arithmetic: Format
    variable: Format
    output: Format
    read: Format | None = None
    direct: bool = False

    def narrowest(self, target: Format) -> Format:
        """The format with the smaller range: the number's own or the arithmetic's. A number overflows it first."""
        return min(target, self.arithmetic, key=lambda f: f.largest)

    @cached_property
    def wide(self) -> type[np.floating[Any]]:
        """The type that the reference computes in: at least float64, and wider than the layer's arithmetic."""
        return np.float64 if self.arithmetic.bits < 53 else np.longdouble

    @cached_property
    def verifiable(self) -> bool:
        """Whether this machine has a type wider than the layer's arithmetic (np.longdouble is float64 on some)."""
        return bool(np.finfo(self.wide).nmant + 1 > self.arithmetic.bits)


def precision(policy: str, dtype: str) -> Precision:
    """The formats of a layer with dtype `policy` for inputs of `dtype`.

    Statistics are computed in float32 at least (`result_type(x, "float32")` in Keras 3), and in float64 if the input of the
    layer's call is float64.
    """
    chosen = POLICIES[policy]
    autocast = None if dtype in INTEGERS else chosen.compute
    arithmetic = FORMATS["float64"] if chosen.compute.name == "float64" else FORMATS["float32"]
    return Precision(autocast, arithmetic, chosen.variable, chosen.compute)
