"""The views: JSON, JUnit, HTML and text say what the results hold, all of it, and nothing that breaks the form."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
import numpy as np
import pytest
from conftest import Cli
from rich.console import Console

from bnverify.api import NotConforming, Report
from bnverify.cases.case import Case, parse
from bnverify.cases.fills import Inputs
from bnverify.cases.suites import suite
from bnverify.contract import CLAUSES
from bnverify.model import Check, Environment, Failure, Grade, Mismatch, Observation, Results, Status, Verdict
from bnverify.reference.hypotheses import HYPOTHESES
from bnverify.run import verify_target
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.views import html, json_report, junit, terminal
from bnverify.views.text import short

ENVIRONMENT = Environment(
    target="mypackage.layers:MyBatchNorm",
    module="keras",
    keras="3.15.1",
    backend="tensorflow",
    backend_version="2.21.0",
    device="CPU",
    float64=True,
    numpy="2.4.6",
    python="3.11.7",
    cpu="Abacus 9000",
)
HEADING = "mypackage.layers:MyBatchNorm · Keras 3.15.1 · tensorflow 2.21.0 on CPU · NumPy 2.4.6 · Python 3.11.7"
EPSILON_OUTSIDE = "epsilon is added to the deviation, outside the root"
SCRIPT = "<script>alert('x')</script> & [bold]"


class Mutant:
    """A perfect layer with one fault of the catalogue; in cases of four axes it raises."""

    def __init__(self, key: str, text: str = SCRIPT) -> None:
        formulas = next(h.formulas for h in HYPOTHESES if h.key == key)
        self.environment = ENVIRONMENT
        self._text = text
        self._target = ReferenceTarget(formulas)

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        if len(case.shape) == 4:
            return Observation(failure=Failure("constructor", "ValueError", self._text))
        return self._target.observe(case, inputs)


def cases(*ids: str) -> tuple[Case, ...]:
    return tuple(map(parse, ids))


def verify(key: str, *ids: str, **options: Any) -> Results:
    return verify_target(Mutant(key), cases(*ids), label="some cases", **options)


def right(id_: str, *clauses: str) -> Verdict:
    checks = tuple(Check(clause, "y", 0, Status.CONFORMS, Grade.BLOCKED, 0.25) for clause in clauses or ("training-output",))
    return Verdict(parse(id_), checks, Status.CONFORMS)


def wrong(
    id_: str, cause: str = "", reason: str = "", clause: str = "training-output", status: Status = Status.WRONG
) -> Verdict:
    mismatch = Mismatch("1.5", "1.25", (3, 1), 1, 0.25, 0.0001, 0.125)
    check = Check(clause, "y", 0, status, Grade.NONE, 2500.0, mismatch)
    return Verdict(parse(id_), (check,), status, reason, cause)


def crashed(id_: str, text: str = "ValueError: no axis 3", stage: str = "step 0") -> Verdict:
    check = Check("returns", stage, None, Status.CRASHED, mismatch=Mismatch("no exception", text), reason=f"{stage}: {text}")
    return Verdict(parse(id_), (check,), Status.CRASHED)


def results(*verdicts: Verdict, **changes: Any) -> Results:
    given: dict[str, Any] = {"environment": ENVIRONMENT, "suite": "some cases", "seed": 0, "seconds": 1.23, **changes}
    return Results(verdicts=verdicts, **given)


EVERYTHING = results(
    right("shape:2x2/steps:T"),
    wrong("shape:3x2/steps:T", EPSILON_OUTSIDE),
    wrong("shape:4x2/steps:T", status=Status.UNSTABLE),
    crashed("shape:5x2/steps:T", f"ValueError: {SCRIPT}"),
    dataclasses.replace(
        right("shape:6x2/steps:T"),
        status=Status.KNOWN,
        checks=(Check("moving-mean", "moving_mean", 0, Status.KNOWN, Grade.NONE, 9.0, Mismatch("1", "2"), "as in the paper"),),
    ),
    Verdict(parse("shape:7x2/steps:T"), (), Status.UNSUPPORTED, "the layer's constructor takes no center"),
    Verdict(
        parse("shape:8x2/steps:T"),
        (Check("training-output", "y", 0, Status.INCONCLUSIVE, reason="every bound is infinite: the data overflow"),),
        Status.INCONCLUSIVE,
    ),
    stale=("known deviation at known.toml:4 (case any) no longer occurs: 3 checks of moving-mean conform",),
)


# --- text


def test_a_failure_as_a_paragraph() -> None:
    """The whole paragraph of one failure reads as it stands here."""
    made = results(
        wrong("shape:4x2/steps:TI", EPSILON_OUTSIDE), wrong("shape:6x2/steps:T", EPSILON_OUTSIDE), right("shape:2x2/steps:T")
    )
    assert terminal.as_text(made, failures_only=True) == (
        f"{HEADING}\n"
        "\n"
        "WRONG  epsilon is added to the deviation, outside the root\n"
        "  2 cases of 3; failing checks: output in training (2)\n"
        "  smallest case  shape:6x2/steps:T\n"
        "  clause         training=True: y = gamma*(x-mean)/sqrt(var+epsilon)+beta with the batch's own mean and "
        "biased variance over all axes but `axis`\n"
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
    assert terminal.as_text(made, failures_only=True) == (
        "Keras 3.15.1 · tensorflow 2.21.0 on CPU · NumPy 2.4.6 · Python 3.11.7\n"
        "\n"
        "CRASHED  step 0: ValueError\n"
        "  1 case of 1; failing checks: construction and calls return (1)\n"
        "  smallest case  shape:4x2/steps:TI\n"
        "  clause         the layer is made, is built and returns from every call, for inputs of any rank, size and dtype, "
        "with no exception\n"
        "                 step 0: expected no exception, got ValueError: no axis 3\n"
        "  reproduce      bnverify run --case shape:4x2/steps:TI --seed 3 --min-grade one-pass\n"
    )


def test_an_attribute_that_differs_as_a_paragraph() -> None:
    """The paragraph of an attribute says what was expected and what was there; no margin is made up."""
    check = Check("output-dtype", "y", 1, Status.WRONG, mismatch=Mismatch("float16", "float32"))
    made = results(Verdict(parse("shape:4x2/policy:float16/steps:TI"), (check,), Status.WRONG))
    assert terminal.as_text(made, failures_only=True).splitlines()[2:] == [
        "WRONG  output dtype",
        "  1 case of 1; failing checks: output dtype (1)",
        "  smallest case  shape:4x2/policy:float16/steps:TI",
        "  clause         y has the policy's compute dtype",
        "                 step 1 (call with training=False): y: expected float16, got float32",
        "  reproduce      bnverify run --case shape:4x2/policy:float16/steps:TI --layer mypackage.layers:MyBatchNorm",
    ]


def test_a_regression_and_a_fitted_number_are_told() -> None:
    """A paragraph says the number that was fitted, and why a regression case exists."""
    failed = wrong("shape:4x2/steps:TI", "epsilon has another value than the one given", "it acts as 0.002")
    failed = dataclasses.replace(failed, case=dataclasses.replace(failed.case, cause="it went wrong in 2019"))
    lines = terminal.as_text(results(failed), failures_only=True).splitlines()
    assert lines[-3:] == [
        "  cause          epsilon has another value than the one given (it acts as 0.002)",
        "  regression of  it went wrong in 2019",
        "  reproduce      bnverify run --case shape:4x2/steps:TI --layer mypackage.layers:MyBatchNorm",
    ]


def test_many_failures_of_one_cause_are_one_paragraph() -> None:
    """300 cases of a fault, 2 of another and 2 crashes that differ in numbers are three paragraphs, the gravest first."""
    verdicts = [wrong(f"shape:{n}x2/steps:T", EPSILON_OUTSIDE) for n in range(2, 302)]
    verdicts += [wrong(f"shape:2x{n}/steps:I", "beta is subtracted", clause="inference-output") for n in (3, 4)]
    verdicts += [crashed(f"shape:3x{n}/steps:I", f"ValueError: no axis {n}") for n in (3, 4)]
    paragraphs = terminal.as_text(results(*verdicts), failures_only=True).split("\n\n")[1:]
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
    titles = re.findall(r"^([A-Z]{4,}  .*\n.*);", terminal.as_text(made, failures_only=True), re.MULTILINE)
    assert titles == ["WRONG  output in training\n  3 cases of 5", "UNSTABLE  moving mean\n  2 cases of 5"]


@pytest.mark.parametrize("chosen", ["float32", "any policy"])
def test_one_fault_in_a_suite_is_one_paragraph(chosen: str) -> None:
    """A layer with one fault gives one paragraph for a whole suite, which counts every case that fails."""
    small = [case for case in suite("smoke") if len(case.shape) < 4 and np.prod(case.shape) < 200]
    if chosen == "float32":
        small = [case for case in small if "float" not in case.id and case.fill not in ("offset", "constant")]
    found = verify_target(Mutant("epsilon-outside"), small, label="small")
    titles = re.findall(r"^([A-Z]{4,})  (.*)\n  (\d+) cases? of", terminal.as_text(found, failures_only=True), re.MULTILINE)
    failing = sum(verdict.status.fails for verdict in found.verdicts)
    assert failing > 20
    assert titles == [("WRONG", EPSILON_OUTSIDE, str(failing))]


def test_one_cause_is_one_paragraph_however_grave() -> None:
    """Cases in which a fault is wrong and cases in which it is only unstable are one paragraph, under the graver word."""
    made = results(
        wrong("shape:2x2/steps:T", EPSILON_OUTSIDE),
        wrong("shape:3x2/steps:T", EPSILON_OUTSIDE, status=Status.UNSTABLE),
    )
    text = terminal.as_text(made, failures_only=True)
    assert re.findall(r"^([A-Z]{4,}  .*\n.*)$", text, re.MULTILINE) == [
        f"WRONG  {EPSILON_OUTSIDE}\n  2 cases of 2; failing checks: output in training (2)"
    ]


def test_the_smallest_case_is_the_example() -> None:
    """The example of a paragraph has the fewest elements times steps; the order in which cases were run plays no part."""
    ids = ["shape:9x2/steps:T", "shape:2x3/steps:T4", "shape:3x2/steps:TI", "shape:3x3/steps:T", "shape:3x2/axis:0/steps:TI"]
    for order in (ids, ids[::-1]):
        text = terminal.as_text(results(*(wrong(id_, EPSILON_OUTSIDE) for id_ in order)), failures_only=True)
        assert "  smallest case  shape:3x3/steps:T\n" in text


def test_markup_is_shown_as_it_is() -> None:
    """Brackets, backslashes and colons of an exception's text come out as they went in: no markup, no emoji."""
    text = r"ValueError: [bold]x[/bold] [/] \[a] 12:x:30 :warning: \ "
    shown = terminal.as_text(results(crashed("shape:2x2/steps:T", text)), failures_only=True)
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
    assert terminal.as_text(made).splitlines()[-1] == line


