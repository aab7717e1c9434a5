"""Subjects: what a user gives becomes a case with inputs, and what does not fit is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bnverify.cases.layer_config import LayerConfig
from bnverify.cases.steps import Step
from bnverify.errors import BadInput
from bnverify.explaining.subject import as_batch, make_subject

X = np.arange(6, dtype=np.float32).reshape(3, 2)


def subject(
    arguments: dict[str, Any] | None = None, weights: Any = None, batches: Any = (X,), training: Any = True, **more: Any
) -> Any:
    return make_subject("bn", arguments or {}, weights, batches, training, **more)


@pytest.mark.parametrize(
    ("training", "step"), [(True, Step.TRAIN), (False, Step.INFER), (None, Step.NOT_GIVEN), (np.True_, Step.TRAIN)]
)
def test_one_call_for_each_batch(training: Any, step: Step) -> None:
    """The case has the shape and dtype of the first batch, and as many steps as batches."""
    made = subject(batches=[X, X[:2]], training=training)
    assert (made.case.shape, made.case.dtype, made.case.steps, made.case.weights) == (
        (3, 2),
        "float32",
        (step, step),
        "initial",
    )
    assert [batch.shape for batch in made.inputs.batches] == [(3, 2), (2, 2)]
    assert made.inputs.weights is None


@pytest.mark.parametrize(
    ("arguments", "config", "policy"),
    [
        ({}, LayerConfig(), "float32"),
        ({"axis": [1]}, LayerConfig(axis=1), "float32"),
        ({"axis": [0, 1]}, LayerConfig(axis=(0, 1)), "float32"),
        ({"axis": np.int64(1), "momentum": 1, "epsilon": None}, LayerConfig(axis=1, momentum=1.0), "float32"),
        (
            {"renorm": True, "renorm_clipping": {"rmax": 3}},
            LayerConfig(renorm=True, renorm_clipping=(("rmax", 3.0),)),
            "float32",
        ),
        ({"name": "bn_1", "gamma_initializer": "ones", "fused": True, "virtual_batch_size": None}, LayerConfig(), "float32"),
        ({"dtype": {"config": {"name": "mixed_float16"}}}, LayerConfig(), "mixed_float16"),
        ({"dtype": None}, LayerConfig(), "float32"),
    ],
)
def test_what_get_config_gives(arguments: dict[str, Any], config: LayerConfig, policy: str) -> None:
    """One axis in a list is one axis; what does not change a call is left out; a policy may be nested."""
    made = subject(arguments)
    assert (made.case.config, made.case.policy) == (config, policy)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"axis": 2}, "axis: got 2; allowed for x of shape (3, 2): -2 to 1"),
        ({"axis": [1, -1]}, "axis: got [1, -1]; allowed: an integer, or a list of different integers"),
        ({"axis": True}, "axis: got True"),
        ({"axis": 1.0}, "axis: got 1.0"),
        ({"axis": []}, "axis: got []"),
        ({"momentum": "high"}, "momentum: got 'high'; allowed: a number"),
        ({"epsilon": float("nan")}, "epsilon: got nan; allowed: a number"),
        ({"momentum": True}, "momentum: got True"),
        ({"epsilon": 10**400}, "epsilon: got 1000"),
        ({"center": 1}, "center: got 1; allowed: True, False"),
        ({"renorm_clipping": {"max": 1}}, "renorm_clipping: got {'max': 1}; allowed: a dict with rmin, rmax and dmax"),
        ({"renorm_clipping": {"rmax": "x"}}, "renorm_clipping, rmax: got 'x'; allowed: a number"),
        ({"virtual_batch_size": 4}, "virtual_batch_size: got 4; allowed: None"),
        ({"dtype": "int8"}, "dtype: got 'int8'"),
        ({"mean": 3}, "argument 'mean' is unknown"),
    ],
)
def test_an_argument_that_does_not_fit(arguments: dict[str, Any], says: str) -> None:
    """The argument, what was got, and what is allowed."""
    with pytest.raises(BadInput) as caught:
        subject(arguments)
    assert str(caught.value).startswith(says)


def test_weights_are_rounded_to_the_format_that_stores_them() -> None:
    """0.1 as float32, and as float16; one number stands for all channels; what is missing has its initial value."""
    made = subject(weights={"gamma": 0.1, "moving_mean": [1, 2]})
    assert made.case.weights == "random"
    assert {name: value.tolist() for name, value in made.inputs.weights.items()} == {
        "gamma": [0.10000000149011612] * 2,
        "beta": [0.0, 0.0],
        "moving_mean": [1.0, 2.0],
        "moving_variance": [1.0, 1.0],
    }
    half = subject({"dtype": "float16"}, {"gamma": [0.1, 0.1]}, [X.astype(np.float16)])
    assert half.inputs.weights["gamma"].tolist() == [0.0999755859375] * 2


def test_weights_of_several_axes_have_the_rank_of_x() -> None:
    """As in Keras 2, from a flat list."""
    made = subject({"axis": [0, 1]}, {"gamma": list(range(6))})
    assert made.inputs.weights["gamma"].shape == (3, 2)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"gamma": [1, 2, 3]}, "gamma of shape (3,) does not fit x: x has 2 channels along axis -1"),
        ({"sigma": 1}, "weight 'sigma' is not a weight of this layer; allowed: gamma, beta"),
        ({"gamma": "x"}, "weight gamma: got 'x'; allowed: numbers, one for each channel"),
        ({"gamma": [True, False]}, "weight gamma: got [True, False]"),
        ({"gamma": 1e39}, "weight gamma: got 1e+39; allowed: up to 3.40282e+38, the largest float32"),
        ([1, 2], "weights: got list; allowed: a dict by gamma, beta"),
    ],
)
def test_a_weight_that_does_not_fit(weights: Any, says: str) -> None:
    """Another number of values, another name, no numbers, or too large."""
    with pytest.raises(BadInput) as caught:
        subject(weights=weights)
    assert str(caught.value).startswith(says)


def test_an_infinite_weight_is_taken() -> None:
    """Infinity itself is a value; only a finite number that becomes infinite is refused."""
    assert subject(weights={"gamma": [np.inf, 1]}).inputs.weights["gamma"].tolist() == [np.inf, 1.0]


@pytest.mark.parametrize(
    ("x", "policy", "dtype"),
    [
        ([[1, 2], [3, 4]], "float32", "float32"),
        ([[1, 2], [3, 4]], "float64", "float64"),
        ([[1, 2], [3, 4]], "mixed_float16", "float16"),
        ([[1, 2], [3, 4]], "bfloat16", "float32"),
        (np.array([[1, 2]]), "float32", "int64"),
        (np.zeros((2, 2), np.float16), "float32", "float16"),
    ],
)
def test_lists_have_the_dtype_of_the_policy_and_arrays_their_own(x: Any, policy: str, dtype: str) -> None:
    """As Keras converts them."""
    assert as_batch(x, policy, "x").dtype.name == dtype


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.ma.masked_array([[1.0]]), "x: got a masked array; allowed: an array, and a separate mask"),
        ([[1], [1, 2]], "x: is not an array"),
        ([["a"]], "x: got <U1 of shape (1, 1)"),
        (np.zeros((2, 2), np.uint16), "x: got uint16"),
        (np.zeros((2, 2), complex), "x: got complex128 of shape (2, 2)"),
        (np.zeros(3), "x: got shape (3,); allowed: two axes or more"),
        (np.zeros((0, 3)), "x: got shape (0, 3), which has no values"),
        (None, "x: got NoneType, not an array of numbers"),
    ],
)
def test_a_batch_that_is_none(x: Any, says: str) -> None:
    """What it is, and what is allowed."""
    with pytest.raises(BadInput) as caught:
        as_batch(x, "float32", "x")
    assert str(caught.value).startswith(says)


def test_batches_agree_along_the_kept_axis() -> None:
    """Other numbers of rows are fine; another number of channels, rank or dtype is not."""
    for other in (np.zeros((3, 3), np.float32), np.zeros((3, 2, 1), np.float32), np.zeros((3, 2))):
        with pytest.raises(BadInput, match=r"^batch 1: got .*the same size along the kept axis -1"):
            subject(batches=[X, other])


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        ([1, 0], "mask: got shape (2,)"),
        ([[1, 0]] * 3, "mask: got shape (3, 2)"),
        ([2, 0, 1], "mask: got 2; allowed: booleans, or numbers 1 and 0"),
        (["a", "b", "c"], "mask: got <U1"),
        ([[1], [1, 0]], "mask: is not an array"),
    ],
)
def test_a_mask_that_does_not_fit(mask: Any, says: str) -> None:
    """Of the axes of x without the last, with 1 and 0."""
    with pytest.raises(BadInput) as caught:
        subject(masks=[mask])
    assert str(caught.value).startswith(says)


def test_masks_go_with_their_batches() -> None:
    """One for each, or none; size 1 is allowed along an axis."""
    made = subject(batches=[X, X], masks=[[True, False, True], [1]])
    assert made.case.mask == "random"
    assert [mask.tolist() for mask in made.inputs.masks] == [[True, False, True], [1]]
    with pytest.raises(BadInput, match="masks: got 1; allowed: 2, one for each batch, or none"):
        subject(batches=[X, X], masks=[[1, 1, 1]])


@pytest.mark.parametrize("training", [1, "True", 0.0])
def test_training_is_a_boolean_or_none(training: Any) -> None:
    """1 is no True: Keras itself would take it, and a reader would not know which."""
    with pytest.raises(BadInput, match=r"training: got .*; allowed: True, False, or None"):
        subject(training=training)
