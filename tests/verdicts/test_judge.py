"""Judge: one verdict from all checks of a case, and from its sub-cases where a step makes several calls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.evidence import evidence
from support.targets import Changed, raises

from bnverify.cases.case import Case
from bnverify.cases.ids import parse
from bnverify.contract import CLAUSES, OF_CALLS, OF_MISUSE
from bnverify.values import Grade, Observation, Status
from bnverify.verdicts.judge import verdict_of
from bnverify.verdicts.pipeline import verify


def test_the_verdict_is_the_worst_check() -> None:
    """One wrong output among checks that conform; an observation that raised after a step still has the checks before it."""
    e = evidence("shape:4x3/steps:TI")
    right = verdict_of(e.expectation, e.observation)
    assert right.status is Status.CONFORMS
    y = e.observation.steps[1].y
    assert y is not None
    wrong = replace(e.observation, steps=(e.observation.steps[0], replace(e.observation.steps[1], y=y + np.float32(1))))
    found = verdict_of(e.expectation, wrong)
    assert found.status is Status.WRONG
    assert [(check.clause, check.step) for check in found.failures] == [("inference-output", 1)]
    assert len(found.checks) == len(right.checks)


def test_nothing_checked_is_inconclusive() -> None:
    """Without clauses no case conforms."""
    e = evidence("shape:4x3/steps:T")
    assert verdict_of(e.expectation, e.observation, clauses=()).status is Status.INCONCLUSIVE


def test_checks_that_cannot_be_made_in_a_mode_are_dropped() -> None:
    """Hidden weights: no check of them, and no inconclusive one either."""
    e = evidence("shape:4x3/steps:T")
    hidden = replace(e.observation, steps=(replace(e.observation.steps[0], hidden=("weights",)),))
    found = verdict_of(e.expectation, hidden)
    assert not {"moving-mean", "moving-variance", "calls-keep-parameters"} & {check.clause for check in found.checks}
    assert found.status is Status.CONFORMS


def test_a_reference_that_is_no_wider_judges_nothing() -> None:
    """Where np.longdouble is float64, float64 cases are inconclusive with the reason."""
    e = evidence("shape:4x3/steps:T")
    double = evidence("shape:4x3/policy:float64/dtype:float64/steps:T").formats

    class Narrow(type(double)):  # type: ignore[misc]
        verifiable = False

    narrow = Narrow(**vars(double))
    found = verdict_of(replace(e.expectation, formats=narrow), e.observation)
    assert (found.status, found.checks) == (Status.INCONCLUSIVE, ())
    assert "np.longdouble is no wider than float64" in found.reason


def test_a_mistake_is_judged_by_the_clauses_on_mistakes() -> None:
    """No clause on outputs or weights asks about a layer that must not be made."""
    found = verify(parse("shape:4x3/misuse:keyword/steps:I"), Changed()).verdict
    assert {check.clause for check in found.checks} <= {clause.key for clause in OF_MISUSE}
    assert found.status is Status.CONFORMS


def test_slices_are_judged_one_by_one() -> None:
    """A wrong second slice fails in the step of the whole case; clauses on the layer as a whole are checked once."""
    case = parse("shape:4x2x3/mode:timedistributed/steps:IT")

    def change(case: Case, o: Observation) -> Observation:
        if case.mode != "timedistributed" or o.steps[0].y is None:
            return o
        y = o.steps[0].y.copy()
        y[:, 1] += 1
        return replace(o, steps=(replace(o.steps[0], y=y), *o.steps[1:]))

    judged = verify(case, Changed(change))
    assert [(check.clause, check.step) for check in judged.verdict.failures] == [("inference-output", 0)]
    assert judged.own is not None
    assert judged.own.status is Status.CONFORMS
    ((_, inner),) = judged.sub_cases
    assert [check.step for check in inner.verdict.failures] == [1]  # the second slice
    assert {check.clause for check in inner.verdict.checks} <= {clause.key for clause in OF_CALLS}
    assert sum(check.clause == "weights" for check in judged.verdict.checks) == 1


def test_an_exception_is_a_crash() -> None:
    """The one failing check is that construction and calls return."""
    found = verify(parse("shape:4x3/steps:T"), Changed(raises("constructor", "ValueError", "broken"))).verdict
    assert (found.status, [check.clause for check in found.failures]) == (Status.CRASHED, ["returns"])


@pytest.mark.parametrize("required", [Grade.BLOCKED, Grade.ONE_PASS])
def test_the_required_grade_is_that_of_the_second_observation_too(required: Grade) -> None:
    """A clause that compares two observations gets both under the same requirement."""
    seen: list[Grade] = []

    def check(e):  # type: ignore[no-untyped-def]
        seen.extend([e.required, *(other.required for other in e.companions.values())])
        return iter(())

    e = evidence("shape:4x3/steps:T")
    clause = replace(CLAUSES[0], check=check)
    verdict_of(e.expectation, e.observation, required, {"k": (e.expectation, e.observation)}, (clause,))
    assert seen == [required, required]
