"""Hypotheses: batch normalization with one thing wrong. Each is a formula that someone really wrote or believed.

If a hypothesis reproduces a wrong observation, it names the cause. The same catalogue, turned into layers, makes the mutants
that test the verifier. Formulas take the namespace `xp` (numpy or keras.ops).
"""

from __future__ import annotations

from bnverify.reference.hypotheses.forward import FORWARD
from bnverify.reference.hypotheses.gradients import GRADIENTS
from bnverify.reference.hypotheses.hypothesis import Hypothesis
from bnverify.reference.hypotheses.masks import MASK_HYPOTHESES
from bnverify.reference.hypotheses.renorm import RENORM_HYPOTHESES

__all__ = ["HYPOTHESES", "HYPOTHESIS_BY_KEY", "Hypothesis"]

HYPOTHESES: tuple[Hypothesis, ...] = (*FORWARD, *MASK_HYPOTHESES, *RENORM_HYPOTHESES, *GRADIENTS)
HYPOTHESIS_BY_KEY = {hypothesis.key: hypothesis for hypothesis in HYPOTHESES}
