"""Excuse: each sub-case by its own numbers, exact records by their prediction, and nothing that a record does not select."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.targets import Changed

from bnverify.cases.case import Case
from bnverify.cases.ids import parse
from bnverify.reference.formulas import KERAS
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.values import Check, Observation, Status, Verdict
from bnverify.verdicts.excuse import excuse, excuse_verdict
from bnverify.verdicts.judged_case import JudgedCase
from bnverify.verdicts.known import Deviation
from bnverify.verdicts.pipeline import verify

ID = "shape:4x3/steps:T"
EPSILON = Deviation(("training-output",), "as in the paper", "https://example.org", ID, computes="epsilon-outside")


def excused(key: str, *deviations: Deviation, id_: str = ID) -> list[tuple[str, str]]:
    """The checks of a layer with this fault that do not conform after excusing: clause and status."""
    judged = verify(parse(id_), Changed(formulas=HYPOTHESIS_BY_KEY[key].formulas))
    found = excuse(judged, deviations).verdict
    return [(check.clause, check.status.value) for check in found.checks if check.status is not Status.CONFORMS]


def test_numbers_that_a_record_predicts_are_known() -> None:
    """A layer with that fault; its reason is the record's."""
    assert excused("epsilon-outside", EPSILON) == [("training-output", "known deviation")]
    judged = excuse(verify(parse(ID), Changed(formulas=HYPOTHESIS_BY_KEY["epsilon-outside"].formulas)), [EPSILON])
    (check,) = [check for check in judged.verdict.checks if check.status is Status.KNOWN]
    assert check.reason == "as in the paper"
    assert judged.verdict.status is Status.KNOWN


def test_other_numbers_stay_wrong() -> None:
    """Epsilon twice is not epsilon outside the root, whatever clause fails."""
    assert excused("epsilon-twice", EPSILON) == [("training-output", "wrong")]


def test_one_record_of_several_must_predict_all_numbers_of_a_check() -> None:
    """Two records that each fit another fault excuse neither of the two together."""
    twice = replace(EPSILON, computes="epsilon-twice")
    assert excused("epsilon-twice", EPSILON, twice) == [("training-output", "known deviation")]
    assert excused("no-root", EPSILON, twice) == [("training-output", "wrong")]


def test_what_a_record_makes_of_other_clauses() -> None:
    """A layer that counts as frozen has no training checks under the record; other clauses must then check the quantity.

    The fault moves nothing; the record predicts the output and both statistics.
    """
    record = replace(EPSILON, clauses=("training-output", "moving-mean", "moving-variance"), computes="never-trains")
    assert {status for _, status in excused("never-trains", record)} == {"known deviation"}
    assert ("moving-mean", "wrong") in excused("never-updated", replace(record, computes="epsilon-outside"))


def test_a_record_without_a_prediction_excuses_any_numbers() -> None:
    """It selects by clause and case only."""
    loose = replace(EPSILON, computes="")
    assert excused("epsilon-twice", loose) == [("training-output", "known deviation")]
    assert excused("epsilon-twice", replace(loose, case="shape:5x3")) == [("training-output", "wrong")]


def test_a_case_without_arrays_is_left_as_it_is() -> None:
    """Nothing was observed, so nothing can be compared with a prediction."""
    judged = JudgedCase(Verdict(parse(ID), (Check("training-output", "y", 0, Status.WRONG),), Status.WRONG))
    assert excuse(judged, [EPSILON]) is judged


def test_each_slice_is_excused_by_its_own_numbers() -> None:
    """The same fault in all slices is known in each; one slice that is wrong in another way stays wrong."""
    id_ = "shape:4x2x3/mode:timedistributed/steps:T"
    assert excused("epsilon-outside", EPSILON, id_=id_) == [("training-output", "known deviation")] * 2

    def change(case: Case, o: Observation) -> Observation:
        if o.steps[0].y is None or o.steps[0].y.ndim < 3:
            return o
        y = o.steps[0].y.copy()
        y[:, 1] += 1
        return replace(o, steps=(replace(o.steps[0], y=y),))

    target = Changed(change, HYPOTHESIS_BY_KEY["epsilon-outside"].formulas)
    found = excuse(verify(parse(id_), target), [EPSILON]).verdict
    statuses = [check.status for check in found.checks if check.clause == "training-output"]
    assert (statuses, found.status) == ([Status.KNOWN, Status.WRONG], Status.WRONG)


@pytest.mark.parametrize(("grade", "status"), [("one-pass", Status.KNOWN), ("", Status.UNSTABLE)])
def test_a_worse_grade_can_be_known(grade: str, status: Status) -> None:
    """A record of a grade excuses numbers that this grade explains."""
    id_ = "shape:256x4/fill:offset/steps:T"

    def one_pass(xp, x, axes):  # type: ignore[no-untyped-def]
        single = x.astype(np.float32)
        mean = single.mean(axis=axes, keepdims=True)
        return mean.astype(float), ((single * single).mean(axis=axes, keepdims=True) - mean * mean).astype(float)

    judged = verify(parse(id_), Changed(formulas=replace(KERAS, moments=one_pass)))
    assert judged.verdict.status is Status.UNSTABLE
    record = Deviation(("training-output", "moving-variance"), "why", "link", id_, grade=grade)
    records = [record] if grade else []
    assert excuse(judged, records).verdict.status is status


def test_a_verdict_without_failures_is_returned_as_it_is() -> None:
    """Not even a copy."""
    fine = Verdict(parse(ID), (Check("training-output", "y", 0, Status.CONFORMS),), Status.CONFORMS)
    assert excuse_verdict(fine, [EPSILON]) is fine


MOVED = Check("moving-mean", "moving_mean", 0, Status.WRONG)
NO_UPDATE = Check("inference-updates-nothing", "moving_mean", 0, Status.CONFORMS)
OF_A_LAW = Check("shift-invariance", "moving_mean", 0, Status.CONFORMS)


@pytest.mark.parametrize(
    ("predicted", "known"),
    [
        ([replace(MOVED, status=Status.CONFORMS)], True),
        ([MOVED], False),
        ([MOVED, NO_UPDATE], False),  # the record makes the same check, and it fails
        ([NO_UPDATE], True),
        ([replace(NO_UPDATE, status=Status.WRONG)], False),
        ([NO_UPDATE, replace(NO_UPDATE, clause="frozen-updates-nothing", status=Status.WRONG)], False),
        ([replace(NO_UPDATE, clause="frozen-updates-nothing", status=Status.WRONG), NO_UPDATE], False),
        ([replace(NO_UPDATE, step=1)], False),
        ([replace(NO_UPDATE, quantity="moving_variance")], False),
        ([OF_A_LAW], False),  # its second observation is not the record's
        ([], False),
    ],
)
def test_a_prediction_must_check_the_same_quantity_in_the_same_step(predicted: list[Check], known: bool) -> None:
    """The same check must hold; if the record makes no such check, all others of that quantity and step, at least one."""
    record = replace(EPSILON, clauses=("moving-mean",))
    verdict = Verdict(parse(ID), (MOVED,), Status.WRONG)
    found = excuse_verdict(verdict, [record], lambda deviation: Verdict(verdict.case, tuple(predicted), Status.WRONG))
    assert (found.status is Status.KNOWN) is known
