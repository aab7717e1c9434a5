"""Records for tests: of reference targets, right and wrong, and one made by hand with its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.ids import parse
from bnverify.cases.suites import suite
from bnverify.matrix.records import CaseRecord, CheckRecord, ClauseRecord, Record, record_of
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.running.run import verify_target
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Environment, Failure, Grade, Interface, Observation, Status

INTERFACE = Interface(
    {"axis": "-1", "momentum": "0.99", "kwargs": ""},
    ("inputs", "training", "mask"),
    ("gamma float32 trainable", "moving_mean float32 not trainable"),
    {"axis": -1, "epsilon": 0.001, "name": None, "beta_regularizer": {"l1": 0.5}},
)
ENVIRONMENT = Environment("mine:Mine", "keras", "3.8.0", "jax", "0.4.38", "GPU", True, "2.1.0", "3.11.7", "Xeon")


class Broken:
    """The reference with a fault, which refuses images and infers NaN from constants."""

    def __init__(self) -> None:
        self._wrong = ReferenceTarget(HYPOTHESIS_BY_KEY["no-epsilon"].formulas)
        self.environment = replace(self._wrong.environment, device="GPU", cpu="Xeon")

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        if len(case.shape) == 4:
            return Observation(failure=Failure("step 1", "ValueError", "“out of order”\n\tat 0x7f\x1b"))
        return self._wrong.observe(case, inputs)


def recorded(target: Any, *ids: str, **options: Any) -> Record:
    cases = tuple(map(parse, ids)) or suite("smoke")
    return record_of("a-row", verify_target(target, cases, label="some cases", **options), INTERFACE)


UNSUPPORTED = "shape:5x3/axis:0+1/steps:TI"
CRASHED = "shape:2x2x2x2/steps:TI"
CONSTANT = "shape:37x4/fill:constant/steps:TI"
RUNS = {
    "right": lambda: recorded(ReferenceTarget()),
    "wrong": lambda: recorded(ReferenceTarget(HYPOTHESIS_BY_KEY["no-epsilon"].formulas)),
    "otherwise wrong": lambda: recorded(
        ReferenceTarget(HYPOTHESIS_BY_KEY["never-updated"].formulas), seed=7, min_grade="blocked"
    ),
    "everything": lambda: recorded(Broken(), CONSTANT, UNSUPPORTED, CRASHED, "shape:37x4/fill:huge/steps:TI"),
    "nothing asked": lambda: recorded(ReferenceTarget(), UNSUPPORTED),
    "incomplete": lambda: replace(recorded(ReferenceTarget(), CONSTANT), complete=False),
    "stale": lambda: replace(recorded(ReferenceTarget(), CONSTANT), stale=("known deviation at known.toml:4 …",)),
}


SMALL = Record(
    "mine",
    ENVIRONMENT,
    "Keras 3",
    "smoke suite",
    3,
    "sequential",
    Interface({"axis": "-1"}, ("inputs",), ("gamma float32 trainable",), {"axis": -1}),
    {
        "returns": ClauseRecord({Status.CONFORMS: 2, Status.CRASHED: 1}),
        "training-output": ClauseRecord({Status.WRONG: 1}, Grade.NONE, 1e300),
    },
    {
        "shape:4x3/steps:T": CaseRecord(Status.CONFORMS, 0.17),
        "shape:2x2/steps:T": CaseRecord(Status.CONFORMS),
        "shape:3x2/steps:T": CaseRecord(
            Status.WRONG,
            0.0,
            "epsilon is “left” out",
            "",
            {"training-output": CheckRecord(Status.WRONG, "y", 0, Grade.NONE, 9.0, "1", "nan")},
        ),
        "shape:2x2/axis:0+1/steps:T": CaseRecord(Status.UNSUPPORTED, reason="one axis"),
    },
)
TEXT = """{
 "schema": 1,
 "name": "mine",
 "environment": {"target": "mine:Mine", "module": "keras", "keras": "3.8.0", "backend": "jax", "backend_version": "0.4.38", \
"float64": true, "numpy": "2.1.0", "python": "3.11.7"},
 "era": "Keras 3",
 "suite": "smoke suite",
 "seed": 3,
 "required_grade": "sequential",
 "complete": true,
 "stale": [],
 "interface": {
  "arguments": {"axis": "-1"},
  "call": ["inputs"],
  "weights": ["gamma float32 trainable"],
  "config": {"axis": -1}
 },
 "clauses": {
  "returns": {"checks": {"conforms": 2, "crashed": 1}},
  "training-output": {"checks": {"wrong": 1}, "grade": "none", "margin": 1e+300}
 },
 "cases": {
  "shape:2x2/axis:0+1/steps:T": {"status": "unsupported", "reason": "one axis"},
  "shape:2x2/steps:T": null,
  "shape:3x2/steps:T": {"status": "wrong", "margin": 0.0, "cause": "epsilon is “left” out", "checks": {"training-output": \
{"status": "wrong", "quantity": "y", "step": 0, "grade": "none", "margin": 9.0, "expected": "1", "actual": "nan"}}},
  "shape:4x3/steps:T": 0.17
 }
}
"""

DECLARED = Interface(
    {"axis": "-1", "momentum": "0.99", "fused": ""},
    ("inputs", "training"),
    ("gamma float32", "beta float32"),
    {"momentum": 0.99},
)
ID, LARGER, THIRD = "shape:4x3/steps:T", "shape:5x3/steps:T", "shape:40x3/steps:TI"
FINE = CaseRecord(Status.CONFORMS, 0.2)


def record(cases: Mapping[str, CaseRecord] | None = None, **changes: Any) -> Record:
    """A record of one case that conforms, or of these cases, with changes."""
    return replace(SMALL, **{"clauses": {}, "cases": cases or {ID: FINE}, **changes})


def case(status: Status, cause: str = "", clause: str = "training-output", **changes: Any) -> CaseRecord:
    """A case with one check that does not conform; `changes` are of the check."""
    check = CheckRecord(status, "y", 0, Grade.NONE, 100.0, "1.5", "1.25")
    return CaseRecord(status, 0.2, cause, "", {clause: replace(check, **changes)})
