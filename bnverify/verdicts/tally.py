"""Counting: checks per clause, and failures grouped by cause, so that 300 failures with one cause are one paragraph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bnverify.cases.suites import smaller_first
from bnverify.contract import CLAUSES
from bnverify.contract.clause import Clause
from bnverify.values import Check, Grade, Status, Verdict, worst


@dataclass
class ClauseTally:
    """One clause's checks: counts per status; the worst grade, the largest margin and its case, without known deviations."""

    number: int
    clause: Clause
    statuses: Counter[Status] = field(default_factory=Counter)
    grade: Grade | None = None
    margin: float | None = None
    case: str = ""

    @property
    def checks(self) -> int:
        return self.statuses.total()

    def add(self, check: Check, case: str) -> None:
        self.statuses[check.status] += 1
        if check.status is Status.KNOWN:
            return
        if check.grade is not None:
            self.grade = max(self.grade or check.grade, check.grade)
        if check.margin is not None and (self.margin is None or check.margin > self.margin):
            self.margin, self.case = check.margin, case


def by_clause(verdicts: Iterable[Verdict]) -> tuple[ClauseTally, ...]:
    """One tally for every clause of the contract, including clauses without a check."""
    tallies = {clause.key: ClauseTally(number, clause) for number, clause in enumerate(CLAUSES, 1)}
    for verdict in verdicts:
        for check in verdict.checks:
            tallies[check.clause].add(check, verdict.case.id)
    return tuple(tallies.values())


@dataclass(frozen=True)
class Group:
    """Failures that share a cause, or, without a cause, a clause. `example` is the smallest case."""

    status: Status
    cause: str
    title: str
    verdicts: tuple[Verdict, ...]

    @property
    def example(self) -> Verdict:
        smallest = smaller_first(verdict.case for verdict in self.verdicts)[0]
        return next(verdict for verdict in self.verdicts if verdict.case == smallest)

    @property
    def clauses(self) -> Counter[str]:
        """JudgedCase checks per clause key, in the order of the contract."""
        found = Counter(check.clause for verdict in self.verdicts for check in verdict.failures)
        return Counter({clause.key: found[clause.key] for clause in CLAUSES if found[clause.key]})


def failures(verdicts: Iterable[Verdict]) -> tuple[Group, ...]:
    """The failing verdicts in groups: the most severe status first, then the largest group."""
    titles = {clause.key: clause.title for clause in CLAUSES}
    groups: dict[tuple[bool, str], list[Verdict]] = {}
    for verdict in verdicts:
        if not verdict.status.fails:
            continue
        if verdict.status is Status.CRASHED:
            crash = next(check for check in verdict.failures if check.status is Status.CRASHED)
            # grouped by stage and type of the exception, because texts differ in their numbers
            key = (False, ":".join(crash.reason.split(":")[:2]))
        else:
            key = (bool(verdict.cause), verdict.cause or titles[verdict.failures[0].clause])
        groups.setdefault(key, []).append(verdict)
    found = [
        Group(worst([v.status for v in members]), title if named else "", title, tuple(members))
        for (named, title), members in groups.items()
    ]
    order = list(Status)
    return tuple(sorted(found, key=lambda group: (-order.index(group.status), -len(group.verdicts))))
