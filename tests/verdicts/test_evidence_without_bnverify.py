"""What bnverify found in the installed Keras, each in a few lines without bnverify: the evidence behind known.toml."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

RNG = np.random.default_rng(0)


def differences(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, step: float) -> np.ndarray:
    """The gradient of a scalar function by central differences."""
    found = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[index] = step
        found[index] = (function(x + e) - function(x - e)) / (2 * step)
    return found


def test_second_derivatives_are_wrong_on_tensorflow() -> None:
    """The first gradient is that of the formula, the second one is off by percents: tf.nn.moments stops it at the mean."""
    layer = keras.layers.BatchNormalization(dtype="float64")
    x, v, dy = RNG.normal(size=(3, 6, 2))

    def loss(x: np.ndarray) -> np.ndarray:
        d = x - x.mean(0)
        return np.sum(dy * d / np.sqrt((d**2).mean(0) + 1e-3))

    def gradient(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return tape.gradient(y, x, output_gradients=tf.constant(dy))

    x_ = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x_)
        first = gradient(x_)
    second = tape.gradient(first, x_, output_gradients=tf.constant(v)).numpy()
    expected = (differences(loss, x + 1e-4 * v, 1e-5) - differences(loss, x - 1e-4 * v, 1e-5)) / 2e-4
    assert np.allclose(first.numpy(), differences(loss, x, 1e-5), atol=1e-7)
    assert np.abs(second - expected).max() > 0.01 * np.abs(expected).max()


def test_a_fully_masked_batch_moves_the_averages_to_zero() -> None:
    """Where nothing counts, mean and variance are taken as 0, and the moving ones decay towards that."""
    layer = keras.layers.BatchNormalization(momentum=0.5)
    layer.build((4, 3, 2))
    layer.moving_mean.assign([1.0, 1.0])
    layer(np.ones((4, 3, 2), "float32"), training=True, mask=np.zeros((4, 3), bool))
    assert layer.moving_mean.numpy().tolist() == [0.5, 0.5]
    assert layer.moving_variance.numpy().tolist() == [0.5, 0.5]


def test_a_mask_of_the_rank_of_the_inputs_raises() -> None:
    """The documentation says broadcastable to the inputs; (4, 3, 1) is, and raises."""
    with pytest.raises(ValueError, match="one dimension less"):
        keras.layers.BatchNormalization()(np.ones((4, 3, 2), "float32"), training=True, mask=np.ones((4, 3, 1), bool))


def test_an_empty_batch_makes_the_averages_nan() -> None:
    """The mean of no values is 0/0, and the moving average takes it over for good."""
    layer = keras.layers.BatchNormalization()
    assert layer(np.ones((0, 3), "float32"), training=True).shape == (0, 3)
    assert np.isnan(layer.moving_mean.numpy()).all()


@pytest.mark.slow
def test_one_channel_and_a_mask_raise_on_jax() -> None:
    """Squeezed statistics of one channel have no axis left, which JAX, PyTorch and NumPy backends do not take."""
    pytest.importorskip("jax")
    code = (
        "import keras, numpy as np\n"
        "keras.layers.BatchNormalization()(np.ones((4, 3, 1), 'float32'), training=True, mask=np.ones((4, 3), bool))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=False
    )
    assert "tuple index out of range" in done.stderr
