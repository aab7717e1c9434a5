"""Running: cases × target -> results. Prints nothing, writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bnverify.cases.case import Case
from bnverify.cases.data import missing
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.cases.layer_config import ARGUMENTS
from bnverify.cases.misuse import MISUSES
from bnverify.contract import BY_KEY, CLAUSES, OF_CALLS
from bnverify.contract.eras import era_of, unsupported
from bnverify.contract.evidence import Expectation, expect
from bnverify.errors import BadInput
from bnverify.numeric.precision import Precision
from bnverify.reference.formulas import Formulas
from bnverify.reference.sub_cases import sub_cases_of
from bnverify.targets.function_targets import lacks
from bnverify.targets.target import Target
from bnverify.values import GRADES, Failure, Grade, Observation, Results, Status, Verdict
from bnverify.verdicts import known
from bnverify.verdicts.diagnose import TRIED, name_causes
from bnverify.verdicts.judge import judge
from bnverify.verdicts.judged_case import JudgedCase
from bnverify.verdicts.known import Deviation


def verify(case: Case, target: Target, seed: int, required: Grade = Grade.SEQUENTIAL) -> JudgedCase:
    """The verdict on one case, without its cause, and the observation that a diagnosis needs."""
    era = era_of(target.environment)
    if reason := unsupported(case, era, target.environment) or lacks(target.environment.target, case) or missing(case):
        return JudgedCase(Verdict(case, (), Status.UNSUPPORTED, reason), Observation(), era)
    return verify_inputs(case, make_inputs(case, seed), target, required)


def verify_inputs(case: Case, inputs: Inputs, target: Target, required: Grade = Grade.SEQUENTIAL) -> JudgedCase:
    """The verdict on one case that is fed with these inputs."""
    era = era_of(target.environment)
    observation = target.observe(case, inputs)
    if refused := _refused(observation.failure, case):
        return JudgedCase(Verdict(case, (), Status.UNSUPPORTED, refused), observation, era)
    companions = {
        clause.key: (*second, target.observe(*second))
        for clause in CLAUSES
        if clause.companion is not None and (second := clause.companion(case, inputs)) is not None
    }
    for asked, _, seen in companions.values():  # a law may ask for an argument that the case itself does not
        here = seen.failure is not None and seen.failure.type != "NotHere"  # which the clause itself tells
        if here and (refused := _refused(seen.failure, asked)):
            return JudgedCase(Verdict(case, (), Status.UNSUPPORTED, refused), observation, era)
    one = JudgedCase(Verdict(case, (), Status.INCONCLUSIVE), observation, era, companions, inputs)
    return judged(one, era.formulas, era.formats, required)


def judged(one: JudgedCase, formulas: Formulas, formats: Callable[[Case], Precision], required: Grade) -> JudgedCase:
    """The verdict on what was observed, if these formulas and formats are what is promised."""
    case, observation = one.verdict.case, one.observation
    parts = sub_cases_of(case, one.inputs, observation, one.era.slices)
    if parts is None:
        return _judged_as_it_is(one, formulas, formats, required)
    clauses = CLAUSES if case.network == "none" else (BY_KEY["returns"],)  # no layer is the case's own
    own = judge(Expectation(case, (), (), formats(case), formulas), observation, required, clauses=clauses)
    found = []
    for part in parts:
        promised = expect(part.case, part.inputs, formulas, formats(part.case))
        verdict = judge(promised, part.observation, required, clauses=OF_CALLS)
        found.append((part, JudgedCase(verdict, part.observation, one.era, inputs=part.inputs)))
    return one.with_parts(own, tuple(found))


def _judged_as_it_is(one: JudgedCase, formulas: Formulas, formats: Callable[[Case], Precision], required: Grade) -> JudgedCase:
    """The verdict on a case without parts, or on a part."""
    promised = expect(one.verdict.case, one.inputs, formulas, formats(one.verdict.case))
    others = {
        key: (expect(case, second, formulas, formats(case)), observation)
        for key, (case, second, observation) in one.companions.items()
    }
    return replace(one, verdict=judge(promised, one.observation, required, others))


def excused(
    one: JudgedCase, deviations: Sequence[Deviation], required: Grade = Grade.SEQUENTIAL, alone: JudgedCase | None = None
) -> JudgedCase:
    """The verdict with what is known turned into known deviations, in each part of the case by what is known of that.

    alone: the same call of a replica, with its own shard where all of them were to use the whole batch.
    """

    def under(deviation: Deviation) -> Verdict:
        shown = alone if alone is not None and deviation.replicas else one
        formulas = one.era.apply(deviation.formulas(one.era.formulas))
        formats = lambda case: deviation.formats(one.era.formats(case))  # noqa: E731
        return _judged_as_it_is(shown, formulas, formats, deviation.required(required)).verdict

    if one.own is None:
        return replace(one, verdict=known.excuse(one.verdict, deviations, under))
    singly = sub_cases_of(one.verdict.case, one.inputs, one.observation, one.era.slices, alone=True) or ()
    parts = []
    for (part, inner), own in zip(one.parts, singly, strict=True):
        unjudged = Verdict(own.case, (), Status.INCONCLUSIVE)
        shown = replace(inner, verdict=unjudged, observation=own.observation, inputs=own.inputs)
        parts.append((part, excused(inner, deviations, required, shown)))
    return one.with_parts(known.excuse(one.own, deviations), tuple(parts))


UNKNOWN = ("unexpected keyword", "Unrecognized keyword", "eyword argument not understood")  # Python's words, and Keras'


def _refused(failure: Failure | None, case: Case) -> str:
    """Why a case cannot be asked here: the environment lacks what it needs, or a user's layer takes no such argument."""
    if failure is not None and failure.type == "NotHere":
        return failure.text
    masked = case.mask != "none" or case.misuse.startswith("mask")
    if failure is not None and masked and "unexpected keyword argument 'mask'" in failure.text:
        return "the layer's call takes no mask"
    if failure is None or failure.stage != "constructor" or failure.type not in ("TypeError", "ValueError"):
        return ""
    asked = (*case.config.arguments(), "dtype", *(MISUSES[case.misuse].layer if case.misuse != "none" else ()))
    refused = [name for name in asked if f"'{name}'" in failure.text and name in (*ARGUMENTS, "dtype")]
    unknown = any(words in failure.text for words in UNKNOWN)
    return f"the layer's constructor takes no {refused[0]}" if refused and unknown else ""


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
    failing: dict[int, JudgedCase] = {}
    complete, interrupted = True, False
    try:
        for case in cases:
            one = verify(case, target, seed, required)
            one = excused(one, (*strict, *lenient), required)
            verdict = one.verdict
            verdicts.append(verdict)
            if verdict.status.fails:
                failing[len(verdicts) - 1] = one if one.size <= TRIED else JudgedCase(verdict, Observation(), era)
            progress(verdict)
            if fail_fast and verdict.status.fails:
                complete = len(verdicts) == len(cases)
                break
        for index, verdict in zip(failing, name_causes(list(failing.values()), target.observe), strict=True):
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
