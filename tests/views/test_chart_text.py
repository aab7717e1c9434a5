"""The chart as text: the evidence of a cell, the lines of a row, and texts that Markdown would interpret."""

from __future__ import annotations

from typing import Any

import pytest
from support.recorded import ID, SMALL, case, record

from bnverify.contract import CLAUSES
from bnverify.matrix.chart import CellGroup, ChartRow
from bnverify.matrix.records import CaseRecord, CheckRecord, ClauseRecord
from bnverify.matrix.rows import Row
from bnverify.matrix.runs import RowOutcome
from bnverify.values import Grade, Status
from bnverify.views.chart_text import (
    CELL_COLOURS,
    CELL_SIGNS,
    LEGEND,
    MARKS,
    as_markdown,
    chart_conclusion,
    legend_lines,
    mismatch_words,
    outcome_line,
    reproduce_in_row,
    row_lines,
)

CHECK = CheckRecord(Status.WRONG, "y", 0, Grade.NONE, 2500.0, "1.5", "1.25")
WRONG = ChartRow(
    "mine", record({ID: case(Status.WRONG, "a cause")}, clauses={"training-output": ClauseRecord({Status.WRONG: 1})}), ""
)
FINE = ChartRow("fine", record(clauses={"training-output": ClauseRecord({Status.CONFORMS: 3})}), "")
ABSENT = ChartRow("absent", None, "no Python 3.6", skipped=True)


def group(check: CheckRecord) -> CellGroup:
    return CellGroup(Status.WRONG, "", (ID,), ID, check)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (CHECK, "y after step 0: expected 1.5, got 1.25; margin 2 500, grade none"),
        (CheckRecord(Status.WRONG, "axis", None, None, None, "-1", "1"), "axis: expected -1, got 1"),
        (CheckRecord(Status.INCONCLUSIVE, "y", 3, None, None, "", ""), "y after step 3"),
    ],
)
def test_the_worst_check_of_a_cell(check: CheckRecord, words: str) -> None:
    """As far as it has numbers."""
    assert mismatch_words(group(check)) == words


def test_the_command_is_quoted() -> None:
    """For a row whose name has a space."""
    assert reproduce_in_row(ChartRow("my row", None, ""), group(CHECK)) == f"bnverify matrix 'my row' --case {ID}"


def test_the_lines_of_a_row() -> None:
    """Failures with their numbers; known deviations without, unless asked for; what could not run and why."""
    assert row_lines(WRONG) == [
        "mine: wrong: a cause: output in training (1)",
        "  y after step 0: expected 1.5, got 1.25; margin 100, grade none",
        f"  see: bnverify matrix mine --case {ID}",
    ]
    assert row_lines(ABSENT) == ["absent: no Python 3.6"]
    assert row_lines(FINE) == []
    known = ChartRow("mine", record({ID: case(Status.KNOWN, reason="as recorded")}, stale=("gone",)), "")
    assert row_lines(known) == ["mine: known deviation: as recorded: output in training (1)", "mine: stale: gone"]
    assert len(row_lines(known, verbose=True)) == 4


def test_failures_come_before_what_is_known() -> None:
    """Whatever the order of the clauses."""
    both = record({"shape:3x3/steps:T": case(Status.KNOWN, reason="as recorded"), ID: case(Status.WRONG, "c", "moving-mean")})
    assert [line.split(":")[1] for line in row_lines(ChartRow("mine", both, "")) if line.startswith("mine")] == [
        " wrong",
        " known deviation",
    ]


def test_why_cases_could_not_be_tested_is_shown_if_asked_for() -> None:
    """Each reason with the number of its cases."""
    skipped = CaseRecord(Status.UNSUPPORTED, reason="one axis")
    row = ChartRow("mine", record({ID: skipped, "shape:5x3/steps:T": skipped}), "")
    assert row_lines(row) == []
    assert row_lines(row, verbose=True) == ["mine: unsupported (2): one axis"]


def test_the_last_line() -> None:
    """How many conform, how many were not run, and the checks."""
    assert chart_conclusion([FINE, WRONG, ABSENT]) == "1 of 2 environments conforms, 1 not run; 4 checks"
    assert chart_conclusion([FINE]) == "1 of 1 environment conforms; 3 checks"


def test_only_clauses_that_were_checked_are_in_the_legend() -> None:
    """With the numbers that the columns have."""
    number = [clause.key for clause in CLAUSES].index("training-output") + 1
    assert legend_lines([FINE, ABSENT]) == [LEGEND, f"{number:2} output in training"]
    assert legend_lines([ABSENT]) == [LEGEND]


def test_every_sign_has_a_colour_and_a_mark() -> None:
    """In the terminal and in Markdown, which has none; rich knows each colour."""
    from rich.style import Style

    assert set(CELL_SIGNS.values()) == set(CELL_COLOURS) == set(MARKS)
    assert all(Style.parse(colour) for colour in CELL_COLOURS.values())
    assert len(set(MARKS.values())) == len(MARKS)


def test_markdown_has_a_row_for_each_environment_and_its_evidence() -> None:
    """Texts of others cannot end a cell, a list or a tag."""
    evil = ChartRow("a|b`c", record({ID: case(Status.WRONG, "<b>*bold*</b>")}, clauses=WRONG.record.clauses), "")  # type: ignore[union-attr]
    shown = as_markdown([evil, ABSENT], notes=["[x](y)"])
    lines = shown.splitlines()
    assert lines[2].startswith("| environment | 1 | 2 |")
    assert lines[4].startswith("| `a\\|b'c` | ➖ | ")
    assert lines[5].endswith("| not run |")
    assert {line.replace("\\|", "").count("|") for line in lines[2:6]} == {len(CLAUSES) + 3}
    assert "- \\[x\\](y)" in lines
    assert "- output in training, wrong in 1 case: &lt;b&gt;\\*bold\\*&lt;/b&gt;" in lines
    assert "`absent`: no Python 3.6" in lines


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"record": SMALL, "seconds": 12.4}, "mine: 2 conforms, 1 unsupported, 1 wrong (12 s)"),
        ({"record": SMALL, "cached": True}, "mine: 2 conforms, 1 unsupported, 1 wrong (unchanged)"),
        ({"record": SMALL, "seconds": 3.0, "note": "new pins"}, "mine: 2 conforms, 1 unsupported, 1 wrong (3 s; new pins)"),
        ({"problem": "no pip"}, "mine: not run: no pip"),
        ({"problem": "no Python", "skipped": True}, "mine: skipped: no Python"),
    ],
)
def test_the_outcome_of_a_row(changes: dict[str, Any], line: str) -> None:
    """Counts and time, or why there is none."""
    assert outcome_line(RowOutcome(Row("mine", "keras", "3.0", "jax", "3.11", ()), **changes)) == line
