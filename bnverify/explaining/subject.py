"""Subjects: a layer and its inputs, as a user gives them, turned into a case."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.layer_config import ARGUMENTS, LayerConfig
from bnverify.cases.steps import Step
from bnverify.errors import BadInput, shortened
from bnverify.numeric.precision import FORMATS, INTEGERS, POLICIES, Array, precision

STEP_OF_TRAINING = {True: Step.TRAIN, False: Step.INFER, None: Step.NOT_GIVEN}
TAKEN_DTYPES = (*FORMATS, *INTEGERS)
OF_WEIGHTS = tuple(
    f"{weight}_{kind}"
    for kind, weights in {
        "initializer": ("gamma", "beta", "moving_mean", "moving_variance"),
        "regularizer": ("gamma", "beta"),
        "constraint": ("gamma", "beta"),
    }.items()
    for weight in weights
)
HARMLESS = ("name", "dtype", *OF_WEIGHTS)  # they do not change what a call computes
OLD = ("fused", "virtual_batch_size", "adjustment")  # get_config() of Keras 2 may also have these
MOST_CHANNELS = 1 << 18  # each takes about 500 bytes, and 80 for each of its values
OTHERWISE = ("virtual_batch_size", "adjustment")  # of these, only these change the numbers


@dataclass(frozen=True)
class Subject:
    """A layer's arguments and weights, and the batches; it is called once with each."""

    name: str
    case: Case
    inputs: Inputs


def make_subject(
    name: str,
    arguments: Mapping[str, Any],
    weights: Mapping[str, Any] | None,
    batches: Sequence[Any],
    training: object,
    masks: Sequence[Any] = (),
) -> Subject:
    """The case of a layer with these arguments, by Keras' names, and weights, called once with each batch.

    weights: by Keras' names, one value per channel; missing weights, or all if None, have Keras' initial values. batches:
    arrays with two axes or more; sizes may differ except along the kept axes. training: True, False or None. Raises BadInput;
    it says what was got and what is allowed.
    """
    if training is not None and not isinstance(training, (bool, np.bool_)):
        raise BadInput("training", got=training, allowed="True, False, or None to call without it")
    policy = _policy(arguments.get("dtype"))
    arrays = [as_batch(x, policy, "x" if len(batches) == 1 else f"batch {i}") for i, x in enumerate(batches)]
    config = _config(arguments, arrays[0].shape)
    _check_channels(config, arrays[0].shape)
    step = STEP_OF_TRAINING[None if training is None else bool(training)]
    case = Case(
        shape=arrays[0].shape,
        steps=(step,) * len(arrays),
        config=config,
        policy=policy,
        dtype=arrays[0].dtype.name,
        weights="initial" if weights is None else "random",
        mask="random" if len(masks) else "",
    )
    for i, x in enumerate(arrays):
        sizes = [x.shape[axis] for axis in case.kept] if x.ndim == arrays[0].ndim else []
        if sizes != [case.shape[axis] for axis in case.kept] or x.dtype != arrays[0].dtype:
            got = f"{x.dtype} of shape {x.shape}, but the first batch is {arrays[0].dtype} of {case.shape}"
            raise BadInput(
                f"batch {i}: got {got}",
                allowed=f"the same dtype, the same rank and the same size along the kept axis {config.axis}",
            )
    if len(masks) not in (0, len(arrays)):
        raise BadInput(f"masks: got {len(masks)}", allowed=f"{len(arrays)}, one for each batch, or none")
    given = tuple(_mask(mask, x) for mask, x in zip(masks, arrays, strict=True)) if len(masks) else ()
    return Subject(name, case, Inputs(_weights(weights, case, config.axis), tuple(arrays), given))


def _check_channels(config: LayerConfig, shape: tuple[int, ...]) -> None:
    axes = config.axis if isinstance(config.axis, tuple) else (config.axis,)
    channels = math.prod(shape[axis] for axis in axes)
    if channels > MOST_CHANNELS:
        raise BadInput(f"x: has {channels} channels along axis {config.axis} of its shape {shape}", allowed=str(MOST_CHANNELS))


