"""Expected something else? Common readings of batch normalization are tried, one at a time and together, on expected numbers.

A reading changes one thing that the layer computes: the other statistics, n-1, no epsilon, another axis, momentum the other way
round. The report names the smallest set of readings that gives the expected numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnverify.bounds.derive import moments_error
from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.contract.evidence import expect
from bnverify.errors import BadInput
from bnverify.explaining.subject import as_numbers
from bnverify.numeric.precision import Array, Precision
from bnverify.reference.formulas import Formulas
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.reference.machine import Call, trace_case
from bnverify.values import Grade

LARGE = 1 << 16  # if x has more values than this, at most two readings are combined
NEAR = 1e-2  # relative to the spread of the numbers: a reading with a larger error is not checked against its bounds
TELLING = 2  # decimal places: numbers with fewer are taken as exact
NEAREST = 0.1  # relative to the largest number: a closest reading with a larger error is not reported
QUANTITIES = ("y", "mean", "variance", "moving_mean", "moving_variance")


@dataclass(frozen=True)
class Setting:
    """A computation: the case, its inputs, and the formulas."""

    case: Case
    inputs: Inputs
    formulas: Formulas


@dataclass(frozen=True)
class Reading:
    """One reading as text, and what it changes; None if it does not apply to a setting."""

    words: str
    change: Callable[[Setting], Setting | None]


@dataclass(frozen=True)
class Answer:
    """What was expected of a quantity, and which readings give it.

    as_is: whether it is what Keras promises, without a reading. readings: the readings that give it, as few as possible.
    digits: None if they give it within rounding, else the number of decimal places that agree. nearest: if none gives it, the
    closest and its largest error; None if that is too large. tried: how many were tried.
    """

    quantity: str
    expected: Array
    as_is: bool
    readings: tuple[str, ...] = ()
    digits: int | None = None
    nearest: tuple[str, float] | None = None
    tried: int = 0


def compare_expected(expected: object, setting: Setting, formats: Precision) -> tuple[Answer, ...]:
    """How each expected quantity can be computed. expected: an array for y, or arrays by quantity (`QUANTITIES`)."""
    given = expected if isinstance(expected, Mapping) else {"y": expected}
    if unknown := [name for name in given if name not in QUANTITIES]:
        raise BadInput("expected", got=unknown[0], allowed=f"an array for y, or a dict of {', '.join(QUANTITIES)}")
    return tuple(_compared(name, _array(name, value, setting.case), setting, formats) for name, value in given.items())


def _array(name: str, value: object, case: Case) -> Array:
    array = as_numbers(value)
    if array is None:
        raise BadInput(f"expected {name}", got=value, allowed="numbers")
    if name == "y" and array.shape != case.shape:
        raise BadInput(f"expected y: got shape {array.shape}", allowed=f"the shape of x, {case.shape}")
    rank = len(case.shape)
    kept = (axes for count in range(rank + 1) for axes in itertools.combinations(range(rank), count))
    sizes = {math.prod(case.shape[axis] for axis in axes) for axes in kept}
    if name != "y" and array.size not in sizes:
        channels = math.prod(case.channels_shape)
        raise BadInput(
            f"expected {name}: got {array.size} values",
            allowed=f"{channels}, one for each channel (or for each position of another axis)",
        )
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _compared(name: str, expected: Array, setting: Setting, formats: Precision) -> Answer:
    """The fewest readings that give `expected` within rounding; if none do, those that agree in the given digits."""
    x = setting.inputs.batches[0]
    most = 2 if x is None or x.size > LARGE else 4
    decimals = _decimals(expected)
    nearest: tuple[str, float] = ("", np.inf)
    rounded: list[_Fit] = []
    tried = 0
    for departures in range(most + 1):
        exact: list[_Fit] = []
        near: list[_Fit] = []
        for words, changed in _combined(setting, departures, name):
            tried += 1
            value = _value(name, trace_case(changed.case, changed.inputs, changed.formulas, formats)[0])
            if value.size != expected.size:
                continue
            error = _error(value.reshape(expected.shape), expected)
            nearest = min(nearest, (words, error), key=lambda fit: fit[1])
            if error <= NEAR * _largest(expected) and _within(name, expected, changed, formats):
                exact.append((words, error))
            elif decimals >= TELLING and error <= 0.5 * 10.0**-decimals:
                near.append((words, error))
        if exact:
            return Answer(name, expected, departures == 0, _closest(exact, expected, formats), tried=tried)
        rounded = rounded or near
    if rounded:
        return Answer(name, expected, rounded[0][0] == "", _closest(rounded, expected, formats), decimals, tried=tried)
    return Answer(name, expected, False, nearest=nearest if nearest[1] <= NEAREST * _largest(expected) else None, tried=tried)


_Fit = tuple[str, float]  # a reading as text, and its largest error


def _closest(fits: list[_Fit], expected: Array, formats: Precision) -> tuple[str, ...]:
    """The readings that are as close as the closest one, apart from the rounding of the last digit."""
    least = min(error for _, error in fits)
    room = 2 * least + 2 * formats.output.unit_roundoff * _largest(expected)
    return tuple(words for words, error in fits if words and error <= room)


def _combined(setting: Setting, departures: int, name: str) -> Iterator[tuple[str, Setting]]:
    """All settings with this number of readings, at most one of each kind, each with its text."""
    for kinds in itertools.combinations(_kinds(setting, name), departures):
        for readings in itertools.product(*kinds):
            changed: Setting | None = setting
            for reading in readings:
                changed = None if changed is None else reading.change(changed)
            if changed is not None:
                yield " and ".join(reading.words for reading in readings), changed


def _kinds(setting: Setting, name: str) -> list[list[Reading]]:
    """The readings that affect a quantity, by kind."""
    case = setting.case
    with_batch = setting.formulas.normalizes_with_batch(case.steps[0].training, not case.config.trainable)
    statistics = [_formula("the batch statistics normalize (as in training)", "always-batch")]
    if with_batch:
        statistics = [
            _formula("the moving statistics normalize (as in inference)", "always-moving"),
            _formula("the moving statistics normalize (after their update)", "updated-moving"),
        ]
    divisor = [_formula("the variance is divided by n-1 (ddof=1)", "unbiased")]
    masks = [Reading("the mask is left out", _unmasked)] if case.mask else []
    kinds = [_axes(case, name == "y"), divisor, masks]
    if name in ("y", "mean", "variance"):
        kinds.insert(0, statistics)
    if name == "y":
        kinds += [_of(EPSILON), [Reading(words, _without(names)) for words, names in VARIED_PARAMETERS]]
    if name.startswith("moving"):
        moves = setting.formulas.updates(case.steps[0].training, not case.config.trainable)
        kinds += (
            [_of(MOMENTUM)]
            if moves
            else [[Reading("the call updates the moving statistics, as in training", _moving)], _of(MOMENTUM)]
        )
    return [kind for kind in kinds if kind]


EPSILON = ("no-epsilon", "epsilon-outside", "epsilon-1e-5", "epsilon-0.001")
MOMENTUM = ("momentum-swapped", "momentum-0.9", "momentum-0.99", "never-updated", "moving-replaced", "moving-sum")
VARIED_PARAMETERS = (
    ("gamma and beta are not applied", ("gamma", "beta")),
    ("gamma is not applied", ("gamma",)),
    ("beta is not applied", ("beta",)),
)


def _of(keys: Sequence[str]) -> list[Reading]:
    return [_formula(HYPOTHESIS_BY_KEY[key].cause, key) for key in keys]


def _formula(words: str, key: str) -> Reading:
    """A reading that is a hypothesis of the catalogue."""
    fault, right = HYPOTHESIS_BY_KEY[key].formulas, Formulas()
    changed = {name: value for name in vars(right) if (value := getattr(fault, name)) is not getattr(right, name)}
    return Reading(words, lambda setting: replace(setting, formulas=replace(setting.formulas, **changed)))


def _moving(setting: Setting) -> Setting:
    return replace(setting, formulas=replace(setting.formulas, updates=lambda training, frozen: True))


def _without(names: Sequence[str]) -> Callable[[Setting], Setting | None]:
    """gamma 1 and beta 0, if the layer has other values."""
    plain = {"gamma": 1.0, "beta": 0.0}

    def change(setting: Setting) -> Setting | None:
        weights = dict(setting.inputs.weights or {})
        if not all(name in weights and np.any(weights[name] != plain[name]) for name in names):
            return None
        weights.update({name: np.full_like(weights[name], plain[name]) for name in names})
        return replace(setting, inputs=replace(setting.inputs, weights=weights))

    return change


def _unmasked(setting: Setting) -> Setting:
    return replace(setting, case=replace(setting.case, mask=""), inputs=replace(setting.inputs, masks=()))


def _axes(case: Case, scaled: bool) -> list[Reading]:
    """Other kept axes: the axis that the layer reduces, each other axis, none. scaled: whether gamma and beta matter."""
    rank = len(case.shape)
    everything = tuple(range(rank))
    reduced = tuple(axis for axis in everything if axis not in case.kept)
    options = [reduced, *((axis,) for axis in everything), everything[:1] + case.kept, everything[1:], ()]
    found: dict[tuple[int, ...], Reading] = {}
    for kept in (tuple(sorted(set(option))) for option in options):
        over = [axis for axis in everything if axis not in kept]
        if kept == case.kept or not over or all(case.shape[axis] == 1 for axis in over):
            continue
        one = f"one for each position of axis {_and(kept)}" if kept else "one for all"
        words = f"the statistics are computed over axis {_and(over)}, {one}"
        if kept == reduced:
            words += ": axis is read as in np.mean, as the axis to reduce"
        found.setdefault(kept, Reading(words, _keeping(kept, scaled)))
    return list(found.values())


def _keeping(kept: tuple[int, ...], scaled: bool) -> Callable[[Setting], Setting | None]:
    def change(setting: Setting) -> Setting | None:
        case, weights = setting.case, setting.inputs.weights or {}
        if not setting.formulas.normalizes_with_batch(case.steps[0].training, not case.config.trainable):
            return None  # the moving statistics exist for the layer's axis only
        other = replace(case, config=replace(case.config, axis=kept))
        changed = {}
        for name in case.config.weight_names():
            values = weights.get(name, np.array(case.config.initial(name)))
            if scaled and name in ("gamma", "beta") and np.ptp(values) > 0:
                return None  # so do gamma and beta
            changed[name] = np.full(other.channels_shape, values.flat[0])
        return replace(setting, case=other, inputs=replace(setting.inputs, weights=changed))

    return change


def _and(axes: Sequence[int]) -> str:
    return " and ".join(map(str, axes))


def _value(name: str, call: Call) -> Array:
    if name == "y":
        return call.y()
    if name in ("mean", "variance"):
        return np.asarray(getattr(call, name))
    return np.asarray(call.after.weights[name])


def _within(name: str, expected: Array, setting: Setting, formats: Precision) -> bool:
    """Whether rounding explains the difference: of Keras on TensorFlow, of NumPy, and of the expected numbers."""
    expectation = expect(setting.case, setting.inputs, setting.formulas, formats)
    call, bounds = expectation.calls[0], expectation.bounds[0]
    value = _value(name, call)
    with np.errstate(all="ignore"):
        if name == "y":
            bound = np.abs(call.x - call.mean) * bounds.slope[Grade.BLOCKED] + bounds.offset[Grade.BLOCKED]
        elif call.normalizes_with_batch and call.batch is not None and not name.startswith("moving"):
            bound = moments_error(call.batch, formats.arithmetic, (False, False))[f"moving_{name}"][Grade.BLOCKED]
        else:
            bound = 2 * formats.variable.unit_roundoff * np.abs(value)
            bound = bound + (bounds.moving[name][Grade.BLOCKED] if name.startswith("moving") else 0.0)
        room = bound.reshape(expected.shape) + np.finfo(expected.dtype).eps * np.abs(expected.astype(np.float64))
        value = value.reshape(expected.shape)
        fits = (np.abs(value - expected) <= room) | (value == expected) | (np.isnan(value) & np.isnan(expected))
    return bool(fits.all() and np.isfinite(room).any())


def _error(value: Array, expected: Array) -> float:
    with np.errstate(all="ignore"):
        error = np.abs(value - expected)
    return float(np.max(np.where(np.isnan(error), np.inf, error)))


def _largest(expected: Array) -> float:
    finite = expected[np.isfinite(expected)]
    return float(np.max(np.abs(finite), initial=0.0)) or 1.0


def _decimals(expected: Array) -> int:
    """The number of decimal places of the numbers: the largest of any number."""
    texts = [np.format_float_positional(v, trim="-") for v in expected.ravel()[:1000] if np.isfinite(v)]
    return max((len(text.partition(".")[2]) for text in texts), default=0)
