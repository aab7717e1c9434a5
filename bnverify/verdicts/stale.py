"""Stale: recorded deviations that no longer occur in their evidence case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bnverify.cases.case import Case
from bnverify.cases.ids import parse
from bnverify.values import Status, Verdict
from bnverify.verdicts.known import Deviation


def stale(deviations: Sequence[Deviation], verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """A line for each deviation and clause that its evidence no longer shows, if the evidence was part of the run.

    A deviation that predicts numbers must occur in one of its clauses; any other deviation must occur in all of them.
    """
    lines = []
    by_id = {verdict.case.id: verdict for verdict in verdicts}
    for deviation in deviations:
        shown = by_id.get(parse(deviation.evidence).id)
        if shown is None or shown.status is Status.UNSUPPORTED:
            continue
        gone = [clause for clause in deviation.clauses if not _shows(shown, clause)]
        if deviation.exact and len(gone) < len(deviation.clauses):
            continue
        if deviation.exact and len(gone) > 1:
            told = f"known deviation at {deviation.where} (case {deviation.case or 'any'}) no longer occurs"
            lines.append(f"{told}: its evidence {shown.case.id} shows it in none of its clauses")
            continue
        for clause in gone:
            checks = sum(check.clause == clause for check in shown.checks)
            if not checks and shown.status is Status.CRASHED:
                continue  # the evidence could not be observed
            told = f"known deviation at {deviation.where} (case {deviation.case or 'any'}) no longer occurs"
            found = f"{checks} checks of {clause} conform" if checks else f"{clause} is not checked"
            lines.append(f"{told}: {found} in its evidence {shown.case.id}")
    return tuple(lines)


def _shows(verdict: Verdict, clause: str) -> bool:
    return any(check.clause == clause and check.status is Status.KNOWN for check in verdict.checks)


def evidence(deviations: Iterable[Deviation]) -> tuple[Case, ...]:
    """The evidence cases of the deviations. They are part of every run of a whole suite, so that a stale deviation is found."""
    return tuple(parse(deviation.evidence) for deviation in deviations)