def as_batch(x: Any, policy: str, what: str) -> Array:
    """An array with a dtype that layers accept. Lists of numbers get the policy's compute dtype, as in Keras."""
    allowed = f"numbers of {', '.join(TAKEN_DTYPES)}"
    if isinstance(x, np.ma.MaskedArray):
        raise BadInput(f"{what}: got a masked array", allowed="an array, and a separate mask")
    try:
        array = x if isinstance(x, np.ndarray) else np.asarray(x)
    except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        raise BadInput(f"{what}: is not an array: {shortened(' '.join(str(error).split()))}", allowed=allowed) from None
    if array.dtype.kind not in "iuf" and array.dtype.name != "bfloat16":
        got = (
            f"{array.dtype} of shape {array.shape}"
            if array.dtype.kind != "O"
            else f"{type(x).__name__}, not an array of numbers"
        )
        raise BadInput(f"{what}: got {got}", allowed=allowed)
    if not hasattr(x, "dtype"):
        array = np.asarray(array, POLICIES[policy].compute.name if policy != "bfloat16" else "float32")
    if array.dtype.name not in TAKEN_DTYPES:
        raise BadInput(f"{what}: got {array.dtype}", allowed=allowed)
    if array.ndim < 2:
        raise BadInput(f"{what}: got shape {array.shape}", allowed="two axes or more; the first one is the batch axis")
    if not array.size:
        raise BadInput(f"{what}: got shape {array.shape}, which has no values", allowed="one value or more")
    return array


def _policy(dtype: Any) -> str:
    """The name of a dtype policy; get_config() may have it as a dict."""
    if isinstance(dtype, Mapping):
        inner = dtype.get("config")
        dtype = inner.get("name") if isinstance(inner, Mapping) else dtype
    dtype = getattr(dtype, "name", dtype) or "float32"
    if not isinstance(dtype, str) or dtype not in POLICIES:
        raise BadInput("dtype", got=dtype, allowed=POLICIES)
    return dtype


def _config(arguments: Mapping[str, Any], shape: tuple[int, ...]) -> LayerConfig:
    """The layer config of those Keras arguments that affect a call."""
    if unknown := [name for name in arguments if name not in (*ARGUMENTS, *HARMLESS, *OLD)]:
        matter = [name for name in ARGUMENTS if name not in HARMLESS]
        raise BadInput(f"argument {unknown[0]!r} is unknown", allowed=f"{', '.join(matter)}, dtype")
    if changed := [name for name in OTHERWISE if arguments.get(name) is not None]:
        raise BadInput(changed[0], got=arguments[changed[0]], allowed="None, because explain cannot compute it")
    given = {name: value for name, value in arguments.items() if name in ARGUMENTS and name not in HARMLESS}
    given = {name: value for name, value in given.items() if value is not None}
    if "axis" in given:
        given["axis"] = _axis(given["axis"], shape)
    for name in ("momentum", "epsilon", "renorm_momentum"):
        if name in given:
            given[name] = _number(name, given[name])
    for name in ("center", "scale", "renorm", "synchronized", "trainable"):
        if not isinstance(given.get(name, True), (bool, np.bool_)):
            raise BadInput(name, got=given[name], allowed="True, False")
    clipping = given.pop("renorm_clipping", None) or {}
    if not isinstance(clipping, Mapping) or not set(clipping) <= {"rmin", "rmax", "dmax"}:
        raise BadInput("renorm_clipping", got=clipping, allowed="a dict with rmin, rmax and dmax")
    pairs = tuple((str(name), _number(f"renorm_clipping, {name}", value)) for name, value in clipping.items())
    config = LayerConfig(**given, renorm_clipping=pairs)
    axes = config.axis if isinstance(config.axis, tuple) else (config.axis,)
    if wrong := [axis for axis in axes if not -len(shape) <= axis < len(shape)]:
        raise BadInput(f"axis: got {wrong[0]}; allowed for x of shape {shape}: {-len(shape)} to {len(shape) - 1}")
    return config


