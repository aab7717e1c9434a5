"""Run: the loop over cases. It prints nothing and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from bnverify.cases.case import Case
from bnverify.errors import BadInput
from bnverify.targets.target import Target
from bnverify.values import GRADES, Grade, Results, Verdict
from bnverify.verdicts import known
from bnverify.verdicts.diagnose import TRIED, name_causes
from bnverify.verdicts.excuse import excuse
from bnverify.verdicts.judged_case import JudgedCase
from bnverify.verdicts.known import Deviation
from bnverify.verdicts.pipeline import verify
from bnverify.verdicts.stale import evidence, stale


def run(
    cases: Sequence[Case],
    target: Target,
    *,
    suite: str = "",
    seed: int = 0,
    required: Grade = Grade.SEQUENTIAL,
    strict: Sequence[Deviation] = (),
    lenient: Sequence[Deviation] = (),
    with_evidence: bool = False,
    fail_fast: bool = False,
    progress: Callable[[Verdict], None] = lambda verdict: None,
) -> Results:
    """Tests the cases in order. An interrupt (Ctrl-C) ends the run with the verdicts so far, marked incomplete.

    Failures that a known deviation explains become known. A `strict` deviation that no longer occurs makes the run fail; a
    `lenient` one does not. `with_evidence` adds the evidence cases of the strict ones.
    """
    strict, lenient = ([d for d in given if d.applies(target.environment)] for given in (strict, lenient))
    cases = tuple(dict.fromkeys((*cases, *evidence(strict)))) if with_evidence else cases
    started = time.perf_counter()
    found = _Found(target, (*strict, *lenient), required)
    try:
        for case in cases:
            judged = found.add(case, seed)
            progress(judged.verdict)
            if fail_fast and judged.verdict.status.fails:
                break
        found.name_causes()
        if len(found.verdicts) == len(cases) and required <= Grade.SEQUENTIAL:
            found.stale = stale(strict, found.verdicts, lambda case, other: found.judge(case, other).verdict)
    except KeyboardInterrupt:
        found.interrupted = True
    return found.results(suite, seed, len(cases), time.perf_counter() - started)


class _Found:
    """The verdicts so far, stale deviations, and by index the failing cases, with the arrays that naming their causes needs."""

    def __init__(self, target: Target, deviations: Sequence[Deviation], required: Grade) -> None:
        self._target, self._deviations, self._required = target, deviations, required
        self.verdicts: list[Verdict] = []
        self.stale: tuple[str, ...] = ()
        self.interrupted = False
        self._failing: dict[int, JudgedCase] = {}

    def judge(self, case: Case, seed: int) -> JudgedCase:
        """The case with its verdict, in which known deviations are excused."""
        return excuse(verify(case, self._target, seed, self._required), self._deviations, self._required)

    def add(self, case: Case, seed: int) -> JudgedCase:
        """Adds the verdict on the next case, and returns it with its arrays."""
        judged = self.judge(case, seed)
        if judged.verdict.status.fails:  # large cases are never searched, and their arrays would fill the memory
            self._failing[len(self.verdicts)] = judged if judged.size <= TRIED else JudgedCase(judged.verdict)
        self.verdicts.append(judged.verdict)
        return judged

    def results(self, suite: str, seed: int, cases: int, seconds: float) -> Results:
        """The run so far. cases: how many it was to have."""
        return Results(
            environment=self._target.environment,
            suite=suite,
            seed=seed,
            verdicts=tuple(self.verdicts),
            required=self._required,
            stale=self.stale,
            complete=len(self.verdicts) == cases and not self.interrupted,
            interrupted=self.interrupted,
            seconds=seconds,
        )

    def name_causes(self) -> None:
        """Names the causes of all failing cases together, because a cause that fits several cases is more likely."""
        named = name_causes(list(self._failing.values()), self._target.observe)
        for index, verdict in zip(self._failing, named, strict=True):
            self.verdicts[index] = verdict


def verify_target(
    target: Target,
    cases: Sequence[Case],
    *,
    label: str,
    seed: int = 0,
    min_grade: str = "sequential",
    recorded: Sequence[Deviation] = (),
    **options: Any,
) -> Results:
    """Runs the cases. Deviations recorded for Keras also apply to other layers and to function targets, but need not occur
    there.
    """
    if min_grade not in GRADES:
        raise BadInput(f"min_grade {min_grade!r} is unknown", allowed=GRADES)
    if not isinstance(seed, int) or seed < 0:
        raise BadInput(f"seed {seed!r} is not allowed", allowed="an integer of 0 or more")
    shipped = known.shipped()
    meant = [d for d in shipped if target.environment.own or d.target]
    strict, lenient = (*recorded, *meant), [d for d in shipped if d not in meant]
    required = GRADES[min_grade]
    return run(cases, target, suite=label, seed=seed, required=required, strict=strict, lenient=lenient, **options)
