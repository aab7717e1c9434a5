"""Whether a case can be asked: what the era, the backend, the target and this machine lack, in one answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bnverify.cases import data
from bnverify.cases.ids import parse
from bnverify.errors import BadInput
from bnverify.values import Environment
from bnverify.verdicts.ask import not_here

KERAS_3 = Environment(
    "keras.layers.BatchNormalization", "keras", "3.15.1", "tensorflow", "2.21.0", "CPU", True, "2", "3.11", ""
)


@pytest.mark.parametrize(
    ("id_", "changes", "reason"),
    [
        ("shape:4x3/steps:T", {}, ""),
        ("shape:3x4x5/axis:1+2/steps:T", {}, "Keras 3 allows one integer as axis, not a list as tf.keras 2 does"),
        ("shape:3x4x5/axis:1+2/steps:T", {"keras": "2.13.1"}, ""),
        ("shape:4x3/renorm:True/steps:T", {"keras": "3.13.2"}, "batch renormalization needs Keras 3.14"),
        ("shape:4x3/steps:T", {"backend": "openvino"}, "Keras' OpenVINO backend does inference only"),
        ("shape:4x3/steps:I", {"backend": "openvino"}, ""),
        ("shape:4x3/mode:xla/steps:T", {"backend": "torch"}, "XLA compiles calls on TensorFlow and JAX only"),
        (
            "shape:4x3/policy:float64/steps:T",
            {"backend": "jax", "float64": False},
            "jax computes in float32 here: jax_enable_x64 is off",
        ),
        ("shape:5x4x3/mask:one/steps:T", {"target": "tf.nn.moments"}, "tf.nn.moments takes no mask"),
        (
            "shape:4x3/steps:T",
            {"target": "tf.nn.fused_batch_norm@symbolic"},
            "tf.nn.fused_batch_norm takes inputs of rank 4 and 5 only",
        ),
        (
            "shape:4x3/policy:float16/steps:T",
            {"keras": "2.3.1"},
            "multi-backend Keras has no dtype policies, only the global floatx",
        ),
    ],
)
def test_the_reason(id_: str, changes: dict[str, object], reason: str) -> None:
    """The first need that something here does not have; empty if the case can be tested."""
    assert not_here(parse(id_), replace(KERAS_3, **changes)) == reason  # type: ignore[arg-type]


def test_the_data_of_scikit_learn_are_missed_by_networks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A case without a network does not look for files."""
    monkeypatch.setattr(data, "missing_data", lambda: {"data of scikit-learn": "install it", "training": "no"})
    assert not_here(parse("shape:4x4/network:iris/steps:T"), KERAS_3) == "install it"
    assert not_here(parse("shape:4x3/steps:T"), KERAS_3) == ""


def test_a_keras_that_is_too_old_is_bad_input() -> None:
    """No era has promises for it."""
    with pytest.raises(BadInput, match=r"keras 2\.0\.9 is too old"):
        not_here(parse("shape:4x3/steps:T"), replace(KERAS_3, keras="2.0.9"))
