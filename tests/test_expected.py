"""What was expected, and which reading gives it: one departure each time, in words that fit the layer."""

from __future__ import annotations

import numpy as np
import pytest

import bnverify

X = np.array([[[1.0], [5.0]]], np.float32)
WEIGHTS = {"gamma": [0.8], "beta": [0.5], "moving_mean": [0.1], "moving_variance": [0.9]}


def readings(arguments: dict[str, object], expected: list[float]) -> tuple[str, ...]:
    weights = {name: value for name, value in WEIGHTS.items() if name != "beta" or arguments.get("center", True)}
    found = bnverify.explain(arguments, X, weights=weights, training=True, expected=np.reshape(expected, X.shape))
    return found.expected[0].readings


def test_a_layer_without_beta_is_not_said_to_lack_it() -> None:
    """gamma and beta are named as not applied only where there are both."""
    normalized = [-2 / 4.001**0.5, 2 / 4.001**0.5]
    assert readings({}, normalized) == ("gamma and beta are not applied",)
    assert readings({"center": False}, normalized) == ("gamma is not applied",)


def test_text_is_text_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rich would show a table by itself, `print` still gives all of it."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    explained = bnverify.explain({}, X, training=True)
    assert "sum((x - mean)²) / n" in str(explained)
    assert "CONFORMS" in bnverify.check_layer(cases=["shape:1x2/steps:T"]).summary()
