"""The reference as a state machine over steps: `(state, step) -> (call, next state)`, in float64 or wider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bnverify.cases.case import Case, Step
from bnverify.cases.fills import Inputs
from bnverify.precision import FORMATS, Array, Precision, precision
from bnverify.reference import formulas as keras_formulas
from bnverify.reference.formulas import KERAS, Formulas, count
from bnverify.reference.moments import blocked_moments

INITIAL = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0}


@dataclass(frozen=True)
class State:
    """The layer between two steps: its weights, of the rank of x and size 1 on reduced axes, and whether it is frozen."""

    weights: Mapping[str, Array]
    frozen: bool = False


@dataclass(frozen=True)
class Batch:
    """A batch's own statistics over `n` values per channel."""

    mean: Array
    variance: Array
    n: int


@dataclass(frozen=True)
class Call:
    """What one call must give: `y = formulas.output(x, mean, inverse, gamma, beta)`, and the state before and after.

    `batch` is None in a call that normalizes with, and leaves alone, the moving statistics.
    """

    index: int
    step: Step
    x: Array
    batch: Batch | None
    mean: Array
    variance: Array
    inverse: Array
    before: State
    after: State
    formulas: Formulas

    @property
    def gamma(self) -> Array | float:
        return self.before.weights.get("gamma", 1.0)

    @property
    def beta(self) -> Array | float:
        return self.before.weights.get("beta", 0.0)

    def y(self) -> Array:
        """The whole expected output; the judge takes it block by block instead."""
        with np.errstate(all="ignore"):
            x = self.x.astype(self.mean.dtype)
            return np.asarray(self.formulas.output(np, x, self.mean, self.inverse, self.gamma, self.beta))


def trace(case: Case, inputs: Inputs, formulas: Formulas = KERAS, formats: Precision | None = None) -> tuple[Call, ...]:
    """The calls that the steps of `case` make, in order, each with what must come out of it."""
    formats = formats or precision(case.policy, case.dtype)
    state = initial_state(case, inputs)
    calls = []
    with np.errstate(all="ignore"):
        for index, (step, batch) in enumerate(zip(case.steps, inputs.batches, strict=True)):
            if batch is None:
                state = replace(state, frozen=step is Step.FREEZE)
                continue
            call = advance(case, read(state, formats), index, entered(batch, formats), formulas)
            state = call.after if call.after is not call.before else state
            calls.append(call)
    return tuple(calls)


def initial_state(case: Case, inputs: Inputs) -> State:
    """The layer as built: the given weights, or Keras' initial values."""
    shape = tuple(size if axis in case.kept else 1 for axis, size in enumerate(case.shape))
    wide = precision(case.policy, case.dtype).wide
    given = inputs.weights or {}
    names = case.config.weight_names()
    weights = {name: np.broadcast_to(given.get(name, INITIAL[name]), case.channels_shape) for name in names}
    return State({name: np.asarray(value, wide).reshape(shape) for name, value in weights.items()})


def entered(batch: Array, formats: Precision) -> Array:
    """The batch as it enters the layer's arithmetic: autocast to the policy's compute format, integers converted.

    float64 goes to a half format by way of float32, rounded twice, as TensorFlow's casts (Eigen's) do; NumPy's do not. An
    arithmetic that is narrower than the policy's compute format, as some Keras use for float64, rounds once more.
    """
    target = formats.autocast or formats.arithmetic
    target = min(target, formats.arithmetic, key=lambda f: f.bits)
    if batch.dtype == np.float64 and target.bits < FORMATS["float32"].bits and not formats.direct:
        batch = FORMATS["float32"].round(batch)
    return target.round(batch)


def read(state: State, formats: Precision) -> State:
    """The state as the layer reads it."""
    narrow = formats.read
    if narrow is None:
        return state
    return replace(state, weights={k: narrow.round(w).astype(formats.wide) for k, w in state.weights.items()})


def advance(case: Case, state: State, index: int, x: Array, formulas: Formulas) -> Call:
    """One call of the layer in `state` on `x`. The next state is the call's `after`."""
    training = case.steps[index].training
    mean, variance = state.weights["moving_mean"], state.weights["moving_variance"]
    uses_batch, updates = (f(training, state.frozen) for f in (formulas.normalizes_with_batch, formulas.updates))
    batch, after = None, state
    if uses_batch or updates:
        batch = batch_statistics(x, case.kept, formulas, precision(case.policy, case.dtype).wide)
    if batch and updates:
        momentum = case.config.momentum
        moved = {
            "moving_mean": formulas.moving_mean(np, mean, batch.mean, momentum),
            "moving_variance": formulas.moving_variance(np, variance, batch.variance, momentum, batch.n, case.config.epsilon),
        }
        after = replace(state, weights={**state.weights, **moved})
    if batch and uses_batch:
        mean = formulas.training_statistics(batch.mean, after.weights["moving_mean"])
        variance = formulas.training_statistics(batch.variance, after.weights["moving_variance"])
    inverse = formulas.inverse_deviation(np, variance, case.config.epsilon)
    return Call(index, case.steps[index], x, batch, mean, variance, inverse, state, after, formulas)


def batch_statistics(x: Array, kept: tuple[int, ...], formulas: Formulas, wide: type[np.floating[Any]]) -> Batch:
    """Mean, variance and count of a batch over all axes but `kept`."""
    axes = tuple(axis for axis in range(x.ndim) if axis not in kept)
    if formulas.moments is keras_formulas.moments:
        mean, variance = blocked_moments(x, kept, wide)
    else:
        mean, variance = formulas.moments(np, x.astype(wide), axes)
    return Batch(mean, variance, count(x.shape, axes))
