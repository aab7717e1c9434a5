"""Known deviations: failures that are understood and recorded with a reason and evidence. They are strict in both directions.

A recorded deviation turns the failing checks that it selects into known deviations. If it selects checks and none of them
fails, it no longer occurs, and the run fails. Its evidence is part of every run of a whole suite, so that it always selects
some.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib import resources
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from bnverify.cases.case import Case
from bnverify.cases.ids import parse
from bnverify.cases.suites import matches
from bnverify.contract import BY_KEY, NUMBERS
from bnverify.contract.eras import Era, Promise, keras_version
from bnverify.errors import BadInput
from bnverify.numeric.precision import FORMATS, Precision
from bnverify.reference.formulas import KERAS, Formulas
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY as HYPOTHESES
from bnverify.storage.tables import Table, read_tables, read_text
from bnverify.targets.backends import BACKENDS
from bnverify.targets.function_targets import function_of
from bnverify.targets.worker.functions import NAMES
from bnverify.values import Check, Environment, Grade


@dataclass(frozen=True)
class Deviation:
    """One recorded deviation.

    clauses: keys of the clauses that fail; "numbers" means all clauses that have bounds. case: part of a case id that selects
    cases; | separates alternative values (`policy:float64/dtype:int32|int64`, or `rank:4` of the shape), and an empty text
    selects all. backend: Keras' backend, or empty for all. keras: version range (PEP 440), or empty. why: the cause in words.
    link: where it is documented or reported. evidence: id of a case that shows it. target: the function target that deviates
    (`--target`; without @symbolic both forms), with | between alternatives; empty for layers. where: file and line of the
    record.

    A record may also predict the numbers; it then excuses only numbers that agree with the prediction. computes: the key of a
    hypothesis, or several joined by +. arithmetic, variable, read, autocast: the format of the computation, of stored weights,
    of weights when they are read, and of inputs. output: the format of y. grade: the worst grade. replicas: "alone" if each
    replica uses its own shard instead of the whole batch. quantity: the one quantity that deviates. raises: part of the
    exception's type and text, with | between alternatives.
    """

    clauses: tuple[str, ...]
    why: str
    link: str
    evidence: str
    case: str = ""
    quantity: str = ""
    computes: str = ""
    arithmetic: str = ""
    variable: str = ""
    read: str = ""
    autocast: str = ""
    output: str = ""
    grade: str = ""
    replicas: str = ""
    raises: str = ""
    backend: str = ""
    keras: str = ""
    target: str = ""
    where: str = field(default="", metadata={"internal": True})

    def applies(self, environment: Environment) -> bool:
        if self.target and not {environment.target, function_of(environment.target)} & set(self.target.split("|")):
            return False
        version = keras_version(environment.keras)
        in_range = SpecifierSet(self.keras, prereleases=True).contains(version)
        return in_range and self.backend in ("", environment.backend)

    def selects(self, case: Case, check: Check) -> bool:
        fits = check.clause in self.clauses and self.quantity in ("", check.quantity)
        if self.raises and (check.mismatch is None or not any(t in check.mismatch.actual for t in self.raises.split("|"))):
            return False
        return fits and matches(case, self.case)

    @property
    def exact(self) -> bool:
        """Whether the record predicts numbers."""
        return any(
            (self.computes, self.arithmetic, self.variable, self.read, self.autocast, self.output, self.grade, self.replicas)
        )

    @property
    def only_grade(self) -> bool:
        """Whether the record predicts a worse grade and nothing else."""
        return bool(self.grade) and not replace(self, grade="").exact

    def instead(self, era: Era) -> Promise:
        """What the layer computes according to this record, in place of the era's promise."""
        return Promise(era.apply(self._formulas(era.formulas)), lambda case: self._formats(era.formats(case)))

    def _formulas(self, promised: Formulas) -> Formulas:
        found = promised
        for key in self.computes.split("+") if self.computes else ():
            changed = {f.name: getattr(HYPOTHESES[key].formulas, f.name) for f in fields(Formulas)}
            found = replace(found, **{k: v for k, v in changed.items() if v is not getattr(KERAS, k)})
        return found

    def _formats(self, promised: Precision) -> Precision:
        return replace(
            promised,
            arithmetic=FORMATS.get(self.arithmetic, promised.arithmetic),
            variable=FORMATS.get(self.variable, promised.variable),
            read=FORMATS.get(self.read, promised.read),
            autocast=FORMATS.get(self.autocast, promised.autocast) if promised.autocast else None,
            output=FORMATS.get(self.output, promised.output),
        )

    def required(self, required: Grade) -> Grade:
        """The worst grade that the record excuses."""
        return max(required, Grade[self.grade.upper().replace("-", "_")]) if self.grade else required


@cache
def shipped() -> tuple[Deviation, ...]:
    """The deviations of real Keras that ship with bnverify."""
    source = resources.files("bnverify.verdicts") / "known.toml"
    return parse_known(source.read_text(encoding="utf-8"), "known.toml")


def load(path: Path) -> tuple[Deviation, ...]:
    """The deviations recorded in a user's file. Raises BadInput with file, line and field."""
    return parse_known(read_text(path, "--known"), str(path))


def parse_known(text: str, name: str) -> tuple[Deviation, ...]:
    """The records of a TOML text with one `[[deviation]]` table for each record."""
    return tuple(map(_checked, read_tables(text, name, {"deviation": Deviation})["deviation"]))


_FORMATS = ("float16", "bfloat16", "float32")
_CHOICES: dict[str, tuple[str, ...]] = {  # by field, its allowed values
    "backend": BACKENDS,
    "target": NAMES,
    "computes": tuple(HYPOTHESES),
    "arithmetic": _FORMATS,
    "variable": _FORMATS,
    "read": _FORMATS,
    "autocast": _FORMATS,
    "output": _FORMATS,
    "grade": ("sequential", "one-pass"),
    "replicas": ("alone",),
}
_SEVERAL = {"target": "|", "computes": "+"}  # by field, the separator between several values


def _checked(table: Table[Deviation]) -> Deviation:
    """The record with its place in the file. Raises BadInput if a field names something that does not exist."""
    record = table.values
    for clause in record.clauses:
        if clause not in ("numbers", *BY_KEY):
            raise table.fail("clauses", got=clause, allowed=("numbers", *BY_KEY))
    try:
        SpecifierSet(record.keras)
    except InvalidSpecifier:
        raise table.fail("keras", got=record.keras, allowed="a version range as >=3.0,<3.5") from None
    for name, allowed in _CHOICES.items():
        value = getattr(record, name)
        if name in table.given and not set(value.split(_SEVERAL.get(name))) <= set(allowed):
            raise table.fail(name, got=value, allowed=allowed)
    _check_evidence(table)
    clauses = [key for clause in record.clauses for key in (NUMBERS if clause == "numbers" else (clause,))]
    return replace(record, clauses=tuple(dict.fromkeys(clauses)), where=table.place)


def _check_evidence(table: Table[Deviation]) -> None:
    """Raises BadInput if the evidence is not a case id, or not a case that the record selects."""
    record = table.values
    try:
        shown = parse(record.evidence)
    except BadInput as error:
        raise table.fail("evidence", str(error)) from None
    for part in record.case.split("/") if record.case else ():
        if part.split(":")[0] not in (*shown.fields, "rank", "channels") or ":" not in part:
            raise table.fail("case", got=part, allowed=f"field:value with a field of {', '.join(shown.fields)}")
    if not matches(shown, record.case):
        raise table.fail("evidence", f"the case {shown.id} is not selected by case = {record.case!r}")
