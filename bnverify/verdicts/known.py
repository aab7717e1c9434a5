"""Known deviations: failures that are understood, recorded with reason and evidence. Strict in both directions.

A recorded deviation turns the failing checks it selects from failures into known deviations. One that selects checks of which
none fails no longer occurs, and makes the run fail; its evidence is part of every run of a whole suite, so that it always
selects some.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from bnverify.cases.case import Case, parse
from bnverify.cases.suites import matches
from bnverify.contract import BY_KEY
from bnverify.errors import BadInput
from bnverify.model import Check, Environment, Status, Verdict, worst


@dataclass(frozen=True)
class Deviation:
    """One recorded deviation.

    clauses: keys of the clauses that fail; case: part of a case id that selects cases, values separated by | being
    alternatives (`policy:float64/dtype:int32|int64`; empty selects all); backend: of Keras, or empty for all; keras: version
    range (PEP 440), or empty; why: the cause in words; link: where it is documented or reported; evidence: id of a case that
    shows it. where: file and line of the record.
    """

    clauses: tuple[str, ...]
    why: str
    link: str
    evidence: str
    case: str = ""
    backend: str = ""
    keras: str = ""
    where: str = ""

    def applies(self, environment: Environment) -> bool:
        version = Version(environment.keras)
        in_range = SpecifierSet(self.keras, prereleases=True).contains(version)
        return in_range and self.backend in ("", environment.backend)

    def selects(self, case: Case, check: Check) -> bool:
        return check.clause in self.clauses and matches(case, self.case)


def shipped() -> tuple[Deviation, ...]:
    """The deviations of real Keras that ship with bnverify."""
    source = resources.files("bnverify.verdicts") / "known.toml"
    return parse_known(source.read_text(encoding="utf-8"), "known.toml")


def load(path: Path) -> tuple[Deviation, ...]:
    """The deviations recorded in a user's file. Raises BadInput with file, line and field."""
    try:
        return parse_known(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise BadInput(f"--known {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BadInput(f"--known {path}: not a text file in UTF-8") from None


def parse_known(text: str, name: str) -> tuple[Deviation, ...]:
    """The records of a TOML text with one `[[deviation]]` table each."""
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise BadInput(f"{name}:1: not valid TOML: nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        at = line.group(1) if line else str(text.count("\n") + 1)
        raise BadInput(f"{name}:{at}: not valid TOML: {error}") from None
    extra = sorted(set(document) - {"deviation"})
    if extra:
        raise BadInput(f"{name}:{_first_line(text, extra[0])}: {extra[0]!r} is unknown; allowed: [[deviation]] tables")
    records = document.get("deviation", [])
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise BadInput(f"{name}:{_first_line(text, 'deviation')}: 'deviation' must be written as [[deviation]] tables")
    return tuple(_deviation(_Record(record, number, text, name)) for number, record in enumerate(records, 1))


class _Record:
    """One table of the file, with the place of each of its fields for the messages."""

    def __init__(self, values: dict[str, object], number: int, text: str, name: str) -> None:
        self.values, self.number, self._text, self._name = values, number, text, name

    def place(self, field: str = "") -> str:
        return f"{self._name}:{_line(self._text, self.number, field)}"

    def fail(self, field: str, problem: str) -> BadInput:
        return BadInput(f"{self.place(field)}: deviation {self.number}, field {field}: {problem}")


ALLOWED = tuple(field.name for field in fields(Deviation) if field.name != "where")
BACKENDS = ("tensorflow", "jax", "torch", "numpy", "openvino")
REQUIRED = ("clauses", "why", "link", "evidence")


def _deviation(record: _Record) -> Deviation:
    for field, value in record.values.items():
        if field not in ALLOWED:
            raise record.fail(field, f"unknown; allowed: {', '.join(ALLOWED)}")
        if field != "clauses" and not isinstance(value, str):
            raise record.fail(field, f"must be a text in quotes, is {value!r}")
    for field in REQUIRED:
        if not record.values.get(field):
            raise record.fail(field, "missing")
    clauses = _clauses(record)
    texts = {field: str(value) for field, value in record.values.items() if field != "clauses"}
    try:
        SpecifierSet(texts.get("keras", ""))
    except InvalidSpecifier:
        raise record.fail("keras", f"{texts['keras']!r} is no version range; allowed: as >=3.0,<3.5") from None
    if texts.get("backend", BACKENDS[0]) not in BACKENDS:
        raise record.fail("backend", f"{texts['backend']!r} is unknown; allowed: {', '.join(BACKENDS)}")
    _check_evidence(record, texts["evidence"], texts.get("case", ""))
    return Deviation(clauses=clauses, **texts, where=record.place())


def _clauses(record: _Record) -> tuple[str, ...]:
    clauses = record.values["clauses"]
    if not isinstance(clauses, list) or not all(isinstance(clause, str) for clause in clauses):
        raise record.fail("clauses", f'must be a list of texts, as ["moving-mean"], is {clauses!r}')
    for clause in clauses:
        if clause not in BY_KEY:
            raise record.fail("clauses", f"{clause!r} is unknown; allowed: {', '.join(BY_KEY)}")
    return tuple(clauses)


def _check_evidence(record: _Record, case: str, selection: str) -> None:
    try:
        shown = parse(case)
    except BadInput as error:
        raise record.fail("evidence", str(error)) from None
    for part in selection.split("/") if selection else ():
        if part.split(":")[0] not in shown.fields or ":" not in part:
            raise record.fail("case", f"{part!r} is not field:value with a field of {', '.join(shown.fields)}")
    if not matches(shown, selection):
        raise record.fail("evidence", f"the case {shown.id} is not among those that case = {selection!r} selects")


def _first_line(text: str, word: str) -> int:
    """The first line that begins with a word, quotes and brackets apart."""
    lines = enumerate(text.splitlines(), 1)
    return next((at for at, line in lines if line.strip().lstrip("[\"' ").startswith(word)), 1)


def _line(text: str, number: int, field: str) -> int:
    """The line of a field in the number-th table, or of the table's head where the field is missing."""
    table, head = 0, 1
    for at, line in enumerate(text.splitlines(), 1):
        if line.strip().startswith("[["):
            table += 1
            head = at if table == number else head
        elif table == number and field and re.match(rf"\s*[\"']?{re.escape(field)}[\"']?\s*=", line):
            return at
    return head


def excuse(verdict: Verdict, deviations: Iterable[Deviation]) -> Verdict:
    """The verdict with the failing checks that a deviation selects turned into known deviations."""

    def turn(check: Check) -> Check:
        known = next((d for d in deviations if check.status.fails and d.selects(verdict.case, check)), None)
        return check if known is None else replace(check, status=Status.KNOWN, reason=known.why)

    if not verdict.failures:
        return verdict
    checks = tuple(turn(check) for check in verdict.checks)
    return replace(verdict, checks=checks, status=worst([check.status for check in checks]))


def stale(deviations: Sequence[Deviation], verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """A line for each deviation and clause that its evidence no longer shows, where the evidence was part of the run."""
    lines = []
    by_id = {verdict.case.id: verdict for verdict in verdicts}
    for deviation in deviations:
        shown = by_id.get(parse(deviation.evidence).id)
        if shown is None:
            continue
        for clause in deviation.clauses:
            checks = [check for check in shown.checks if check.clause == clause]
            if not any(check.status is Status.KNOWN for check in checks):
                told = f"known deviation at {deviation.where} (case {deviation.case or 'any'}) no longer occurs"
                found = f"{len(checks)} checks of {clause} conform" if checks else f"no check of {clause} is made"
                lines.append(f"{told}: {found} in its evidence {shown.case.id}")
    return tuple(lines)


def evidence(deviations: Iterable[Deviation]) -> tuple[Case, ...]:
    """The cases that show the deviations. Part of every run of a whole suite, so that none goes stale unseen."""
    return tuple(parse(deviation.evidence) for deviation in deviations)
