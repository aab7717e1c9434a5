"""Records: what came out in one environment survives being written and read, is small, and follows its schema."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
import pytest
from support.cli import ROOT, Cli, assert_refused
from support.recorded import CONSTANT, CRASHED, RUNS, SMALL, TEXT, UNSUPPORTED, recorded

from bnverify.errors import BadInput
from bnverify.matrix.records import CaseRecord, Record, load_record, parse_record, record_as_text, rounded
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Grade, Status


@pytest.fixture(scope="module")
def runs() -> dict[str, Record]:
    return {name: run() for name, run in RUNS.items()}


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    text = (resources.files("bnverify.matrix") / "record.schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def strictly(text: str) -> dict[str, Any]:
    """The document; NaN and Infinity, which JSON does not have, raise."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found


# --- writing and reading


@pytest.mark.parametrize("name", RUNS)
def test_round_trip(runs: dict[str, Record], name: str) -> None:
    """A record that was written is read as it was, but for the machine it was made on."""
    record = runs[name]
    anywhere = replace(record, environment=replace(record.environment, device="", cpu=""))
    text = record_as_text(record)
    assert parse_record(strictly(text)) == anywhere
    assert record_as_text(parse_record(strictly(text))) == text


def test_a_record_as_a_whole() -> None:
    """A record is JSON that a diff reads well: one line for each clause and each case, cases sorted, zeros kept."""
    assert record_as_text(SMALL) == TEXT


@pytest.mark.parametrize("name", RUNS)
def test_one_line_for_each_case(runs: dict[str, Record], name: str) -> None:
    """Whatever a case says, it is one line, in the order of the ids."""
    lines = record_as_text(runs[name]).splitlines()
    ids = [line.split('"')[1] for line in lines if line.startswith('  "shape:')]
    assert ids == sorted(runs[name].cases)


def test_size(runs: dict[str, Record]) -> None:
    """A case that conforms costs fewer than 64 bytes, its id included; a whole record of them fewer than 128 for each."""
    lines = [line for line in record_as_text(runs["right"]).splitlines() if line.startswith('  "shape:')]
    assert len(lines) > 40
    assert sum(len(line.encode()) + 1 for line in lines) < 64 * len(lines)
    assert len(record_as_text(runs["right"]).encode()) < 128 * len(lines)


def test_the_same_twice(runs: dict[str, Record]) -> None:
    """Another run of the same leaves the same bytes, so that a committed record changes only with what it records."""
    assert record_as_text(RUNS["everything"]()) == record_as_text(runs["everything"])


def test_what_is_recorded(runs: dict[str, Record]) -> None:
    """A record says of each case whether and why it does not conform; of an exception its type and text."""
    record = runs["everything"]
    constant, crash = record.cases[CONSTANT], record.cases[CRASHED]
    assert record.counts == {Status.CONFORMS: 1, Status.UNSUPPORTED: 1, Status.WRONG: 1, Status.CRASHED: 1}
    assert (constant.status, constant.cause) == (Status.WRONG, "epsilon is left out")
    check = constant.checks["training-output"]
    assert (check.quantity, check.step, check.grade, check.margin, check.actual) == ("y", 0, Grade.NONE, 1e300, "nan")
    assert crash.checks["returns"].actual == "ValueError: “out of order”\n\tat 0x7f\x1b"
    assert record.cases[UNSUPPORTED] == CaseRecord(
        Status.UNSUPPORTED, reason="Keras 3 allows one integer as axis, not a list as tf.keras 2 does"
    )
    assert (record.era, record.seed, record.required, record.suite) == ("Keras 3", 0, "sequential", "some cases")
    assert (runs["otherwise wrong"].seed, runs["otherwise wrong"].required) == (7, "blocked")


def test_the_worst_check() -> None:
    """Of several checks of a clause that do not conform in a case, the one with the largest margin is kept."""
    record = recorded(ReferenceTarget(HYPOTHESIS_BY_KEY["never-updated"].formulas), "shape:4x3/steps:T5")
    (case,) = record.cases.values()
    assert record.clauses["moving-mean"].checks == {Status.WRONG: 5}
    assert case.checks["moving-mean"].margin == record.clauses["moving-mean"].margin


