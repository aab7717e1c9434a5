"""The report as text says what the results hold, all of it, in the terminal and elsewhere."""

from __future__ import annotations

import dataclasses
import io
import re

import numpy as np
import pytest
from rich.console import Console
from support.shown import ENVIRONMENT, EPSILON_OUTSIDE, EVERYTHING, HEADING, Mutant, crashed, results, right, wrong

from bnverify.api.checking import NotConforming, Report
from bnverify.cases.ids import parse
from bnverify.cases.suites import suite
from bnverify.contract import CLAUSES
from bnverify.running.run import verify_target
from bnverify.values import Check, Grade, Mismatch, Results, Status, Verdict
from bnverify.views import terminal
from bnverify.views.text import short


def test_a_failure_as_a_paragraph() -> None:
    """The whole paragraph of one failure reads as it stands here."""
    made = results(
        wrong("shape:4x2/steps:TI", EPSILON_OUTSIDE), wrong("shape:6x2/steps:T", EPSILON_OUTSIDE), right("shape:2x2/steps:T")
    )
    assert terminal.results_as_text(made, failures_only=True) == (
        f"{HEADING}\n"
        "\n"
        "WRONG  epsilon is added to the deviation, outside the root\n"
        "  2 cases of 3; failing checks: output in training (2)\n"
        "  smallest case  shape:6x2/steps:T\n"
        "  clause         training=True: y = gamma*(x-mean)/sqrt(var+epsilon)+beta with the batch's mean and biased variance, "
        "computed over all axes except `axis`\n"
        "                 step 0 (call with training=True): y[3, 1], channel 1: expected 1.5, got 1.25\n"
        "                 error 0.25, bound 1.0e-04, margin 2 500, grade none, 12.50% of the elements\n"
        "  cause          epsilon is added to the deviation, outside the root\n"
        "  reproduce      bnverify run --case shape:6x2/steps:T --layer mypackage.layers:MyBatchNorm\n"
    )


def test_a_crash_as_a_paragraph() -> None:
    """The whole paragraph of a crash names stage, type and text of the exception, and the settings that reproduce it."""
    made = results(
        crashed("shape:4x2/steps:TI"),
        seed=3,
        required=Grade.ONE_PASS,
        environment=dataclasses.replace(ENVIRONMENT, target="keras.layers.BatchNormalization"),
    )
    assert terminal.results_as_text(made, failures_only=True) == (
        "Keras 3.15.1 · tensorflow 2.21.0 on CPU · NumPy 2.4.6 · Python 3.11.7\n"
        "\n"
        "CRASHED  step 0: ValueError\n"
        "  1 case of 1; failing checks: construction and calls return (1)\n"
        "  smallest case  shape:4x2/steps:TI\n"
        "  clause         the constructor, build() and every call finish without an exception, for inputs of any rank, size "
        "and dtype\n"
        "                 step 0: expected no exception, got ValueError: no axis 3\n"
        "  reproduce      bnverify run --case shape:4x2/steps:TI --seed 3 --min-grade one-pass\n"
    )


def test_an_attribute_that_differs_as_a_paragraph() -> None:
    """The paragraph of an attribute says what was expected and what was there; no margin is made up."""
    check = Check("output-dtype", "y", 1, Status.WRONG, mismatch=Mismatch("float16", "float32"))
    made = results(Verdict(parse("shape:4x2/policy:float16/steps:TI"), (check,), Status.WRONG))
    assert terminal.results_as_text(made, failures_only=True).splitlines()[2:] == [
        "WRONG  output dtype",
        "  1 case of 1; failing checks: output dtype (1)",
        "  smallest case  shape:4x2/policy:float16/steps:TI",
        "  clause         y has the policy's compute dtype",
        "                 step 1 (call with training=False): y: expected float16, got float32",
        "  reproduce      bnverify run --case shape:4x2/policy:float16/steps:TI --layer mypackage.layers:MyBatchNorm",
    ]


def test_a_regression_and_a_fitted_number_are_told() -> None:
    """A paragraph says the number that was fitted, and why a regression case exists."""
    failed = wrong("shape:4x2/steps:TI", "epsilon is not the given value", "it acts as 0.002")
    failed = dataclasses.replace(failed, case=dataclasses.replace(failed.case, cause="it went wrong in 2019"))
    lines = terminal.results_as_text(results(failed), failures_only=True).splitlines()
    assert lines[-3:] == [
        "  cause          epsilon is not the given value (it acts as 0.002)",
        "  regression of  it went wrong in 2019",
        "  reproduce      bnverify run --case shape:4x2/steps:TI --layer mypackage.layers:MyBatchNorm",
    ]


