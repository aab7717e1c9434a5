"""Clauses on the output: exactly one covers each call, and a wrong output fails in it."""

from __future__ import annotations

import numpy as np
import pytest
from support.evidence import at_step, evidence, failing

from bnverify.contract import CLAUSES
from bnverify.contract.outputs import CLAUSES as OF_OUTPUTS
from bnverify.contract.outputs import output_clause


@pytest.mark.parametrize(
    ("id_", "keys"),
    [
        ("shape:4x3/steps:TINO", ["training-output", "inference-output", "training-not-given", "training-output"]),
        ("shape:4x3/steps:FTINUT", ["frozen-output", "inference-output", "training-not-given", "unfrozen"]),
        ("shape:5x4x3/mask:one/steps:TINFT", ["masked-training", "masked-inference", "training-not-given", "frozen-output"]),
        ("shape:4x3/renorm:True/steps:TIFT", ["renorm-training", "inference-output", "frozen-output"]),
        ("shape:5x4x3/renorm:True/mask:one/steps:T", ["renorm-training"]),
        ("shape:5x4x3/mask:one/steps:FUT", ["masked-training"]),
        ("shape:4x3/mode:pinned/steps:TIFT", ["pinned", "inference-output", "pinned"]),
    ],
)
def test_the_clause_of_each_call(id_: str, keys: list[str]) -> None:
    """Pinned before inference before frozen before renorm before masked before unfrozen."""
    assert [output_clause(c) for c in evidence(id_).calls] == keys


@pytest.mark.parametrize(
    "id_",
    [
        "shape:4x3/steps:TINFTIUTI",
        "shape:5x4x3/mask:random/steps:TINFTUT",
        "shape:6x4/renorm:True/steps:TIFTUT",
        "shape:6x4/mode:pinned/steps:TIFT",
    ],
)
def test_each_output_is_checked_by_one_clause(id_: str) -> None:
    """Over all clauses of the contract there is one check of y against its bounds for each call, in the named clause."""
    e = evidence(id_)
    checks = [
        (check.step, check.clause)
        for clause in CLAUSES
        if clause.companion is None
        for check in clause.check(e)
        if check.quantity == "y" and check.margin is not None
    ]
    assert sorted(checks) == [(c.call.index, output_clause(c)) for c in e.calls]


@pytest.mark.parametrize(
    ("id_", "key", "step"),
    [
        ("shape:4x3/steps:TIN", "training-output", 0),
        ("shape:4x3/steps:TIN", "inference-output", 1),
        ("shape:4x3/steps:TIN", "training-not-given", 2),
        ("shape:4x3/steps:FT", "frozen-output", 1),
    ],
)
def test_a_wrong_output_fails_in_its_clause_alone(id_: str, key: str, step: int) -> None:
    """One element off by a thousandth, in a step of each kind."""
    right = evidence(id_).observation.steps[step].y
    assert right is not None
    wrong = right.copy()
    wrong[1, 1] += np.float32(1e-3)
    e = evidence(id_, at_step(step, y=wrong))
    assert {clause.key: failing(clause.check(e)) for clause in OF_OUTPUTS if failing(clause.check(e))} == {key: [("y", step)]}
