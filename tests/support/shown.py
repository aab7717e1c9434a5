"""Results that the tests of the views show: of the reference, right and wrong, and all of it at once."""

from __future__ import annotations

import dataclasses
from typing import Any

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.ids import parse
from bnverify.reference.hypotheses import HYPOTHESES
from bnverify.running.run import verify_target
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Check, Environment, Failure, Grade, Mismatch, Observation, Results, Status, Verdict

ENVIRONMENT = Environment(
    target="mypackage.layers:MyBatchNorm",
    module="keras",
    keras="3.15.1",
    backend="tensorflow",
    backend_version="2.21.0",
    device="CPU",
    float64=True,
    numpy="2.4.6",
    python="3.11.7",
    cpu="Abacus 9000",
)
HEADING = "mypackage.layers:MyBatchNorm · Keras 3.15.1 · tensorflow 2.21.0 on CPU · NumPy 2.4.6 · Python 3.11.7"
EPSILON_OUTSIDE = "epsilon is added to the deviation, outside the root"
SCRIPT = "<script>alert('x')</script> & [bold]"


class Mutant:
    """A perfect layer with one fault of the catalogue; in cases of four axes it raises."""

    def __init__(self, key: str, text: str = SCRIPT) -> None:
        formulas = next(h.formulas for h in HYPOTHESES if h.key == key)
        self.environment = ENVIRONMENT
        self._text = text
        self._target = ReferenceTarget(formulas)

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        if len(case.shape) == 4:
            return Observation(failure=Failure("constructor", "ValueError", self._text))
        return self._target.observe(case, inputs)


def cases(*ids: str) -> tuple[Case, ...]:
    return tuple(map(parse, ids))


def verify(key: str, *ids: str, **options: Any) -> Results:
    return verify_target(Mutant(key), cases(*ids), label="some cases", **options)


def right(id_: str, *clauses: str) -> Verdict:
    checks = tuple(Check(clause, "y", 0, Status.CONFORMS, Grade.BLOCKED, 0.25) for clause in clauses or ("training-output",))
    return Verdict(parse(id_), checks, Status.CONFORMS)


def wrong(
    id_: str, cause: str = "", reason: str = "", clause: str = "training-output", status: Status = Status.WRONG
) -> Verdict:
    mismatch = Mismatch("1.5", "1.25", (3, 1), 1, 0.25, 0.0001, 0.125)
    check = Check(clause, "y", 0, status, Grade.NONE, 2500.0, mismatch)
    return Verdict(parse(id_), (check,), status, reason, cause)


def crashed(id_: str, text: str = "ValueError: no axis 3", stage: str = "step 0") -> Verdict:
    check = Check("returns", stage, None, Status.CRASHED, mismatch=Mismatch("no exception", text), reason=f"{stage}: {text}")
    return Verdict(parse(id_), (check,), Status.CRASHED)


def results(*verdicts: Verdict, **changes: Any) -> Results:
    given: dict[str, Any] = {"environment": ENVIRONMENT, "suite": "some cases", "seed": 0, "seconds": 1.23, **changes}
    return Results(verdicts=verdicts, **given)


EVERYTHING = results(
    right("shape:2x2/steps:T"),
    wrong("shape:3x2/steps:T", EPSILON_OUTSIDE),
    wrong("shape:4x2/steps:T", status=Status.UNSTABLE),
    crashed("shape:5x2/steps:T", f"ValueError: {SCRIPT}"),
    dataclasses.replace(
        right("shape:6x2/steps:T"),
        status=Status.KNOWN,
        checks=(Check("moving-mean", "moving_mean", 0, Status.KNOWN, Grade.NONE, 9.0, Mismatch("1", "2"), "as in the paper"),),
    ),
    Verdict(parse("shape:7x2/steps:T"), (), Status.UNSUPPORTED, "the layer's constructor has no argument `center`"),
    Verdict(
        parse("shape:8x2/steps:T"),
        (Check("training-output", "y", 0, Status.INCONCLUSIVE, reason="every bound is infinite: the data overflow"),),
        Status.INCONCLUSIVE,
    ),
    stale=("known deviation at known.toml:4 (case any) no longer occurs: 3 checks of moving-mean conform",),
)
