"""The values of the pipeline: an observed case and a judged case. Both are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.contract.eras import Era
from bnverify.reference.sub_cases import SubCase
from bnverify.values import Check, Observation, Verdict, worst


@dataclass(frozen=True)
class Observed:
    """A case with its inputs, and what the target returned for them.

    era: the promises for the target's Keras. companions: by clause key, the second observation that the clause needs.
    """

    case: Case
    inputs: Inputs
    observation: Observation
    era: Era
    companions: Mapping[str, Observed] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of output values in all steps."""
        return sum(step.y.size for step in self.observation.steps if step.y is not None)


@dataclass(frozen=True)
class JudgedCase:
    """A case with its observation and its verdict, failing or not.

    observed: None if nothing was observed, or if the arrays were dropped to save memory. own, sub_cases: if a step makes
    several calls, the verdict on the case as a whole, and each call judged as a sub-case. `verdict` has the checks of both.
    """

    verdict: Verdict
    observed: Observed | None = None
    own: Verdict | None = None
    sub_cases: tuple[tuple[SubCase, JudgedCase], ...] = ()

    @property
    def case(self) -> Case:
        return self.verdict.case

    @property
    def size(self) -> int:
        """The number of output values in all steps; 0 if nothing was observed."""
        return self.observed.size if self.observed else 0

    def with_sub_cases(self, own: Verdict, sub_cases: tuple[tuple[SubCase, JudgedCase], ...]) -> JudgedCase:
        """This case with a verdict that joins the checks of `own` and of the sub-cases."""
        checks = [*own.checks]
        for sub_case, judged in sub_cases:
            checks += [_of_the_whole(check, sub_case) for check in judged.verdict.checks]
        status = worst([check.status for check in checks])
        return replace(self, verdict=replace(own, checks=tuple(checks), status=status), own=own, sub_cases=sub_cases)


def _of_the_whole(check: Check, sub_case: SubCase) -> Check:
    """A check of a sub-case, with the step and the quantity that it has in the whole case."""
    step = check.step if check.step is None else sub_case.steps[check.step]
    return replace(check, step=step, quantity=f"{check.quantity} of {sub_case.label}" if sub_case.label else check.quantity)
