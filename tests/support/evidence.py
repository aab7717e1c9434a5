"""Evidence of the reference as a target, with changes planted in what it returned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.contract.evidence import Evidence, expect
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Check, Grade, Observation, Status

Change = Callable[[Observation], Observation]


def evidence(id_: str, change: Change = lambda o: o, required: Grade = Grade.SEQUENTIAL) -> Evidence:
    """The evidence of a case: a perfect observation, changed."""
    case = parse(id_)
    inputs = make_inputs(case)
    return Evidence(expect(case, inputs), change(ReferenceTarget().observe(case, inputs)), required)


def at_step(index: int, **changes: Any) -> Change:
    """A change of one step's answer."""

    def change(o: Observation) -> Observation:
        steps = list(o.steps)
        steps[index] = replace(steps[index], **changes)
        return replace(o, steps=tuple(steps))

    return change


def weight_at(index: int, name: str, value: Callable[[Any], Any]) -> Change:
    """A change of one weight after one step; `value` gets what it was, and returns None to remove it."""

    def change(o: Observation) -> Observation:
        weights = dict(o.steps[index].weights)
        new = value(weights.pop(name))
        return at_step(index, weights=weights if new is None else {**weights, name: new})(o)

    return change


def statuses(checks: Iterable[Check]) -> list[tuple[str, int | None, str]]:
    """Checks in short: quantity, step, and status."""
    return [(check.quantity, check.step, check.status.value) for check in checks]


def failing(checks: Iterable[Check]) -> list[tuple[str, int | None]]:
    """Quantity and step of the checks that do not conform."""
    return [(check.quantity, check.step) for check in checks if check.status is not Status.CONFORMS]
