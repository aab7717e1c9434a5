"""The JSON report says what the results hold and follows its schema; any text is at home in any report."""

from __future__ import annotations

import copy
import dataclasses
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
import pytest
from support.cli import Cli
from support.shown import ENVIRONMENT, EPSILON_OUTSIDE, EVERYTHING, cases, crashed, results, verify, wrong

from bnverify.contract import CLAUSES
from bnverify.running.run import verify_target
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Grade, Results, Status
from bnverify.views import html, json_report, junit, terminal


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


@pytest.mark.parametrize("text", ["a\x00b", "a\x08b\x1f", "a\ufffeb", "a\udcffb", "]]>", "<&\"'>"])
def test_any_text_in_any_report(schema: dict[str, Any], text: str, tmp_path: Path) -> None:
    """Whatever an exception says (control characters, surrogates, ends of sections), every report can be written and read."""
    made = results(crashed("shape:2x2/steps:T", f"ValueError: {text}"))
    (tmp_path / "report.xml").write_text(junit.as_junit(made), encoding="utf-8")
    assert [case.get("name") for case in ET.parse(tmp_path / "report.xml").iter("testcase")] == ["shape:2x2/steps:T"]
    (tmp_path / "report.json").write_text(json_report.as_json(made), encoding="utf-8")
    jsonschema.Draft202012Validator(schema).validate(strictly((tmp_path / "report.json").read_text(encoding="utf-8")))
    (tmp_path / "report.txt").write_text(terminal.results_as_text(made), encoding="utf-8")
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
