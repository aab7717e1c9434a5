"""Judging: an observation is held against every clause. Returns a verdict and never raises for what a target did."""

from __future__ import annotations

from bnverify.contract import CLAUSES
from bnverify.contract.evidence import Evidence, Expectation
from bnverify.model import Check, Grade, Observation, Status, Verdict, worst


def judge(expectation: Expectation, observation: Observation, required: Grade = Grade.SEQUENTIAL) -> Verdict:
    """The verdict on one case; a target that raised is judged on what it did before, and its crash is a failed check."""
    case = expectation.case
    if not expectation.formats.verifiable:
        reason = "np.longdouble is no wider than float64 on this machine, so float64 cannot be judged"
        return Verdict(case, (), Status.INCONCLUSIVE, reason)
    evidence = Evidence(expectation, observation, required)
    checks: tuple[Check, ...] = tuple(check for clause in CLAUSES for check in clause.check(evidence))
    return Verdict(case, checks, worst([check.status for check in checks]))
