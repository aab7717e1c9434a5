"""The suites: smoke ⊂ default ⊂ full, and regressions. A suite is a tuple of cases, without repetition."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from bnverify.cases import behaviour, generators
from bnverify.cases.case import Case
from bnverify.cases.expression import compile_expression
from bnverify.cases.ids import parse
from bnverify.cases.regressions import REGRESSIONS
from bnverify.errors import BadInput

SUITES = ("smoke", "default", "full", "regressions")


@cache
def suite(name: str) -> tuple[Case, ...]:
    """The cases of a suite, in a fixed order. Raises BadInput for an unknown name, naming what is near."""
    if name == "regressions":
        return tuple(dataclasses.replace(parse(id_), cause=cause) for id_, cause in REGRESSIONS)
    parts = (generators, behaviour)
    smoke, default, full = ([getattr(part, layer) for part in parts] for layer in ("smoke", "default", "full"))
    layers = {"smoke": smoke, "default": smoke + default, "full": smoke + default + full}
    if name not in layers:
        near = difflib.get_close_matches(name, SUITES, n=1)
        raise BadInput(
            f"suite {name!r} is unknown; allowed: {', '.join(SUITES)}" + (f"; did you mean {near[0]}?" if near else "")
        )
    return tuple(dict.fromkeys(parse(text) for layer in layers[name] for text in layer()))


def choose(name: str, ids: Sequence[str] = (), expression: str = "") -> tuple[tuple[Case, ...], str]:
    """The cases asked for (single ids instead of a suite; those that fit a `-k` expression) and what reports call them.

    Raises BadInput for an unknown suite, a malformed id or expression, and where no case is left.
    """
    whole = suite(name)
    regressions = {case: case for case in suite("regressions")}
    if ids:
        cases = tuple(dict.fromkeys(regressions.get(case, case) for case in map(parse, ids)))
        label = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
    else:
        cases, label = whole, f"{name} suite"
    if expression:
        cases = select(cases, expression)
        if not cases:
            raise BadInput(f"-k {expression!r} selects nothing in the {label}; `bnverify list` shows the ids")
        label += f" with -k {expression!r}"
    return cases, label


def select(cases: Iterable[Case], expression: str) -> tuple[Case, ...]:
    """The cases whose id fits a `-k` expression: words joined by and, or, not and parentheses; a word fits as a substring."""
    fits = compile_expression(expression)
    return tuple(case for case in cases if fits(case.id))


def matches(case: Case, selection: str) -> bool:
    """Whether every `field:value` of `selection` is the case's, defaults included.

    `|` separates alternative values, a leading `!` excludes them.

    Beside the fields of ids, `rank` is that of the shape and `channels` the number of values that each weight has.
    """
    fields = {**case.fields, "rank": str(len(case.shape)), "channels": str(math.prod(case.channels_shape))}
    parts = (part.partition(":") for part in selection.split("/") if part)
    return all((fields.get(name) in values.lstrip("!").split("|")) is not values.startswith("!") for name, _, values in parts)


def smaller_first(cases: Iterable[Case]) -> list[Case]:
    """Cases from the easiest to read to the hardest: by elements, then steps, then length of the id."""

    def effort(case: Case) -> tuple[Any, ...]:
        return math.prod(case.shape) * len(case.steps), len(case.id), case.id

    return sorted(cases, key=effort)
