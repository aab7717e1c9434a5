"""Judging: an observation is held against every clause. Returns a verdict and never raises for what a target did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bnverify.contract import CLAUSES, OF_MISUSE
from bnverify.contract.clause import Clause
from bnverify.contract.evidence import UNSEEN, Evidence, Expectation
from bnverify.values import Check, Grade, Observation, Status, Verdict, worst

Companions = Mapping[str, tuple[Expectation, Observation]]


def judge(
    expectation: Expectation,
    observation: Observation,
    required: Grade = Grade.SEQUENTIAL,
    companions: Companions = MappingProxyType({}),
    clauses: Sequence[Clause] = CLAUSES,
) -> Verdict:
    """The verdict on one case; a target that raised is judged on what it did before, and its crash is a failed check.

    companions: by clause key, the second observation that the clause asked for. A mistake is held against the clauses about
    mistakes alone.
    """
    case = expectation.case
    clauses = clauses if case.misuse == "none" else OF_MISUSE
    if not expectation.formats.verifiable:
        reason = "np.longdouble is no wider than float64 on this machine, so float64 cannot be judged"
        return Verdict(case, (), Status.INCONCLUSIVE, reason)
    others = {key: Evidence(*other, required) for key, other in companions.items()}
    evidence = Evidence(expectation, observation, required, others)
    checks: tuple[Check, ...] = tuple(check for clause in clauses for check in clause.check(evidence) if check is not UNSEEN)
    return Verdict(case, checks, worst([check.status for check in checks]))