@pytest.mark.parametrize(
    ("name", "tested", "ok"),
    [
        ("right", True, True),
        ("wrong", True, False),
        ("everything", True, False),
        ("nothing asked", False, False),
        ("stale", True, False),
    ],
)
def test_ok(runs: dict[str, Record], name: str, tested: bool, ok: bool) -> None:
    """A record is ok where something was tested, nothing failed and nothing is stale; nothing tested is never ok."""
    assert (runs[name].tested, runs[name].ok) == (tested, ok)


@pytest.mark.parametrize(
    ("margin", "kept"), [(None, None), (0.0, 0.0), (0.123456, 0.12), (98765.4, 99000.0), (float("inf"), 1e300)]
)
def test_rounded(margin: float | None, kept: float | None) -> None:
    """Margins keep two digits, so that rounding on another machine rarely shows; an infinite one stands as 1e300."""
    assert rounded(margin) == kept


# --- files that are no records


def put(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


def drop(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


WRONG = ("cases", "shape:3x2/steps:T")
CHECK = (*WRONG, "checks", "training-output")
CLAUSE = ("clauses", "training-output")
REFUSED = {  # what is wrong, and what is said of it; the schema rejects these, too
    "another version": (put("schema", value=2), "ValueError: schema 2, not 1"),
    "no version": (drop("schema"), "KeyError: 'schema'"),
    "no cases": (drop("cases"), "KeyError: 'cases'"),
    "no environment": (drop("environment"), "KeyError: 'environment'"),
    "environment without backend": (drop("environment", "backend"), "'backend'"),
    "environment of one field more": (put("environment", "gpu", value="H200"), "'gpu'"),
    "environment of text": (put("environment", value="here"), "must be a mapping, not str"),
    "an era that is none": (put("era", value=""), "ValueError: era '' is unknown"),
    "stale of a number": (put("stale", value=3), "TypeError: 'int' object is not iterable"),
    "interface without config": (drop("interface", "config"), "KeyError: 'config'"),
    "weights of numbers": (put("interface", "weights", value=[3]), "TypeError: call and weights must be texts"),
    "cases as a list": (put("cases", value=[]), "AttributeError: 'list' object has no attribute 'items'"),
    "case of text": (put(*WRONG, value="wrong"), "ValueError: 'wrong' is not a margin"),
    "case of truth": (put(*WRONG, value=True), "ValueError: True is not a margin"),
    "case of a negative margin": (put(*WRONG, value=-0.5), "ValueError: -0.5 is not a margin"),
    "case without status": (drop(*WRONG, "status"), "KeyError: 'status'"),
    "case of an unknown status": (put(*WRONG, "status", value="odd"), "ValueError: 'odd' is not a valid Status"),
    "case of a field more": (put(*WRONG, "score", value=1), "'score'"),
    "case's margin of text": (put(*WRONG, "margin", value="1"), "ValueError: '1' is not a margin"),
    "check of an unknown status": (put(*CHECK, "status", value="odd"), "ValueError: 'odd' is not a valid Status"),
    "check without quantity": (drop(*CHECK, "quantity"), "'quantity'"),
    "check of a number": (put(*CHECK, "actual", value=1.5), "TypeError: what a check says must be texts"),
    "check's margin of text": (put(*CHECK, "margin", value="inf"), "ValueError: 'inf' is not a margin"),
    "clause without checks": (drop(*CLAUSE, "checks"), "KeyError: 'checks'"),
    "clause of an unknown status": (put(*CLAUSE, "checks", value={"odd": 1}), "ValueError: 'odd' is not a valid Status"),
    "clause's margin of text": (put(*CLAUSE, "margin", value="1"), "ValueError: '1' is not a margin"),
}
REJECTED = {  # by the schema alone
    "a field more": put("comment", value="fine"),
    "name of a number": put("name", value=3),
    "negative seed": put("seed", value=-1),
    "required grade unknown": put("required_grade", value="perfect"),
    "module unknown": put("environment", "module", value="keras2"),
    "device told": put("environment", "device", value="GPU"),
    "default of a number": put("interface", "arguments", value={"axis": -1}),
    "no check counted": put(*CLAUSE, "checks", value={}),
    "clause's grade unknown": put(*CLAUSE, "grade", value="good"),
    "margin beyond 1e300": put(*CLAUSE, "margin", value=1.1e300),
    "case that conforms written out": put(*WRONG, "status", value="conforms"),
    "case id that is none": put("cases", "axis:1", value=0.5),
    "step of text": put(*CHECK, "step", value="0"),
    "check that conforms": put(*CHECK, "status", value="conforms"),
}


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED)
def test_no_record(cli: Cli, folder: Path, change: Callable[[dict[str, Any]], None], said: str) -> None:
    """A file that is no record is refused with its name and what is wrong with it, before anything is compared."""
    (folder / "good.json").write_text(TEXT)
    document = json.loads(TEXT)
    change(document)
    (folder / "bad.json").write_text(json.dumps(document))
    ended = cli("diff", "good.json", "bad.json")
    assert_refused(ended, said)
    assert ended.err.startswith("bnverify: diff bad.json: is not a record of bnverify (")
    assert ended.err.endswith("); allowed: a file that --record wrote\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n "schema": 1,\n x', ":3: not valid JSON: Expecting property name enclosed in double quotes"),
        ("", ":1: not valid JSON: Expecting value"),
        ("[1]", ": is not a record of bnverify (TypeError: list indices must be integers or slices, not str)"),
        (TEXT.replace("0.17", "NaN"), ": is not a record of bnverify (ValueError: nan is not a margin)"),
        (TEXT.replace("0.17", "1e999"), ": is not a record of bnverify (ValueError: inf is not a margin)"),
        ("[" * 100_000, ": is not a record of bnverify (RecursionError: "),
        (None, ": No such file or directory"),
    ],
)
def test_no_json(folder: Path, text: str | None, message: str) -> None:
    """A file that is no JSON is refused with its line; one that is missing with its name."""
    if text is not None:
        (folder / "bad.json").write_text(text)
    with pytest.raises(BadInput) as refused:
        load_record(Path("bad.json"), "--baseline")
    assert str(refused.value).startswith(f"--baseline bad.json{message}")
    assert "\n" not in str(refused.value)


