"""Files: round trips of Keras' own layer conform, and each clause about files is seen failing."""

from __future__ import annotations

import pytest

from bnverify.cases.ids import parse
from bnverify.targets.target import InProcess
from bnverify.values import Status
from bnverify.verdicts.ask import not_here
from bnverify.verdicts.pipeline import verify

FORMATS = ("keras", "weights.h5", "h5", "weights", "config", "clone", "pickle")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("steps", ["TSTI", "TFSTUTI"])
def test_a_round_trip_conforms(format: str, steps: str) -> None:
    """What is saved and loaded goes on bit for bit, frozen and unfrozen."""
    verdict = verify(parse(f"shape:4x3/momentum:0.9/file:{format}/steps:{steps}"), InProcess(), 0).verdict
    assert verdict.status is Status.CONFORMS
    assert {"file-weights", "file-goes-on"} <= {check.clause for check in verdict.checks}


@pytest.mark.parametrize(
    ("mutant", "clause", "case"),
    [
        ("file-epsilon", "file-config", "shape:4x3/file:keras/steps:TSTI"),
        ("file-half", "file-weights", "shape:4x3/file:keras/steps:TSTI"),
        ("file-frozen", "file-goes-on", "shape:4x3/file:keras/steps:TSTI"),
        ("file-copy", "fresh-weights", "shape:4x3/file:config/steps:TSTI"),
        ("file-freezing", "file-goes-on", "shape:4x3/file:h5/steps:TFSTI"),
    ],
)
def test_each_clause_can_fail(mutant: str, clause: str, case: str) -> None:
    """A layer with a fault that shows in files alone fails the clause that is about it."""
    from bnverify.targets.mutants import MUTANTS

    layer = next(m.layer for m in MUTANTS if m.key == mutant)
    verdict = verify(parse(case), InProcess(layer, mutant), 0).verdict
    assert clause in {check.clause for check in verdict.failures}


@pytest.mark.parametrize("format", ["config", "clone"])
def test_weights_that_do_not_fit_hide_no_configuration(format: str) -> None:
    """Where a copy has other weights than the layer had, that is told with the argument at fault, and is no crash."""
    from bnverify.targets.mutants import MUTANTS

    layer = next(m.layer for m in MUTANTS if m.key == "file-center")
    failures = verify(parse(f"shape:4x3/center:False/file:{format}/steps:TSTI"), InProcess(layer, "it"), 0).verdict.failures
    assert {check.status for check in failures} == {Status.WRONG}
    assert [check.quantity for check in failures if check.clause == "file-config"] == ["center"]
    (names,) = [check.mismatch for check in failures if check.quantity == "names in order, dtypes"]
    assert names is not None
    assert "beta" in names.actual
    assert "beta" not in names.expected


def test_a_format_that_an_era_lacks_is_unsupported_with_a_reason() -> None:
    """Keras 3 has no SavedModel format; that is data, not a crash."""
    target = InProcess()
    case = parse("shape:4x3/file:savedmodel/steps:TSI")
    one = verify(case, target, 0).verdict
    assert one.status is Status.UNSUPPORTED

    assert "SavedModel" in not_here(case, target.environment)
