"""Recording: what a layer and its call left behind, as plain values, and an exception on one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.frameworks import Framework, Variable, batch_normalization

from bnverify.targets.worker.recording import (
    after_call,
    after_change,
    config_of,
    one_line,
    short_name,
    structure,
    values,
    whole_config,
)

FRAMEWORK = Framework()


def test_weights_are_listed_by_their_short_names() -> None:
    """Without the layer's name and :0, with shape, dtype, and whether they are trainable."""
    assert short_name(Variable("model/bn_1/moving_mean:0", [1])) == "moving_mean"
    found = structure(FRAMEWORK, batch_normalization())
    assert found[0] == {"name": "gamma", "shape": [2], "dtype": "float32", "trainable": True}
    assert [w["trainable"] for w in found] == [True, True, False, False]
    assert values(FRAMEWORK, batch_normalization())["moving_mean"].tolist() == [2.0, 2.5]


def test_what_a_call_left_behind() -> None:
    """The output with its dtype, gradients by weight, and losses only where the layer has a regularizer."""
    layer = batch_normalization(losses=(0.5,))
    found = {"x": np.ones(2, np.float16), "weights": [np.full(2, 3.0), None]}
    answer = after_call(FRAMEWORK, layer, np.zeros(2, np.float16), found=found)
    assert (answer["y_dtype"], answer["losses"], answer["trainable"]) == ("float16", [], ["gamma", "beta"])
    assert answer["gradients"]["beta"] is None
    assert answer["gradients"]["gamma"].tolist() == [3.0, 3.0]
    assert answer["dtypes"] == {"x": "float16", "gamma": "float64"}
    layer.gamma_regularizer = object()  # type: ignore[attr-defined]
    assert after_call(FRAMEWORK, layer, np.zeros(2))["losses"] == [0.5]


def test_an_output_without_real_numbers_is_an_error() -> None:
    """Complex numbers and texts cannot be judged."""
    with pytest.raises(TypeError, match="a tensor of dtype complex128, which holds no real numbers"):
        after_call(FRAMEWORK, batch_normalization(), np.zeros(2, complex))


def test_a_step_without_a_call_has_no_output() -> None:
    """Its weights, and that a frozen layer has no trainable ones."""
    answer = after_change(FRAMEWORK, batch_normalization(trainable=False))
    assert (answer["y"], answer["y_dtype"], answer["trainable"]) == (None, None, [])
    assert set(answer["weights"]) == {"gamma", "beta", "moving_mean", "moving_variance"}


class Configured:
    def __init__(self, config: Any) -> None:
        self.config = config

    def get_config(self) -> Any:
        if isinstance(self.config, Exception):
            raise self.config
        return self.config


def test_a_configuration_is_plain_values_only() -> None:
    """Objects are left out; a layer without a configuration has None, not an empty one."""
    given = {"axis": [1, (2, 3)], "name": None, "momentum": 0.9, "object": object(), "list": [object()], "nested": {}}
    assert config_of(Configured(given)) == {"axis": [1, (2, 3)], "name": None, "momentum": 0.9}
    assert config_of(Configured(NotImplementedError())) is None


def test_a_whole_configuration_is_compared_in_sorted_order() -> None:
    """Nested dictionaries in another order are the same; the layer's name is left out."""
    one = whole_config(Configured({"name": "a", "reg": {"b": 1, "a": {"d": 2, "c": (3,)}}}))
    other = whole_config(Configured({"name": "b", "reg": {"a": {"c": [3], "d": 2}, "b": 1}}))
    assert one == other == {"reg": "{'a': {'c': [3], 'd': 2}, 'b': 1}"}


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("two\n  lines \n\n"), "two lines"),
        (ValueError("\x1b[1mbold\x1b[0m"), "bold"),
        (
            ValueError(
                "Exception encountered when calling BN.call().\n\n\x1b[1mno mask\x1b[0m\n\nArguments received by BN.call():\n •"
            ),
            "no mask",
        ),
        (ValueError("shapes differ\n\nCall arguments received by layer:\n • x"), "shapes differ"),
        (
            ValueError("in user code:\n\n    File x.py, line 3, in call\n\n    ValueError: no axis 3\n    more\n"),
            "no axis 3 more",
        ),
        (TypeError("in user code:\n    File x.py\n"), "in user code: File x.py"),
        (Silent(), "(its text cannot be shown)"),
        (ValueError("x" * 400), "x" * 300),
        (ValueError("\ud800"), "\\ud800"),
        (ValueError(), ""),
    ],
)
def test_an_exception_on_one_line(error: Exception, text: str) -> None:
    """Without what Keras and AutoGraph add around the message, colours, and more than 300 characters."""
    assert one_line(error) == text
