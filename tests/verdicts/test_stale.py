"""Stale deviations: one counts as gone only if no seed shows it in its evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bnverify.cases.case import Case
from bnverify.cases.ids import parse
from bnverify.values import Check, Status, Verdict
from bnverify.verdicts.known import Deviation
from bnverify.verdicts.stale import SEEDS, stale

EVIDENCE = "shape:4x3/steps:T"
DEVIATION = Deviation(
    clauses=("training-output", "moving-mean"), why="why", link="https://example.org", evidence=EVIDENCE, where="known.toml:1"
)
EXACT = replace(DEVIATION, computes="epsilon-outside")


def verdict(**statuses: Status) -> Verdict:
    checks = tuple(Check(clause.replace("_", "-"), "y", 0, status) for clause, status in statuses.items())
    return Verdict(parse(EVIDENCE), checks, max((check.status for check in checks), key=lambda s: s.gravity))


BOTH = verdict(training_output=Status.KNOWN, moving_mean=Status.KNOWN)
FIRST = verdict(training_output=Status.KNOWN, moving_mean=Status.CONFORMS)
SECOND = verdict(training_output=Status.CONFORMS, moving_mean=Status.KNOWN)
NONE = verdict(training_output=Status.CONFORMS, moving_mean=Status.CONFORMS)


@pytest.mark.parametrize(
    ("deviation", "first", "others", "gone", "tried"),
    [
        (DEVIATION, BOTH, {}, 0, []),
        (DEVIATION, NONE, {3: BOTH}, 0, [0, 1, 2, 3]),
        (DEVIATION, FIRST, {2: SECOND}, 0, [0, 1, 2]),
        (DEVIATION, FIRST, {}, 1, list(SEEDS)),
        (DEVIATION, NONE, {}, 2, list(SEEDS)),
        (EXACT, FIRST, {}, 0, []),
        (EXACT, NONE, {0: SECOND}, 0, [0]),
        (EXACT, NONE, {}, 1, list(SEEDS)),
    ],
)
def test_other_seeds(deviation: Deviation, first: Verdict, others: dict[int, Verdict], gone: int, tried: list[int]) -> None:
    """The evidence is run again only while it does not show the deviation, and each seed may show a part of it."""
    asked: list[int] = []

    def again(case: Case, seed: int) -> Verdict:
        assert case.id == EVIDENCE
        asked.append(seed)
        return others.get(seed, NONE)

    assert len(stale([deviation], [first], again)) == gone
    assert asked == tried


def test_without_another_run() -> None:
    """Verdicts alone decide where nothing can be run again."""
    assert len(stale([DEVIATION], [FIRST])) == 1
    assert stale([DEVIATION], [BOTH]) == ()
