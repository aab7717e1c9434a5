"""Differences between records: what is told, what is a regression, and that rounding alone is neither."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.recorded import DECLARED, FINE, ID, LARGER, THIRD, UNSUPPORTED, case, record, recorded

from bnverify.matrix.difference import Kind, difference, regressions
from bnverify.matrix.records import CaseRecord, ClauseRecord, Record
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Status


def raising(text: str) -> CaseRecord:
    return case(Status.CRASHED, clause="returns", quantity="step 1", step=None, grade=None, margin=None, actual=text)


def told(old: Record, new: Record) -> list[tuple[Kind, str, bool | None]]:
    return [(change.kind, change.text, change.worse) for change in difference(old, new)]


# --- numbers


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        (Status.CONFORMS, Status.KNOWN, True),
        (Status.CONFORMS, Status.INCONCLUSIVE, True),
        (Status.CONFORMS, Status.UNSTABLE, True),
        (Status.CONFORMS, Status.WRONG, True),
        (Status.KNOWN, Status.WRONG, True),
        (Status.UNSTABLE, Status.WRONG, True),
        (Status.KNOWN, Status.UNSTABLE, True),
    ],
)
def test_a_status_that_changes(before: str, after: str, worse: bool) -> None:
    """A check that comes out graver than before is a regression, one that comes out better an improvement."""
    records = [record({ID: FINE if status == Status.CONFORMS else case(status)}) for status in (before, after)]
    (change,) = difference(*records)
    assert (change.kind, change.worse, change.case) == (Kind.CLAUSE, worse, ID)
    assert change.text == f"1 case: {before} before, now {after}: output in training (1); in it y is 1.25, expected 1.5"
    (back,) = difference(*reversed(records))
    assert (back.kind, back.worse, back.case) == (Kind.CLAUSE, not worse, ID)
    assert back.text.startswith(f"1 case: {after} before, now {before}: output in training (1)")
    assert [regressions(difference(*pair)) for pair in (records, records[::-1])] == [(change,), ()]


OTHERWISE = "1 case: wrong with other values: output in training (1); in it y is {}, expected {}"


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (case(Status.WRONG), case(Status.WRONG), None),
        (case(Status.WRONG), case(Status.WRONG, actual="1.2546"), None),  # the bound is 0.0025
        (case(Status.WRONG), case(Status.WRONG, actual="1.2556"), OTHERWISE.format("1.2556", "1.5")),
        (case(Status.WRONG), case(Status.WRONG, actual="1.75"), OTHERWISE.format("1.75", "1.5")),
        (case(Status.WRONG), case(Status.WRONG, expected="1.6", actual="1.35", margin=140.0), None),  # of another element
        (case(Status.WRONG), case(Status.WRONG, expected="1.6", actual="1.35", margin=160.0), OTHERWISE.format("1.35", "1.6")),
        (case(Status.WRONG), case(Status.WRONG, expected="1.6", actual="1.35", margin=60.0), OTHERWISE.format("1.35", "1.6")),
        (case(Status.WRONG, margin=1e300, actual="nan"), case(Status.WRONG, margin=1e300, actual="nan"), None),
        (case(Status.WRONG, margin=1e300, actual="nan"), case(Status.WRONG), OTHERWISE.format("1.25", "1.5")),
        (case(Status.WRONG), case(Status.WRONG, margin=1e300, actual="nan"), OTHERWISE.format("nan", "1.5")),
        (case(Status.WRONG, margin=1e300, actual="inf"), case(Status.WRONG), OTHERWISE.format("1.25", "1.5")),
        (
            case(Status.WRONG, margin=1e300, actual="inf"),
            case(Status.WRONG, margin=1e300, actual="-inf"),
            OTHERWISE.format("-inf", "1.5"),
        ),
        (case(Status.WRONG, margin=None, actual="(4,)"), case(Status.WRONG, margin=None, actual="(4,)"), None),
        (
            case(Status.WRONG, margin=None, actual="(4,)"),
            case(Status.WRONG, margin=None, actual="(3,)"),
            OTHERWISE.format("(3,)", "1.5"),
        ),
        (case(Status.WRONG), case(Status.WRONG, quantity="z"), OTHERWISE.format("1.25", "1.5").replace("in it y", "in it z")),
        (
            case(Status.KNOWN, reason="as in the paper"),
            case(Status.KNOWN, reason="as in the paper", actual="2"),
            None,
        ),
    ],
)
def test_both_wrong(before: CaseRecord, after: CaseRecord, text: str | None) -> None:
    """Two wrong values are told apart where rounding does not explain it; neither is worse."""
    expected = [] if text is None else [(Kind.CLAUSE, text, None)]
    assert told(record({ID: before}), record({ID: after})) == expected
    assert len(told(record({ID: after}), record({ID: before}))) == len(expected)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            case(Status.WRONG, "no epsilon"),
            case(Status.WRONG, "epsilon twice", actual="2"),
            "wrong (no epsilon) before, now wrong (epsilon twice)",
        ),
        (
            case(Status.KNOWN, reason="as in the paper"),
            case(Status.KNOWN, reason="as in the thesis"),
            "known deviation (as in the paper) before, now known deviation (as in the thesis)",
        ),
        (case(Status.WRONG), case(Status.WRONG, grade="one-pass"), "wrong with other values"),
    ],
)
def test_another_cause(before: CaseRecord, after: CaseRecord, words: str) -> None:
    """A case that deviates for another cause, or by another family of algorithms, has changed, and is not worse."""
    (change,) = difference(record({ID: before}), record({ID: after}))
    assert change.text.startswith(f"1 case: {words}: output in training (1); in it y is ")
    assert change.worse is None


def test_groups() -> None:
    """Cases of one change and cause are told together, whatever the clause, by the smallest of them; another cause apart."""
    both = replace(
        case(Status.WRONG, "a"),
        checks={**case(Status.WRONG).checks, **case(Status.WRONG, clause="moving-mean", actual="2").checks},
    )
    old = record({THIRD: FINE, LARGER: FINE, ID: FINE})
    new = record({THIRD: case(Status.WRONG, "b"), LARGER: both, ID: case(Status.WRONG, "a")})
    assert [(change.text, change.case) for change in difference(old, new)] == [
        ("1 case: conforms before, now wrong (b): output in training (1); in it y is 1.25, expected 1.5", THIRD),
        (
            "2 cases: conforms before, now wrong (a): output in training (2), moving mean (1); in it y is 1.25, expected 1.5",
            ID,
        ),
    ]


@pytest.mark.parametrize(
    ("status", "others", "worse"), [(Status.KNOWN, 10, None), (Status.KNOWN, 8, True), (Status.WRONG, 10, True)]
)
def test_a_case_at_the_edge(status: str, others: int, worse: bool | None) -> None:
    """One case more beside ten with the same known deviation is no regression; beside eight, or if it is wrong, it is."""
    found = case(status, reason="as in the paper")
    rest = {f"shape:{n}x3/steps:T": found for n in range(100, 100 + others)}
    (change,) = difference(record({ID: FINE, **rest}), record({ID: found, **rest}))
    assert change.worse is worse


# --- errors, margins, coverage


def test_errors() -> None:
    """An exception that appears is a regression, one that vanishes an improvement, another one a change."""
    fine, wrong = record({ID: FINE, LARGER: FINE}), record({ID: case(Status.WRONG), LARGER: FINE})
    raises = record({ID: raising("ValueError: no axis"), LARGER: raising("ValueError: no\n  axis")})
    other = record({ID: raising("TypeError: 3"), LARGER: FINE})
    assert told(fine, raises) == [(Kind.ERROR, "2 cases now raise ValueError: no axis", True)]
    assert told(raises, fine) == [(Kind.ERROR, "2 cases no longer raise ValueError: no axis", False)]
    assert told(wrong, other) == [(Kind.ERROR, "1 case now raises TypeError: 3", True)]
    assert told(raises, other) == [
        (Kind.ERROR, "1 case now raises TypeError: 3, no longer ValueError: no axis", None),
        (Kind.ERROR, "1 case no longer raises ValueError: no axis", False),
    ]
    assert told(raises, raises) == []


@pytest.mark.parametrize(
    ("before", "after", "grown"),
    [
        (0.02, 0.5, True),
        (0.02, 0.15, False),
        (0.004, 0.049, False),
        (0.0049, 0.05, True),
        (0.5, 0.02, False),
        (None, 0.9, False),
    ],
)
def test_margins_of_cases(before: float | None, after: float, grown: bool) -> None:
    """A margin that grew tenfold within the bound is mentioned where it is felt, and is no regression."""
    found = told(record({ID: CaseRecord(Status.CONFORMS, before)}), record({ID: CaseRecord(Status.CONFORMS, after)}))
    text = f"1 case conforms with a margin more than 10 times larger than before, such as from {before} to {after}"
    assert found == ([(Kind.MARGIN, text, None)] if grown else [])


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ((0.02, "blocked"), (0.5, "blocked"), "moving mean: the worst margin grew from 0.02 to 0.5, within the bound"),
        ((0.02, "blocked"), (0.1, "sequential"), "moving mean: the worst grade was blocked, now sequential"),
        ((0.02, "blocked"), (0.1, "blocked"), None),
    ],
)
def test_margins_of_clauses(before: tuple[float, str], after: tuple[float, str], text: str | None) -> None:
    """Of a clause that conforms in both, a margin grown tenfold or another grade is mentioned, and is no regression."""
    old, new = (
        replace(record(), clauses={"moving-mean": ClauseRecord({Status.CONFORMS: 9}, grade, margin)})
        for margin, grade in (before, after)
    )
    assert told(old, new) == ([] if text is None else [(Kind.MARGIN, text, None)])


def test_coverage() -> None:
    """Cases asked in one record alone are told; cases that can no longer be asked are a regression."""
    old, new = record({ID: FINE, LARGER: FINE}), record({ID: FINE, THIRD: FINE, UNSUPPORTED: FINE})
    assert told(old, new) == [(Kind.COVERAGE, "1 case no longer asked", None), (Kind.COVERAGE, "2 cases newly asked", None)]
    refusing = record({ID: CaseRecord(Status.UNSUPPORTED, reason="float32 only"), LARGER: FINE})
    assert told(old, refusing) == [(Kind.COVERAGE, "1 case no longer supported: float32 only", True)]
    assert told(refusing, old) == [(Kind.COVERAGE, "1 case newly supported; before: float32 only", None)]
    assert told(refusing, refusing) == []


# --- arguments, weights, promises


@pytest.mark.parametrize(
    ("changes", "text", "worse"),
    [
        ({"arguments": {"axis": "-1", "fused": ""}}, "argument momentum vanished", True),
        ({"arguments": {**DECLARED.arguments, "renorm": "False"}}, "argument renorm is new (default False)", None),
        ({"arguments": {**DECLARED.arguments, "kwargs": ""}}, "argument kwargs is new", None),
        ({"arguments": {**DECLARED.arguments, "momentum": "0.9"}}, "default of momentum changed from 0.99 to 0.9", True),
        ({"arguments": {**DECLARED.arguments, "fused": "None"}}, "default of fused changed from none to None", True),
        (
            {"arguments": {"momentum": "0.99", "axis": "-1", "fused": ""}},
            "arguments moved: axis from position 1 to 2; the order is now momentum, axis, fused",
            True,
        ),
        ({"call": ("inputs",)}, "call argument training vanished", True),
        ({"call": ("inputs", "training", "mask")}, "call argument mask is new", None),
        (
            {"call": ("training", "inputs")},
            "call arguments moved: inputs from position 1 to 2; the order is now training, inputs",
            True,
        ),
        ({"weights": ("gamma float32",)}, "weight beta vanished", True),
        ({"weights": (*DECLARED.weights, "renorm float32")}, "weight renorm is new", None),
        ({"weights": DECLARED.weights[::-1]}, "weights moved: gamma from position 1 to 2; the order is now beta, gamma", True),
        ({"weights": ("gamma float16", "beta float32")}, "weight gamma changed from float32 to float16", True),
        ({"config": {"momentum": 0.9}}, "get_config()['momentum'] changed from 0.99 to 0.9", True),
        ({"config": {"momentum": 0.99, "dtype": "float32"}}, None, None),
    ],
)
def test_interface(changes: dict[str, Any], text: str | None, worse: bool | None) -> None:
    """Arguments and weights that vanish, move or change are regressions; new ones are told."""
    new = record(interface=replace(DECLARED, **changes))
    assert told(record(interface=DECLARED), new) == ([] if text is None else [(Kind.INTERFACE, text, worse)])


def test_promises() -> None:
    """What a release promises otherwise is told first, clause by clause, then what can be asked; none of it is a regression."""
    old, new = record(era="Keras 2 in TensorFlow 2"), record(era="Keras 3")
    dtypes = "every weight has the policy's variable dtype"
    dtypes_3 = f"{dtypes}: float32 under mixed policies, float16 under float16"
    dtypes_2 = f"{dtypes}; under 16-bit policies it is float32"
    losses = "the sum of layer.losses is the sum of gamma_regularizer and beta_regularizer"
    losses_3, losses_2 = f"{losses}; a frozen layer has no losses", f"{losses}, whether the layer is frozen or not"
    read = "what get_weights() gives with replicas"
    read_3 = (
        "get_weights() gives one replica's value, or the mean of all replicas' values; for moving statistics that each replica "
        "updated from its own shard, Keras does not promise which"
    )
    read_2 = "get_weights() gives the mean of the replicas' values (aggregation MEAN, ON_READ)"
    mistake = "a list of axes is allowed in Keras 2"
    saved = "Keras 3 cannot save or load models in the SavedModel format"
    integers = "Keras 2 does not convert integer inputs and does not document them"
    stateless, parallel = "stateless_call needs Keras 3", "keras.distribution needs Keras 3"
    axes = "Keras 3 allows one integer as axis, not a list as tf.keras 2 does"
    assert told(old, new) == [
        (Kind.PROMISE, "judged by the promises of Keras 3; before: Keras 2 in TensorFlow 2", None),
        (Kind.PROMISE, f"weight dtypes: the promise is now “{dtypes_3}”; before: “{dtypes_2}”", None),
        (Kind.PROMISE, f"losses of regularizers: the promise is now “{losses_3}”; before: “{losses_2}”", None),
        (Kind.PROMISE, f"{read}: the promise is now “{read_3}”; before: “{read_2}”", None),
        (Kind.PROMISE, f"no longer available: file:savedmodel ({saved})", None),
        (Kind.PROMISE, f"now available: integer inputs (before: {integers})", None),
        (Kind.PROMISE, f"now available: misuse:axis-list (before: {mistake})", None),
        (Kind.PROMISE, f"now available: mode:stateless (before: {stateless})", None),
        (Kind.PROMISE, f"now available: parallel (before: {parallel})", None),
        (Kind.PROMISE, f"no longer available: several axes ({axes})", None),
    ]
    assert told(new, old) == [
        (Kind.PROMISE, "judged by the promises of Keras 2 in TensorFlow 2; before: Keras 3", None),
        (Kind.PROMISE, f"weight dtypes: the promise is now “{dtypes_2}”; before: “{dtypes_3}”", None),
        (Kind.PROMISE, f"losses of regularizers: the promise is now “{losses_2}”; before: “{losses_3}”", None),
        (Kind.PROMISE, f"{read}: the promise is now “{read_2}”; before: “{read_3}”", None),
        (Kind.PROMISE, f"now available: file:savedmodel (before: {saved})", None),
        (Kind.PROMISE, f"no longer available: integer inputs ({integers})", None),
        (Kind.PROMISE, f"no longer available: misuse:axis-list ({mistake})", None),
        (Kind.PROMISE, f"no longer available: mode:stateless ({stateless})", None),
        (Kind.PROMISE, f"no longer available: parallel ({parallel})", None),
        (Kind.PROMISE, f"now available: several axes (before: {axes})", None),
    ]
    assert told(old, old) == []


def test_what_neither_promises() -> None:
    """What two releases both lack is not told of either."""
    changes = difference(record(era="multi-backend Keras before 2.1.3"), record(era="multi-backend Keras"))
    assert {change.kind for change in changes} == {Kind.PROMISE}
    assert [change.text.split(":")[0] for change in changes[1:]] == ["a frozen layer updates nothing"]


# --- records of runs


@pytest.mark.slow
@pytest.mark.parametrize("key", ["epsilon-outside", "no-epsilon", "never-updated"])
def test_a_fault_that_comes_and_goes(key: str) -> None:
    """A fault that a release brings is told as regressions with its cause, and as improvements where it is mended."""
    right, wrong = recorded(ReferenceTarget()), recorded(ReferenceTarget(HYPOTHESIS_BY_KEY[key].formulas))
    brought = [change for change in difference(right, wrong) if change.kind is Kind.CLAUSE]
    mended = [change for change in difference(wrong, right) if change.kind is Kind.CLAUSE]
    assert len(brought) == len(mended) >= 2
    assert {change.worse for change in brought} == {True}
    assert {change.worse for change in mended} == {False}
    assert any(HYPOTHESIS_BY_KEY[key].cause in change.text for change in brought)
    assert difference(wrong, wrong) == difference(right, right) == ()


def test_other_inputs_are_no_regression() -> None:
    """Two runs of one layer on other numbers differ by rounding: nothing but margins can be told."""
    changes = difference(recorded(ReferenceTarget()), recorded(ReferenceTarget(), seed=1))
    assert {change.kind for change in changes} <= {Kind.MARGIN, Kind.COVERAGE}
    assert "the seed of the inputs is 1; before: 0" in {change.text for change in changes}
    assert regressions(changes) == ()
