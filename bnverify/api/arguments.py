"""Arguments from Python: a value of the wrong type is bad input that names the parameter, never another exception."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bnverify.errors import BadInput


def a_text(name: str, value: Any) -> str:
    """The value as a text. Raises BadInput for any other type."""
    if not isinstance(value, str):
        raise BadInput(name, got=value, allowed="a text")
    return value


def texts(name: str, value: Any) -> tuple[str, ...]:
    """The texts of an iterable; a single text counts as one. Raises BadInput for anything else."""
    if isinstance(value, str):
        return (value,)
    return tuple(a_text(name, each) for each in items(name, value, "a list of texts"))


def items(name: str, value: Any, allowed: str) -> list[Any]:
    """The items of an iterable. Raises BadInput if it is none."""
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes, Mapping)):
        raise BadInput(name, got=value, allowed=allowed)
    try:
        return list(value)
    except TypeError:  # an array without axes counts as iterable
        raise BadInput(name, got=value, allowed=allowed) from None


def seed(value: Any) -> int:
    """The seed. Raises BadInput unless it is an integer of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadInput("seed", got=value, allowed="an integer of 0 or more")
    return value


def file(name: str, value: Any) -> Path:
    """The path. Raises BadInput for what cannot be one."""
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value) or "\0" in str(os.fspath(value)):
        raise BadInput(name, got=value, allowed="the path of a file")
    return Path(value)


def mapping(name: str, value: Any) -> Mapping[str, str]:
    """A mapping from texts to texts. Raises BadInput for anything else."""
    if not isinstance(value, Mapping):
        raise BadInput(f"{name}: got {type(value).__name__}", allowed="a dict of texts")
    return {a_text(name, key): a_text(name, each) for key, each in value.items()}