# --- the schema


def test_the_schema_is_a_schema(schema: jsonschema.Draft202012Validator) -> None:
    """The schema itself is valid JSON Schema 2020-12, and its statuses and grades are those of the model."""
    schema.check_schema(schema.schema)
    assert set(schema.schema["$defs"]["status"]["enum"]) == {status.value for status in Status}
    assert set(schema.schema["$defs"]["grade"]["enum"]) == {grade.label for grade in Grade}


@pytest.mark.parametrize("name", RUNS)
def test_records_follow_the_schema(runs: dict[str, Record], schema: jsonschema.Draft202012Validator, name: str) -> None:
    """The record of any run follows the schema, without NaN or infinity."""
    schema.validate(strictly(record_as_text(runs[name])))


@pytest.mark.parametrize("change", [*(change for change, _ in REFUSED.values()), *REJECTED.values()], ids=[*REFUSED, *REJECTED])
def test_the_schema_rejects(schema: jsonschema.Draft202012Validator, change: Callable[[dict[str, Any]], None]) -> None:
    """A document with one thing wrong does not follow the schema."""
    document = json.loads(TEXT)
    schema.validate(document)
    broken = copy.deepcopy(document)
    change(broken)
    with pytest.raises(jsonschema.ValidationError):
        schema.validate(broken)


def test_committed_records(schema: jsonschema.Draft202012Validator) -> None:
    """Every record that is committed is what would be written, named as its file; one of each Keras follows the schema."""
    paths = sorted((ROOT / "ci" / "baselines").glob("*.json"))
    for path in paths:
        record = load_record(path, "test")
        assert (record_as_text(record), record.name) == (path.read_text(encoding="utf-8"), path.stem)
    for name in ("keras-2.1.2-tensorflow", "keras-3.15.1-tensorflow", "tf_keras-2.21.0-tensorflow"):
        schema.validate(strictly((ROOT / "ci" / "baselines" / f"{name}.json").read_text(encoding="utf-8")))


def test_no_committed_record_deviates() -> None:
    """Whatever deviates in a committed record is understood: known, not wrong, unstable or crashed, and nothing is stale."""
    for path in sorted((ROOT / "ci" / "baselines").glob("*.json")):
        assert load_record(path, "test").ok, path.name
