"""Keras layers that compute in a narrower format than promised."""

from __future__ import annotations

from typing import Any

from keras import ops

from bnverify.targets.mutants.formula_layers import FormulaLayer


def rounded_to(x: Any, dtype: str) -> Any:
    """x after a cast to a narrower dtype and back."""
    return ops.cast(ops.cast(x, dtype), x.dtype)


class InHalf(FormulaLayer):
    """Everything in float16."""

    def enter(self, inputs: Any) -> Any:
        return ops.cast(inputs, "float16")


class InComputeDtype(FormulaLayer):
    """Statistics and normalization in the policy's compute dtype: half under half policies."""

    def enter(self, inputs: Any) -> Any:
        return ops.cast(inputs, self.compute_dtype)


class InSingle(FormulaLayer):
    """float32 even under a float64 policy."""

    def enter(self, inputs: Any) -> Any:
        return ops.cast(inputs, "float32")


class InTenBits(FormulaLayer):
    """Inputs are rounded to TF32's 11 bits of significand."""

    def enter(self, inputs: Any) -> Any:
        x = super().enter(inputs)
        scale = ops.cast(2.0**13 + 1.0, x.dtype)
        high = x * scale
        return high - (high - x)
