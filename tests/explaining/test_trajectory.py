"""Trajectories: moving statistics over batches, the reference's, the data's own, and when inference agrees with training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import bnverify

RNG = np.random.default_rng(5)


def batches(count: int, rows: int = 64, mean: float = 3.0, spread: float = 2.0) -> list[np.ndarray]:
    return [(mean + spread * RNG.normal(size=(rows, 2))).astype(np.float32) for _ in range(count)]


def test_the_moving_statistics_are_followed() -> None:
    """moving = moving*momentum + batch*(1-momentum), written out in NumPy, step by step."""
    given = batches(20)
    t = bnverify.trace({"momentum": 0.9}, given).trajectory
    mean, variance = np.zeros(2), np.ones(2)
    for step, x in enumerate(given, 1):
        mean, variance = 0.9 * mean + 0.1 * x.astype(float).mean(0), 0.9 * variance + 0.1 * x.astype(float).var(0)
        np.testing.assert_allclose(t.moving["moving_mean"][step], mean, rtol=1e-5)
        np.testing.assert_allclose(t.moving["moving_variance"][step], variance, rtol=1e-5)
        np.testing.assert_allclose(t.reference["moving_mean"][step], mean, rtol=1e-12)
    whole = np.concatenate(given).astype(float)
    np.testing.assert_allclose(t.data["mean"], whole.mean(0))
    np.testing.assert_allclose(t.data["variance"], whole.var(0))
    assert t.ok
    assert t.margin is not None
    assert 0 < t.margin <= 1


def test_how_far_inference_is_from_training() -> None:
    """The distance is that between the layer's own outputs: x̂ by the moving statistics less x̂ by the data's."""
    given = batches(6)
    layer = keras.layers.BatchNormalization(momentum=0.5)
    layer.build((None, 2))
    t = bnverify.trace(layer, given).trajectory
    whole = np.concatenate(given)
    for x in given:
        layer(x, training=True)
    inference = np.asarray(layer(whole, training=False))
    layer.momentum = 1.0
    training = np.asarray(layer(whole, training=True))
    assert t.apart[-1] == pytest.approx(np.sqrt(((inference - training) ** 2).mean(0)).max(), rel=1e-3)


@pytest.mark.parametrize(("momentum", "steps"), [(0.5, 12), (0.9, 80), (0.99, 700)])
def test_when_inference_agrees_with_training(momentum: float, steps: int) -> None:
    """The same batch again and again: from the step on that was foretold, but for one step of rounding."""
    (x,) = batches(1)
    t = bnverify.trace({"momentum": momentum}, [x] * steps, within=0.01)
    assert t.needed is not None
    assert t.agrees_after is not None
    assert abs(t.agrees_after - t.needed) <= 1
    apart = t.trajectory.apart
    assert (apart[t.agrees_after :] <= 0.01).all()
    assert apart[t.agrees_after - 1] > 0.01
    assert t.trajectory.needed_with(momentum) == t.needed
    # The mean decays like momentum^t from its start, which bounds the steps from below.
    start = np.abs(x.mean(0) / np.sqrt(x.var(0) + 1e-3)).max()
    assert t.needed >= np.log(0.01 / start) / np.log(momentum)


def test_too_few_steps() -> None:
    """It is said how far apart they are, and what this and other momenta need."""
    t = bnverify.trace({}, batches(10))
    assert t.agrees_after is None
    assert t.needed is not None
    assert t.needed > 300
    text = str(t)
    assert "After 10 steps inference and training are " in text
    assert f"0.99: {t.needed}" in text


def test_never() -> None:
    """Batches that differ in their means: the moving variance never reaches that of the data."""
    apart = [x + 50 * (i % 2) for i, x in enumerate(batches(8))]
    t = bnverify.trace({}, apart)
    assert (t.agrees_after, t.needed) == (None, None)
    assert "0.99: never" in str(t)
    t = bnverify.trace({"momentum": 1.0}, batches(3))
    assert t.needed is None


def test_a_frozen_layer_stays_apart() -> None:
    """Its moving statistics stay, so that no number of steps is enough; the batches' own are those of a layer that trains."""
    given = batches(3)
    frozen, training = bnverify.trace({"trainable": False}, given), bnverify.trace({}, given)
    assert frozen.ok
    assert (frozen.trajectory.still, training.trajectory.still) == (True, False)
    assert np.ptp(frozen.trajectory.apart) == 0
    assert (frozen.agrees_after, frozen.needed, frozen.trajectory.needed_with(0.9)) == (None, None, None)
    for name, values in training.trajectory.batch.items():
        np.testing.assert_allclose(frozen.trajectory.batch[name], values)
    assert "The layer is frozen (trainable=False): its moving statistics do not change." in str(frozen)
    assert "Steps needed" not in str(frozen)


def test_a_frozen_layer_that_agrees_needs_no_step() -> None:
    """Frozen statistics that are the data's own agree from the start."""
    given = batches(3)
    x = np.concatenate(given)
    own = {"moving_mean": x.mean(axis=0), "moving_variance": x.var(axis=0)}
    traced = bnverify.trace({"trainable": False}, given, weights=own)
    assert (traced.agrees_after, traced.needed) == (0, 0)


def test_batches_of_different_sizes_and_masks() -> None:
    """The last batch may be smaller; masked values count nowhere."""
    given = [*batches(3, 8), *batches(1, 3)]
    t = bnverify.trace({}, given)
    assert t.ok
    np.testing.assert_allclose(t.trajectory.data["mean"], np.concatenate(given).astype(float).mean(0))
    masks = [np.arange(len(x)) % 2 == 0 for x in given]
    t = bnverify.trace({}, given, masks=masks)
    assert t.ok
    counted = np.concatenate([x[m] for x, m in zip(given, masks, strict=True)]).astype(float)
    np.testing.assert_allclose(t.trajectory.data["mean"], counted.mean(0))


class Swapped(keras.layers.BatchNormalization):
    """Momentum the other way round."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        self.momentum, kept = 1 - self.momentum, self.momentum
        y = super().call(inputs, training=training, mask=mask)
        self.momentum = kept
        return y


def test_a_fault_is_named() -> None:
    """Moving statistics that are not the promised ones, and why."""
    layer = Swapped(momentum=0.9)
    layer.build((None, 2))
    t = bnverify.trace(layer, batches(5))
    assert not t.ok
    assert "WRONG: the moving statistics are not what Keras promises" in str(t)
    assert "momentum is the weight of the batch (PyTorch's convention), not of the old value" in str(t)


def test_the_notebook_view() -> None:
    """Some steps as a table, and three plots."""
    t = bnverify.trace({"momentum": 0.5}, batches(12))
    html = t._repr_html_()
    assert "data:image/png;base64," in html
    assert html.count("<tr>") == 1 + len({0, 1, 2, 5, 10, 12}) + 1
    titles = [ax.get_title() for ax in t.plot().axes]
    assert titles == ["moving_mean", "moving_variance", "inference less training"]
    np.testing.assert_array_equal(t.plot().axes[2].lines[0].get_ydata(), t.trajectory.apart)
