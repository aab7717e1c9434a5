"""A case: what is asked of a layer. Its id is readable, prints only what differs from the defaults, and parses back."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bnverify.errors import BadInput
from bnverify.precision import FORMATS, INTEGERS, POLICIES

RATE = 0.125  # learning rate of an optimizer step, exact in every format


class Step(enum.Enum):
    """One entry of a trace: a call of the layer, or a change of its `trainable` attribute."""

    TRAIN = "T"
    INFER = "I"
    NOT_GIVEN = "N"
    FREEZE = "F"
    UNFREEZE = "U"
    OPTIMIZE = "O"

    @property
    def is_call(self) -> bool:
        return self in _TRAINING

    @property
    def training(self) -> bool | None:
        """The `training` argument of a call: True, False, or None where it is not given."""
        return _TRAINING[self]

    @property
    def words(self) -> str:
        return _WORDS[self]


_TRAINING: dict[Step, bool | None] = {Step.TRAIN: True, Step.INFER: False, Step.NOT_GIVEN: None, Step.OPTIMIZE: True}
_WORDS = {
    Step.TRAIN: "call with training=True",
    Step.INFER: "call with training=False",
    Step.NOT_GIVEN: "call, training not given",
    Step.FREEZE: "set trainable=False",
    Step.UNFREEZE: "set trainable=True",
    Step.OPTIMIZE: f"call with training=True, then a step of SGD({RATE}) on gamma and beta",
}


RENORM = ("moving_stddev", "renorm_mean", "renorm_stddev")  # the further weights of batch renormalization


@dataclass(frozen=True)
class LayerConfig:
    """Constructor arguments of `keras.layers.BatchNormalization`, with Keras' names and defaults.

    axis: the axis that is kept, or several; momentum in [0, 1]; epsilon in [0, 1e6]; renorm_clipping: pairs of rmax, rmin or
    dmax with its value; regularizers and constraints by Keras' names, empty for none.
    """

    axis: int | tuple[int, ...] = -1
    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    gamma_regularizer: str = ""
    beta_regularizer: str = ""
    gamma_constraint: str = ""
    beta_constraint: str = ""
    renorm: bool = False
    renorm_clipping: tuple[tuple[str, float], ...] = ()
    renorm_momentum: float = 0.99

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments that differ from the defaults: what is not passed tests Keras' own default."""
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default}
        if isinstance(self.axis, tuple):
            given["axis"] = list(self.axis)
        if self.renorm_clipping:
            given["renorm_clipping"] = dict(self.renorm_clipping)
        return given

    def weight_names(self) -> tuple[str, ...]:
        """The weights that the layer must have, in Keras' order."""
        return ("gamma",) * self.scale + ("beta",) * self.center + self.statistics

    @property
    def statistics(self) -> tuple[str, ...]:
        """The weights that training calls move."""
        return ("moving_mean", "moving_variance") + RENORM * self.renorm


@dataclass(frozen=True, kw_only=True)
class Case:
    """Layer config + input (shape, dtype, fill, mask) + initial weights + steps + dtype policy.

    gradients: up to which order the calls are differentiated; law: the law that a second observation is held against.
    `cause` says why a regression case exists; it is no part of the identity.
    """

    shape: tuple[int, ...]
    steps: tuple[Step, ...]
    config: LayerConfig = LayerConfig()
    policy: str = "float32"
    dtype: str = "float32"
    fill: str = "normal"
    mask: str = "none"
    weights: str = "random"
    gradients: int = 0
    law: str = "none"
    cause: str = field(default="", compare=False)

    @cached_property
    def id(self) -> str:
        """Readable name, e.g. `shape:2x3x5x7/axis:1/fill:offset/steps:T3`; `parse(case.id) == case`."""
        shown = self.fields.items()
        return "/".join(f"{name}:{text}" for name, text in shown if text != _DEFAULT_TEXT.get(name))

    @cached_property
    def fields(self) -> dict[str, str]:
        """Every field of the id with its text, defaults included, in the order in which ids print them."""
        return {name: spell(_value_of(self, name)) for name, (spell, _) in _FIELDS.items()}

    @property
    def all_fields(self) -> str:
        """The id with the defaults written out: as a selection of cases it matches this one alone."""
        return "/".join(map(":".join, self.fields.items()))

    @cached_property
    def kept(self) -> tuple[int, ...]:
        """The kept axes, non-negative and sorted; all others are reduced."""
        axes = self.config.axis if isinstance(self.config.axis, tuple) else (self.config.axis,)
        return tuple(sorted(axis % len(self.shape) for axis in axes))

    @cached_property
    def channels_shape(self) -> tuple[int, ...]:
        """The shape of the weights: the sizes of the kept axes; for several, full rank with ones (Keras 2)."""
        if not isinstance(self.config.axis, tuple):
            return (self.shape[self.kept[0]],)
        return tuple(n if axis in self.kept else 1 for axis, n in enumerate(self.shape))


