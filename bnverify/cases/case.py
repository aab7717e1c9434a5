"""A case: what is asked of a layer. Its id is readable, prints only what differs from the defaults, and parses back."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bnverify.cases.layer_config import CONSTRAINTS, INITIALIZERS, REGULARIZERS, LayerConfig
from bnverify.cases.misuse import MISUSES
from bnverify.cases.modes import FILES, LAYOUTS, MASKERS, MODES, REPLICA_FILES, TRAINERS, replicas, spreads
from bnverify.cases.networks import NETWORKS
from bnverify.cases.posted import POSTED
from bnverify.cases.spelling import one_of, parse_axis, parse_bool, parse_clipping, parse_number, parse_order, parse_shape
from bnverify.errors import BadInput
from bnverify.numeric.precision import FORMATS, INTEGERS, POLICIES

RATE = 0.125  # learning rate of an optimizer step, exact in every format


class Step(enum.Enum):
    """One entry of a trace: a call of the layer, a change of its `trainable` attribute, or a file."""

    TRAIN = "T"
    INFER = "I"
    NOT_GIVEN = "N"
    FREEZE = "F"
    UNFREEZE = "U"
    OPTIMIZE = "O"
    SAVE = "S"

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
    Step.SAVE: "save, and load what was saved",
    Step.OPTIMIZE: f"call with training=True, then a step of SGD({RATE}) on gamma and beta",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """Layer config + input (shape, dtype, fill, mask, layout) + initial weights + steps + dtype policy + way of running.

    gradients: up to which order the calls are differentiated; law: the law that a second observation is held against;
    mode: how the calls are made; file: what a step S writes; misuse: a mistake that must be refused; network: the model whose
    batch normalizations are looked at while it trains, `shape` being that of its batches; posted: the question whose numbers
    are the input and the weights.
    `cause` says why a regression case exists; it is no part of the identity.
    """

    shape: tuple[int, ...]
    steps: tuple[Step, ...]
    config: LayerConfig = LayerConfig()  # noqa: RUF009, as frozen as any value
    policy: str = "float32"
    dtype: str = "float32"
    fill: str = "normal"
    mask: str = "none"
    weights: str = "random"
    gradients: int = 0
    law: str = "none"
    layout: str = "plain"
    mode: str = "call"
    file: str = "none"
    misuse: str = "none"
    network: str = "none"
    posted: str = "none"
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
    if not re.fullmatch(r"([TINFUS]([1-9]\d{0,5})?)*O?", text):
        raise ValueError("letters T, I, N, F, U, S, each with an optional count, as T5IFTI, and O at the end")
    runs = re.findall(r"([TINFUSO])(\d*)", text)
    steps = tuple(Step(letter) for letter, count in runs for _ in range(int(count or 1)))
    if not any(step.is_call for step in steps):
        raise ValueError("at least one call (T, I, N or O)")
    return steps


LARGEST_RANK = 16
LARGEST = 2**28  # values in all batches: 2 GB in float64, which the fills make before they round
FILLS = ("normal", "exact", "offset", "constant", "tiny", "spike", "huge", "subnormal", "nonfinite")
MASKS = ("none", "random", "padding", "one", "full", "empty", "hidden", "int32", "float32", "broadcast", "whole")
WEIGHTS = ("random", "initial", "negative", "subnormal")
LAWS = (
    "none",
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

_CONFIG_FIELDS = tuple(f.name for f in dataclasses.fields(LayerConfig))
_FIELDS: dict[str, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
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
    "mask": (str, one_of(*MASKS)),
    "weights": (str, one_of(*WEIGHTS)),
    "gradients": (str, parse_order),
    "law": (str, one_of(*LAWS)),
    "layout": (str, one_of(*LAYOUTS)),
    "mode": (str, one_of(*MODES)),
    "file": (str, one_of(*FILES)),
    "misuse": (str, one_of("none", *MISUSES)),
    "network": (str, one_of("none", *NETWORKS)),
    "posted": (str, one_of("none", *POSTED)),
    "steps": (_format_steps, _parse_steps),
}
_DEFAULT_TEXT = {
    name: _FIELDS[name][0](f.default)
    for name, f in [(f.name, f) for f in (*dataclasses.fields(Case), *dataclasses.fields(LayerConfig))]
    if name in _FIELDS and f.default is not dataclasses.MISSING
}


def parse(text: str) -> Case:
    """The case that an id names. Raises BadInput, saying what was got, what is allowed and what is near."""
    what = f"case id {text!r}"
    values = parse_fields(text, tuple(_FIELDS), what)
    for required in ("shape", "steps"):
        if required not in values:
            raise BadInput(f"{what}: no {required}; an id needs shape and steps, as shape:4x3/steps:TI")
    config = LayerConfig(**{name: values.pop(name) for name in _CONFIG_FIELDS if name in values})
    case = Case(config=config, **values)
    _validate(case, text)
    return case


def parse_fields(text: str, allowed: tuple[str, ...], what: str) -> dict[str, Any]:
    """The values of `field:value` parts joined by /, by field. Raises BadInput, which begins with what is being read."""
    values: dict[str, Any] = {}
    for part in text.strip().split("/"):
        name, colon, value = part.partition(":")
        if name not in allowed or not colon:
            near = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}:…?" if near else ""
            raise BadInput(f"{what}: {part!r} is not field:value with a field of {', '.join(allowed)}{hint}")
        if name in values:
            raise BadInput(f"{what}: the field {name} stands twice")
        try:
            values[name] = _FIELDS[name][1](value)
        except ValueError as error:
            choices = str(error).removeprefix("one of ").split(", ") if str(error).startswith("one of ") else []
            near = difflib.get_close_matches(value, choices, n=1)
            hint = f"; did you mean {name}:{near[0]}?" if near else ""
            raise BadInput(f"{what}: {name} is {value!r}; allowed: {error}{hint}") from None
    return values


def _validate(case: Case, text: str) -> None:
    rank = len(case.shape)
    values = math.prod(case.shape) * len(case.steps)
    if rank > LARGEST_RANK or values > LARGEST:
        got = f"{rank} axes and {len(str(values))} digits of values in all steps"
        allowed = f"at most {LARGEST_RANK} axes and {LARGEST} values"
        raise BadInput(f"case id {text[:200]!r}: shape and steps make {got}; allowed: {allowed}")
    if objection := next(itertools.chain(_objections(case), _objections_to_the_way(case), _objections_to_replicas(case)), ""):
        raise BadInput(f"case id {text!r}: {objection}")


def _objections(case: Case) -> Iterator[str]:
    """What does not go together in the layer, its input and the law."""
    rank, config = len(case.shape), case.config
    axes = config.axis if isinstance(config.axis, tuple) else (config.axis,)
    if not all(-rank <= axis < rank for axis in axes):
        yield f"axis {case.fields['axis']} is out of range -{rank}…{rank - 1} of the shape"
        return
    if 0 in (case.shape[axis] for axis in axes):
        yield "the kept axis has size 0; allowed: sizes of 0 on reduced axes"
    if (config.renorm_clipping or config.renorm_momentum != LayerConfig.renorm_momentum) and not config.renorm:
        yield "renorm_clipping and renorm_momentum need renorm:True"
    begins = "I" if case.law == "epsilon" else "T"
    if case.law not in ("none", "repeat", "threads") and case.steps[0].value != begins:
        yield f"law:{case.law} is about a first step {begins}, got steps:{case.fields['steps']}"
    if case.law == "mask" and case.mask != "full":
        yield f"law:mask is about mask:full, got mask:{case.mask}"
    if len({axis % rank for axis in axes}) < len(axes):
        yield f"axis {case.fields['axis']} names an axis twice"
    if config.draws and case.weights == "initial":
        yield f"{config.draws[0]} starts from random numbers, so that weights:initial says nothing of the calls"
    if case.posted != "none":
        yield from _objections_to_posted(case)


def _objections_to_posted(case: Case) -> Iterator[str]:
    """Posted numbers are input and weights of a layer that has just these."""
    posted, own = POSTED[case.posted], ("fill", "weights")
    if posted.shape != case.shape:
        yield f"posted:{case.posted} is about shape:{'x'.join(map(str, posted.shape))}, got shape:{case.fields['shape']}"
    if others := [f"{name}:{case.fields[name]}" for name in own if case.fields[name] != _DEFAULT_TEXT[name]]:
        yield f"posted:{case.posted} says what input and weights are; it goes with no {others[0]}"
    if posted.weights and set(posted.weights) != set(names := case.config.weight_names()):
        yield f"posted:{case.posted} has the weights {', '.join(posted.weights)}, the layer {', '.join(names)}"


def _objections_to_the_way(case: Case) -> Iterator[str]:
    """What does not go together in the way of running."""
    mode, steps = case.mode, case.fields["steps"]
    yield from _objections_to_the_file(case)
    if case.gradients and mode not in ("call", "positional"):
        yield f"gradients are taken of calls of the layer itself, once it is built; got mode:{mode}"
    if Step.OPTIMIZE in case.steps and mode not in ("call", "positional", *TRAINERS):
        yield f"a step O needs mode:call or {', '.join(TRAINERS)}; got mode:{mode}"
    if mode in TRAINERS:
        yield from _objections_to_training(case)
    if mode == "unbuilt" and case.weights != "initial":
        yield "a layer that is not built has no weights to set; mode:unbuilt needs weights:initial"
    if mode == "shared" and any(step.is_call and len(list(run)) % 2 for step, run in itertools.groupby(case.steps)):
        yield f"mode:shared makes two calls at once, so that each must stand twice; got steps:{steps}"
    if mode == "timedistributed" and (len(case.shape) < 3 or case.config.axis != -1 or case.mask == "broadcast"):
        yield "mode:timedistributed needs three axes or more, and axis -1; a mask with every time step"
    if mode in MASKERS and case.mask not in ("random", "padding", "one", "full", "empty"):
        yield f"mode:{mode} makes a mask: it needs mask:random, padding, one, full or empty, got mask:{case.mask}"
    if mode in MASKERS and (case.config.axis != -1 or len(case.shape) < 3):
        yield f"mode:{mode} needs three axes or more, and axis -1"
    if case.network != "none":
        yield from _objections_to_the_network(case)
    if (case.misuse != "none" or case.network != "none") and mode != "call":
        yield f"misuse and network are ways of running of their own; got mode:{mode}"
    if case.misuse != "none":
        yield from _objections_to_misuse(case)


def _objections_to_training(case: Case) -> Iterator[str]:
    """What does not go together where a compiled model is trained."""
    names = [name for name in _CONFIG_FIELDS if name.endswith(("_regularizer", "_constraint")) and getattr(case.config, name)]
    if names:
        yield f"mode:{case.mode} trains with what {names[0]} adds, which cases of plain calls ask for; allowed: without it"
    if case.mask != "none":
        yield f"mode:{case.mode} feeds inputs alone, and no mask; got mask:{case.mask}"
    if case.fill == "nonfinite" or case.config.epsilon == 0:
        yield f"SGD(0) of mode:{case.mode} makes NaN of gamma where its gradient is NaN; allowed: other fills, epsilon above 0"
    if case.mode == "uncompiled" and case.steps[-1] is Step.OPTIMIZE and {Step.FREEZE, Step.UNFREEZE} & {*case.steps}:
        yield f"a step O of mode:uncompiled compiles the model; allowed: without F and U; got steps:{case.fields['steps']}"
    if 0 in case.shape:
        yield f"mode:{case.mode} trains with batches that are not empty; got shape:{case.fields['shape']}"


def _objections_to_the_file(case: Case) -> Iterator[str]:
    """What does not go together in saving and loading."""
    mode, steps = case.mode, case.fields["steps"]
    if (Step.SAVE in case.steps) != (case.file != "none"):
        yield f"a step S needs a file, and a file a step S; got file:{case.file} with steps:{steps}"
    if case.file == "export" and {"T", "O", "F", "U", "S"} & set(steps[steps.index("S") + 1 :]):
        yield f"what file:export writes can only infer after S; got steps:{steps}"
    if case.file == "export" and (case.mask != "none" or mode == "shared"):
        yield f"what file:export writes takes one input and no mask; got mask:{case.mask} and mode:{mode}"


def _objections_to_replicas(case: Case) -> Iterator[str]:
    """What does not go together where a batch is spread over replicas."""
    mode, batch, count = case.mode, case.shape[0], replicas(case.mode)
    if count > max(1, batch):
        yield f"mode:{mode} needs a batch of {count} or more, got {batch}"
    if spreads(mode) and batch % count:
        yield f"mode:{mode} needs a batch of a multiple of {count}, got {batch}"
    if count > 1 and 0 in case.kept:
        yield f"mode:{mode} spreads the batch over replicas, so that its axis 0 cannot be kept"
    if count > 1 and case.file not in REPLICA_FILES:
        yield f"mode:{mode} needs file:{', '.join(REPLICA_FILES[1:])}; got file:{case.file}"
    if spreads(mode) and case.file != "none":
        yield f"mode:{mode} writes no files; got file:{case.file}"


def _objections_to_misuse(case: Case) -> Iterator[str]:
    """A mistake is made alone, and is one for certain shapes only."""
    alone = ("axis", "renorm", "mask", "gradients", "law", "file", "network")
    if others := [f"{name}:{case.fields[name]}" for name in alone if case.fields[name] != _DEFAULT_TEXT[name]]:
        yield f"a mistake is made alone; misuse:{case.misuse} goes with no {others[0]}"
    shape = MISUSES[case.misuse].shape
    if shape not in (None, case.shape):
        yield f"misuse:{case.misuse} is about shape:{'x'.join(map(str, shape or ()))}, got shape:{case.fields['shape']}"


def _objections_to_the_network(case: Case) -> Iterator[str]:
    """What a network leaves to be asked: its batches, the policy, whether it starts from Keras' own weights, the steps."""
    network, name = NETWORKS[case.network], case.network
    if not network.fits(case.shape):
        yield f"network:{name} takes batches of shape {network.takes}; got shape:{case.fields['shape']}"
    own = ("shape", "policy", "weights", "network", "steps", "mode", "misuse")
    for field_name, text in case.fields.items():
        if field_name not in own and text != _DEFAULT_TEXT[field_name]:
            yield f"network:{name} has layers and data of its own: {field_name} is not asked; got {field_name}:{text}"
    if case.weights not in ("random", "initial"):
        yield f"network:{name} starts from weights:random or initial; got weights:{case.weights}"
    if not set(case.steps) <= {Step.TRAIN, Step.INFER, Step.FREEZE, Step.UNFREEZE}:
        yield f"a network has steps T, I, F and U; got steps:{case.fields['steps']}"