def test_the_heading_counts_in_singular() -> None:
    """The heading of a run of one case says `1 case`."""
    lines = terminal.as_text(results(right("shape:2x2/steps:T"), suite="smoke suite")).splitlines()
    assert lines[:3] == [HEADING, "Abacus 9000", "smoke suite, seed 0: 1 case in 1.2 s"]


def test_the_table_has_the_clauses_that_were_checked() -> None:
    """A line for each clause with a check; how many have none is said, and with -v each of them stands there and says so."""
    text = terminal.as_text(results(right("shape:2x2/steps:T")))
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == ["clause"]) + 1
    tested = ["11", "output in training", "1", "conforms", "blocked", "0.25", "shape:2x2/steps:T"]
    assert re.split(r" {2,}", lines[start].strip()) == tested
    assert lines[start + 1] == f"no check of {len(CLAUSES) - 1} clauses (-v lists them)"
    out = Console(width=200, file=io.StringIO())
    terminal.show(results(right("shape:2x2/steps:T")), out, verbose=True)
    whole = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    rows = [re.split(r" {2,}", line.strip()) for line in whole[start : start + len(CLAUSES)]]
    assert rows == [
        tested if clause.key == "training-output" else [str(number), clause.title, "0", "no check"]
        for number, clause in enumerate(CLAUSES, 1)
    ]


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
    text = terminal.as_text(results(wrong(LONG, EPSILON_OUTSIDE), environment=far), failures_only=True)
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
        line.rstrip() for line in terminal.as_text(EVERYTHING).splitlines()
    ]


