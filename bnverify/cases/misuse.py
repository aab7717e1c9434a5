"""Misuse: what a layer must refuse, and how: by an exception of the right type that names the argument and what it got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Misuse:
    """One mistake of a user.

    words: what is done; clause: the clause that says how it must be answered; layer: arguments of the constructor that replace
    the case's; build: the shape to build for, in place of the case's, None for undefined sizes; call: the shape of the input
    of the call, in place of the case's; mask: the shape and dtype of the mask of the call. raises: the types of exceptions,
    of which one is right; names: words of which the message must hold one; shows: what was got, of which it must hold one.
    """

    words: str
    clause: str
    layer: Mapping[str, Any] = field(default_factory=dict)
    build: tuple[int | None, ...] | None = None
    call: tuple[int, ...] | None = None
    mask: tuple[tuple[int, ...], str] | None = None
    raises: tuple[str, ...] = ("ValueError", "TypeError")
    names: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()


MISUSES: dict[str, Misuse] = {}
