"""Spelling: how the values of an id's fields are read from text. A ValueError says which texts are allowed."""

from __future__ import annotations

import re
from collections.abc import Callable

# Python also takes 1_0, ٣ and surrounding spaces as numbers. Other programs that read ids do not, so they are refused.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def parse_shape(text: str) -> tuple[int, ...]:
    """Two or more sizes, such as 4x3."""
    if not re.fullmatch(r"(0|[1-9]\d*)(x(0|[1-9]\d*))+", text, re.ASCII):
        raise ValueError("two or more sizes joined by x, such as 4x3")
    return tuple(int(size) for size in text.split("x"))


def parse_axis(text: str) -> int | tuple[int, ...]:
    """One axis, or several joined by +."""
    if not re.fullmatch(r"-?\d+(\+-?\d+)*", text, re.ASCII):
        raise ValueError("an integer, or several joined by +, such as -1 or 1+3")
    axes = tuple(int(axis) for axis in text.split("+"))
    return axes if len(axes) > 1 else axes[0]


def parse_number(low: float, high: float) -> Callable[[str], float]:
    """A number within limits."""

    def number(text: str) -> float:
        value = float(text) if NUMBER.fullmatch(text) else float("nan")
        if not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return abs(value) if value == 0 else value  # -0 equals 0, so it must not give another id

    return number


def parse_whole(low: int) -> Callable[[str], int]:
    """A whole number from a limit on."""

    def number(text: str) -> int:
        value = int(text) if re.fullmatch(r"\d{1,1000}", text, re.ASCII) else low - 1
        if value < low:
            raise ValueError(f"a whole number of {low} or more")
        return value

    return number


def one_of(*allowed: str) -> Callable[[str], str]:
    """One of several texts."""

    def choose(text: str) -> str:
        if text not in allowed:
            raise ValueError("one of " + ", ".join(filter(None, allowed)))
        return text

    return choose


def parse_clipping(text: str) -> tuple[tuple[str, float], ...]:
    """The limits of batch renormalization, such as rmax3.0+dmax5.0."""
    pairs = [(pair[:4], pair[4:]) for pair in text.split("+")]
    names = [name for name, _ in pairs]
    limits = {
        name: parse_number(0, 1e6)(value) for name, value in pairs if re.fullmatch(r"\d+(\.\d+)?(e-\d+)?", value, re.ASCII)
    }
    in_order = limits.get("rmin", 0) <= limits.get("rmax", 1e6)
    if len(limits) < len(names) or not set(names) <= {"rmax", "rmin", "dmax"} or not in_order:
        raise ValueError("rmax, rmin and dmax, each at most once, rmin <= rmax, joined by +, such as rmax3.0+rmin0.3+dmax5.0")
    return tuple(limits.items())


def parse_order(text: str) -> int:
    """The order of derivatives."""
    return int(one_of("0", "1", "2")(text))


def parse_bool(text: str) -> bool:
    """True or False."""
    return one_of("True", "False")(text) == "True"
