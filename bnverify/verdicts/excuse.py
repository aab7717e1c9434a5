"""Excuse: mark failing checks that a recorded deviation explains as known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from bnverify.cases.suites import matches
from bnverify.contract import BY_KEY
from bnverify.reference.sub_cases import SubCase
from bnverify.values import Check, Grade, Status, Verdict, worst
from bnverify.verdicts.judge import judge_calls
from bnverify.verdicts.judged_case import JudgedCase, Observed
from bnverify.verdicts.known import Deviation

Under = Callable[[Deviation], Verdict]  # the verdict on the same observation, with the deviation as the promise


def excuse(judged: JudgedCase, deviations: Sequence[Deviation], required: Grade = Grade.SEQUENTIAL) -> JudgedCase:
    """The case with its explained failing checks marked as known. Each sub-case is matched separately."""
    if judged.observed is None:
        return judged
    if judged.own is None:
        under = _under(judged.observed, None, deviations, required)
        return replace(judged, verdict=excuse_verdict(judged.verdict, deviations, under))
    sub_cases = []
    for sub_case, one in judged.sub_cases:
        assert one.observed is not None
        verdict = excuse_verdict(one.verdict, deviations, _under(one.observed, sub_case.alone, deviations, required))
        sub_cases.append((sub_case, replace(one, verdict=verdict)))
    return judged.with_sub_cases(excuse_verdict(judged.own, deviations), tuple(sub_cases))


def _under(observed: Observed, alone: SubCase | None, deviations: Iterable[Deviation], required: Grade) -> Under:
    """How to judge an observation with a deviation as the promise. alone: the call of a replica with its own shard only.

    A release that computes with a worse grade does so in its other deviations, too, so the worst grade of all holds for each.
    """
    grades = [d.required(required) for d in deviations if d.only_grade and matches(observed.case, d.case)]

    def under(deviation: Deviation) -> Verdict:
        shown = observed
        if alone is not None and deviation.replicas:
            shown = Observed(alone.case, alone.inputs, alone.observation, observed.era)
        return judge_calls(shown, deviation.instead(observed.era), max((deviation.required(required), *grades)))

    return under


def excuse_verdict(verdict: Verdict, deviations: Iterable[Deviation], under: Under | None = None) -> Verdict:
    """The verdict, with each failing check marked as known if one of the deviations selects it and predicts its numbers.

    under: gives the numbers that a deviation predicts for this case.
    """
    if not verdict.failures:
        return verdict
    checks = verdict.checks
    for deviation in deviations:
        if not any(check.status.fails and deviation.selects(verdict.case, check) for check in checks):
            continue
        fits = _fits(under(deviation)) if deviation.exact and under else lambda check: True
        checks = tuple(
            replace(check, status=Status.KNOWN, reason=deviation.why)
            if check.status.fails and deviation.selects(verdict.case, check) and fits(check)
            else check
            for check in checks
        )
    return replace(verdict, checks=checks, status=worst([check.status for check in checks]))


def _fits(verdict: Verdict) -> Callable[[Check], bool]:
    """A test of whether the deviation predicts the numbers of a check. `verdict` is the verdict with the deviation as the
    promise.

    In `verdict`, the check with the same clause, quantity and step must not fail. The clause may make no such check there: if
    the deviation makes a layer count as frozen, for example, it has no checks on training. Then at least one other clause must
    check the same quantity and step, and all such checks must hold. Clauses that need a second observation do not count,
    because a deviation does not change that observation.
    """
    made = {(c.clause, c.quantity, c.step): not c.status.fails for c in verdict.checks}
    others: dict[tuple[str, int | None], bool] = {}
    for c in (c for c in verdict.checks if BY_KEY[c.clause].companion is None):
        others[c.quantity, c.step] = others.get((c.quantity, c.step), True) and not c.status.fails
    return lambda check: made.get((check.clause, check.quantity, check.step), others.get((check.quantity, check.step), False))
