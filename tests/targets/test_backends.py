"""Backends: what each one cannot do, with the reason, and the names that it is known by."""

from __future__ import annotations

import pytest

from bnverify.errors import BadInput
from bnverify.targets.backends import Backend, backend_named, check_backend


@pytest.mark.parametrize(
    ("backend", "lacks"),
    [
        (Backend.TENSORFLOW, {"parallel"}),
        (Backend.JAX, {"mode:function", "mirrored", "synchronized"}),
        (Backend.TORCH, {"mode:function", "mode:xla", "mirrored", "synchronized", "parallel", "file:export"}),
        (
            Backend.NUMPY,
            {"mode:function", "mode:xla", "mirrored", "synchronized", "parallel", "fit", "gradients", "file:export"},
        ),
        (
            Backend.OPENVINO,
            {"mode:function", "mode:xla", "mirrored", "synchronized", "parallel", "training", "gradients", "file:export"},
        ),
    ],
)
def test_what_a_backend_lacks(backend: Backend, lacks: set[str]) -> None:
    """As the documentation of Keras' backends has it."""
    assert set(backend.lacks) == lacks


def test_reasons_name_the_backend_as_its_makers_write_it() -> None:
    """Not by the name in Keras' configuration."""
    assert Backend.OPENVINO.lacks["training"] == "Keras' OpenVINO backend does inference only"
    assert Backend.NUMPY.lacks["gradients"] == "Keras' NumPy backend has no automatic differentiation"


def test_only_numpy_casts_to_half_in_one_step() -> None:
    """The others cast float64 to float32 first."""
    assert [backend for backend in Backend if backend.facts.casts_directly] == [Backend.NUMPY]


def test_names() -> None:
    """The five of Keras 3; Keras 2 has others (theano), which are no error when an environment reports them."""
    assert [backend_named(name) for name in ("jax", "theano", "reference", "")] == [Backend.JAX, None, None, None]
    check_backend("torch")
    with pytest.raises(BadInput) as caught:
        check_backend("tensorflw")
    assert str(caught.value) == (
        "--backend 'tensorflw' is unknown; allowed: tensorflow, jax, torch, numpy, openvino; did you mean tensorflow?"
    )
