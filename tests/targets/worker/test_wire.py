"""Messages to and from a worker survive any content, and noise is told from them."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bnverify.targets.worker import wire


def bits(value: Any) -> Any:
    """The value with arrays as their type, shape and bytes, so that -0.0, NaN and their likes are told apart."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(item) for item in value]
    return value


names = st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=20)
arrays = hnp.arrays(
    dtype=st.sampled_from([np.dtype(t) for t in ("<f2", "<f4", "<f8", ">f4", "i1", "u1", "<i2", "<i4", "<i8", "?")]),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
documents = st.recursive(
    scalars | arrays,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4).filter(lambda d: set(d) != {"array"}),
    max_leaves=12,
)


def alike(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and bits(a) == bits(b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b


@settings(deadline=None, max_examples=100)
@given(st.lists(documents, max_size=3))
@example([{"y": np.float32([-0.0, np.nan, np.inf])}])
def test_messages_come_back(sent: list[Any]) -> None:
    """Documents of texts, numbers, lists, tables and arrays come back as they went, one after the other, and then None.

    A table whose only key is "array" means an array (see the worker's docstring) and is left out.
    """
    stream = io.BytesIO(b"".join(map(wire.pack, sent)))
    assert all(alike(document, wire.unpack(stream)) for document in sent)
    assert wire.unpack(stream) is None


@settings(deadline=None, max_examples=50)
@given(hnp.arrays(np.dtype("<f4"), hnp.array_shapes(max_dims=3, max_side=4)))
def test_views_travel_as_what_they_show(array: np.ndarray[Any, Any]) -> None:
    """Arrays that are not contiguous come back with the values that they show."""
    for view in (array.T, array[..., ::-1], np.broadcast_to(array, (2, *array.shape))):
        back = wire.unpack(io.BytesIO(wire.pack({"view": view})))["view"]
        assert bits(back) == bits(np.ascontiguousarray(view).reshape(view.shape))


def test_a_message_is_as_described() -> None:
    """A message is a line with two lengths, a JSON document of the first and the arrays' bytes of the second."""
    packed = wire.pack({"x": np.float32([1.0, 2.0]), "n": 3})
    line, rest = packed.split(b"\n", 1)
    text, data = (int(n) for n in line.split())
    assert len(rest) == text + data
    assert json.loads(rest[:text]) == {"x": {"array": [0, "<f4", [2]]}, "n": 3}
    assert rest[text:] == b"\x00\x00\x80\x3f\x00\x00\x00\x40"


def test_every_cut_is_noticed() -> None:
    """A message that is cut off anywhere raises ValueError; only the empty stream is an end."""
    packed = wire.pack({"x": np.arange(5.0), "text": "…", "more": [1, None, "2"]})
    assert wire.unpack(io.BytesIO(b"")) is None
    for length in range(1, len(packed)):
        with pytest.raises(ValueError, match=r"message cut off|no message"):
            wire.unpack(io.BytesIO(packed[:length]))


@pytest.mark.parametrize(
    "noise", [b"\n", b"hello\n", b"1\n", b"1 2 3\n", b"1.5 2\n", b"Using TensorFlow backend.\n", b"-5 -5\n", b"2 -1\n{}"]
)
def test_noise_is_no_message(noise: bytes) -> None:
    """A stream that does not start with two lengths raises ValueError that says so."""
    with pytest.raises(ValueError, match="no message"):
        wire.unpack(io.BytesIO(noise))
