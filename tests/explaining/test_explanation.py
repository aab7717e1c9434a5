"""Explain and trace on layers with planted faults: what is wrong is said, and no cause is named that is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import bnverify

RNG = np.random.default_rng(0)
X = RNG.normal(2, 3, (16, 4)).astype(np.float32)


class Textbook(keras.layers.BatchNormalization):
    """Rank 2, written out: subclasses change one thing."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        x = keras.ops.convert_to_tensor(inputs)
        mean, variance = self.moving_mean + 0, self.moving_variance + 0  # as they were before the update
        if self.trains(training):
            mean, variance = keras.ops.mean(x, 0), keras.ops.var(x, 0)
        if self.moves(training):
            keep = self.momentum
            self.moving_mean.assign(self.moving_mean * keep + keras.ops.mean(x, 0) * (1 - keep))
            self.moving_variance.assign(self.moving_variance * keep + keras.ops.var(x, 0) * (1 - keep))
        return self.after((x - mean) / keras.ops.sqrt(variance + self.epsilon) * self.gamma + self.beta)

    def trains(self, training: Any) -> bool:
        return bool(training)

    def moves(self, training: Any) -> bool:
        return bool(training)

    def after(self, y: Any) -> Any:
        return y


def explained(training: bool, **changes: Callable[..., Any]) -> bnverify.Explained:
    layer = type("Faulty", (Textbook,), changes)()
    layer.build((None, 4))
    return bnverify.explain(layer, X, training=training)


def test_the_textbook_is_right() -> None:
    """What the faults are planted into conforms."""
    assert explained(True).ok
    assert explained(False).ok


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "after",
    [
        lambda self, y: y + 1e-5,
        lambda self, y: y + 1e-3,
        lambda self, y: y * keras.ops.array([1.0, 1.001, 1.0, 1.0]),
        lambda self, y: keras.ops.concatenate([y[:1], y[1:] * 1.01]),
    ],
    ids=["offset", "larger offset", "one channel", "all samples but one"],
)
def test_what_is_no_rounding_is_not_called_rounding(training: bool, after: Callable[..., Any]) -> None:
    """A constant, one channel, or a factor: wrong, and not because of a narrower format."""
    e = explained(training, after=after)
    assert not e.ok
    assert "rounding" not in e.cause


def test_rounding_still_is() -> None:
    """y computed from float16 statistics has errors of that size."""

    class Half(keras.layers.BatchNormalization):
        def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
            half = keras.ops.cast(keras.ops.cast(inputs, "float16"), "float32")
            return super().call(half, training=training)

    layer = Half()
    layer.build((None, 4))
    assert "float16" in bnverify.explain(layer, X, training=True).cause


@pytest.mark.parametrize(
    ("training", "changes", "cause"),
    [
        (
            False,
            {"trains": lambda self, t: True, "moves": lambda self, t: True},
            "training=False is ignored: every call trains",
        ),
        (
            True,
            {"trains": lambda self, t: False, "moves": lambda self, t: False},
            "training=True is ignored: every call is inference",
        ),
        (True, {"moves": lambda self, t: False}, "the moving statistics are never updated"),
        (False, {"moves": lambda self, t: True}, "inference updates the moving statistics"),
        (False, {"trains": lambda self, t: True}, "inference normalizes with the batch statistics"),
    ],
)
def test_a_cause_is_named(training: bool, changes: Any, cause: str) -> None:
    """What the training argument does, and does not."""
    assert cause in explained(training, **changes).cause


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"after": lambda self, y: keras.ops.transpose(y)}, "WRONG: output shape: y: expected (16, 4), got (4, 16)"),
        ({"after": lambda self, y: keras.ops.cast(y, "float64")}, "WRONG: output dtype: y: expected float32, got float64"),
    ],
)
def test_what_fails_is_said_in_words(changes: Any, says: str) -> None:
    """Where no formula is the cause: which rule is broken, by what."""
    e = explained(False, **changes)
    assert not e.ok
    assert says in str(e)


def test_a_layer_that_answers_otherwise_the_second_time() -> None:
    """Right when it is first called, wrong when it is called once more."""
    calls: list[int] = []

    def after(self: Any, y: Any) -> Any:
        calls.append(1)
        return y + 1e-3 * (len(calls) > 1)

    e = explained(True, after=after)
    assert not e.ok
    assert "WRONG: in a second call, with other gamma and beta, these are wrong: " in str(e)


def test_a_known_deviation_is_told_by_trace() -> None:
    """A mask that lets nothing count: Keras' statistics go to 0, the reference's are 0/0."""
    x = RNG.normal(size=(5, 4, 3)).astype(np.float32)
    t = bnverify.trace({}, [x] * 2, masks=[np.zeros((5, 4), bool)] * 2)
    assert t.ok
    assert "The moving statistics are a known deviation: " in str(t)
    assert "inf" not in str(t).split("The moving")[1].splitlines()[0]


def test_never_is_given_a_reason() -> None:
    """Small batches that differ in their means."""
    batches = [RNG.normal(10 * (i % 2), 1, (2, 2)).astype(np.float32) for i in range(20)]
    text = str(bnverify.trace({}, batches))
    assert "0.99: never" in text
    assert "Never, because the batches differ: on average their variance is 0.0" in text
