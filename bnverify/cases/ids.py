"""Ids: parse the text of a case id. A text that is not an id raises BadInput with the allowed values and the nearest one."""

from __future__ import annotations

import math
from typing import Any

from bnverify.cases.askable import cannot_exist
from bnverify.cases.case import Case
from bnverify.cases.fields import CONFIG_FIELDS, FIELDS
from bnverify.cases.layer_config import LayerConfig
from bnverify.errors import BadInput, did_you_mean

LARGEST_RANK = 16
LARGEST = 2**28  # values in all batches: 2 GB, because fills make float64 values before they are rounded


def parse(text: str) -> Case:
    """The case with this id. Raises BadInput with the text, the allowed values and the nearest one."""
    what = f"case id {text!r}"
    values = parse_fields(text, tuple(FIELDS), what)
    for required in ("shape", "steps"):
        if required not in values:
            raise BadInput(f"{what}: no {required}; an id needs shape and steps, such as shape:4x3/steps:TI")
    config = LayerConfig(**{name: values.pop(name) for name in CONFIG_FIELDS if name in values})
    case = Case(config=config, **values)
    _check(case, text)
    return case


def parse_fields(text: str, allowed: tuple[str, ...], what: str) -> dict[str, Any]:
    """The values of `field:value` parts joined by /, by field. Raises BadInput; its message begins with `what`."""
    values: dict[str, Any] = {}
    for part in text.strip().split("/"):
        name, colon, value = part.partition(":")
        if name not in allowed or not colon:
            hint = did_you_mean(name, allowed, cutoff=0.5, form="{}:…")
            raise BadInput(f"{what}: {part!r} is not field:value with a field of {', '.join(allowed)}", hint=hint)
        if name in values:
            raise BadInput(f"{what}: the field {name} is given twice")
        try:
            values[name] = FIELDS[name][1](value)
        except ValueError as error:
            choices = str(error).removeprefix("one of ").split(", ") if str(error).startswith("one of ") else []
            hint = did_you_mean(value, choices, form=name + ":{}")
            raise BadInput(f"{what}: {name} is {value!r}", allowed=str(error), hint=hint) from None
    return values


def _check(case: Case, text: str) -> None:
    """Raises BadInput if the case is too large or cannot exist."""
    rank = len(case.shape)
    values = math.prod(case.shape) * len(case.steps)
    if rank > LARGEST_RANK or values > LARGEST:
        got = f"{rank} axes and {len(str(values))} digits of values in all steps"
        allowed = f"at most {LARGEST_RANK} axes and {LARGEST} values"
        raise BadInput(f"case id {text[:200]!r}: shape and steps make {got}", allowed=allowed)
    if reason := cannot_exist(case):
        raise BadInput(f"case id {text!r}: {reason}")
