"""The values that the rooms exchange: what fails, what counts as tested, and when a run is ok."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.shown import crashed, results, right, wrong

from bnverify.cases.ids import parse
from bnverify.values import Check, Failure, Grade, Observation, Results, Status, StepObservation, Verdict, WeightInfo, worst

UNSUPPORTED = Verdict(parse("shape:4x3/steps:T"), (), Status.UNSUPPORTED, "no such argument")
OPEN = Verdict(parse("shape:0x3/steps:T"), (Check("training-output", "y", 0, Status.INCONCLUSIVE),), Status.INCONCLUSIVE)
FINE = right("shape:4x3/steps:T")


def test_statuses_by_severity() -> None:
    """A known deviation is worse than none; unknown is worse than known; a crash is the worst."""
    ordered = sorted(Status, key=lambda status: status.gravity)
    words = ["conforms", "known deviation", "inconclusive", "unsupported", "unstable", "wrong", "crashed"]
    assert list(map(str, ordered)) == words
    assert worst([Status.KNOWN, Status.WRONG, Status.UNSUPPORTED]) is Status.WRONG
    assert worst([]) is Status.INCONCLUSIVE


def test_which_statuses_fail_and_which_were_tested() -> None:
    """Unknown neither fails nor counts as tested."""
    assert {str(status) for status in Status if status.fails} == {"unstable", "wrong", "crashed"}
    assert {str(status) for status in Status if not status.tested} == {"inconclusive", "unsupported"}


def test_grades_are_ordered_and_named() -> None:
    """Smaller is better."""
    assert [str(grade) for grade in sorted(Grade)] == ["blocked", "sequential", "one-pass", "none"]


@pytest.mark.parametrize(
    ("run", "ok", "tested"),
    [
        (results(FINE), True, True),
        (results(FINE, UNSUPPORTED, OPEN), True, True),
        (results(), False, False),
        (results(UNSUPPORTED), False, False),
        (results(OPEN), False, False),
        (results(FINE, wrong("shape:5x3/steps:T")), False, True),
        (results(crashed("shape:5x3/steps:T")), False, True),
        (results(FINE, stale=("gone",)), False, True),
        (results(FINE, complete=False), False, True),
        (results(replace(FINE, status=Status.KNOWN, checks=(Check("c", "y", 0, Status.KNOWN),))), True, True),
    ],
)
def test_when_a_run_is_ok(run: Results, ok: bool, tested: bool) -> None:
    """Something was tested, nothing failed, nothing is stale, and the run is complete."""
    assert (run.ok, run.tested) == (ok, tested)


def test_cases_are_counted_by_status() -> None:
    """One for each verdict."""
    assert results(FINE, FINE, UNSUPPORTED).statuses == {Status.CONFORMS: 2, Status.UNSUPPORTED: 1}


def test_a_verdict_knows_its_failures_and_its_largest_margin() -> None:
    """Of all checks, whether they fail or not; None without a number."""
    checks = (
        Check("a", "y", 0, Status.CONFORMS, Grade.BLOCKED, 0.5),
        Check("b", "y", 0, Status.KNOWN, Grade.NONE, 7.0),
        Check("c", "y", 0, Status.UNSTABLE, Grade.ONE_PASS, 3.0),
        Check("d", "names", None, Status.WRONG),
    )
    found = Verdict(parse("shape:4x3/steps:T"), checks, Status.WRONG)
    assert [check.clause for check in found.failures] == ["c", "d"]
    assert found.worst_margin == 7.0
    assert UNSUPPORTED.worst_margin is None


@pytest.mark.parametrize(
    ("observation", "built"),
    [
        (Observation(), True),
        (Observation(failure=Failure("constructor", "ValueError", "")), False),
        (Observation(config={}, failure=Failure("build", "ValueError", "")), False),
        (Observation(config={}, failure=Failure("step 0", "ValueError", "")), True),
        (Observation(weights=(WeightInfo("gamma", (3,), "float32", True),), failure=Failure("step 0", "E", "")), True),
        (Observation(steps=(StepObservation({}, ()),), failure=Failure("step 1", "E", "")), True),
        (Observation(failure=Failure("step 3", "Crashed", "")), False),  # the worker died with all that it had seen
    ],
)
def test_whether_a_layer_was_built(observation: Observation, built: bool) -> None:
    """It raised neither in the constructor nor in build(), and something of it was seen."""
    assert observation.built is built


@pytest.mark.parametrize(
    ("target", "module", "own"),
    [
        ("keras.layers.BatchNormalization", "keras", True),
        ("tf_keras.layers.BatchNormalization", "tf_keras", True),
        ("tf_keras.layers.BatchNormalization", "keras", False),
        ("mine:Mine", "keras", False),
    ],
)
def test_whose_layer_it_is(target: str, module: str, own: bool) -> None:
    """Keras' own only by the name that its module has."""
    assert replace(results().environment, target=target, module=module).own is own
