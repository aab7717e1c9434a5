"""Record files: load a record and check every field. `record.schema.json` describes the same form for other programs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from bnverify.contract import BY_KEY
from bnverify.contract.eras import ERAS
from bnverify.errors import BadInput, printable
from bnverify.matrix.records import CaseRecord, CheckRecord, ClauseRecord, Record
from bnverify.storage.tables import read_text
from bnverify.values import Environment, Grade, Interface, Status

_T = TypeVar("_T")

_Text = Annotated[str, Meta(min_length=1)]
_Count = Annotated[int, Meta(ge=0)]
_Margin = Annotated[float, Meta(ge=0, le=1e300)]  # an infinite margin is written as 1e300
_GradeText = Literal["blocked", "sequential", "one-pass", "none"]


class _Form(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON object that has only these fields."""


class _EnvironmentForm(_Form):
    """The fields of `values.Environment` that do not depend on the machine."""

    target: _Text
    module: Literal["keras", "tf_keras", "tf.keras"]
    keras: _Text
    backend: _Text
    backend_version: str
    float64: bool
    numpy: str
    python: str


class _ClauseForm(_Form):
    """One clause: counts of checks by status."""

    checks: Annotated[dict[Status, Annotated[int, Meta(ge=1)]], Meta(min_length=1)]
    grade: _GradeText | None = None
    margin: _Margin | None = None


class _CheckForm(_Form):
    """The worst check of a clause. reason: the number of a text in `reasons`."""

    status: Status
    quantity: _Text
    step: _Count | None = None
    grade: _GradeText | None = None
    margin: _Margin | None = None
    expected: str = ""
    actual: str = ""
    reason: str = ""


class _CaseForm(_Form):
    """A case that does not conform."""

    status: Status
    margin: _Margin | None = None
    cause: str = ""
    reason: str = ""
    checks: dict[str, _CheckForm] = {}


class _InterfaceForm(_Form):
    """The fields of `values.Interface`."""

    arguments: dict[str, str]
    call: tuple[_Text, ...]
    weights: tuple[_Text, ...]
    config: dict[str, Any]


class _RecordForm(_Form):
    """The whole document. `clauses` and `cases` are checked one by one, so that a message can name the one at fault."""

    schema: Literal[1]
    name: _Text
    environment: _EnvironmentForm
    era: _Text
    suite: str
    seed: _Count
    required_grade: _GradeText
    stale: tuple[str, ...]
    interface: _InterfaceForm
    clauses: dict[str, Any]
    cases: dict[str, Any]
    reasons: dict[str, _Text] = {}
    complete: bool = True


def load_record(path: Path, option: str) -> Record:
    """The record in a file. Raises BadInput with the file, the field and the problem, and for an incomplete record."""
    text = read_text(path, option)
    try:
        record = record_in(text)
    except (ValueError, RecursionError) as error:
        try:
            json.loads(text)  # gives the line of a mistake in the JSON itself
        except json.JSONDecodeError as malformed:
            raise BadInput(f"{option} {path}:{malformed.lineno}: not valid JSON: {malformed.msg}") from None
        except (ValueError, RecursionError):
            pass  # valid JSON that Python does not read, such as a number of thousands of digits
        raise BadInput(f"{option} {path}: is not a record of bnverify: {error}", allowed="a file that --record wrote") from None
    if not record.complete:
        what = f"{option} {path}: the record is incomplete, because its run ended before its last case"
        raise BadInput(what, allowed="the record of a whole run")
    return record


def record_in(text: str) -> Record:
    """The record in a JSON text. Raises ValueError with the field and what is wrong; RecursionError if nested too deeply."""
    try:
        form = msgspec.convert(_printable(msgspec.json.decode(text)), _RecordForm)
    except msgspec.ValidationError as error:
        raise ValueError(_in_field("", error)) from None
    if form.era not in {era.name for era in ERAS}:
        raise ValueError(f"field era: {form.era!r} is unknown")
    e, interface = form.environment, form.interface
    return Record(
        name=form.name,
        environment=Environment(**msgspec.structs.asdict(e), device="", cpu=""),
        era=form.era,
        suite=form.suite,
        seed=form.seed,
        required=form.required_grade,
        interface=Interface(interface.arguments, interface.call, interface.weights, interface.config),
        clauses={key: _clause(key, value) for key, value in form.clauses.items()},
        cases={id_: _case(id_, value, form.reasons) for id_, value in form.cases.items()},
        stale=form.stale,
        complete=form.complete,
    )


def _printable(value: Any) -> Any:
    """The document with all of its texts harmless: a record may come from anywhere, and its texts are printed."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): _printable(part) for key, part in value.items()}
    return [_printable(part) for part in value] if isinstance(value, list) else value


def _clause(key: str, value: Any) -> ClauseRecord:
    if key not in BY_KEY:
        raise ValueError(f"field clauses: {key!r} is not a clause")
    form = _converted(value, _ClauseForm, f"clauses[{key!r}]")
    return ClauseRecord(form.checks, _grade(form.grade), form.margin)


def _case(id_: str, value: Any, reasons: Mapping[str, str]) -> CaseRecord:
    """A case that conforms is written as its margin, any other as an object."""
    where = f"cases[{id_!r}]"
    if not id_.startswith("shape:"):
        raise ValueError(f"field cases: {id_!r} is not a case id")
    if not isinstance(value, dict):
        return CaseRecord(Status.CONFORMS, _converted(value, _Margin | None, where))  # type: ignore[arg-type]
    form = _converted(value, _CaseForm, where)
    checks = {clause: _check(check, reasons, f"{where}.checks[{clause!r}]") for clause, check in form.checks.items()}
    if unknown := [clause for clause in checks if clause not in BY_KEY]:
        raise ValueError(f"field {where}.checks: {unknown[0]!r} is not a clause")
    if form.status is Status.CONFORMS:
        raise ValueError(f"field {where}.status: a case that conforms is written as its margin")
    return CaseRecord(form.status, form.margin, form.cause, form.reason, checks)


def _check(form: _CheckForm, reasons: Mapping[str, str], where: str) -> CheckRecord:
    if form.status is Status.CONFORMS:
        raise ValueError(f"field {where}.status: only checks that do not conform are written")
    if form.reason and form.reason not in reasons:
        raise ValueError(f"field {where}.reason: {form.reason!r} is not a number in reasons")
    values = msgspec.structs.asdict(form)
    return CheckRecord(**{**values, "grade": _grade(form.grade), "reason": reasons.get(form.reason, "")})


def _grade(label: str | None) -> Grade | None:
    return None if label is None else next(grade for grade in Grade if grade.label == label)


def _converted(value: Any, type_: type[_T], where: str) -> _T:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise ValueError(_in_field(where, error)) from None


def _in_field(where: str, error: msgspec.ValidationError) -> str:
    """What msgspec says of a value, with the field in front."""
    told, _, path = str(error).partition(" - at ")
    field = where + re.sub(r"^`\$|`$", "", path) if where else re.sub(r"^`\$\.?|`$", "", path)
    return f"field {field}: {told}" if field else told
