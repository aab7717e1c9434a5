"""Running: cases × target -> results. Prints nothing, writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.contract import CLAUSES
from bnverify.contract.eras import era_of, unsupported
from bnverify.contract.evidence import expect
from bnverify.errors import BadInput
from bnverify.model import GRADES, Failure, Grade, Observation, Results, Status, Verdict
from bnverify.precision import Precision
from bnverify.reference.formulas import Formulas
from bnverify.targets.routes import lacks
from bnverify.targets.target import Target
from bnverify.verdicts import known
from bnverify.verdicts.diagnose import TRIED, name_causes
from bnverify.verdicts.failing import Failing
from bnverify.verdicts.judge import judge
from bnverify.verdicts.known import Deviation


def verify(case: Case, target: Target, seed: int, required: Grade = Grade.SEQUENTIAL) -> Failing:
    """The verdict on one case, without its cause, and the observation that a diagnosis needs."""
    era = era_of(target.environment)
    if reason := unsupported(case, era, target.environment) or lacks(target.environment.target, case):
        return Failing(Verdict(case, (), Status.UNSUPPORTED, reason), Observation(), era)
    inputs = make_inputs(case, seed)
    observation = target.observe(case, inputs)
    if refused := _refused_argument(observation.failure, case):
        return Failing(Verdict(case, (), Status.UNSUPPORTED, refused), observation, era)
    companions = {
        clause.key: (*second, target.observe(*second))
        for clause in CLAUSES
        if clause.companion is not None and (second := clause.companion(case, inputs)) is not None
    }
    one = Failing(Verdict(case, (), Status.INCONCLUSIVE), observation, era, companions)
    return replace(one, verdict=judged(one, inputs, era.formulas, era.formats, required))


def judged(one: Failing, inputs: Inputs, formulas: Formulas, formats: Callable[[Case], Precision], required: Grade) -> Verdict:
    """The verdict on what was observed, if these formulas and formats are what is promised."""
    promised = expect(one.verdict.case, inputs, formulas, formats(one.verdict.case))
    others = {
        key: (expect(case, second, formulas, formats(case)), observation)
        for key, (case, second, observation) in one.companions.items()
    }
    return judge(promised, one.observation, required, others)


def excused(one: Failing, deviations: Sequence[Deviation], seed: int, required: Grade = Grade.SEQUENTIAL) -> Verdict:
    """The verdict with what is known turned into known deviations."""

    def under(deviation: Deviation) -> Verdict:
        case = one.verdict.case
        formulas = one.era.apply(deviation.formulas(one.era.formulas))
        inputs = make_inputs(case, seed)
        return judged(one, inputs, formulas, lambda c: deviation.formats(one.era.formats(c)), deviation.required(required))

    return known.excuse(one.verdict, deviations, under)


def _refused_argument(failure: Failure | None, case: Case) -> str:
    """Why a user's layer cannot be asked for this case: its constructor does not take an argument that Keras' does."""
    if failure is None or failure.stage != "constructor" or failure.type != "TypeError":
        return ""
    refused = [name for name in (*case.config.arguments(), "dtype") if f"'{name}'" in failure.text]
    return f"the layer's constructor takes no {refused[0]}" if refused and "unexpected" in failure.text else ""


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
    """Verifies the cases in order. An interrupt (Ctrl-C) ends the run with the verdicts so far, marked incomplete.

    Known deviations turn failures into known ones; `strict` ones that no longer occur make the run fail, `lenient` do not.
    `with_evidence` adds the cases that show the strict ones.
    """
    era = era_of(target.environment)
    strict, lenient = ([d for d in given if d.applies(target.environment)] for given in (strict, lenient))
    if with_evidence:
        cases = tuple(dict.fromkeys((*cases, *known.evidence(strict))))
    started = time.perf_counter()
    verdicts: list[Verdict] = []
    failing: dict[int, Failing] = {}
    complete, interrupted = True, False
    try:
        for case in cases:
            one = verify(case, target, seed, required)
            verdict = excused(one, (*strict, *lenient), seed, required)
            verdicts.append(verdict)
            if verdict.status.fails:
                kept = (one.observation, era, one.companions) if one.size <= TRIED else (Observation(), era)
                failing[len(verdicts) - 1] = Failing(verdict, *kept)
            progress(verdict)
            if fail_fast and verdict.status.fails:
                complete = len(verdicts) == len(cases)
                break
        for index, verdict in zip(failing, name_causes(list(failing.values()), seed, target.observe), strict=True):
            verdicts[index] = verdict
    except KeyboardInterrupt:
        complete, interrupted = False, True
    return Results(
        environment=target.environment,
        suite=suite,
        seed=seed,
        verdicts=tuple(verdicts),
        required=required,
        stale=known.stale(strict, verdicts) if complete and required <= Grade.SEQUENTIAL else (),
        complete=complete,
        interrupted=interrupted,
        seconds=time.perf_counter() - started,
    )


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
    """Runs the cases. Deviations recorded for Keras excuse other layers and routes, too, but may be absent from them."""
    if min_grade not in GRADES:
        raise BadInput(f"min_grade {min_grade!r} is unknown; allowed: {', '.join(GRADES)}")
    if not isinstance(seed, int) or seed < 0:
        raise BadInput(f"seed {seed!r} is not allowed; allowed: an integer of 0 or more")
    shipped = known.shipped()
    meant = [d for d in shipped if target.environment.own or d.target]
    strict, lenient = (*recorded, *meant), [d for d in shipped if d not in meant]
    required = GRADES[min_grade]
    return run(cases, target, suite=label, seed=seed, required=required, strict=strict, lenient=lenient, **options)
