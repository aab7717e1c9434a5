"""The view of a selftest: the score, who caught what, survivors and false alarms, with any text shown as it is."""

from __future__ import annotations

import io

from rich.console import Console
from support.shown import wrong

from bnverify.running.selftest import MutantOutcome, Score
from bnverify.views.selftest_view import show_score

CAUGHT = wrong("shape:4x3/steps:T", "a [bold] cause")


def shown(score: Score) -> list[str]:
    out = io.StringIO()
    show_score(score, Console(file=out, width=120))
    return [" ".join(line.split()) for line in out.getvalue().splitlines() if line.strip()]


def test_a_perfect_score() -> None:
    """One line for each mutant, with its case and its cause; brackets are text."""
    score = Score(
        (MutantOutcome("half", "in [float16]", "precision", CAUGHT),),
        (MutantOutcome("reference", "itself", "equivalent", None),),
    )
    assert shown(score) == [
        "mutant group fault caught by cause named",
        "half precision in [float16] shape:4x3/steps:T a [bold] cause",
        "caught 1 of 1 mutant",
        "passed 1 of 1 that must pass (the reference and equivalent mutants)",
    ]


def test_survivors_and_false_alarms_are_named() -> None:
    """After the score, with what is wrong with them."""
    score = Score(
        (MutantOutcome("half", "in [float16]", "precision", None), MutantOutcome("single", "f", "precision", CAUGHT)),
        (MutantOutcome("folded", "x·scale", "equivalent", CAUGHT),),
    )
    lines = shown(score)
    assert "half precision in [float16] survived" in lines
    assert lines[-4:] == [
        "caught 1 of 2 mutants",
        "passed 0 of 1 that must pass (the reference and equivalent mutants)",
        "SURVIVED half: in [float16]",
        "FALSE ALARM folded: x·scale, in shape:4x3/steps:T",
    ]
