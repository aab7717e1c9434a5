"""Counting: checks for each clause, and failures grouped by cause, the gravest and largest group first."""

from __future__ import annotations

from support.shown import crashed, right, wrong

from bnverify.cases.ids import parse
from bnverify.contract import CLAUSES
from bnverify.values import Check, Grade, Status, Verdict
from bnverify.verdicts.tally import by_clause, failures


def verdict(id_: str, *checks: Check) -> Verdict:
    return Verdict(parse(id_), checks, max((check.status for check in checks), key=lambda s: s.gravity))


def output(status: Status, grade: Grade | None = None, margin: float | None = None) -> Check:
    return Check("training-output", "y", 0, status, grade, margin)


def test_every_clause_has_a_tally() -> None:
    """In the order and with the numbers of the contract, those without a check included."""
    found = by_clause([right("shape:4x3/steps:T")])
    assert [(tally.number, tally.clause) for tally in found] == list(enumerate(CLAUSES, 1))
    assert {tally.clause.key: tally.checks for tally in found if tally.checks} == {"training-output": 1}


def test_a_tally_has_the_worst_grade_and_the_largest_margin_with_its_case() -> None:
    """Known deviations count among the checks, and for neither grade nor margin."""
    (tally,) = [
        tally
        for tally in by_clause(
            [
                verdict("shape:4x3/steps:T", output(Status.CONFORMS, Grade.SEQUENTIAL, 0.5)),
                verdict("shape:5x3/steps:T", output(Status.CONFORMS, Grade.BLOCKED, 0.75), output(Status.INCONCLUSIVE)),
                verdict("shape:6x3/steps:T", output(Status.KNOWN, Grade.NONE, 99.0)),
            ]
        )
        if tally.checks
    ]
    assert tally.statuses == {Status.CONFORMS: 2, Status.INCONCLUSIVE: 1, Status.KNOWN: 1}
    assert (tally.grade, tally.margin, tally.case) == (Grade.SEQUENTIAL, 0.75, "shape:5x3/steps:T")


def test_a_margin_of_zero_is_a_margin() -> None:
    """The first check counts, and BLOCKED, which is 0, is a grade."""
    (tally,) = [t for t in by_clause([verdict("shape:4x3/steps:T", output(Status.CONFORMS, Grade.BLOCKED, 0.0))]) if t.checks]
    assert (tally.grade, tally.margin, tally.case) == (Grade.BLOCKED, 0.0, "shape:4x3/steps:T")


def test_failures_are_grouped_by_cause_and_else_by_clause() -> None:
    """Gravest first, then the largest; verdicts that conform are in no group."""
    found = failures(
        [
            right("shape:2x2/steps:T"),
            wrong("shape:3x2/steps:T", "epsilon is left out"),
            wrong("shape:4x2/steps:T"),
            wrong("shape:5x2/steps:T", clause="moving-mean"),
            wrong("shape:6x2/steps:T", clause="moving-mean"),
            wrong("shape:7x2/steps:T", "epsilon is left out"),
            wrong("shape:8x2/steps:T", "epsilon is left out"),
            crashed("shape:9x2/steps:T"),
        ]
    )
    assert [(group.status, group.cause, group.title, len(group.verdicts)) for group in found] == [
        (Status.CRASHED, "", "step 0: ValueError", 1),
        (Status.WRONG, "epsilon is left out", "epsilon is left out", 3),
        (Status.WRONG, "", "moving mean", 2),
        (Status.WRONG, "", "output in training", 1),
    ]


def test_crashes_are_grouped_by_stage_and_type() -> None:
    """Texts differ in their numbers; stages and types do not."""
    found = failures(
        [
            crashed("shape:3x2/steps:T", "ValueError: no axis 3"),
            crashed("shape:4x2/steps:T", "ValueError: no axis 7"),
            crashed("shape:5x2/steps:T", "TypeError: no axis 3"),
            crashed("shape:6x2/steps:T", "ValueError: no axis 3", stage="build"),
        ]
    )
    assert sorted((group.title, len(group.verdicts)) for group in found) == [
        ("build: ValueError", 1),
        ("step 0: TypeError", 1),
        ("step 0: ValueError", 2),
    ]


def test_a_cause_is_no_clause_of_the_same_name() -> None:
    """A cause and a clause with the same text are two groups."""
    title = "output in training"
    assert len(failures([wrong("shape:3x2/steps:T", title), wrong("shape:4x2/steps:T")])) == 2


def test_a_group_shows_its_smallest_case_and_counts_its_clauses() -> None:
    """By the number of values, then of steps; counts are of failing checks, in the order of the contract."""
    two = Verdict(
        parse("shape:3x2/steps:T"),
        (
            Check("moving-mean", "moving_mean", 0, Status.WRONG),
            Check("moving-mean", "moving_mean", 1, Status.WRONG),
            output(Status.WRONG),
            Check("weights", "names", None, Status.CONFORMS),
        ),
        Status.WRONG,
        cause="a cause",
    )
    (group,) = failures([wrong("shape:8x2/steps:T", "a cause"), two, wrong("shape:3x2/steps:TI", "a cause")])
    assert group.example is two
    assert list(group.clauses.items()) == [("training-output", 3), ("moving-mean", 2)]