def _value_of(case: Case, name: str) -> Any:
    return getattr(case if name not in _CONFIG_FIELDS else case.config, name)


def _format_steps(steps: tuple[Step, ...]) -> str:
    runs = ((step, len(list(group))) for step, group in itertools.groupby(steps))
    return "".join(step.value + (str(n) if n > 1 else "") for step, n in runs)


def _parse_steps(text: str) -> tuple[Step, ...]:
    if not re.fullmatch(r"([TINFU]([1-9]\d{0,5})?)*O?", text):
        raise ValueError("letters T, I, N, F, U, each with an optional count, as T5IFTI, and O at the end")
    runs = re.findall(r"([TINFUO])(\d*)", text)
    steps = tuple(Step(letter) for letter, count in runs for _ in range(int(count or 1)))
    if not any(step.is_call for step in steps):
        raise ValueError("at least one call (T, I, N or O)")
    return steps


def _parse_shape(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"(0|[1-9]\d*)(x(0|[1-9]\d*))+", text):
        raise ValueError("two or more sizes joined by x, as 4x3")
    return tuple(int(size) for size in text.split("x"))


def _parse_axis(text: str) -> int | tuple[int, ...]:
    if not re.fullmatch(r"-?\d+(\+-?\d+)*", text):
        raise ValueError("an integer, or several joined by +, as -1 or 1+3")
    axes = tuple(int(axis) for axis in text.split("+"))
    return axes if len(axes) > 1 else axes[0]


def _parse_number(low: float, high: float) -> Callable[[str], float]:
    def parse_number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return value

    return parse_number


def _one_of(*allowed: str) -> Callable[[str], str]:
    def choose(text: str) -> str:
        if text not in allowed:
            raise ValueError("one of " + ", ".join(allowed))
        return text

    return choose


def _parse_clipping(text: str) -> tuple[tuple[str, float], ...]:
    pairs = [(pair[:4], pair[4:]) for pair in text.split("+")]
    names = [name for name, _ in pairs]
    limits = {name: _parse_number(0, 1e6)(value) for name, value in pairs if re.fullmatch(r"\d+(\.\d+)?(e-\d+)?", value)}
    in_order = limits.get("rmin", 0) <= limits.get("rmax", 1e6)
    if len(limits) < len(names) or not set(names) <= {"rmax", "rmin", "dmax"} or not in_order:
        raise ValueError("rmax, rmin and dmax, each at most once, rmin <= rmax, joined by +, as rmax3.0+rmin0.3+dmax5.0")
    return tuple(limits.items())


def _parse_order(text: str) -> int:
    return int(_one_of("0", "1", "2")(text))


def _parse_bool(text: str) -> bool:
    return _one_of("True", "False")(text) == "True"


LARGEST_RANK = 16
LARGEST = 2**28  # values in all batches: 2 GB in float64, which the fills make before they round
FILLS = ("normal", "exact", "offset", "constant", "tiny", "spike", "huge", "subnormal", "nonfinite")
MASKS = ("none", "random", "padding", "one", "full", "empty", "hidden", "int32", "float32", "broadcast", "whole")
WEIGHTS = ("random", "initial", "negative", "subnormal")
LAWS = ("none", "shift", "scale", "permutation", "channels", "transposition", "epsilon", "statistics", "axes", "mask", "renorm")
REGULARIZERS = ("", "l1", "l2")
CONSTRAINTS = ("", "non_neg", "unit_norm", "max_norm")

