"""The suites: smoke ⊂ default ⊂ full, and regressions. A suite is a tuple of different cases."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from bnverify.cases import behaviour, generators
from bnverify.cases.case import Case
from bnverify.cases.expression import compile_expression
from bnverify.cases.ids import parse
from bnverify.cases.regressions import REGRESSIONS
from bnverify.errors import BadInput, did_you_mean

SMOKE = (generators.smoke, behaviour.smoke_behaviour)
DEFAULT = (*SMOKE, generators.default, behaviour.default_behaviour)
FULL = (*DEFAULT, generators.full, behaviour.full_behaviour)
MADE_OF = {"smoke": SMOKE, "default": DEFAULT, "full": FULL}  # the functions that give a suite's ids
SUITES = (*MADE_OF, "regressions")


@cache
def suite(name: str) -> tuple[Case, ...]:
    """The cases of a suite, in a fixed order. Raises BadInput for an unknown name; the message has the nearest one."""
    check_suite(name)
    if name == "regressions":
        return tuple(dataclasses.replace(parse(id_), cause=cause) for id_, cause in REGRESSIONS)
    return tuple(dict.fromkeys(parse(text) for ids in MADE_OF[name] for text in ids()))


def check_suite(name: str) -> None:
    """Raises BadInput for an unknown suite."""
    if name not in SUITES:
        raise BadInput(f"suite {name!r} is unknown", allowed=SUITES, hint=did_you_mean(name, SUITES))


def choose(name: str, ids: Sequence[str] = (), expression: str = "") -> tuple[tuple[Case, ...], str]:
    """The cases to run, and their label in reports: single ids, or a suite; both filtered by a `-k` expression.

    With ids the suite is not built. Raises BadInput for an unknown suite, a malformed id or expression, and if no case is left.
    """
    check_suite(name)
    if ids:
        causes = {case: case for case in suite("regressions")}
        cases = tuple(dict.fromkeys(causes.get(case, case) for case in map(parse, ids)))
        label = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
    else:
        cases, label = suite(name), f"{name} suite"
    if expression:
        cases = select(cases, expression)
        if not cases:
            raise BadInput(f"-k {expression!r} selects nothing in the {label}; `bnverify list` shows the ids")
        label += f" with -k {expression!r}"
    return cases, label


def select(cases: Iterable[Case], expression: str) -> tuple[Case, ...]:
    """The cases whose id fits a `-k` expression: words joined by and, or, not and parentheses. A word matches if the id
    contains it.
    """
    fits = compile_expression(expression)
    return tuple(case for case in cases if fits(case.id))


def matches(case: Case, selection: str) -> bool:
    """Whether the case has every `field:value` of `selection`, defaults included.

    `|` separates alternative values, a leading `!` excludes them.

    Beside the fields of ids, `rank` is the rank of the shape, and `channels` the number of values in each weight.
    """
    fields = {**case.fields, "rank": str(len(case.shape)), "channels": str(math.prod(case.channels_shape))}
    parts = (part.partition(":") for part in selection.split("/") if part)
    return all((fields.get(name) in values.lstrip("!").split("|")) is not values.startswith("!") for name, _, values in parts)


def smaller_first(cases: Iterable[Case]) -> list[Case]:
    """Cases from the easiest to read to the hardest: by number of values, then of steps, then length of the id."""

    def effort(case: Case) -> tuple[Any, ...]:
        return math.prod(case.shape) * len(case.steps), len(case.id), case.id

    return sorted(cases, key=effort)
