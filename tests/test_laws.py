"""Laws between two observations: shift invariance is checked on real pairs, and notices what no other clause does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bnverify.cases.case import Case, parse
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.contract.laws import shifted
from bnverify.model import Observation, Status, Verdict
from bnverify.run import run
from bnverify.targets.reference_target import ReferenceTarget

EXACT = "shape:12x3/fill:exact/steps:TI"


class Biased(ReferenceTarget):
    """A perfect layer whose training output is off by `error` where the batch is far from 0, as the shifted one is."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        seen = super().observe(case, inputs)
        x, y = inputs.batches[0], seen.steps[0].y
        if x is None or y is None or np.abs(x).mean() < 12:
            return seen
        return replace(seen, steps=(replace(seen.steps[0], y=y + np.float32(self.error)), *seen.steps[1:]))


def verdict(target: ReferenceTarget, id_: str = EXACT) -> Verdict:
    return run([parse(id_)], target).verdicts[0]


def test_a_perfect_layer_keeps_the_law() -> None:
    """The law is checked once for an exact case that begins with training, and holds."""
    checks = [check for check in verdict(ReferenceTarget()).checks if check.clause == "shift-invariance"]
    assert [(check.status, check.step) for check in checks] == [(Status.CONFORMS, 0)]


def test_a_fault_that_shows_only_when_shifted() -> None:
    """A layer that is right on the case and wrong on its shifted companion breaks this clause and no other."""
    failures = verdict(Biased(1e-3)).failures
    assert {check.clause for check in failures} == {"shift-invariance"}
    assert verdict(Biased(1e-9)).status is Status.CONFORMS


@pytest.mark.parametrize(
    ("id_", "asked"),
    [
        (EXACT, True),
        ("shape:2x3x4/axis:1/fill:exact/steps:T", True),
        ("shape:12x3/policy:mixed_float16/dtype:float16/fill:exact/steps:T", True),
        ("shape:12x3/fill:exact/steps:IT", False),
        ("shape:12x3/steps:T", False),
        ("shape:12x3/dtype:int32/fill:exact/steps:T", False),
    ],
)
def test_where_the_law_is_asked(id_: str, asked: bool) -> None:
    """Only where the shift is exact: the companion's values are the case's ±16, without rounding."""
    case = parse(id_)
    inputs = make_inputs(case)
    found = shifted(case, inputs)
    assert (found is not None) is asked
    if found is not None:
        moved, x = found[1].batches[0], inputs.batches[0]
        assert moved is not None
        assert x is not None
        assert set(np.unique(np.abs(moved.astype(float) - x.astype(float)))) == {16.0}
        assert found[1].weights is inputs.weights
