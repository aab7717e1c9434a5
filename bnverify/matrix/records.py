"""Records: the results in one environment, small enough to commit: verdicts and margins, no arrays.

A case that conforms is one line with its largest margin. Any other case has its status, its cause, and the worst check per
clause. `record.schema.json` beside this file is the JSON Schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

from bnverify.contract.eras import era_of
from bnverify.errors import printable
from bnverify.values import Check, Environment, Grade, Interface, Results, Status, Verdict
from bnverify.verdicts.tally import by_clause

RECORD_SCHEMA = 1


@dataclass(frozen=True)
class ClauseRecord:
    """A clause in one environment: counts of checks by status, the worst grade and the largest margin."""

    checks: Mapping[Status, int]
    grade: Grade | None = None
    margin: float | None = None

    @property
    def status(self) -> Status | None:
        """The most severe status of the checks that tested something, or else of all checks; None if there is no check."""
        tested = [status for status in self.checks if status.tested]
        return max(tested or self.checks, key=lambda status: status.gravity, default=None)


@dataclass(frozen=True)
class CheckRecord:
    """The worst check of a clause that does not conform in a case."""

    status: Status
    quantity: str
    step: int | None
    grade: Grade | None
    margin: float | None
    expected: str
    actual: str
    reason: str = ""


@dataclass(frozen=True)
class CaseRecord:
    """A case: its status and largest margin, and why it does not conform."""

    status: Status
    margin: float | None = None
    cause: str = ""
    reason: str = ""
    checks: Mapping[str, CheckRecord] = field(default_factory=dict)

    def why(self, clause: str) -> str:
        """Why a clause does not conform: the known reason, or the named cause; empty if it conforms."""
        check = self.checks.get(clause)
        if check is None:
            return ""
        return check.reason if check.status is Status.KNOWN else self.cause or check.reason


@dataclass(frozen=True)
class Record:
    """The results in one environment. name: the row's. era: whose promises it was judged by.

    complete: False if the run ended before its last case. Such a record is written, but never compared with.
    """

    name: str
    environment: Environment
    era: str
    suite: str
    seed: int
    required: str
    interface: Interface
    clauses: Mapping[str, ClauseRecord]
    cases: Mapping[str, CaseRecord]
    stale: tuple[str, ...] = ()
    complete: bool = True

    @cached_property
    def counts(self) -> dict[Status, int]:
        """Cases by status, in the order of Status."""
        found = [case.status for case in self.cases.values()]
        return {status: n for status in Status if (n := found.count(status))}

    @property
    def tested(self) -> bool:
        """Whether any clause was tested."""
        return any(status.tested for clause in self.clauses.values() for status in clause.checks)

    @property
    def ok(self) -> bool:
        """Whether something was tested, nothing failed and no known deviation is stale."""
        return self.tested and not self.stale and not any(status.fails for status in self.counts) and self.complete


def record_of(name: str, results: Results, interface: Interface) -> Record:
    """The record of a run."""
    tallies = by_clause(results.verdicts)
    return Record(
        name=name,
        environment=results.environment,
        era=era_of(results.environment).name,
        suite=results.suite,
        seed=results.seed,
        required=results.required.label,
        interface=interface,
        clauses={
            tally.clause.key: ClauseRecord(
                dict(tally.statuses),
                tally.grade,
                rounded(tally.margin),
            )
            for tally in tallies
            if tally.checks
        },
        cases={verdict.case.id: _case(verdict) for verdict in results.verdicts},
        stale=results.stale,
        complete=results.complete,
    )


def rounded(margin: float | None) -> float | None:
    """A margin with two significant digits. An infinite one becomes 1e300, because JSON has no infinity."""
    return None if margin is None else float(f"{min(margin, 1e300):.2g}")


def _case(verdict: Verdict) -> CaseRecord:
    if verdict.status is Status.CONFORMS:
        return CaseRecord(verdict.status, rounded(verdict.worst_margin))
    odd: dict[str, list[Check]] = {}
    for check in verdict.checks:
        if check.status is not Status.CONFORMS:
            odd.setdefault(check.clause, []).append(check)
    margins = [check.margin for check in verdict.checks if check.margin is not None and check.status is Status.CONFORMS]
    return CaseRecord(
        verdict.status,
        rounded(max(margins, default=None)),
        verdict.cause,
        verdict.reason,
        {clause: _check(max(checks, key=lambda c: c.margin or 0.0)) for clause, checks in odd.items()},
    )


def _check(check: Check) -> CheckRecord:
    m = check.mismatch
    texts = (printable(m.expected), printable(m.actual)) if m else ("", "")
    return CheckRecord(
        check.status, check.quantity, check.step, check.grade, rounded(check.margin), *texts, printable(check.reason)
    )


def record_as_text(record: Record) -> str:
    """The record as JSON that gives readable diffs: sorted, one line per case and per clause."""
    head = {
        "schema": RECORD_SCHEMA,
        "name": record.name,
        "environment": {k: v for k, v in asdict(record.environment).items() if k not in ("cpu", "device")},
        "era": record.era,
        "suite": record.suite,
        "seed": record.seed,
        "required_grade": record.required,
        "complete": record.complete,
        "stale": list(record.stale),
    }
    interface = asdict(record.interface)
    lines = ["{"]
    lines += [f" {json.dumps(key)}: {_json(value)}," for key, value in head.items()]
    lines.append(f' "interface": {{\n{_block(interface)}\n }},')
    clauses = {key: _written(clause) for key, clause in record.clauses.items()}
    lines.append(f' "clauses": {{\n{_block(clauses)}\n }},')
    reasons = sorted({check.reason for case in record.cases.values() for check in case.checks.values() if check.reason})
    if reasons:
        lines.append(f' "reasons": {{\n{_block({str(n): text for n, text in enumerate(reasons, 1)})}\n }},')
    numbers = {text: str(n) for n, text in enumerate(reasons, 1)}
    cases = {id_: _short(case, numbers) for id_, case in sorted(record.cases.items())}
    lines.append(f' "cases": {{\n{_block(cases)}\n }}')
    return "\n".join([*lines, "}"]) + "\n"


def _block(values: Mapping[str, Any]) -> str:
    return ",\n".join(f"  {json.dumps(key)}: {_json(value)}" for key, value in values.items())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _short(case: CaseRecord, numbers: Mapping[str, str]) -> Any:
    """A case that conforms is only its margin. Reasons are written as their numbers."""
    if case.status is Status.CONFORMS:
        return case.margin
    found = _written(case)
    if case.checks:
        found["checks"] = {
            clause: _written(check) | ({"reason": numbers[check.reason]} if check.reason else {})
            for clause, check in case.checks.items()
        }
    return found


def _written(record: ClauseRecord | CaseRecord | CheckRecord) -> dict[str, Any]:
    """The fields of a record that are not empty, with statuses and grades as text."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    if isinstance(record, ClauseRecord):
        values["checks"] = {status.value: count for status, count in record.checks.items()}
    texts = {key: str(value) if isinstance(value, (Status, Grade)) else value for key, value in values.items()}
    return {key: value for key, value in texts.items() if value not in (None, "", {}, [], ())}
