"""The loop over cases: their order, where it ends, and which known deviations excuse or must occur."""

from __future__ import annotations

from typing import Any

import pytest
from support.targets import Changed

from bnverify.cases.case import Case
from bnverify.cases.ids import parse
from bnverify.errors import BadInput
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.running.run import run, verify_target
from bnverify.values import Grade, Observation, Status, Verdict
from bnverify.verdicts import known
from bnverify.verdicts.known import Deviation

SMALL, LARGE, IMAGES = map(parse, ("shape:4x3/steps:TI", "shape:6x4/steps:TI", "shape:2x3x2x2/steps:TI"))
WRONG = HYPOTHESIS_BY_KEY["epsilon-outside"].formulas
RECORD = Deviation(("training-output", "inference-output"), "why", "link", SMALL.id, computes="epsilon-outside")


def raising(error: BaseException, where: Case) -> Any:
    """A change: the target raises itself in one case."""

    def change(case: Case, o: Observation) -> Observation:
        if case == where:
            raise error
        return o

    return change


def test_cases_are_run_in_order_and_progress_is_told() -> None:
    """Each verdict is passed on as it is made, and the results have them all."""
    told: list[Verdict] = []
    found = run((LARGE, SMALL), Changed(), suite="two", seed=7, progress=told.append)
    assert [verdict.case for verdict in found.verdicts] == [LARGE, SMALL]
    assert told == list(found.verdicts)
    assert (found.suite, found.seed, found.complete, found.interrupted, found.ok) == ("two", 7, True, False, True)
    assert found.seconds > 0


def test_fail_fast_ends_at_the_first_failure() -> None:
    """The failing case is the last verdict, its cause is named, and the run is incomplete."""
    target = Changed(formulas=WRONG)
    found = run((SMALL, LARGE), target, fail_fast=True)
    assert [verdict.case for verdict in found.verdicts] == [SMALL]
    assert found.verdicts[0].cause == HYPOTHESIS_BY_KEY["epsilon-outside"].cause
    assert (found.complete, found.interrupted) == (False, False)
    assert LARGE.id not in target.asked
    assert run((SMALL, LARGE), Changed(), fail_fast=True).complete
    assert len(run((SMALL, LARGE), Changed(formulas=WRONG)).verdicts) == 2  # without it every case is run


def test_an_interrupt_keeps_the_verdicts_so_far() -> None:
    """Ctrl-C in the second case: one verdict, incomplete, interrupted; another exception passes through."""
    found = run((SMALL, LARGE, IMAGES), Changed(raising(KeyboardInterrupt(), LARGE)))
    assert [verdict.case for verdict in found.verdicts] == [SMALL]
    assert (found.complete, found.interrupted, found.ok) == (False, True, False)
    with pytest.raises(ZeroDivisionError):
        run((SMALL, LARGE), Changed(raising(ZeroDivisionError(), LARGE)))


def test_a_strict_deviation_must_occur_and_a_lenient_one_need_not() -> None:
    """On a right layer: the strict record is stale in its evidence, the lenient one is not looked at."""
    assert [line.split(":")[0] for line in run((SMALL,), Changed(), strict=[RECORD]).stale] != []
    assert run((SMALL,), Changed(), lenient=[RECORD]).stale == ()
    excused = run((SMALL,), Changed(formulas=WRONG), lenient=[RECORD])
    assert (excused.verdicts[0].status, excused.ok) == (Status.KNOWN, True)


def test_evidence_is_added_once() -> None:
    """The evidence of strict records, unless the case is there already."""
    target = Changed(formulas=WRONG)
    found = run((LARGE, SMALL), target, strict=[RECORD], with_evidence=True)
    assert [verdict.case for verdict in found.verdicts] == [LARGE, SMALL]
    found = run((LARGE,), Changed(formulas=WRONG), strict=[RECORD], with_evidence=True)
    assert [verdict.case for verdict in found.verdicts] == [LARGE, SMALL]


def test_a_record_of_another_backend_does_not_count() -> None:
    """It neither excuses nor is stale."""
    other = Deviation(("training-output", "inference-output"), "why", "link", SMALL.id, backend="jax")
    found = run((SMALL,), Changed(formulas=WRONG), strict=[other])
    assert (found.verdicts[0].status, found.stale) == (Status.WRONG, ())


def test_what_ships_is_strict_for_keras_and_lenient_for_other_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference is no layer of Keras; under Keras' own name a record that does not occur is stale."""
    monkeypatch.setattr(known, "shipped", lambda: (RECORD,))
    assert verify_target(Changed(), (SMALL,), label="x").stale == ()
    own = Changed(target="keras.layers.BatchNormalization")
    assert len(verify_target(own, (SMALL,), label="x").stale) == 1
    mine = verify_target(Changed(), (SMALL,), label="x", recorded=[RECORD])
    assert (len(mine.stale), mine.suite) == (1, "x")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"min_grade": "none"}, "min_grade 'none' is unknown; allowed: blocked, sequential, one-pass"),
        ({"seed": -1}, "seed -1 is not allowed; allowed: an integer of 0 or more"),
        ({"seed": "1"}, "seed '1' is not allowed"),
    ],
)
def test_bad_input_runs_nothing(options: dict[str, Any], says: str) -> None:
    """One line, and no case was observed."""
    target = Changed()
    with pytest.raises(BadInput) as caught:
        verify_target(target, (SMALL,), label="x", **options)
    assert str(caught.value).startswith(says)
    assert target.asked == []
    assert verify_target(target, (SMALL,), label="x", min_grade="one-pass").required is Grade.ONE_PASS
