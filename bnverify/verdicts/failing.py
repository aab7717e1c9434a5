"""What fails, with all that is needed to find out why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.contract.eras import ERAS, Era
from bnverify.model import Observation, Verdict


@dataclass(frozen=True)
class Failing:
    """A verdict that fails, with what is needed to find out why.

    companions: by clause key, the case, inputs and observation that the clause asked for beside the case's own.
    """

    verdict: Verdict
    observation: Observation
    era: Era = ERAS[-1]
    companions: Mapping[str, tuple[Case, Inputs, Observation]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(step.y.size for step in self.observation.steps if step.y is not None)
