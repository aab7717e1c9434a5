"""The compatibility chart as data: clause × environment, each cell with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bnverify.cases.ids import parse
from bnverify.cases.suites import smaller_first
from bnverify.contract import BY_KEY, CLAUSES
from bnverify.contract.clause import Clause
from bnverify.contract.eras import ERAS
from bnverify.matrix.records import CheckRecord, ClauseRecord, Record
from bnverify.matrix.runs import RowOutcome
from bnverify.values import Status


@dataclass(frozen=True)
class CellGroup:
    """Cases of one cell with the same result: their status and cause, the smallest case, and its worst check."""

    status: Status
    cause: str
    cases: tuple[str, ...]
    example: str
    check: CheckRecord


@dataclass(frozen=True)
class Cell:
    """One clause in one environment."""

    clause: Clause
    status: Status | None
    tally: ClauseRecord
    groups: tuple[CellGroup, ...]

    @property
    def checks(self) -> int:
        return sum(self.tally.checks.values())


@dataclass(frozen=True)
class ChartRow:
    """One environment: its name, its record or why there is none, and a cell for every clause.

    skipped: whether it was not run because an interpreter is missing.
    """

    name: str
    record: Record | None
    problem: str
    skipped: bool = False

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(_cell(self.record, clause) for clause in CLAUSES) if self.record else ()

    @property
    def rules(self) -> tuple[tuple[str, str], ...]:
        """The clauses whose rule differs in this environment's era: the title and the era's rule."""
        era = next((era for era in ERAS if self.record and era.name == self.record.era), None)
        return tuple((BY_KEY[key].title, rule) for key, rule in era.rules.items()) if era else ()

    @property
    def unsupported(self) -> tuple[tuple[str, int], ...]:
        """Why cases could not be tested; each reason with the number of cases."""
        cases = self.record.cases.values() if self.record else ()
        reasons = [case.reason for case in cases if case.status is Status.UNSUPPORTED]
        return tuple((reason, reasons.count(reason)) for reason in dict.fromkeys(reasons))


def chart_of(outcomes: Sequence[RowOutcome]) -> tuple[ChartRow, ...]:
    """The chart of these rows, in the same order."""
    return tuple(ChartRow(o.row.name, o.record, o.problem, o.skipped) for o in outcomes)


def _cell(record: Record, clause: Clause) -> Cell:
    tally = record.clauses.get(clause.key, ClauseRecord({}))
    found: dict[tuple[Status, str], list[str]] = {}
    for id_, case in record.cases.items():
        if check := case.checks.get(clause.key):
            found.setdefault((check.status, case.why(clause.key)), []).append(id_)
    groups = []
    for (status, cause), ids in found.items():
        example = smaller_first(map(parse, ids))[0].id
        groups.append(CellGroup(status, cause, tuple(ids), example, record.cases[example].checks[clause.key]))
    groups.sort(key=lambda group: (-group.status.gravity, -len(group.cases)))
    return Cell(clause, tally.status, tally, tuple(groups))
