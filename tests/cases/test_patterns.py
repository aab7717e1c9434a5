"""Patterns: every combination of values, in order, and shapes whose sizes differ."""

from __future__ import annotations

from bnverify.cases.patterns import SHAPES, each


def test_each_combination_once_and_in_order() -> None:
    """The last placeholder changes fastest; a pattern without values is itself."""
    assert list(each("{}x{}", (1, 2), ("a", "b"))) == ["1xa", "1xb", "2xa", "2xb"]
    assert list(each("shape:4x3/axis:{}", (0,))) == ["shape:4x3/axis:0"]
    assert list(each("plain")) == ["plain"]
    assert list(each("{}", ())) == []


def test_a_wrong_axis_shows_in_the_shape_of_the_weights() -> None:
    """The last two sizes of a shape, and the first and the last, differ from each other."""
    for shape in SHAPES:
        sizes = shape.split("x")
        assert sizes[-1] != sizes[-2]
        assert sizes[-1] not in sizes[:-1]
    assert [len(shape.split("x")) for shape in SHAPES] == [2, 3, 4, 5, 6]
