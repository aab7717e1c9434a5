"""Observe: make the calls of a case on a target, and the second calls that clauses need."""

from __future__ import annotations

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.layer_config import ARGUMENTS
from bnverify.cases.misuse import MISUSES
from bnverify.contract import CLAUSES
from bnverify.contract.eras import era_of
from bnverify.targets.target import Target
from bnverify.values import Failure
from bnverify.verdicts.judged_case import Observed

UNKNOWN = (
    "unexpected keyword",
    "Unrecognized keyword",
    "eyword argument not understood",
)  # the words of Python and of each Keras


def observe(case: Case, inputs: Inputs, target: Target) -> tuple[Observed, str]:
    """What the target returns for the case, and the reason if it cannot be tested (else empty)."""
    era = era_of(target.environment)
    observed = Observed(case, inputs, target.observe(case, inputs), era)
    if reason := refusal(observed.observation.failure, case):
        return observed, reason
    companions = {}
    for clause in CLAUSES:
        second = clause.companion(case, inputs) if clause.companion is not None else None
        if second is None:
            continue
        other = Observed(*second, target.observe(*second), era)
        failure = other.observation.failure
        if failure is not None and failure.type != "NotHere" and (reason := refusal(failure, other.case)):
            return observed, reason  # a law may need an argument that the case itself does not have
        companions[clause.key] = other  # the clause itself reports a companion that cannot be observed
    return Observed(case, inputs, observed.observation, era, companions), ""


def refusal(failure: Failure | None, case: Case) -> str:
    """Why a target cannot be tested; empty if it can. Its environment may lack something, or its layer an argument."""
    if failure is None:
        return ""
    if failure.type == "NotHere":
        return failure.text
    masked = case.mask or case.misuse.startswith("mask")
    if masked and "unexpected keyword argument 'mask'" in failure.text:
        return "the layer's call has no argument `mask`"
    if failure.stage != "constructor" or failure.type not in ("TypeError", "ValueError"):
        return ""
    asked = (*case.config.arguments(), "dtype", *(MISUSES[case.misuse].layer if case.misuse else ()))
    refused = [name for name in asked if f"'{name}'" in failure.text and name in (*ARGUMENTS, "dtype")]
    unknown = any(words in failure.text for words in UNKNOWN)
    return f"the layer's constructor has no argument `{refused[0]}`" if refused and unknown else ""
