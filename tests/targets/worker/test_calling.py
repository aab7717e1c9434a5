"""Callers: layouts keep the values, and the constructor's arguments are given as the mode says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.frameworks import Framework

from bnverify.targets.worker.calling import Caller, Positional, laid
from bnverify.targets.worker.recording import NotHere

X = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize("layout", ["plain", "fortran", "strided", "reversed"])
def test_a_layout_keeps_the_values(layout: str) -> None:
    """Element by element, also of an empty batch."""
    np.testing.assert_array_equal(laid(X, layout), X)
    assert laid(X[:0], layout).shape == (0, 3, 4)


def test_layouts_differ_in_memory() -> None:
    """The first axis fastest; every second value; negative strides."""
    assert laid(X, "fortran").strides == (8, 16, 48)
    assert laid(X, "strided").strides == (192, 64, 16)
    assert laid(X, "reversed").strides == (-96, 32, 8)
    assert laid(X, None) is X


class KerasLayer:
    def __init__(self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, *, center: bool = True) -> None:
        self.given = (axis, momentum, epsilon, center)


def positional(factory: Any, **layer: Any) -> Any:
    framework = Framework()
    framework.keras.layers = SimpleNamespace(BatchNormalization=KerasLayer)
    framework.begin = lambda policy: {}  # type: ignore[attr-defined]
    return Positional(framework, factory, {"layer": layer, "policy": "float32"}).make()


def test_arguments_are_given_by_position() -> None:
    """Up to the last one that the case sets, with Keras' defaults between; the rest by keyword."""
    calls = []

    def factory(*args: Any, **kwargs: Any) -> None:
        calls.append((args, kwargs))

    positional(factory, epsilon=0.5)
    positional(factory, axis=1, center=False)
    positional(factory)
    assert calls == [((-1, 0.99, 0.5), {}), ((1,), {"center": False}), ((), {})]


def test_a_constructor_of_keywords_only_is_not_here() -> None:
    """It cannot be called in this mode, which is no fault."""
    with pytest.raises(NotHere, match="takes keyword arguments only"):
        positional(lambda *, axis=-1: None, axis=1)


def test_the_case_begins_when_its_arguments_are_asked_for() -> None:
    """Once for all layers of a case, so that two layers of it share a graph."""
    framework, begun = Framework(), []

    def begin(policy: str) -> dict[str, str]:
        begun.append(policy)
        return {"dtype": policy}

    framework.begin = begin  # type: ignore[attr-defined]
    caller = Caller(framework, lambda **given: given, {"layer": {"axis": 1}, "policy": "float16"})
    assert caller.make() == caller.make() == {"axis": 1, "dtype": "float16"}
    assert begun == ["float16"]


def test_a_call_that_returns_no_tensor_is_a_type_error() -> None:
    """A list of arrays, for example."""
    framework = Framework()
    framework.tensor = lambda x, dtype: x  # type: ignore[attr-defined]
    framework.call = lambda layer, x, given: [x, given]  # type: ignore[attr-defined]
    caller = Caller(framework, None, {"dtype": "float32"})
    with pytest.raises(TypeError, match="the call returned list, not a tensor"):
        caller.run([{"do": "call", "training": None, "x": X}])


def test_a_mask_that_is_none_is_passed_as_it_is() -> None:
    """Numbers and booleans become a tensor; what the layer must refuse does not."""
    framework = Framework()
    framework.mask = lambda mask: ("tensor", mask.dtype.kind)  # type: ignore[attr-defined]
    caller = Caller(framework, None, {})
    assert caller.mask(np.ones(3, bool)) == ("tensor", "b")
    assert caller.mask(True) is True
    words = np.array(["a"])
    assert caller.mask(words) is words