def test_many_failures_of_one_cause_are_one_paragraph() -> None:
    """300 cases of a fault, 2 of another and 2 crashes that differ in numbers are three paragraphs, the gravest first."""
    verdicts = [wrong(f"shape:{n}x2/steps:T", EPSILON_OUTSIDE) for n in range(2, 302)]
    verdicts += [wrong(f"shape:2x{n}/steps:I", "beta is subtracted", clause="inference-output") for n in (3, 4)]
    verdicts += [crashed(f"shape:3x{n}/steps:I", f"ValueError: no axis {n}") for n in (3, 4)]
    paragraphs = terminal.results_as_text(results(*verdicts), failures_only=True).split("\n\n")[1:]
    assert [paragraph.splitlines()[:2] for paragraph in paragraphs] == [
        ["CRASHED  step 0: ValueError", "  2 cases of 304; failing checks: construction and calls return (2)"],
        [
            "WRONG  epsilon is added to the deviation, outside the root",
            "  300 cases of 304; failing checks: output in training (300)",
        ],
        ["WRONG  beta is subtracted", "  2 cases of 304; failing checks: output in inference (2)"],
    ]


def test_failures_without_a_cause_are_grouped_by_clause() -> None:
    """Where no cause is found, failures of one clause are one paragraph under the clause's title and the graver word."""
    made = results(
        wrong("shape:2x2/steps:T", status=Status.UNSTABLE),
        wrong("shape:3x2/steps:T"),
        wrong("shape:4x2/steps:T"),
        wrong("shape:5x2/steps:T", clause="moving-mean", status=Status.UNSTABLE),
        wrong("shape:6x2/steps:T", clause="moving-mean", status=Status.UNSTABLE),
    )
    titles = re.findall(r"^([A-Z]{4,}  .*\n.*);", terminal.results_as_text(made, failures_only=True), re.MULTILINE)
    assert titles == ["WRONG  output in training\n  3 cases of 5", "UNSTABLE  moving mean\n  2 cases of 5"]


@pytest.mark.parametrize("chosen", ["float32", "any policy"])
def test_one_fault_in_a_suite_is_one_paragraph(chosen: str) -> None:
    """A layer with one fault gives one paragraph for a whole suite, which counts every case that fails."""
    small = [case for case in suite("smoke") if len(case.shape) < 4 and np.prod(case.shape) < 200]
    if chosen == "float32":
        small = [case for case in small if "float" not in case.id and case.fill not in ("offset", "constant")]
    found = verify_target(Mutant("epsilon-outside"), small, label="small")
    titles = re.findall(
        r"^([A-Z]{4,})  (.*)\n  (\d+) cases? of", terminal.results_as_text(found, failures_only=True), re.MULTILINE
    )
    failing = sum(verdict.status.fails for verdict in found.verdicts)
    assert failing > 20
    assert titles == [("WRONG", EPSILON_OUTSIDE, str(failing))]


def test_one_cause_is_one_paragraph_however_grave() -> None:
    """Cases in which a fault is wrong and cases in which it is only unstable are one paragraph, under the graver word."""
    made = results(
        wrong("shape:2x2/steps:T", EPSILON_OUTSIDE),
        wrong("shape:3x2/steps:T", EPSILON_OUTSIDE, status=Status.UNSTABLE),
    )
    text = terminal.results_as_text(made, failures_only=True)
    assert re.findall(r"^([A-Z]{4,}  .*\n.*)$", text, re.MULTILINE) == [
        f"WRONG  {EPSILON_OUTSIDE}\n  2 cases of 2; failing checks: output in training (2)"
    ]


def test_the_smallest_case_is_the_example() -> None:
    """The example of a paragraph has the fewest elements times steps; the order in which cases were run plays no part."""
    ids = ["shape:9x2/steps:T", "shape:2x3/steps:T4", "shape:3x2/steps:TI", "shape:3x3/steps:T", "shape:3x2/axis:0/steps:TI"]
    for order in (ids, ids[::-1]):
        text = terminal.results_as_text(results(*(wrong(id_, EPSILON_OUTSIDE) for id_ in order)), failures_only=True)
        assert "  smallest case  shape:3x3/steps:T\n" in text


def test_markup_is_shown_as_it_is() -> None:
    """Brackets, backslashes and colons of an exception's text come out as they went in: no markup, no emoji."""
    text = r"ValueError: [bold]x[/bold] [/] \[a] 12:x:30 :warning: \ "
    shown = terminal.results_as_text(results(crashed("shape:2x2/steps:T", text)), failures_only=True)
    assert f"step 0: expected no exception, got {text}\n" in shown


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (results(right("shape:2x2/steps:T")), "CONFORMS: 1 check of 1 clause in 1 case"),
        (
            results(right("shape:2x2/steps:T", "training-output", "moving-mean"), right("shape:3x2/steps:T")),
            "CONFORMS: 3 checks of 2 clauses in 2 cases",
        ),
        (results(right("shape:2x2/steps:T"), wrong("shape:3x2/steps:T")), "DEVIATES: 2 checks of 1 clause in 2 cases; 1 wrong"),
        (results(right("shape:2x2/steps:T"), complete=False), "INCOMPLETE: 1 check of 1 clause in 1 case"),
        (results(), "NOTHING TESTED: 0 checks of 0 clauses in 0 cases"),
        (
            results(right("shape:2x2/steps:T"), stale=("gone", "gone, too")),
            "DEVIATES: 1 check of 1 clause in 1 case; 2 known deviations stale",
        ),
        (
            EVERYTHING,
            "DEVIATES: 6 checks of 3 clauses in 7 cases; 1 crashed, 1 wrong, 1 unstable, 1 unsupported, 1 inconclusive, "
            "1 known deviation, 1 known deviation stale",
        ),
    ],
    ids=["one", "two", "wrong", "incomplete", "nothing", "stale", "everything"],
)
def test_the_last_line(made: Results, line: str) -> None:
    """The last line says what came out, of how much, and what was not tested, with singular and plural."""
    assert terminal.results_as_text(made).splitlines()[-1] == line


