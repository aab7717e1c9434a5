"""Diagnose: name the cause of each case that fails, and the first quantity that is off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bnverify.values import Grade, Status, Verdict
from bnverify.verdicts.judged_case import JudgedCase, Observed
from bnverify.verdicts.search import Cause, search
from bnverify.verdicts.stages import Observe, stage_of

UNSTABLE_CAUSES = {
    Grade.SEQUENTIAL: "sums taken one after another round more than blocked sums",
    Grade.ONE_PASS: "the variance is computed as E[x²]−E[x]², which cancels where the mean is large against the spread",
}
SEARCHED = 1 << 15  # largest size of a case that is searched through the whole catalogue; a smaller case shows as much
TRIED = 1 << 20  # largest size of a case that the causes found in smaller ones are tried on
SEARCHES = 24  # cases searched through the whole catalogue in one run
ALWAYS_SEARCHED = 4  # of these, the first ones, which are searched even where a cause of an earlier case fits
LOOKS = 400  # cases observed once more for their stage in one run


@dataclass(frozen=True)
class Suspect:
    """A failing case, the part of it that shows the fault, and the causes that fit."""

    whole: JudgedCase
    telling: JudgedCase
    causes: tuple[Cause, ...] = ()

    @property
    def verdict(self) -> Verdict:
        return self.telling.verdict

    @property
    def observed(self) -> Observed | None:
        """What can be searched and looked at once more; None where no step was observed, or the arrays were dropped."""
        observed = self.telling.observed
        return observed if observed is not None and observed.observation.steps else None


def name_causes(failing: Sequence[JudgedCase], observe: Observe) -> list[Verdict]:
    """The verdicts of the failing cases, in that order, each with its cause where one is found, and with the stage that is off.

    Where several causes fit a case, the one that fits most cases is named. observe: the target's own, for a second look at
    cases without a cause.
    """
    suspects = _searched([Suspect(judged, _telling(judged)) for judged in failing])
    votes = Counter(cause.text for suspect in suspects for cause in suspect.causes)
    stable = not any(_numbers_wrong(suspect.verdict) for suspect in suspects)
    named, looks = [], 0
    for suspect in suspects:
        verdict = _with_cause(suspect.verdict, suspect.causes, votes, stable)
        cause = next((c for c in suspect.causes if c.text in verdict.cause.split(" or: ")), None)
        formulas = cause.formulas if cause else None
        in_network = suspect.whole.case.network  # a second look would be at the layer outside its network
        may_look = formulas is not None or (not in_network and looks < LOOKS)
        stage = ""
        if suspect.observed is not None and suspect.observed.size <= SEARCHED and may_look:
            looks += formulas is None
            stage = stage_of(suspect.verdict, suspect.observed, observe, formulas)
        named.append(replace(suspect.whole.verdict, cause=verdict.cause, reason=verdict.reason, stage=stage))
    return named


def _searched(suspects: list[Suspect]) -> list[Suspect]:
    """The suspects in the same order, with their causes. The smallest are searched first, and their causes tried on others."""
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
    """The smallest failing sub-case, which shows the fault by itself; the case itself where it has no sub-cases."""
    failing = [one for _, one in judged.sub_cases if one.verdict.status.fails]
    return min(failing, key=_smallest_first, default=judged)


def _smallest_first(judged: JudgedCase) -> tuple[bool, int]:
    """The order in which cases are searched: those with a wrong number first, then by size."""
    return not _numbers_wrong(judged.verdict), judged.size


def _has_a_formula(verdict: Verdict) -> bool:
    """Whether a formula can be to blame for what fails."""
    return _numbers_fail(verdict) and not _other_weights(verdict)


def _numbers_wrong(verdict: Verdict) -> bool:
    """Whether a number is wrong that a hypothesis could explain: an attribute that differs speaks for itself."""
    return any(
        check.grade is Grade.NONE or check.clause.endswith("updates-nothing")
        for check in verdict.failures
        if check.status is Status.WRONG
    )


def _numbers_fail(verdict: Verdict) -> bool:
    """Whether a number fails, and not only an attribute."""
    return any(check.grade is not None or check.clause.endswith("updates-nothing") for check in verdict.failures)


def _other_weights(verdict: Verdict) -> bool:
    """Whether the layer has, or ends up with, other weights: its numbers follow from that, and no formula is to blame."""
    return any(check.clause in ("weights", "weight-shapes", "calls-keep-parameters") for check in verdict.failures)


def _with_cause(verdict: Verdict, fits: Sequence[Cause], votes: Counter[str], stable: bool) -> Verdict:
    """The verdict with its cause. Instability is one only in a run where no number is outright wrong."""
    if fits:
        most = max(votes[cause.text] for cause in fits)
        best = [cause for cause in fits if votes[cause.text] == most]
        detail = best[0].detail if len(best) == 1 else ""
        return replace(verdict, cause=" or: ".join(cause.text for cause in best), reason=detail)
    grades = [check.grade for check in verdict.failures if check.status is Status.UNSTABLE and check.grade is not None]
    return replace(verdict, cause=UNSTABLE_CAUSES[max(grades)]) if grades and stable else verdict