_CONFIG_FIELDS = tuple(f.name for f in dataclasses.fields(LayerConfig))
_FIELDS: dict[str, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    "shape": (lambda sizes: "x".join(map(str, sizes)), _parse_shape),
    "axis": (lambda axis: "+".join(map(str, axis)) if isinstance(axis, tuple) else str(axis), _parse_axis),
    "momentum": (repr, _parse_number(0, 1)),
    "epsilon": (repr, _parse_number(0, 1e6)),
    "center": (str, _parse_bool),
    "scale": (str, _parse_bool),
    "gamma_regularizer": (str, _one_of(*REGULARIZERS)),
    "beta_regularizer": (str, _one_of(*REGULARIZERS)),
    "gamma_constraint": (str, _one_of(*CONSTRAINTS)),
    "beta_constraint": (str, _one_of(*CONSTRAINTS)),
    "renorm": (str, _parse_bool),
    "renorm_clipping": (lambda pairs: "+".join(f"{name}{value!r}" for name, value in pairs), _parse_clipping),
    "renorm_momentum": (repr, _parse_number(0, 1)),
    "policy": (str, _one_of(*POLICIES)),
    "dtype": (str, _one_of(*FORMATS, *INTEGERS)),
    "fill": (str, _one_of(*FILLS)),
    "mask": (str, _one_of(*MASKS)),
    "weights": (str, _one_of(*WEIGHTS)),
    "gradients": (str, _parse_order),
    "law": (str, _one_of(*LAWS)),
    "steps": (_format_steps, _parse_steps),
}
_DEFAULT_TEXT = {
    name: _FIELDS[name][0](f.default)
    for name, f in [(f.name, f) for f in (*dataclasses.fields(Case), *dataclasses.fields(LayerConfig))]
    if name in _FIELDS and f.default is not dataclasses.MISSING
}


def parse(text: str) -> Case:
    """The case that an id names. Raises BadInput, saying what was got, what is allowed and what is near."""
    values: dict[str, Any] = {}
    for part in text.strip().split("/"):
        name, colon, value = part.partition(":")
        if name not in _FIELDS or not colon:
            near = difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}:…?" if near else ""
            raise BadInput(f"case id {text!r}: {part!r} is not field:value with a field of {', '.join(_FIELDS)}{hint}")
        if name in values:
            raise BadInput(f"case id {text!r}: the field {name} stands twice")
        try:
            values[name] = _FIELDS[name][1](value)
        except ValueError as allowed:
            choices = str(allowed).removeprefix("one of ").split(", ") if str(allowed).startswith("one of ") else []
            near = difflib.get_close_matches(value, choices, n=1)
            hint = f"; did you mean {name}:{near[0]}?" if near else ""
            raise BadInput(f"case id {text!r}: {name} is {value!r}; allowed: {allowed}{hint}") from None
    for required in ("shape", "steps"):
        if required not in values:
            raise BadInput(f"case id {text!r}: no {required}; an id needs shape and steps, as shape:4x3/steps:TI")
    config = LayerConfig(**{name: values.pop(name) for name in _CONFIG_FIELDS if name in values})
    case = Case(config=config, **values)
    _validate(case, text)
    return case


def _validate(case: Case, text: str) -> None:
    rank = len(case.shape)
    values = math.prod(case.shape) * len(case.steps)
    if rank > LARGEST_RANK or values > LARGEST:
        got = f"{rank} axes and {len(str(values))} digits of values in all steps"
        allowed = f"at most {LARGEST_RANK} axes and {LARGEST} values"
        raise BadInput(f"case id {text[:200]!r}: shape and steps make {got}; allowed: {allowed}")
    axes = case.config.axis if isinstance(case.config.axis, tuple) else (case.config.axis,)
    if not all(-rank <= axis < rank for axis in axes):
        raise BadInput(f"case id {text!r}: axis {case.fields['axis']} is out of range -{rank}…{rank - 1} of the shape")
    if 0 in (case.shape[axis] for axis in axes):
        raise BadInput(f"case id {text!r}: the kept axis has size 0; allowed: sizes of 0 on reduced axes")
    if (case.config.renorm_clipping or case.config.renorm_momentum != LayerConfig.renorm_momentum) and not case.config.renorm:
        raise BadInput(f"case id {text!r}: renorm_clipping and renorm_momentum need renorm:True")
    begins = "I" if case.law == "epsilon" else "T"
    if case.law != "none" and case.steps[0].value != begins:
        raise BadInput(f"case id {text!r}: law:{case.law} is about a first step {begins}, got steps:{case.fields['steps']}")
    if case.law == "mask" and case.mask != "full":
        raise BadInput(f"case id {text!r}: law:mask is about mask:full, got mask:{case.mask}")
    if len({axis % rank for axis in axes}) < len(axes):
        raise BadInput(f"case id {text!r}: axis {case.fields['axis']} names an axis twice")