def _axis(axis: Any, shape: tuple[int, ...]) -> int | tuple[int, ...]:
    """One axis, or several; Keras 2 writes one axis as a list."""
    try:
        axes = tuple(_integer(a) for a in axis) if isinstance(axis, (list, tuple)) else (_integer(axis),)
    except (TypeError, ValueError, OverflowError):
        axes = ()
    if not axes or len({a % len(shape) for a in axes}) < len(axes):
        raise BadInput("axis", got=axis, allowed="an integer, or a list of different integers")
    return axes if len(axes) > 1 else axes[0]


def _integer(value: Any) -> int:
    if isinstance(value, (bool, float)) or int(value) != value:
        raise ValueError(value)
    return int(value)


def _number(name: str, value: Any) -> float:
    try:
        found = float(value) if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) else math.nan
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise BadInput(name, got=value, allowed="a number")
    return found


def _weights(weights: Mapping[str, Any] | None, case: Case, axis: object) -> dict[str, Array] | None:
    """The weights in the form of the reference: float64, each value exact in the variables' format."""
    if weights is None:
        return None
    if not isinstance(weights, Mapping):
        raise BadInput(f"weights: got {type(weights).__name__}", allowed=f"a dict by {', '.join(case.config.weight_names())}")
    names, count = case.config.weight_names(), math.prod(case.channels_shape)
    if unknown := [name for name in weights if name not in names]:
        raise BadInput(f"weight {unknown[0]!r} is not a weight of this layer", allowed=names)
    found = {}
    for name in names:
        value = weights.get(name, case.config.initial(name))
        array = as_weight(name, value)
        if array.ndim and array.size != count:
            where = f"x has {count} channel{'s' * (count != 1)} along axis {axis} of its shape {case.shape}"
            raise BadInput(f"{name} of shape {array.shape} does not fit x: {where}", allowed="one value for each")
        whole = np.broadcast_to(array.reshape(-1 if array.ndim else ()), count).reshape(case.channels_shape)
        variable = precision(case.policy, case.dtype).variable
        found[name] = variable.round(whole).astype(np.float64)
        if np.isinf(found[name]).any() and not np.isinf(array).any():
            raise BadInput(
                f"weight {name}: got {np.abs(array).max():g}",
                allowed=f"up to {variable.largest:g}, the largest {variable.name}",
            )
    return found


def as_weight(name: str, value: Any) -> Array:
    """A weight as an array of numbers."""
    array = as_numbers(value)
    if array is None:
        raise BadInput(f"weight {name}", got=value, allowed="numbers, one for each channel")
    return array.astype(np.float64)


def as_numbers(value: Any) -> Array | None:
    """An array of numbers; None for anything else: texts, booleans, None, lists of different lengths."""
    try:
        array = np.asarray(value)
        return array if array.dtype.kind in "iuf" or array.dtype.name == "bfloat16" else None
    except (TypeError, ValueError, OverflowError, RuntimeError, NotImplementedError):
        return None


def _mask(mask: Any, x: Array) -> Array:
    """A mask as Keras takes it: with the axes of x except the last."""
    try:
        array = np.asarray(mask)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise BadInput(
            f"mask: is not an array: {shortened(' '.join(str(error).split()))}", allowed="booleans, or numbers 1 and 0"
        ) from None
    if array.dtype.kind not in "biuf":
        raise BadInput(f"mask: got {array.dtype}", allowed="booleans, or numbers 1 and 0")
    if other := array[(array != 0) & (array != 1)].tolist():
        raise BadInput(f"mask: got {other[0]}", allowed="booleans, or numbers 1 and 0")
    fits = array.ndim == x.ndim - 1 and all(m in (1, n) for m, n in zip(array.shape, x.shape, strict=False))
    if not fits:
        raise BadInput(
            f"mask: got shape {array.shape}; allowed for x of shape {x.shape}: {x.shape[:-1]}, or with size 1 along some axes"
        )
    return array
