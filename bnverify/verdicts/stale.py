"""Stale: recorded deviations that no longer occur in their evidence case."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from bnverify.cases.case import Case
from bnverify.cases.ids import parse
from bnverify.values import Status, Verdict
from bnverify.verdicts.known import Deviation

# Random inputs may happen not to show a deviation: a rounding that comes out right, a NaN that is masked. So the evidence is
# run again with these seeds before its deviation counts as stale.
SEEDS = (0, 1, 2, 3, 4)

Again = Callable[[Case, int], Verdict]  # the verdict on a case with the inputs of another seed


def stale(deviations: Sequence[Deviation], verdicts: Sequence[Verdict], again: Again | None = None) -> tuple[str, ...]:
    """A line for each deviation and clause that its evidence no longer shows, if the evidence was part of the run.

    A deviation that predicts numbers must occur in one of its clauses; any other deviation must occur in all of them. With
    `again`, evidence that does not show its deviation is run with other seeds, too.
    """
    by_id = {verdict.case.id: verdict for verdict in verdicts}
    lines: list[str] = []
    for deviation in deviations:
        shown = by_id.get(parse(deviation.evidence).id)
        if shown is None or shown.status is Status.UNSUPPORTED:
            continue
        tried = [shown]
        others = (again(shown.case, seed) for seed in SEEDS) if again else iter(())
        while _gone(deviation, tried) and (other := next(others, None)) is not None:
            tried.append(other)
        lines += _told(deviation, shown, _gone(deviation, tried))
    return tuple(lines)


def _gone(deviation: Deviation, tried: Sequence[Verdict]) -> list[str]:
    """The clauses in which no verdict shows the deviation; empty if those that show it are enough."""
    gone = [clause for clause in deviation.clauses if not any(_shows(verdict, clause) for verdict in tried)]
    return [] if deviation.exact and len(gone) < len(deviation.clauses) else gone


def _told(deviation: Deviation, shown: Verdict, gone: Sequence[str]) -> Iterator[str]:
    """A line for each clause in `gone`."""
    told = f"known deviation at {deviation.where} (case {deviation.case or 'any'}) no longer occurs"
    if deviation.exact and len(gone) > 1:
        yield f"{told}: its evidence {shown.case.id} shows it in none of its clauses"
        return
    for clause in gone:
        checks = sum(check.clause == clause for check in shown.checks)
        if not checks and shown.status is Status.CRASHED:
            continue  # the evidence could not be observed
        found = f"{checks} checks of {clause} conform" if checks else f"{clause} is not checked"
        yield f"{told}: {found} in its evidence {shown.case.id}"


def _shows(verdict: Verdict, clause: str) -> bool:
    return any(check.clause == clause and check.status is Status.KNOWN for check in verdict.checks)


def evidence(deviations: Iterable[Deviation]) -> tuple[Case, ...]:
    """The evidence cases of the deviations. They are part of every run of a whole suite, so that a stale deviation is found."""
    return tuple(parse(deviation.evidence) for deviation in deviations)
