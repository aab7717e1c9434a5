"""How the values of an id are read: each text is one value, and a text that is none says what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnverify.cases.spelling import one_of, parse_axis, parse_bool, parse_clipping, parse_number, parse_order, parse_shape

unit = parse_number(0, 1)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (parse_shape, "4x3", (4, 3)),
        (parse_shape, "0x12x3", (0, 12, 3)),
        (parse_axis, "-1", -1),
        (parse_axis, "1+-2", (1, -2)),
        (unit, "1", 1.0),
        (unit, "5e-1", 0.5),
        (unit, ".25", 0.25),
        (one_of("", "l1"), "l1", "l1"),
        (parse_order, "2", 2),
        (parse_bool, "True", True),
        (parse_bool, "False", False),
        (parse_clipping, "rmax3.0+rmin0.3+dmax1e-05", (("rmax", 3.0), ("rmin", 0.3), ("dmax", 1e-05))),
        (parse_clipping, "rmin1+rmax1", (("rmin", 1.0), ("rmax", 1.0))),
    ],
)
def test_a_text_is_one_value(read: Callable[[str], Any], text: str, value: object) -> None:
    """The value, and its type."""
    found = read(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("read", "text", "allowed"),
    [
        *((parse_shape, text, "two or more sizes") for text in ("4", "4x", "04x3", "4x-3", "4x٣", "4X3", "")),
        *((parse_axis, text, "an integer") for text in ("", "1+", "+1", "1.0", "1,2", "٣")),
        *((unit, text, "a number from 0 to 1") for text in ("1_0", " 1", "٠.٥", "nan", "inf", "", "1.5", "-1e-9", "0x1", "1e")),
        (one_of("", "l1", "l2"), "l3", "one of l1, l2"),  # the empty text is allowed, and not listed
        (parse_order, "3", "one of 0, 1, 2"),
        (parse_bool, "true", "one of True, False"),
        *(
            (parse_clipping, text, "rmax, rmin and dmax, each at most once")
            for text in ("", "rmax", "rmax-1", "max3", "rmax1+rmax2", "rmin2+rmax1", "rmaxinf", "rmax1+", "rmax 1")
        ),
    ],
)
def test_a_text_that_is_no_value_says_what_is_allowed(read: Callable[[str], Any], text: str, allowed: str) -> None:
    """Also texts that Python itself would read as a number: 1_0, digits of other scripts, spaces, nan."""
    with pytest.raises(ValueError, match="^" + allowed):
        read(text)


@given(st.floats(0, 1))
def test_a_number_reads_back(value: float) -> None:
    """repr() of any float within the limits, to the last bit."""
    assert unit(repr(value)) == value


@pytest.mark.parametrize("text", ["-0", "-0.0", "-0e5"])
def test_zero_has_one_sign(text: str) -> None:
    """-0 is read as 0: two cases that are equal have the same id, and so the same inputs."""
    assert math.copysign(1.0, unit(text)) == 1.0


@pytest.mark.parametrize("text", ["rmax2000000", "rmin1e7"])
def test_limits_have_a_limit(text: str) -> None:
    """A clipping limit is a number from 0 to 1e6."""
    with pytest.raises(ValueError, match=r"1e\+06|each at most once"):
        parse_clipping(text)
