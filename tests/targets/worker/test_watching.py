"""Watching: what a keeper stored must be a value of the dtype that the layer saw, and an optimizer's change is no call's."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from support.frameworks import Framework, batch_normalization

from bnverify.targets.worker.recording import NotHere
from bnverify.targets.worker.watching import Place, Watch, holds


@pytest.mark.parametrize(
    ("values", "dtype", "held"),
    [
        ([1.0, 1.5], "float16", True),
        ([1.0001], "float16", False),
        ([65536.0], "float16", False),
        ([1e-8], "float16", False),
        ([np.nan, np.inf], "float16", True),
        ([1.0, 1.0078125], "bfloat16", True),
        ([1.001], "bfloat16", False),
        ([1.0009765625], "bfloat16", False),  # 1 + 2^-10, of which bfloat16 keeps 1
        ([0.1], "float32", True),
    ],
)
def test_whether_a_dtype_holds_values(values: list[float], dtype: str, held: bool) -> None:
    """Rounding to it and back changes nothing."""
    assert bool(holds(np.array(values, np.float32), dtype)) is held


def watched(x: np.ndarray, y: np.ndarray, dtype: str = "float32") -> Watch:
    """One layer that saw x and gave y, in a network of two rows."""
    watch = Watch(Framework(), "float32", 2)
    around = [SimpleNamespace(kept=kept, dtype_seen=dtype) for kept in (x, y)]
    watch.places.append(Place("bn_1", batch_normalization(), {"axis": -1}, around))
    return watch


def test_a_call_of_each_layer() -> None:
    """Its input, its output, its weights before and after, and the layer's arguments."""
    x, y = np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)
    watch = watched(x, y)
    before = watch.weights()
    (call,) = watch.calls(3, False, True, before)
    assert (call["label"], call["step"], call["training"], call["arguments"]) == ("bn_1", 3, False, {"axis": -1})
    assert call["x"].tolist() == x.tolist()
    assert call["after"]["y"].tolist() == y.tolist()
    assert call["after"]["hidden"] == ["gradients"]


@pytest.mark.parametrize(("training", "trainable", "kept"), [(True, True, True), (True, False, False), (False, True, False)])
def test_the_optimizers_change_is_not_the_calls(training: bool, trainable: bool, kept: bool) -> None:
    """In a training step of a layer that is not frozen gamma and beta have their values from before the step."""
    watch = watched(np.ones((2, 2)), np.ones((2, 2)))
    before = watch.weights()
    for variable in watch.places[0].layer.weights:
        variable.value = variable.value + 1
    (call,) = watch.calls(0, training, trainable, before)
    assert (call["after"]["weights"]["gamma"].tolist() == before[0]["gamma"].tolist()) is kept
    assert call["after"]["weights"]["moving_mean"].tolist() == (before[0]["moving_mean"] + 1).tolist()


@pytest.mark.parametrize("place", [0, 1])
def test_values_that_were_not_rounded_cannot_be_observed(place: int) -> None:
    """A compiled model that keeps more precision than the dtype says: not here, for input and output alike."""
    arrays = [np.ones((2, 2), np.float32), np.ones((2, 2), np.float32)]
    arrays[place] = arrays[place] * np.float32(1.0001)
    watch = watched(*arrays, dtype="float16")
    with pytest.raises(NotHere, match="more precise than float16"):
        watch.calls(0, True, True, watch.weights())
