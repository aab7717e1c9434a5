"""Judge: compare an observation with the promises, clause by clause. Nothing that a target does makes it raise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bnverify.contract import BY_KEY, CLAUSES, OF_CALLS, OF_MISUSE
from bnverify.contract.clause import Clause
from bnverify.contract.eras import Promise
from bnverify.contract.evidence import UNSEEN, Evidence, Expectation, expect
from bnverify.reference.sub_cases import sub_cases_of
from bnverify.values import Check, Grade, Observation, Status, Verdict, worst
from bnverify.verdicts.judged_case import JudgedCase, Observed

Companions = Mapping[str, tuple[Expectation, Observation]]


def judge(observed: Observed, promise: Promise | None = None, required: Grade = Grade.SEQUENTIAL) -> JudgedCase:
    """The case with its verdict. If a step makes several calls, each call is judged as a sub-case.

    promise: what the layer must compute; None means the promise of the target's era. required: the worst grade that conforms.
    """
    promise = promise or observed.era.promise
    case, observation = observed.case, observed.observation
    sub_cases = sub_cases_of(case, observed.inputs, observation, observed.era.slices)
    if sub_cases is None:
        return JudgedCase(judge_calls(observed, promise, required), observed)
    clauses = (
        CLAUSES if not case.network else (BY_KEY["returns"],)
    )  # a network has several layers, and none of them has the case's arguments
    no_calls = Expectation(case, (), (), promise.formats(case), promise.formulas)
    own = verdict_of(no_calls, observation, required, clauses=clauses)
    judged = []
    for sub_case in sub_cases:
        call = Observed(sub_case.case, sub_case.inputs, sub_case.observation, observed.era)
        judged.append((sub_case, JudgedCase(judge_calls(call, promise, required, OF_CALLS), call)))
    return JudgedCase(own, observed).with_sub_cases(own, tuple(judged))


def judge_calls(
    observed: Observed, promise: Promise, required: Grade = Grade.SEQUENTIAL, clauses: Sequence[Clause] = CLAUSES
) -> Verdict:
    """The verdict on a case or sub-case whose steps make one call each."""

    def expected(one: Observed) -> Expectation:
        return expect(one.case, one.inputs, promise.formulas, promise.formats(one.case))

    companions = {key: (expected(other), other.observation) for key, other in observed.companions.items()}
    return verdict_of(expected(observed), observed.observation, required, companions, clauses)


def verdict_of(
    expectation: Expectation,
    observation: Observation,
    required: Grade = Grade.SEQUENTIAL,
    companions: Companions = MappingProxyType({}),
    clauses: Sequence[Clause] = CLAUSES,
) -> Verdict:
    """The verdict on one observation. If the target raised, the steps before are judged, and the exception is a failed check.

    companions: by clause key, the second observation that the clause needs. A case of misuse is judged by the clauses on misuse
    only.
    """
    case = expectation.case
    clauses = clauses if not case.misuse else OF_MISUSE
    if not expectation.formats.verifiable:
        reason = "np.longdouble is no wider than float64 on this machine, so float64 cannot be judged"
        return Verdict(case, (), Status.INCONCLUSIVE, reason)
    others = {key: Evidence(*other, required) for key, other in companions.items()}
    evidence = Evidence(expectation, observation, required, others)
    checks: tuple[Check, ...] = tuple(check for clause in clauses for check in clause.check(evidence) if check is not UNSEEN)
    return Verdict(case, checks, worst([check.status for check in checks]))
