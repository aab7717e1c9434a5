"""Stages: a wrong verdict names the first quantity that is off, by its cause's formulas or by a second look at the layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.ids import parse
from bnverify.cases.suites import suite
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.running.run import run
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Observation
from bnverify.verdicts.pipeline import verify
from bnverify.verdicts.stages import stage_of

STAGE = {
    "no-mean": "mean",
    "all-axes": "mean",
    "always-moving": "mean",
    "about-zero": "variance",
    "unbiased": "variance",
    "mean-deviation": "variance",
    "epsilon-outside": "inverse deviation",
    "no-root": "inverse deviation",
    "epsilon-twice": "inverse deviation",
    "gamma-ignored": "output",
    "beta-subtracted": "output",
    "gamma-absolute": "output",
    "momentum-swapped": "moving averages",
    "unbiased-moving": "moving averages",
    "never-updated": "moving averages",
    "gradient-constant-mean": "gradients",
    "gradient-swapped": "gradients",
}
PLAIN = tuple(case for case in suite("smoke") if not case.mask and not case.config.renorm and case.fill == "normal")


@pytest.mark.slow
@pytest.mark.parametrize(("key", "stage"), STAGE.items())
def test_the_stage_of_a_known_cause(key: str, stage: str) -> None:
    """All wrong cases of a layer with one fault say the stage that its formula is about; inference may show it later."""
    results = run(PLAIN, ReferenceTarget(HYPOTHESIS_BY_KEY[key].formulas))
    stages = Counter(verdict.stage for verdict in results.verdicts if verdict.status.fails)
    assert stages.most_common(1)[0][0] == stage, stages
    assert set(stages) <= {stage}, stages


@pytest.mark.slow
@pytest.mark.parametrize(("key", "stage"), STAGE.items())
def test_the_stage_found_by_a_second_look(key: str, stage: str) -> None:
    """Without knowing the cause, the layer's own numbers give the same stage, in nine of ten cases."""
    target = ReferenceTarget(HYPOTHESIS_BY_KEY[key].formulas)
    failing = [one for one in (verify(case, target, 0) for case in PLAIN) if one.verdict.status.fails]
    stages = Counter(stage_of(one.verdict, one.observed, target.observe, None) for one in failing if one.observed)
    assert stages[stage] >= 0.9 * stages.total(), stages


class Distorted(ReferenceTarget):
    """A perfect layer whose normalized values are changed by `change`, before gamma and beta where these are 1 and 0."""

    def __init__(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__()
        self.change = change

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        seen = super().observe(case, inputs)
        steps = tuple(
            step if step.y is None else replace(step, y=self.change(step.y).astype(step.y.dtype)) for step in seen.steps
        )
        return replace(seen, steps=steps)


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        (lambda y: y + np.where(np.arange(y.size).reshape(y.shape) % 2, 1e-3, -1e-3), "x̂"),
        (lambda y: y**3, "x̂"),
        (lambda y: y + 1e-3, "mean"),
        (lambda y: y * 1.001, "inverse deviation"),
    ],
)
def test_a_fault_of_no_name(change: Callable[[np.ndarray], np.ndarray], stage: str) -> None:
    """Faults that no hypothesis has still have a stage."""
    (verdict,) = run([parse("shape:40x3/weights:initial/steps:T")], Distorted(change)).verdicts
    assert verdict.stage == stage


def test_a_case_that_conforms_has_no_stage() -> None:
    """Nothing is off in a perfect layer, nor in one whose attributes alone differ."""
    assert {verdict.stage for verdict in run(PLAIN, ReferenceTarget()).verdicts} == {""}
    one = verify(parse("shape:4x3/steps:T"), ReferenceTarget(), 0)
    assert one.observed is not None
    assert stage_of(one.verdict, one.observed, ReferenceTarget().observe, None) == ""
