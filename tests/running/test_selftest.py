"""The selftest's parts: the score, the order of cases, and the first case that catches a fault."""

from __future__ import annotations

from support.shown import wrong
from support.targets import Changed, raises

from bnverify.cases.ids import parse
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.running.selftest import MutantOutcome, Score, first_failure, likely_first
from bnverify.values import Status

CASES = tuple(
    map(
        parse,
        ("shape:4x3/steps:I", "shape:4x3/mode:nested/steps:T", "shape:4x3/file:h5/steps:TS", "shape:4x3/law:shift/steps:T"),
    )
)
CAUGHT, PASSED = (
    MutantOutcome("a", "f", "g", wrong("shape:4x3/steps:T")),
    MutantOutcome("b", "f", "g", None),
)


def test_mutants_must_be_caught_and_the_others_must_pass() -> None:
    """A survivor and a false alarm each make the score bad."""
    assert Score((CAUGHT,), (PASSED,)).ok
    bad = Score((CAUGHT, PASSED), (PASSED, CAUGHT))
    assert (bad.survivors, bad.false_alarms, bad.ok) == ((PASSED,), (CAUGHT,), False)
    assert not Score((PASSED,), ()).ok
    assert not Score((), (CAUGHT,)).ok


def test_cases_that_show_a_group_come_first() -> None:
    """In their order otherwise; a group without fields of its own keeps the order."""
    assert likely_first(CASES, "files")[0].id == "shape:4x3/file:h5/steps:TS"
    assert [CASES.index(case) for case in likely_first(CASES, "modes")] == [1, 2, 3, 0]
    assert likely_first(CASES, "formula") == CASES


def test_the_first_failing_case_is_named_with_its_cause() -> None:
    """Later cases are not observed; one step of progress is told."""
    steps: list[int] = []
    target = Changed(formulas=HYPOTHESIS_BY_KEY["never-updated"].formulas)
    infer, train, again = map(parse, ("shape:6x4/steps:I", "shape:6x4/steps:TI", "shape:8x4/steps:TI"))
    found = first_failure((infer, train, again), target, lambda: steps.append(1))
    assert found is not None
    assert (found.case, found.cause) == (train, HYPOTHESIS_BY_KEY["never-updated"].cause)
    assert (steps, again.id in target.asked) == ([1], False)
    assert first_failure((infer, train), Changed()) is None


def test_what_cannot_be_tested_fails_unless_the_target_is_partial() -> None:
    """A mutant that refuses a case is no proof that the fault was seen, but it does not pass either."""
    refusing = raises("step 0", "NotHere", "no")
    found = first_failure((parse("shape:4x3/steps:T"),), Changed(refusing))
    assert found is not None
    assert found.status is Status.UNSUPPORTED
    assert first_failure((parse("shape:4x3/steps:T"),), Changed(refusing), partial=True) is None
