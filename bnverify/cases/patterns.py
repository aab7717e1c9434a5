"""The building blocks of the suites' ids (shapes, policies, fills), and a function that fills patterns with them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from bnverify.cases.fields import FILLS

# All sizes of a shape differ, so that a layer that reduces the wrong axis returns statistics of the wrong shape.
SHAPES = ("6x5", "4x6x3", "2x3x5x4", "2x3x4x2x5", "2x3x2x4x2x5")
POLICIES_WITH_DTYPES = (  # each policy with the usual dtype of its inputs
    "policy:float64/dtype:float64",
    "policy:mixed_float16/dtype:float16",
    "policy:mixed_bfloat16/dtype:bfloat16",
    "policy:float16/dtype:float16",
    "policy:bfloat16/dtype:bfloat16",
)
SPECIAL = FILLS[1:]
INPUT_DTYPES = ("int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float64")


def each(pattern: str, *values: tuple[object, ...]) -> Iterator[str]:
    """The pattern, formatted with every combination of `values`: one tuple of values for each placeholder."""
    return (pattern.format(*combination) for combination in itertools.product(*values))
