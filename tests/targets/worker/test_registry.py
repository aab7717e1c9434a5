"""The registry: which class makes the calls of a mode, and a mode that this environment does not have."""

from __future__ import annotations

import pytest
from support.frameworks import Framework

from bnverify.targets.worker import calling, existing
from bnverify.targets.worker.recording import NotHere
from bnverify.targets.worker.registry import CALLERS, open_caller


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (None, calling.Caller),
        ("", calling.Caller),
        ("call", calling.Caller),
        ("unbuilt", calling.Unbuilt),
        ("positional", calling.Positional),
        ("existing", existing.Existing),
    ],
)
def test_the_caller_of_a_mode(mode: str | None, kind: type) -> None:
    """A request without a mode calls the layer as it is."""
    caller = open_caller(Framework(), None, {"mode": mode})
    assert type(caller) is kind
    assert open_caller(Framework(), None, {}).request == {}


@pytest.mark.parametrize(
    ("mode", "says"), [("function", "tf.function needs TensorFlow"), ("xla", "XLA compiles calls on TensorFlow and JAX")]
)
def test_a_mode_of_another_backend_is_not_here(mode: str, says: str) -> None:
    """With the reason, before a layer is made."""
    with pytest.raises(NotHere, match=says):
        open_caller(Framework(), None, {"mode": mode})


def test_an_unknown_mode_is_a_mistake_of_the_caller() -> None:
    """No mode is called in place of another."""
    with pytest.raises(KeyError):
        open_caller(Framework(), None, {"mode": "fits"})
    assert len(CALLERS) > 20
