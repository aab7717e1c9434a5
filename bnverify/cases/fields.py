"""The fields of a case id: how each value is written and read."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable
from typing import Any

from bnverify.cases.file_formats import FILES
from bnverify.cases.layer_config import CONSTRAINTS, INITIALIZERS, REGULARIZERS, LayerConfig
from bnverify.cases.misuse import MISUSES
from bnverify.cases.modes import LAYOUTS, MODES
from bnverify.cases.networks import NETWORKS
from bnverify.cases.posted import POSTED
from bnverify.cases.spelling import one_of, parse_axis, parse_bool, parse_clipping, parse_number, parse_order, parse_shape
from bnverify.cases.steps import Step
from bnverify.numeric.precision import FORMATS, INTEGERS, POLICIES

FILLS = ("normal", "exact", "offset", "constant", "tiny", "spike", "huge", "subnormal", "nonfinite")
MASKS = ("random", "padding", "one", "full", "empty", "hidden", "int32", "float32", "broadcast", "whole")
WEIGHTS = ("random", "initial", "negative", "subnormal")
LAWS = (
    "shift",
    "scale",
    "permutation",
    "channels",
    "transposition",
    "epsilon",
    "statistics",
    "axes",
    "mask",
    "renorm",
    "repeat",
    "threads",
)

Spelling = tuple[Callable[[Any], str], Callable[[str], Any]]  # how to write a value, and how to read its text


def _format_steps(steps: tuple[Step, ...]) -> str:
    runs = ((step, len(list(group))) for step, group in itertools.groupby(steps))
    return "".join(step.value + (str(n) if n > 1 else "") for step, n in runs)


def _parse_steps(text: str) -> tuple[Step, ...]:
    if not re.fullmatch(r"([TINFUS]([1-9]\d{0,5})?)*O?", text, re.ASCII):
        raise ValueError("letters T, I, N, F, U, S, each with an optional count, such as T5IFTI; O only at the end")
    runs = re.findall(r"([TINFUSO])(\d*)", text)
    steps = tuple(Step(letter) for letter, count in runs for _ in range(int(count or 1)))
    if not any(step.is_call for step in steps):
        raise ValueError("at least one call (T, I, N or O)")
    return steps


def _optional(names: Iterable[str]) -> Spelling:
    """A field that may be omitted: its value is then empty, and its text is "none"."""
    read = one_of("none", *names)
    return (lambda name: name or "none"), (lambda text: read(text) if text != "none" else "")


CONFIG_FIELDS = tuple(f.name for f in dataclasses.fields(LayerConfig))
FIELDS: dict[str, Spelling] = {
    "shape": (lambda sizes: "x".join(map(str, sizes)), parse_shape),
    "axis": (lambda axis: "+".join(map(str, axis)) if isinstance(axis, tuple) else str(axis), parse_axis),
    "momentum": (repr, parse_number(0, 1)),
    "epsilon": (repr, parse_number(0, 1e6)),
    "center": (str, parse_bool),
    "scale": (str, parse_bool),
    **{f"{name}_initializer": (str, one_of(*INITIALIZERS)) for name in ("gamma", "beta", "moving_mean", "moving_variance")},
    "gamma_regularizer": (str, one_of(*REGULARIZERS)),
    "beta_regularizer": (str, one_of(*REGULARIZERS)),
    "gamma_constraint": (str, one_of(*CONSTRAINTS)),
    "beta_constraint": (str, one_of(*CONSTRAINTS)),
    "renorm": (str, parse_bool),
    "renorm_clipping": (lambda pairs: "+".join(f"{name}{value!r}" for name, value in pairs), parse_clipping),
    "renorm_momentum": (repr, parse_number(0, 1)),
    "synchronized": (str, parse_bool),
    "trainable": (str, parse_bool),
    "policy": (str, one_of(*POLICIES)),
    "dtype": (str, one_of(*FORMATS, *INTEGERS)),
    "fill": (str, one_of(*FILLS)),
    "mask": _optional(MASKS),
    "weights": (str, one_of(*WEIGHTS)),
    "gradients": (str, parse_order),
    "law": _optional(LAWS),
    "layout": (str, one_of(*LAYOUTS)),
    "mode": (str, one_of(*MODES)),
    "file": _optional(FILES),
    "misuse": _optional(MISUSES),
    "network": _optional(NETWORKS),
    "posted": _optional(POSTED),
    "steps": (_format_steps, _parse_steps),
}
