"""Targets for tests: the reference with changes planted in what it returns, and a record of what was asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.reference.formulas import KERAS, Formulas
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Failure, Observation


class Changed:
    """The reference, with `change` applied to each observation; `asked` has the ids of the cases, in order."""

    def __init__(
        self,
        change: Callable[[Case, Observation], Observation] = lambda case, o: o,
        formulas: Formulas = KERAS,
        **environment: Any,
    ) -> None:
        self._target = ReferenceTarget(formulas)
        self._change = change
        self.environment = replace(self._target.environment, **environment)
        self.asked: list[str] = []

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        self.asked.append(case.id)
        return self._change(case, self._target.observe(case, inputs))


def raises(stage: str, type_: str, text: str) -> Callable[[Case, Observation], Observation]:
    """A change: the target raises instead."""
    return lambda case, o: Observation(failure=Failure(stage, type_, text))
