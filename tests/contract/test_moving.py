"""Clauses on the moving statistics: which calls each one checks, and that a planted change fails in the right one."""

from __future__ import annotations

import numpy as np
import pytest
from support.evidence import Change, evidence, failing, statuses, weight_at

from bnverify.contract import moving
from bnverify.contract.clause import Clause
from bnverify.contract.evidence import Evidence

CLAUSES = {clause.key: clause for clause in moving.CLAUSES}


def checked(e: Evidence) -> dict[str, set[int | None]]:
    """By clause, the steps that it checks."""
    found = {key: {check.step for check in clause.check(e)} for key, clause in CLAUSES.items()}
    return {key: steps for key, steps in found.items() if steps}


@pytest.mark.parametrize(
    ("id_", "steps"),
    [
        ("shape:4x3/steps:TIN", {"moving-mean": {0}, "moving-variance": {0}, "inference-updates-nothing": {1, 2}}),
        (
            "shape:4x3/steps:FTUT",
            {"frozen-updates-nothing": {1}, "unfrozen": {3}},
        ),
        ("shape:5x4x3/mask:one/steps:TI", {"inference-updates-nothing": {1}}),  # the clauses on masks check the update
        ("shape:4x3/renorm:True/steps:TI", {"inference-updates-nothing": {1}}),
        ("shape:4x3/steps:O", {"moving-mean": {0}, "moving-variance": {0}}),
        ("shape:4x3/trainable:False/steps:T", {"frozen-updates-nothing": {0}}),
        ("shape:4x3/mode:pinned/steps:TI", {"inference-updates-nothing": {1}}),
    ],
)
def test_which_steps_a_clause_checks(id_: str, steps: dict[str, set[int]]) -> None:
    """Each training call belongs to one clause on its update; calls that must update nothing to another."""
    found = checked(evidence(id_))
    kept = found.pop("calls-keep-parameters", set())
    assert found == steps
    case = evidence(id_).case
    assert kept == {index for index, step in enumerate(case.steps) if step.value != "O"}


@pytest.mark.parametrize(
    ("id_", "change", "key", "fails"),
    [
        (
            "shape:4x3/steps:TT",
            weight_at(1, "moving_mean", lambda w: w * np.float32(1.001)),
            "moving-mean",
            [("moving_mean", 1)],
        ),
        (
            "shape:4x3/steps:T",
            weight_at(0, "moving_variance", lambda w: w * np.float32(1.001)),
            "moving-variance",
            [("moving_variance", 0)],
        ),
        (
            "shape:4x3/steps:TI",
            weight_at(1, "moving_mean", lambda w: np.nextafter(w, np.float32(9))),  # one bit is enough
            "inference-updates-nothing",
            [("moving_mean", 1)],
        ),
        (
            "shape:4x3/steps:FTI",
            weight_at(1, "moving_variance", lambda w: np.nextafter(w, np.float32(9))),
            "frozen-updates-nothing",
            [("moving_variance", 1)],
        ),
        ("shape:4x3/steps:FTUT", weight_at(3, "moving_mean", lambda w: w + 1), "unfrozen", [("moving_mean", 3)]),
        ("shape:4x3/steps:FTUT", weight_at(2, "gamma", lambda w: w + 1), "calls-keep-parameters", [("gamma", 2), ("gamma", 3)]),
    ],
)
def test_a_change_fails_in_the_clause_on_it(id_: str, change: Change, key: str, fails: list[tuple[str, int]]) -> None:
    """The quantity and the step that were changed, and nothing without the change."""
    assert failing(CLAUSES[key].check(evidence(id_, change))) == fails
    assert failing(CLAUSES[key].check(evidence(id_))) == []


def test_unfreezing_checks_output_and_statistics() -> None:
    """Training again means both to normalize with the batch and to update."""
    assert statuses(CLAUSES["unfrozen"].check(evidence("shape:4x3/steps:FUTI"))) == [
        ("y", 2, "conforms"),
        ("moving_mean", 2, "conforms"),
        ("moving_variance", 2, "conforms"),
    ]


def test_a_layer_without_gamma_has_no_check_of_it() -> None:
    """Only weights that the layer must have."""
    checks = statuses(CLAUSES["calls-keep-parameters"].check(evidence("shape:4x3/scale:False/steps:T")))
    assert checks == [("beta", 0, "conforms")]


@pytest.mark.parametrize("clause", moving.CLAUSES, ids=CLAUSES)
def test_checks_have_the_key_of_their_clause(clause: Clause) -> None:
    """Reports count a check under its clause."""
    assert {check.clause for check in clause.check(evidence("shape:4x3/steps:TIFTUT"))} == {clause.key}