# --- JSON


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    text = (resources.files("bnverify.views") / "report.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def strictly(text: str) -> dict[str, Any]:
    """The document; NaN and Infinity, which JSON does not have, raise."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found


def test_the_schema_is_a_schema(schema: dict[str, Any]) -> None:
    """The schema itself is valid JSON Schema 2020-12, and its statuses and grades are those of the model."""
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["$defs"]["status"]["enum"]) == {status.value for status in Status}
    assert set(schema["$defs"]["grade"]["enum"]) == {grade.label for grade in Grade}


def conforming() -> Results:
    return verify_target(ReferenceTarget(), cases("shape:2x2/steps:TI", "shape:4x3/weights:initial/steps:FTUT"), label="two")


def deviating() -> Results:
    """Without epsilon, constant data give 0/0: NaN where a number was due."""
    return verify("no-epsilon", "shape:4x3/fill:constant/steps:TI", "shape:4x3/fill:nonfinite/steps:TI", "shape:5x1/steps:T")


def crashing() -> Results:
    return verify("epsilon-outside", "shape:2x2x2x2/steps:T", "shape:3x4x5/axis:1+2/steps:T", "shape:2x2/steps:T")


RUNS = {
    "conforming": conforming,
    "deviating": deviating,
    "crashing": crashing,
    "everything": lambda: EVERYTHING,
    "empty": results,
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_reports_follow_the_schema(schema: dict[str, Any], run: Callable[[], Results]) -> None:
    """The JSON report of any run follows the schema, without NaN or infinity, and holds a verdict for each case, in order."""
    made = run()
    document = strictly(json_report.as_json(made))
    jsonschema.Draft202012Validator(schema).validate(document)
    assert [verdict["case"] for verdict in document["verdicts"]] == [verdict.case.id for verdict in made.verdicts]
    assert [len(verdict["checks"]) for verdict in document["verdicts"]] == [len(verdict.checks) for verdict in made.verdicts]
    assert sum(document["cases"].values()) == len(made.verdicts)


def test_the_runs_are_what_they_are_called() -> None:
    """The runs of these tests do hold what makes reports hard: NaN, an infinite margin, a crash, something unsupported."""
    assert conforming().ok
    nan = [check for verdict in deviating().verdicts for check in verdict.failures if check.margin == float("inf")]
    assert any(check.mismatch is not None and check.mismatch.actual == "nan" for check in nan)
    assert [verdict.status for verdict in crashing().verdicts] == [Status.CRASHED, Status.UNSUPPORTED, Status.WRONG]


def test_infinity_and_nan_in_json() -> None:
    """An infinite margin stands as the text "inf", an error that is NaN as "nan"."""
    document = strictly(json_report.as_json(deviating()))
    checks = [check for verdict in document["verdicts"] for check in verdict["checks"] if check.get("margin") == "inf"]
    assert checks
    assert checks[0]["mismatch"]["error"] == "nan"
    assert checks[0]["mismatch"]["actual"] == "nan"


def test_a_report_in_json_as_a_whole() -> None:
    """The JSON of one failing check holds what is known of it, with the names of the schema."""
    document = strictly(json_report.as_json(results(wrong("shape:4x2/steps:T", EPSILON_OUTSIDE, "a detail"))))
    clauses = document.pop("clauses")
    assert document == {
        "schema": 1,
        "environment": dataclasses.asdict(ENVIRONMENT),
        "suite": "some cases",
        "seed": 0,
        "required_grade": "sequential",
        "ok": False,
        "complete": True,
        "seconds": 1.23,
        "cases": {"wrong": 1},
        "stale": [],
        "verdicts": [
            {
                "case": "shape:4x2/steps:T",
                "status": "wrong",
                "cause": EPSILON_OUTSIDE,
                "stage": "",
                "reason": "a detail",
                "checks": [
                    {
                        "clause": "training-output",
                        "quantity": "y",
                        "step": 0,
                        "status": "wrong",
                        "grade": "none",
                        "margin": 2500.0,
                        "mismatch": {
                            "expected": "1.5",
                            "actual": "1.25",
                            "index": [3, 1],
                            "channel": 1,
                            "error": 0.25,
                            "bound": 0.0001,
                            "share": 0.125,
                        },
                    }
                ],
            }
        ],
    }
    assert [clause["clause"] for clause in clauses] == [clause.key for clause in CLAUSES]
    assert clauses[10] == {
        "clause": "training-output",
        "checks": {"wrong": 1},
        "grade": "none",
        "margin": 2500.0,
        "case": "shape:4x2/steps:T",
    }


def _set(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


def _drop(*path: str | int) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


CHECK = ("verdicts", 1, "checks", 0)
BREAKS = {
    "another version": _set("schema", value=2),
    "no verdicts": _drop("verdicts"),
    "no environment": _drop("environment"),
    "a field more": _set("comment", value="fine"),
    "environment without backend": _drop("environment", "backend"),
    "environment with a field more": _set("environment", "gpu", value="none"),
    "negative seed": _set("seed", value=-1),
    "seed of text": _set("seed", value="0"),
    "ok of text": _set("ok", value="yes"),
    "negative time": _set("seconds", value=-0.1),
    "unknown status counted": _set("cases", "passed", value=3),
    "negative count": _set("cases", "wrong", value=-1),
    "required grade unknown": _set("required_grade", value="perfect"),
    "stale of numbers": _set("stale", value=[1]),
    "verdict without checks": _drop("verdicts", 0, "checks"),
    "verdict with a field more": _set("verdicts", 0, "score", value=1),
    "verdict's status unknown": _set("verdicts", 0, "status", value="passed"),
    "check without step": _drop(*CHECK, "step"),
    "step of text": _set(*CHECK, "step", value="0"),
    "check's status unknown": _set(*CHECK, "status", value="ok"),
    "grade unknown": _set(*CHECK, "grade", value="ONE_PASS"),
    "margin of text": _set(*CHECK, "margin", value="Infinity"),
    "mismatch without expected": _drop(*CHECK, "mismatch", "expected"),
    "expected of number": _set(*CHECK, "mismatch", "expected", value=1.5),
    "index of text": _set(*CHECK, "mismatch", "index", value="3, 1"),
    "share above 1": _set(*CHECK, "mismatch", "share", value=1.5),
    "clause without margin": _drop("clauses", 0, "margin"),
    "clause's grade unknown": _set("clauses", 0, "grade", value="good"),
}


@pytest.mark.parametrize("change", BREAKS.values(), ids=BREAKS)
def test_the_schema_rejects_broken_documents(schema: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> None:
    """A document with one thing wrong does not follow the schema."""
    validator = jsonschema.Draft202012Validator(schema)
    document = strictly(json_report.as_json(EVERYTHING))
    validator.validate(document)
    broken = copy.deepcopy(document)
    change(broken)
    assert broken != document
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(broken)


# --- JUnit


def test_junit_has_a_testcase_for_each_case() -> None:
    """A JUnit report has one testcase per case, in order, and one more for each stale known deviation, and counts them."""
    root = ET.fromstring(junit.as_junit(EVERYTHING))
    assert root.tag == "testsuites"
    testcases = list(root.iter("testcase"))
    assert [case.get("name") for case in testcases] == [verdict.case.id for verdict in EVERYTHING.verdicts] + [
        "known deviations are current"
    ]
    children = [[child.tag for child in case] for case in testcases]
    assert children == [[], ["failure"], ["failure"], ["error"], ["skipped"], ["skipped"], ["skipped"], ["failure"]]
    for element in (root, *root.iter("testsuite")):
        counts = {name: element.get(name) for name in ("tests", "failures", "errors", "skipped")}
        assert counts == {"tests": "8", "failures": "3", "errors": "1", "skipped": "3"}


def test_junit_tells_failures_as_the_terminal_does() -> None:
    """The text of a failure in JUnit is its paragraph; the message is its status and cause."""
    root = ET.fromstring(junit.as_junit(EVERYTHING))
    failure = next(root.iter("failure"))
    assert failure.get("message") == f"wrong: {EPSILON_OUTSIDE}"
    assert failure.text == (
        "epsilon is added to the deviation, outside the root\n"
        "1 case of 7; failing checks: output in training (1)\n"
        "smallest case  shape:3x2/steps:T\n"
        "clause         training=True: y = gamma*(x-mean)/sqrt(var+epsilon)+beta with the batch's own mean and biased "
        "variance over all axes but `axis`\n"
        "               step 0 (call with training=True): y[3, 1], channel 1: expected 1.5, got 1.25\n"
        "               error 0.25, bound 1.0e-04, margin 2 500, grade none, 12.50% of the elements\n"
        "cause          epsilon is added to the deviation, outside the root\n"
        "reproduce      bnverify run --case shape:3x2/steps:T --layer mypackage.layers:MyBatchNorm"
    )
    error = next(root.iter("error"))
    assert error.get("message") == f"crashed: step 0: ValueError: {SCRIPT}"
    assert f"step 0: expected no exception, got ValueError: {SCRIPT}" in str(error.text)


def test_junit_gives_reasons_for_what_was_skipped() -> None:
    """A testcase that is skipped says whether it is known, unsupported or inconclusive, and why."""
    skipped = [element.get("message") for element in ET.fromstring(junit.as_junit(EVERYTHING)).iter("skipped")]
    assert skipped == [
        "known deviation: as in the paper",
        "unsupported: the layer's constructor takes no center",
        "inconclusive: every bound is infinite: the data overflow",
    ]


def test_junit_says_where_and_with_which_seed() -> None:
    """The suite's properties hold environment and seed; a stale deviation is told in its failure."""
    root = ET.fromstring(junit.as_junit(dataclasses.replace(EVERYTHING, seed=7)))
    assert {p.get("name"): p.get("value") for p in root.iter("property")} == {"environment": HEADING, "seed": "7"}
    assert list(root.iter("failure"))[-1].get("message") == EVERYTHING.stale[0]


def test_junit_of_an_incomplete_run_says_so() -> None:
    """A JUnit report of an interrupted run says that it is INCOMPLETE: what was not run must not look passed."""
    assert "INCOMPLETE" in junit.as_junit(results(right("shape:2x2/steps:T"), complete=False)).upper()


@pytest.mark.parametrize("text", ["a\x00b", "a\x08b\x1f", "a\ufffeb", "a\udcffb", "]]>", "<&\"'>"])
def test_any_text_in_any_report(schema: dict[str, Any], text: str, tmp_path: Path) -> None:
    """Whatever an exception says (control characters, surrogates, ends of sections), every report can be written and read."""
    made = results(crashed("shape:2x2/steps:T", f"ValueError: {text}"))
    (tmp_path / "report.xml").write_text(junit.as_junit(made), encoding="utf-8")
    assert [case.get("name") for case in ET.parse(tmp_path / "report.xml").iter("testcase")] == ["shape:2x2/steps:T"]
    (tmp_path / "report.json").write_text(json_report.as_json(made), encoding="utf-8")
    jsonschema.Draft202012Validator(schema).validate(strictly((tmp_path / "report.json").read_text(encoding="utf-8")))
    (tmp_path / "report.txt").write_text(terminal.as_text(made), encoding="utf-8")
    assert "CRASHED" in (tmp_path / "report.txt").read_text(encoding="utf-8")
    (tmp_path / "report.html").write_text(html.as_html(made), encoding="utf-8")
    assert "crashed" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_an_exception_with_a_control_character(cli: Cli, layers: Path) -> None:
    """A layer whose exception holds a NUL and a lone surrogate leaves reports that can be read."""
    (layers / "odd.py").write_text(
        "from mylayers import RaisesInCall\nclass Odd(RaisesInCall):\n    text = 'a\\x00b\\udcffc'\n"
    )
    ended = cli("run", "--layer", "odd:Odd", "--case", "shape:2x2/steps:T", "--json", "r.json", "--junit", "r.xml")
    assert (ended.code, ended.err) == (1, "")
    assert ET.parse(layers / "r.xml").find(".//error") is not None
    assert strictly((layers / "r.json").read_text())["cases"] == {"crashed": 1}


# --- HTML


class Reader(HTMLParser):
    """Collects elements and text, and whether every element that is opened is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        assert not any(name.startswith("on") for name, _ in attrs)
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_html_escapes_what_it_shows() -> None:
    """Nothing that a layer, its name or a suite's name says becomes an element: it is text, as it was."""
    hostile = dataclasses.replace(ENVIRONMENT, target="<b onclick=x>:<lambda>", cpu="<i>")
    made = dataclasses.replace(
        EVERYTHING, environment=hostile, suite="smoke suite with -k '<u>'", stale=("gone </p><img src=x>",)
    )
    read = Reader(html.as_html(made))
    assert read.open == []
    assert set(read.tags) == {"div", "p", "br", "table", "thead", "tbody", "tr", "th", "td", "span", "code", "b", "pre"}
    text = "".join(read.words)
    for shown in (SCRIPT, "<b onclick=x>:<lambda> · Keras 3.15.1", "smoke suite with -k '<u>'", "gone </p><img src=x>"):
        assert shown in text


def test_html_shows_every_clause_and_failure() -> None:
    """The HTML has a row per clause, a paragraph per group of failures and the last line of the text."""
    read = Reader(Report(EVERYTHING)._repr_html_())
    assert read.tags.count("tr") == 1 + len(CLAUSES)
    assert read.tags.count("pre") == 3
    text = "".join(read.words)
    assert all(clause.title in text for clause in CLAUSES)
    assert text.endswith(terminal.as_text(EVERYTHING).splitlines()[-1])
    assert "reproduce      bnverify run --case shape:3x2/steps:T --layer mypackage.layers:MyBatchNorm" in text


def test_repr_is_short() -> None:
    """The repr of a report is its last line."""
    assert repr(Report(results(right("shape:2x2/steps:T")))) == "<Report: CONFORMS: 1 check of 1 clause in 1 case>"