def test_the_heading_counts_in_singular() -> None:
    """The heading of a run of one case says `1 case`."""
    lines = terminal.results_as_text(results(right("shape:2x2/steps:T"), suite="smoke suite")).splitlines()
    assert lines[:3] == [HEADING, "Abacus 9000", "smoke suite, seed 0: 1 case in 1.2 s"]


def test_the_table_has_the_clauses_that_were_checked() -> None:
    """A row for each clause with a check, then the number of clauses without; with -v a suite has a row for these, too."""
    text = terminal.results_as_text(results(right("shape:2x2/steps:T")))
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == ["clause"]) + 1
    tested = ["11", "output in training", "1", "conforms", "blocked", "0.25", "shape:2x2/steps:T"]
    assert re.split(r" {2,}", lines[start].strip()) == tested
    assert lines[start + 1] == f"no check of {len(CLAUSES) - 1} clauses (-v lists them)"
    out = Console(width=200, file=io.StringIO())
    several = [right(f"shape:{size}x2/steps:T") for size in (2, 3, 4, 5)]
    terminal.show(results(*several), out, verbose=True)
    whole = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    rows = [re.split(r" {2,}", line.strip()) for line in whole[start : start + len(CLAUSES)]]
    assert [row[:2] for row in rows] == [[str(number), clause.title] for number, clause in enumerate(CLAUSES, 1)]
    assert [row[2:4] for row in rows if row[1] != "output in training"] == [["0", "no check"]] * (len(CLAUSES) - 1)


def test_a_single_case_shows_its_numbers() -> None:
    """With -v one case shows each check that compared numbers, and clauses without a check only as their number."""
    out = Console(width=200, file=io.StringIO())
    terminal.show(results(right("shape:2x2/steps:T")), out, verbose=True)
    lines = [re.split(r" {2,}", line.strip()) for line in out.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert [f"no check of {len(CLAUSES) - 1} clauses"] in lines
    heads = lines.index(["clause", "quantity", "step", "status", "grade", "margin"])
    assert lines[heads - 1] == ["shape:2x2/steps:T"]
    assert lines[heads + 1] == ["output in training", "y", "0 T", "conforms", "blocked", "0.25"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.0, "0"),
        (0.049, "0.049"),
        (0.2345, "0.23"),
        (99.4, "99"),
        (857.2, "857"),
        (1153.4, "1 153"),
        (99999.0, "99 999"),
        (1e5, "1.0e+05"),
        (8.8e7, "8.8e+07"),
        (4.8e-7, "4.8e-07"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_short_numbers(value: float | None, text: str) -> None:
    """Margins, errors and bounds are shown with two or three digits, NaN and infinity by name."""
    assert short(value) == text


LONG = (
    "shape:2x3x2x4x2x5/axis:-3/momentum:0.9999/epsilon:1e-12/center:False/scale:False/policy:mixed_bfloat16/dtype:bfloat16/"
    "fill:nonfinite/weights:initial/steps:T2FT2UT2I"
)


def test_no_line_is_broken() -> None:
    """However long a case id and a layer's name are, the command that reproduces a failure stays one line, to be copied."""
    far = dataclasses.replace(ENVIRONMENT, target="mypackage.subpackage.normalization.layers:MyOwnBatchNormalization")
    text = terminal.results_as_text(results(wrong(LONG, EPSILON_OUTSIDE), environment=far), failures_only=True)
    command = f"  reproduce      bnverify run --case {LONG} --layer {far.target}\n"
    assert len(command) > terminal.WIDTH
    assert command in text


def test_report_and_command_line_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """`report.summary()`, the text of NotConforming and what the command line prints are the same."""
    made = results(wrong(LONG, EPSILON_OUTSIDE), crashed("shape:2x2/steps:T", "ValueError: " + "long text " * 25))
    terminal.show(made, terminal.console())
    printed = capsys.readouterr().out
    assert Report(made).summary() == str(Report(made)) == printed
    assert str(NotConforming(Report(made))) == "\n" + printed


def test_a_terminal_gets_colours_and_the_same_words() -> None:
    """On a terminal the report has colours; without them it is the same text."""
    out = Console(force_terminal=True, width=terminal.WIDTH, highlight=False, record=True, file=io.StringIO())
    terminal.show(EVERYTHING, out)
    coloured = out.export_text(styles=True)
    assert "\x1b[" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in plain.splitlines()] == [
        line.rstrip() for line in terminal.results_as_text(EVERYTHING).splitlines()
    ]
