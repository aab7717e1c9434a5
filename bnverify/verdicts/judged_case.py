"""What fails, with all that is needed to find out why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.contract.eras import ERAS, Era
from bnverify.reference.sub_cases import SubCase
from bnverify.values import Check, Observation, Verdict, worst


@dataclass(frozen=True)
class JudgedCase:
    """A verdict that fails, with what is needed to find out why.

    companions: by clause key, the case, inputs and observation that the clause asked for beside the case's own. parts: what is
    judged in the place of the case's calls; own: the verdict on the case without them.
    """

    verdict: Verdict
    observation: Observation
    era: Era = ERAS[-1]
    companions: Mapping[str, tuple[Case, Inputs, Observation]] = field(default_factory=dict)
    inputs: Inputs = Inputs(None, ())  # noqa: RUF009, as frozen as any value
    parts: tuple[tuple[SubCase, JudgedCase], ...] = ()
    own: Verdict | None = None

    @property
    def size(self) -> int:
        return sum(step.y.size for step in self.observation.steps if step.y is not None)

    def with_parts(self, own: Verdict, parts: tuple[tuple[SubCase, JudgedCase], ...]) -> JudgedCase:
        """The whole: the case's own verdict and those of its parts in one."""
        checks = [*own.checks]
        for part, one in parts:
            checks += [_placed(check, part) for check in one.verdict.checks]
        status = worst([check.status for check in checks])
        return replace(self, verdict=replace(own, checks=tuple(checks), status=status), parts=parts, own=own)


def _placed(check: Check, part: SubCase) -> Check:
    """A part's check as one of the whole case."""
    step = check.step if check.step is None else part.steps[check.step]
    return replace(check, step=step, quantity=f"{check.quantity} of {part.label}" if part.label else check.quantity)
