"""Arguments from Python: values of the right type pass, all others are bad input that names the parameter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnverify.api import arguments
from bnverify.errors import BadInput


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (arguments.a_text, "x", "x"),
        (arguments.texts, "x", ("x",)),
        (arguments.texts, ["x", "y"], ("x", "y")),
        (arguments.texts, (t for t in "xy"), ("x", "y")),
        (arguments.texts, (), ()),
        (arguments.file, "a/b", Path("a/b")),
        (arguments.file, Path("a"), Path("a")),
        (arguments.mapping, {"a": "b"}, {"a": "b"}),
    ],
)
def test_right_values(read: Callable[[str, Any], Any], value: object, expected: object) -> None:
    """A single text counts as one of several."""
    assert read("p", value) == expected


@pytest.mark.parametrize(
    ("read", "value", "says"),
    [
        (arguments.a_text, b"x", "p: got b'x'; allowed: a text"),
        (arguments.a_text, None, "p: got None; allowed: a text"),
        (arguments.texts, [1], "p: got 1; allowed: a text"),
        (arguments.texts, 3, "p: got 3; allowed: a list of texts"),
        (arguments.texts, b"x", "p: got b'x'; allowed: a list of texts"),
        (arguments.texts, {"a": 1}, "p: got {'a': 1}; allowed: a list of texts"),
        (arguments.texts, np.array(3), "p: got array(3); allowed: a list of texts"),  # it counts as iterable and is none
        (arguments.file, "", "p: got ''; allowed: the path of a file"),
        (arguments.file, "a\0b", "p: got 'a\\x00b'; allowed: the path of a file"),
        (arguments.file, 3, "p: got 3; allowed: the path of a file"),
        (arguments.mapping, [("a", "b")], "p: got list; allowed: a dict of texts"),
        (arguments.mapping, {"a": 1}, "p: got 1; allowed: a text"),
        (arguments.mapping, {1: "a"}, "p: got 1; allowed: a text"),
    ],
)
def test_other_values(read: Callable[[str, Any], Any], value: object, says: str) -> None:
    """The parameter, the value, and what is allowed."""
    with pytest.raises(BadInput) as caught:
        read("p", value)
    assert str(caught.value) == says


@pytest.mark.parametrize("value", [True, -1, 1.0, "1", None, np.int64(3)])
def test_a_seed_is_an_integer_of_0_or_more(value: object) -> None:
    """No boolean, and no NumPy integer, whose text in a report would differ."""
    assert arguments.seed(0) == 0
    assert arguments.seed(10**30) == 10**30
    with pytest.raises(BadInput, match=r"seed: got .*; allowed: an integer of 0 or more"):
        arguments.seed(value)
