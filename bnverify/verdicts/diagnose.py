"""Diagnose: name the cause of each failing case, and the first quantity that is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bnverify.values import Grade, Status, Verdict
from bnverify.verdicts.judged_case import JudgedCase, Observed
from bnverify.verdicts.search import Cause, search
from bnverify.verdicts.stages import Observe, stage_of

UNSTABLE_CAUSES = {
    Grade.SEQUENTIAL: "sums that add one value after another have larger rounding errors than blocked sums",
    Grade.ONE_PASS: "the variance is computed as E[x²]−E[x]², which loses digits if |mean| is much larger than the "
    "standard deviation",
}
SEARCHED = 1 << 15  # largest size of a case that is searched with the whole catalogue; smaller cases show a fault just as well
TRIED = 1 << 20  # largest size of a case on which the causes of smaller ones are tried
SEARCHES = 24  # cases searched with the whole catalogue in one run
ALWAYS_SEARCHED = 4  # the first of these are searched even if the cause of an earlier case fits
LOOKS = 400  # cases observed again in one run, to find their stage


@dataclass(frozen=True)
class Suspect:
    """A failing case, the sub-case that shows the fault, and the causes that fit."""

    whole: JudgedCase
    telling: JudgedCase
    causes: tuple[Cause, ...] = ()

    @property
    def verdict(self) -> Verdict:
        return self.telling.verdict

    @property
    def observed(self) -> Observed | None:
        """The case to search and to observe again. None if no step was observed, or if the arrays were dropped."""
        observed = self.telling.observed
        return observed if observed is not None and observed.observation.steps else None


def name_causes(failing: Sequence[JudgedCase], observe: Observe) -> list[Verdict]:
    """The verdicts of the failing cases, in the same order, each with its cause, if one is found, and the stage that is wrong.

    If several causes fit a case, the one that fits the most cases is named. observe: the target's function; cases without a
    cause are observed a second time, to see whether the numbers are random.
    """
    suspects = _searched([Suspect(judged, _telling(judged)) for judged in failing])
    votes = Counter(cause.text for suspect in suspects for cause in suspect.causes)
    stable = not any(_numbers_wrong(suspect.verdict) for suspect in suspects)
    named, looks = [], 0
    for suspect in suspects:
        verdict = _with_cause(suspect.verdict, suspect.causes, votes, stable)
        cause = next((c for c in suspect.causes if c.text in verdict.cause.split(" or: ")), None)
        formulas = cause.formulas if cause else None
        in_network = suspect.whole.case.network  # a second observation would be of the layer outside its network
        may_look = formulas is not None or (not in_network and looks < LOOKS)
        stage = ""
        if suspect.observed is not None and suspect.observed.size <= SEARCHED and may_look:
            looks += formulas is None
            stage = stage_of(suspect.verdict, suspect.observed, observe, formulas)
        named.append(replace(suspect.whole.verdict, cause=verdict.cause, reason=verdict.reason, stage=stage))
    return named


def _searched(suspects: list[Suspect]) -> list[Suspect]:
    """The suspects in the same order, with their causes. The smallest are searched first, and their causes are tried on the
    others.
    """
    found = list(suspects)
    known: set[str] = set()
    searches = 0
    for index in sorted(range(len(found)), key=lambda i: _smallest_first(found[i].telling)):
        suspect, observed = found[index], found[index].observed
        if observed is None or observed.size > TRIED or not _has_a_formula(suspect.verdict):
            continue
        causes = list(search(suspect.verdict, observed, known.__contains__))
        may_search = _numbers_wrong(suspect.verdict) and observed.size <= SEARCHED and searches < SEARCHES
        if may_search and (searches < ALWAYS_SEARCHED or not causes):
            searches += 1
            causes = list(search(suspect.verdict, observed, lambda cause: True))
        found[index] = replace(suspect, causes=tuple(causes))
        known.update(cause.text for cause in causes)
    return found


def _telling(judged: JudgedCase) -> JudgedCase:
    """The smallest failing sub-case, because it shows the fault without the others; the case itself if it has no sub-cases."""
    failing = [one for _, one in judged.sub_cases if one.verdict.status.fails]
    return min(failing, key=_smallest_first, default=judged)


def _smallest_first(judged: JudgedCase) -> tuple[bool, int]:
    """The order of the search: cases with a wrong number first, then by size."""
    return not _numbers_wrong(judged.verdict), judged.size


def _has_a_formula(verdict: Verdict) -> bool:
    """Whether a wrong formula could explain the failure."""
    return _numbers_fail(verdict) and not _other_weights(verdict)


def _numbers_wrong(verdict: Verdict) -> bool:
    """Whether a wrong number needs an explanation. A wrong attribute, such as a dtype, already explains the numbers."""
    return any(
        check.grade is Grade.NONE or check.clause.endswith("updates-nothing")
        for check in verdict.failures
        if check.status is Status.WRONG
    )


def _numbers_fail(verdict: Verdict) -> bool:
    """Whether a number fails, and not only an attribute."""
    return any(check.grade is not None or check.clause.endswith("updates-nothing") for check in verdict.failures)


def _other_weights(verdict: Verdict) -> bool:
    """Whether the layer has other weights than promised, now or at the end. Then its numbers follow from that, not from a
    formula.
    """
    return any(check.clause in ("weights", "weight-shapes", "calls-keep-parameters") for check in verdict.failures)


def _with_cause(verdict: Verdict, fits: Sequence[Cause], votes: Counter[str], stable: bool) -> Verdict:
    """The verdict with its cause. Instability is named as a cause only if no number in the run is wrong."""
    if fits:
        most = max(votes[cause.text] for cause in fits)
        best = [cause for cause in fits if votes[cause.text] == most]
        detail = best[0].detail if len(best) == 1 else ""
        return replace(verdict, cause=" or: ".join(cause.text for cause in best), reason=detail)
    grades = [check.grade for check in verdict.failures if check.status is Status.UNSTABLE and check.grade is not None]
    return replace(verdict, cause=UNSTABLE_CAUSES[max(grades)]) if grades and stable else verdict
