"""Sub-cases: the single calls that a step makes, each with its inputs, its observation and its place in the whole case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnverify.cases.fills import Inputs
from bnverify.cases.ids import parse
from bnverify.cases.steps import Step
from bnverify.reference.sub_cases import shards, sub_cases_of, together
from bnverify.values import InnerCall, Observation, StepObservation

X = np.arange(12.0).reshape(4, 3)
STATISTICS = {"moving_mean": np.zeros(3), "moving_variance": np.ones(3)}


def inner(label: str, rows: slice, step: int = 0, **changes: Any) -> InnerCall:
    """A call of a replica with some rows of X."""
    given = {
        "training": True,
        "trainable": True,
        "policy": "float32",
        "dtype": "float32",
        "x": X[rows],
        "mask": None,
        "before": STATISTICS,
        "after": StepObservation(STATISTICS, (), X[rows] + 100),
    }
    return InnerCall(label, step, **{**given, **changes})


def of_replicas(id_: str, *calls: InnerCall) -> tuple[Any, ...]:
    return sub_cases_of(parse(id_), Inputs(None, (X,)), Observation(inner=calls), True) or ()


def test_a_case_that_makes_one_call_a_step_has_none() -> None:
    """None means that the case's own calls are judged; a case of misuse has no call to judge."""
    assert sub_cases_of(parse("shape:4x3/steps:T"), Inputs(None, (X,)), Observation(), True) is None
    assert sub_cases_of(parse("shape:4x3/misuse:keyword/steps:I"), Inputs(None, (X,)), Observation(), True) == ()


def test_replicas_that_share_nothing_are_judged_by_their_shards() -> None:
    """Each call has the shape of its own shard, and its step in the whole case."""
    calls = (inner("replica 1", slice(0, 3), 2), inner("replica 2", slice(3, 4), 2))
    found = of_replicas("shape:4x3/mode:mirrored2/steps:TIT", *calls)
    assert [(one.label, one.case.shape, one.steps, one.alone) for one in found] == [
        ("replica 1", (3, 3), (2,), None),
        ("replica 2", (1, 3), (2,), None),
    ]
    np.testing.assert_array_equal(found[1].inputs.batches[0], X[3:])


def test_synchronized_replicas_are_judged_by_the_whole_batch() -> None:
    """In training each call has all shards and all outputs, and knows its own shard; in inference and frozen it is its own."""
    calls = (inner("replica 1", slice(0, 3)), inner("replica 2", slice(3, 4)))
    id_ = "shape:4x3/synchronized:True/mode:mirrored2/steps:T"
    found = of_replicas(id_, *calls)
    assert [(one.label, one.case.shape, one.alone.case.shape) for one in found] == [
        ("replica 1", (4, 3), (3, 3)),
        ("replica 2", (4, 3), (1, 3)),
    ]
    np.testing.assert_array_equal(found[0].inputs.batches[0], X)
    np.testing.assert_array_equal(found[0].observation.steps[0].y, X + 100)
    for change in ({"training": False}, {"trainable": False}):
        alone = of_replicas(id_, *(replace(call, **change) for call in calls))
        assert [one.case.shape for one in alone] == [(3, 3), (1, 3)]


def test_an_output_that_is_missing_leaves_replicas_alone() -> None:
    """If one replica gave no output, the batch cannot be put together."""
    silent = inner("replica 2", slice(3, 4), after=StepObservation(STATISTICS, ()))
    found = of_replicas("shape:4x3/synchronized:True/mode:mirrored2/steps:T", inner("replica 1", slice(0, 3)), silent)
    assert [one.case.shape for one in found] == [(3, 3), (1, 3)]


@pytest.mark.parametrize(
    ("id_", "answer"),
    [
        ("shape:4x3/mode:mirrored2/steps:T", False),
        ("shape:4x3/synchronized:True/mode:mirrored2/steps:T", True),
        ("shape:4x3/mode:parallel2/steps:T", True),
    ],
)
def test_who_normalizes_with_the_whole_batch(id_: str, answer: bool) -> None:
    """Synchronized replicas, and devices that compute as one."""
    assert together(parse(id_)) is answer


