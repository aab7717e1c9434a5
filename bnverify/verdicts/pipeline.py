"""The pipeline for one case: can it be asked? -> observe -> judge. Excusing and diagnosing follow for all cases together."""

from __future__ import annotations

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.targets.target import Target
from bnverify.values import Grade, Status, Verdict
from bnverify.verdicts.ask import not_here
from bnverify.verdicts.judge import judge
from bnverify.verdicts.judged_case import JudgedCase
from bnverify.verdicts.observe import observe


def verify(case: Case, target: Target, seed: int = 0, required: Grade = Grade.SEQUENTIAL) -> JudgedCase:
    """The verdict on a case, before excusing and without a cause. seed: the seed of the inputs."""
    if reason := not_here(case, target.environment):
        return JudgedCase(Verdict(case, (), Status.UNSUPPORTED, reason))
    return verify_inputs(case, make_inputs(case, seed), target, required)


def verify_inputs(case: Case, inputs: Inputs, target: Target, required: Grade = Grade.SEQUENTIAL) -> JudgedCase:
    """The verdict on a case with these inputs; unsupported if the target cannot run it."""
    observed, refusal = observe(case, inputs, target)
    if refusal:
        return JudgedCase(Verdict(case, (), Status.UNSUPPORTED, refusal), observed)
    return judge(observed, required=required)
