"""A hypothesis: a name for one fault, and the formulas that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

from bnverify.reference.formulas import KERAS, Formulas


@dataclass(frozen=True)
class Hypothesis:
    """A key, the cause in words that complete "the numbers fit if …", and the formulas with that fault."""

    key: str
    cause: str
    formulas: Formulas

    @property
    def backward(self) -> bool:
        """Whether the fault changes gradients only."""
        f = self.formulas
        return f.gradients is not KERAS.gradients or f.second_gradient is not KERAS.second_gradient
