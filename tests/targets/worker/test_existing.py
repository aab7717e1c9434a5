"""An existing layer is used with its weights, and is left as it was found."""

from __future__ import annotations

import numpy as np
import pytest
from support.frameworks import Framework, Layer, batch_normalization

from bnverify.targets.worker.existing import Existing


def use(layer: Layer, **request: object) -> Existing:
    return Existing(Framework(), lambda: layer, request)


@pytest.mark.parametrize("raises", [False, True])
def test_weights_momentum_and_trainable_are_put_back(raises: bool) -> None:
    """Also if a call raises; the exception passes through."""
    layer = batch_normalization()
    before = [w.value.tolist() for w in layer.weights]
    try:
        with use(layer, momentum=0.5) as caller:
            caller.construct()
            caller.build()
            assert layer.momentum == 0.5
            layer.trainable = False
            for w in layer.weights:
                w.value = np.zeros(2, np.float32)
            if raises:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert raises
    assert ([w.value.tolist() for w in layer.weights], layer.momentum, layer.trainable) == (before, 0.99, True)


def test_without_another_momentum_the_layers_own_is_used() -> None:
    """And a custom layer need not have one."""
    layer = batch_normalization()
    del layer.momentum  # a dataclass field: the default of the class is left
    with use(layer) as caller:
        caller.construct()
    assert "momentum" not in vars(layer)


def test_a_layer_that_was_never_made_needs_nothing_put_back() -> None:
    """The factory raised."""

    def factory() -> Layer:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), Existing(Framework(), factory, {}) as caller:
        caller.construct()
