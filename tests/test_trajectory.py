"""Moving statistics over batches: what is followed, and what is said of layers whose statistics do not move."""

from __future__ import annotations

import numpy as np

import bnverify

BATCHES = [np.random.default_rng(seed).normal(5, 3, (16, 3)).astype("float32") for seed in range(3)]


def test_a_frozen_layer_stays_apart() -> None:
    """Its moving statistics stay, so that no number of steps is enough; the batches' own are those of a layer that trains."""
    frozen = bnverify.trace({"trainable": False}, BATCHES)
    training = bnverify.trace({}, BATCHES)
    assert frozen.ok
    assert frozen.trajectory.still
    assert not training.trajectory.still
    assert np.ptp(frozen.trajectory.apart) == 0
    assert (frozen.agrees_after, frozen.needed, frozen.trajectory.needed_with(0.9)) == (None, None, None)
    assert training.needed is not None
    for name, values in training.trajectory.batch.items():
        np.testing.assert_allclose(frozen.trajectory.batch[name], values)
    assert "The layer is frozen (trainable=False): its moving statistics stay as they are." in frozen.summary()
    assert "Steps needed" not in frozen.summary()


def test_a_frozen_layer_that_agrees_needs_no_step() -> None:
    """Frozen statistics that are the data's own agree from the start."""
    x = np.concatenate(BATCHES)
    own = {"moving_mean": x.mean(axis=0), "moving_variance": x.var(axis=0)}
    traced = bnverify.trace({"trainable": False}, BATCHES, weights=own)
    assert (traced.agrees_after, traced.needed) == (0, 0)