def test_the_shards_of_a_case() -> None:
    """Seven samples over two replicas are four and three; the masks are cut with them."""
    x, mask = np.arange(21.0).reshape(7, 3), np.arange(7) > 2
    case = parse("shape:7x3/mask:random/mode:mirrored2/steps:TF")
    found = shards(case, Inputs(None, (x, None), (mask, None)))
    assert [(label, own.shape) for label, own, _ in found] == [("replica 1", (4, 3)), ("replica 2", (3, 3))]
    np.testing.assert_array_equal(found[1][2].batches[0], x[4:])
    np.testing.assert_array_equal(found[1][2].masks[0], mask[4:])
    assert found[0][2].batches[1] is None


@pytest.mark.parametrize(("training", "step"), [(True, Step.TRAIN), (False, Step.INFER), (None, Step.NOT_GIVEN)])
def test_a_call_in_a_network_has_the_arguments_that_its_layer_was_made_with(training: bool | None, step: Step) -> None:
    """Axis, epsilon and `trainable` are the layer's; arguments that are none of the layer's are left out."""
    given = {"axis": [1], "epsilon": 0.5, "name": "bn"}
    call = inner("bn_2", slice(0, 2), 3, training=training, trainable=False, arguments=given, policy="mixed_float16")
    (found,) = sub_cases_of(parse("shape:4x4/network:iris/steps:T"), Inputs({}, ()), Observation(inner=(call,)), True) or ()
    assert found.case.config.axis == 1
    assert (found.case.config.epsilon, found.case.config.trainable, found.case.policy) == (0.5, False, "mixed_float16")
    assert (found.case.steps, found.case.network, found.steps, found.label) == ((step,), "", (3,), "bn_2")
    assert found.inputs.weights == STATISTICS


def shared(first: float, second: float, moved: list[float], momentum: str = "0.5") -> Any:
    """The sub-case of two calls of one layer, on batches of one value each, after which the moving mean is `moved`."""
    case = parse(f"shape:2x1/momentum:{momentum}/mode:shared/steps:T2")
    x, other = np.full((2, 1), first), np.full((2, 1), second)
    steps = tuple(StepObservation({"moving_mean": np.array(moved)}, (), batch + 0.5) for batch in (x, other))
    (found,) = (
        sub_cases_of(case, Inputs(None, (x, other)), Observation(initial={"moving_mean": np.zeros(1)}, steps=steps), True) or ()
    )
    return found


def test_the_moving_mean_shows_the_order_of_two_calls() -> None:
    """Means 4 and 16, momentum 1/2: 0 -> 2 -> 9 in the given order, 0 -> 8 -> 6 in the other."""
    assert shared(4, 16, [9.0]).steps == (0, 1)
    turned = shared(4, 16, [6.0])
    assert turned.steps == (1, 0)
    assert [float(x[0, 0]) for x in turned.inputs.batches] == [16.0, 4.0]
    assert [float(step.y[0, 0]) for step in turned.observation.steps] == [16.5, 4.5]


def test_a_moving_mean_that_is_no_number_shows_no_order() -> None:
    """NaN, another shape or no moving mean: the calls stay in the order of the steps."""
    assert shared(4, 16, [np.nan]).steps == (0, 1)
    assert shared(4, 16, [6.0, 6.0]).steps == (0, 1)


def test_time_slices_are_calls_in_order() -> None:
    """Over two slices: two calls for the step that calls, one entry for the freeze; weights can be observed at the last."""
    x = np.arange(12.0).reshape(2, 2, 3)
    case = parse("shape:2x2x3/mode:timedistributed/steps:TF")
    seen = (StepObservation(STATISTICS, (), x * 2), StepObservation(STATISTICS, ()))
    (found,) = sub_cases_of(case, Inputs(None, (x, None)), Observation(steps=seen), True) or ()
    assert (found.case.shape, found.case.steps) == ((2, 3), (Step.TRAIN, Step.TRAIN, Step.FREEZE))
    assert found.steps == (0, 0, 1)
    np.testing.assert_array_equal(found.inputs.batches[1], x[:, 1])
    np.testing.assert_array_equal(found.observation.steps[1].y, x[:, 1] * 2)
    assert [step.hidden for step in found.observation.steps] == [("weights",), (), ()]
    assert sub_cases_of(case, Inputs(None, (x, None)), Observation(steps=seen), slices=False) is None
