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
from bnverify.matrix.record_files import load_record, record_in
from bnverify.matrix.records import CaseRecord, Record, record_as_text, rounded
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
    assert strictly(text)
    assert record_in(text) == anywhere
    assert record_as_text(record_in(text)) == text


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
    assert crash.checks["returns"].actual == "ValueError: “out of order” at 0x7f\\x1b"
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
        ("incomplete", True, False),
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
W = "cases['shape:3x2/steps:T']"
REFUSED = {  # what is wrong, and the message; the schema rejects these, too
    "another version": (put("schema", value=2), "field schema: Invalid enum value 2"),
    "no version": (drop("schema"), "Object missing required field `schema`"),
    "no cases": (drop("cases"), "Object missing required field `cases`"),
    "a field more": (put("comment", value="fine"), "Object contains unknown field `comment`"),
    "name of a number": (put("name", value=3), "field name: Expected `str`, got `int`"),
    "no environment": (drop("environment"), "Object missing required field `environment`"),
    "environment without backend": (
        drop("environment", "backend"),
        "field environment: Object missing required field `backend`",
    ),
    "environment of one field more": (put("environment", "gpu", value="H200"), "field environment: Object contains unknown"),
    "environment of text": (put("environment", value="here"), "field environment: Expected `object`, got `str`"),
    "module unknown": (put("environment", "module", value="keras2"), "field environment.module: Invalid enum value 'keras2'"),
    "device told": (put("environment", "device", value="GPU"), "field environment: Object contains unknown field `device`"),
    "negative seed": (put("seed", value=-1), "field seed: Expected `int` >= 0"),
    "seed of truth": (put("seed", value=True), "field seed: Expected `int`, got `bool`"),
    "required grade unknown": (put("required_grade", value="perfect"), "field required_grade: Invalid enum value 'perfect'"),
    "an era that is none": (put("era", value=""), "field era: Expected `str` of length >= 1"),
    "stale of a number": (put("stale", value=3), "field stale: Expected `array`, got `int`"),
    "interface without config": (drop("interface", "config"), "field interface: Object missing required field `config`"),
    "weights of numbers": (put("interface", "weights", value=[3]), "field interface.weights[0]: Expected `str`, got `int`"),
    "default of a number": (
        put("interface", "arguments", value={"axis": -1}),
        "field interface.arguments[...]: Expected `str`",
    ),
    "cases as a list": (put("cases", value=[]), "field cases: Expected `object`, got `array`"),
    "case id that is none": (put("cases", "axis:1", value=0.5), "field cases: 'axis:1' is not a case id"),
    "case of text": (put(*WRONG, value="wrong"), f"field {W}: Expected `float | null`, got `str`"),
    "case of truth": (put(*WRONG, value=True), f"field {W}: Expected `float | null`, got `bool`"),
    "case of a negative margin": (put(*WRONG, value=-0.5), f"field {W}: Expected `float` >= 0.0"),
    "case without status": (drop(*WRONG, "status"), f"field {W}: Object missing required field `status`"),
    "case of an unknown status": (put(*WRONG, "status", value="odd"), f"field {W}.status: Invalid enum value 'odd'"),
    "case that conforms written out": (put(*WRONG, "status", value="conforms"), f"field {W}.status: a case that conforms is"),
    "case of a field more": (put(*WRONG, "score", value=1), f"field {W}: Object contains unknown field `score`"),
    "case's margin of text": (put(*WRONG, "margin", value="1"), f"field {W}.margin: Expected `float | null`, got `str`"),
    "check of an unknown status": (
        put(*CHECK, "status", value="odd"),
        f"field {W}.checks[...].status: Invalid enum value 'odd'",
    ),
    "check that conforms": (
        put(*CHECK, "status", value="conforms"),
        f"field {W}.checks['training-output'].status: only checks",
    ),
    "check without quantity": (drop(*CHECK, "quantity"), f"field {W}.checks[...]: Object missing required field `quantity`"),
    "check of a number": (put(*CHECK, "actual", value=1.5), f"field {W}.checks[...].actual: Expected `str`, got `float`"),
    "check's margin of text": (put(*CHECK, "margin", value="inf"), f"field {W}.checks[...].margin: Expected `float | null`"),
    "step of text": (put(*CHECK, "step", value="0"), f"field {W}.checks[...].step: Expected `int | null`, got `str`"),
    "clause without checks": (
        drop(*CLAUSE, "checks"),
        "field clauses['training-output']: Object missing required field `checks`",
    ),
    "no check counted": (
        put(*CLAUSE, "checks", value={}),
        "field clauses['training-output'].checks: Expected `object` of length",
    ),
    "clause of an unknown status": (put(*CLAUSE, "checks", value={"odd": 1}), "Invalid enum value 'odd'"),
    "clause's grade unknown": (
        put(*CLAUSE, "grade", value="good"),
        "field clauses['training-output'].grade: Invalid enum value",
    ),
    "clause's margin of text": (put(*CLAUSE, "margin", value="1"), "field clauses['training-output'].margin: Expected `float"),
    "margin beyond 1e300": (put(*CLAUSE, "margin", value=1.1e300), "field clauses['training-output'].margin: Expected `float"),
}
FOR_BNVERIFY = {  # what only bnverify can know
    "an unknown era": (put("era", value="Keras 9"), "field era: 'Keras 9' is unknown"),
    "an unknown clause": (put("clauses", "odd", value={"checks": {"conforms": 1}}), "field clauses: 'odd' is not a clause"),
    "an unknown clause of a case": (
        put(*WRONG, "checks", "odd", value={"status": "wrong", "quantity": "y"}),
        "'odd' is not a clause",
    ),
    "a reason that is not there": (put(*CHECK, "reason", value="77"), ".reason: '77' is not a number in reasons"),
}


@pytest.mark.parametrize(("change", "said"), (REFUSED | FOR_BNVERIFY).values(), ids=REFUSED | FOR_BNVERIFY)
def test_no_record(cli: Cli, folder: Path, change: Callable[[dict[str, Any]], None], said: str) -> None:
    """A file that is no record is refused with its name and what is wrong with it, before anything is compared."""
    (folder / "good.json").write_text(TEXT)
    document = json.loads(TEXT)
    change(document)
    (folder / "bad.json").write_text(json.dumps(document))
    ended = cli("diff", "good.json", "bad.json")
    assert_refused(ended, said)
    assert ended.err.startswith("bnverify: diff bad.json: is not a record of bnverify: ")
    assert ended.err.endswith("; allowed: a file that --record wrote\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n "schema": 1,\n x', ":3: not valid JSON: Expecting property name enclosed in double quotes"),
        ("", ":1: not valid JSON: Expecting value"),
        ("[1]", ": is not a record of bnverify: Expected `object`, got `array`"),
        (TEXT.replace("0.17", "NaN"), ": is not a record of bnverify: JSON is malformed: invalid character"),
        (TEXT.replace("0.17", "1e999"), ": is not a record of bnverify: field [...][...]: Number out of range"),
        ("[" * 100_000, ": is not a record of bnverify: "),
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


@pytest.mark.parametrize("change", [change for change, _ in REFUSED.values()], ids=REFUSED)
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
