"""Diagnosis: a perfect layer with one fault is told apart, by name, from all others."""

from __future__ import annotations

from collections import Counter

import pytest

from bnverify.cases.ids import parse
from bnverify.cases.suites import suite
from bnverify.reference.hypotheses import HYPOTHESES, Hypothesis
from bnverify.running.run import run
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Results, Status

FIRST_FIT = (  # what it settles, as frozen and as not: either by itself could be another fault's
    "shape:6x4/mode:uncompiled/steps:FTUTI",
    "shape:6x4/trainable:False/mode:uncompiled/steps:UTFTI",
)


def verified(hypothesis: Hypothesis) -> Results:
    return run((*suite("smoke"), *map(parse, FIRST_FIT)), ReferenceTarget(hypothesis.formulas))


@pytest.mark.slow
@pytest.mark.parametrize("hypothesis", HYPOTHESES, ids=lambda h: h.key)
def test_a_fault_is_named(hypothesis: Hypothesis) -> None:
    """All failing cases of the smoke suite, but one in ten or a single one, name this fault as their only cause."""
    causes = Counter(verdict.cause for verdict in verified(hypothesis).verdicts if verdict.status.fails)
    assert causes[hypothesis.cause] > 0
    assert causes.total() - causes[hypothesis.cause] <= max(1, 0.1 * causes.total()), causes


@pytest.mark.slow
def test_the_reference_passes_every_case() -> None:
    """The reference, used as a target, conforms in every case of the full suite and the regressions that it can do.

    It is a layer by itself: networks, replicas and files are asked of real layers alone.
    """
    results = run((*suite("full"), *suite("regressions")), ReferenceTarget())
    missing = [verdict.case for verdict in results.verdicts if verdict.status is Status.UNSUPPORTED]
    several = [c for c in missing if isinstance(c.config.axis, tuple)]  # which Keras 3 does not take
    assert all(c.network or c.file or c.how.replicas > 1 or c in several for c in missing)
    assert {verdict.case.id for verdict in results.verdicts if verdict.status.fails} == set()
    assert results.statuses[Status.CONFORMS] > 1900
    assert results.ok


def test_catalogue_keys_and_causes_are_unique() -> None:
    """No two hypotheses share a key or a cause."""
    assert len({h.key for h in HYPOTHESES}) == len({h.cause for h in HYPOTHESES}) == len(HYPOTHESES) >= 40


def test_a_hypothesis_that_changes_nothing_explains_nothing() -> None:
    """An unknown fault in a case where, say, momentum does not matter is not put on momentum."""
    target = ReferenceTarget()
    case = parse("shape:4x3/steps:I")

    class Doubled:
        environment = target.environment

        def observe(self, case, inputs):  # type: ignore[no-untyped-def]
            import dataclasses

            seen = target.observe(case, inputs)
            steps = tuple(dataclasses.replace(step, y=step.y**3) for step in seen.steps)
            return dataclasses.replace(seen, steps=steps)

    (verdict,) = run([case], Doubled()).verdicts
    assert verdict.status is Status.WRONG
    assert verdict.cause == ""


def test_a_loss_and_a_constraint_have_no_formula_to_blame() -> None:
    """Where only a regularizer's loss, or gamma after a step, is wrong, no momentum or epsilon is fitted to it."""
    target = ReferenceTarget()

    class Off:
        environment = target.environment

        def observe(self, case, inputs):  # type: ignore[no-untyped-def]
            import dataclasses

            seen = target.observe(case, inputs)
            steps = [dataclasses.replace(step, losses=tuple(2 * loss for loss in step.losses)) for step in seen.steps]
            if "gamma_constraint" in case.id:
                steps[-1] = dataclasses.replace(
                    steps[-1], weights={**steps[-1].weights, "gamma": steps[-1].weights["gamma"] + 1}
                )
            return dataclasses.replace(seen, steps=tuple(steps))

    for id_ in (
        "shape:6x4/gamma_regularizer:l2/beta_regularizer:l1/gradients:1/steps:TI",
        "shape:6x4/gamma_constraint:non_neg/steps:TO",
    ):
        (verdict,) = run([parse(id_)], Off()).verdicts
        assert verdict.status is Status.WRONG
        assert (verdict.cause, verdict.stage) == ("", "")
