"""Judged cases: how large one is, and how the checks of sub-cases become those of the whole case."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnverify.cases.fills import Inputs
from bnverify.cases.ids import parse
from bnverify.contract.eras import ERAS
from bnverify.reference.sub_cases import SubCase
from bnverify.values import Check, Observation, Status, StepObservation, Verdict
from bnverify.verdicts.judged_case import JudgedCase, Observed

CASE = parse("shape:4x3/steps:TFI")


def observed(*outputs: Any) -> Observed:
    steps = tuple(StepObservation({}, (), y) for y in outputs)
    return Observed(CASE, Inputs(None, ()), Observation(steps=steps), ERAS[-1])


def sub_case(label: str, steps: tuple[int, ...], *checks: Check) -> tuple[SubCase, JudgedCase]:
    verdict = Verdict(CASE, checks, Status.CONFORMS)
    return SubCase(label, CASE, Inputs(None, ()), Observation(), steps), JudgedCase(verdict)


def test_the_size_counts_output_values() -> None:
    """Two outputs of 12 values; a step without an output and a case without arrays count nothing."""
    y = np.zeros((4, 3))
    assert observed(y, None, y).size == 24
    verdict = Verdict(CASE, (), Status.CONFORMS)
    assert JudgedCase(verdict, observed(y)).size == 12
    assert JudgedCase(verdict).size == 0
    assert JudgedCase(verdict).case is CASE


def test_checks_of_sub_cases_have_the_step_and_the_name_of_the_whole() -> None:
    """The second call of replica 2 was made in step 2; a check of no step keeps none; an empty label adds nothing."""
    own = Verdict(CASE, (Check("returns", "every step", None, Status.CONFORMS),), Status.CONFORMS, reason="own")
    wrong = Check("training-output", "y", 1, Status.WRONG)
    plain = Check("weights", "names", None, Status.CONFORMS)
    parts = (
        sub_case("replica 2", (0, 2), wrong, plain),
        sub_case("", (2,), Check("moving-mean", "moving_mean", 0, Status.KNOWN)),
    )
    found = JudgedCase(own).with_sub_cases(own, parts)
    assert [(check.quantity, check.step) for check in found.verdict.checks] == [
        ("every step", None),
        ("y of replica 2", 2),
        ("names of replica 2", None),
        ("moving_mean", 2),
    ]
    assert (found.verdict.status, found.verdict.reason) == (Status.WRONG, "own")
    assert (found.own, found.sub_cases) == (own, parts)
