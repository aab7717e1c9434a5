"""What Keras promises about gamma and beta apart from their use: the losses of regularizers and the projections of constraints.

The functions have Keras' names and defaults: l1 and l2 0.01, max_norm 2. Sources: https://keras.io/api/layers/regularizers/,
https://keras.io/api/layers/constraints/.
"""

from __future__ import annotations

from typing import Any

from bnverify.reference.formulas import Tensor

SMALL = 1e-7  # keras.config.epsilon(): Keras adds it to a norm before it divides by the norm


def regularization(xp: Any, kind: str, w: Tensor) -> Tensor:
    """The loss that a regularizer adds: 0.01*sum|w| (l1) or 0.01*sum(w^2) (l2)."""
    return 0.01 * xp.sum(xp.abs(w) if kind == "l1" else w * w)


def constrained(xp: Any, kind: str, w: Tensor) -> Tensor:
    """The projection of a weight vector: negative values to 0 (non_neg), norm 1 (unit_norm), norm at most 2 (max_norm)."""
    if kind == "non_neg":
        return xp.maximum(w, 0.0)
    if not kind:
        return w
    norm = xp.sqrt(xp.sum(w * w))
    return w * (1.0 / (norm + SMALL)) if kind == "unit_norm" else w * (xp.minimum(norm, 2.0) / (norm + SMALL))
