"""The reference as a state machine over steps: `(state, step) -> (call, next state)`, in float64 or wider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.layer_config import LayerConfig
from bnverify.cases.steps import RATE, Step
from bnverify.numeric.blocks import Index
from bnverify.numeric.precision import FORMATS, Array, Precision, precision
from bnverify.reference import formulas as keras_formulas
from bnverify.reference.formulas import KERAS, Backward, Formulas, count
from bnverify.reference.moments import blocked_moments
from bnverify.reference.parameters import constrained


@dataclass(frozen=True)
class State:
    """The layer between two steps: its weights, with the rank of x and size 1 on reduced axes, and whether it is frozen."""

    weights: Mapping[str, Array]
    frozen: bool = False


@dataclass(frozen=True)
class Batch:
    """The statistics of a batch, over `n` values per channel. Under a mask n is an array like them."""

    mean: Array
    variance: Array
    n: Any

    @property
    def most(self) -> int:
        """The largest count."""
        return int(np.max(np.nan_to_num(self.n), initial=0))


@dataclass(frozen=True)
class Call:
    """What one call must give: `y = formulas.output(x, mean, inverse, gamma, beta)`, and the state before and after.

    `batch` is None if the call normalizes with the moving statistics; it then leaves them unchanged. mask: has the shape of x.
    correction: r and d of batch renormalization. backward: what the gradients are computed from.
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
    mask: Array | None = None
    correction: tuple[Array, Array] | None = None
    backward: Backward | None = None

    @cached_property
    def own_gamma(self) -> Array:
        """gamma, or ones if the layer has none, in the shape of the statistics."""
        return self.before.weights.get("gamma", np.ones_like(self.mean))

    @cached_property
    def gamma(self) -> Array | float:
        """The scale: gamma; with renorm r*gamma."""
        return self.own_gamma * self.correction[0] if self.correction else self.before.weights.get("gamma", 1.0)

    @cached_property
    def beta(self) -> Array | float:
        """The offset: beta; with renorm d*gamma + beta."""
        beta = self.before.weights.get("beta", 0.0)
        return self.correction[1] * self.own_gamma + beta if self.correction else beta

    @property
    def updates(self) -> bool:
        """Whether the call updates the moving statistics."""
        return self.after is not self.before

    @property
    def normalizes_with_batch(self) -> bool:
        """Whether the call normalizes with the statistics of its batch."""
        return self.batch is not None and self.mean is self.batch.mean

    @property
    def counted(self) -> Array | None:
        """Which values the statistics include; None if they include all."""
        return None if self.batch is None or np.ndim(self.batch.n) == 0 else self.mask

    def part(self, index: Index, mean: Array, inverse: Array, gamma: Array, beta: Array) -> Array:
        """The expected output of a block. The statistics and parameters have the shape of x."""
        x = self.x[index].astype(self.mean.dtype, copy=False)
        y = self.formulas.output(np, x, mean[index], inverse[index], gamma[index], beta[index])
        return np.asarray(y if self.mask is None else self.formulas.masked_output(np, y, x, self.mask[index]))

    def gradients(self) -> dict[str, Array]:
        """The gradients by name: x, gamma, beta, and "second", the gradient of dL/dx in the given direction."""
        if self.backward is None:
            return {}
        with np.errstate(all="ignore"):
            found = dict(zip(("x", "gamma", "beta"), self.formulas.gradients(self.backward), strict=True))
            if self.backward.direction is not None and self.backward.n is not None:
                found["second"] = self.formulas.second_gradient(self.backward)
        return {name: np.asarray(value) for name, value in found.items()}

    def y(self) -> Array:
        """The whole expected output. The judge computes it block by block instead."""
        with np.errstate(all="ignore"):
            whole = [np.broadcast_to(v, self.x.shape) for v in (self.mean, self.inverse, self.gamma, self.beta)]
            return self.part((slice(None),) * self.x.ndim, *whole)


def _heard(case: Case, index: int, formulas: Formulas) -> bool:
    """Whether a freeze at `index` affects later calls; a model that is not recompiled keeps the old value."""
    trained = any(step.is_call and step.training for step in case.steps[:index])
    return not case.how.freezes_late or formulas.settles == "never" or (formulas.settles == "fit" and not trained)


def trace_case(case: Case, inputs: Inputs, formulas: Formulas = KERAS, formats: Precision | None = None) -> tuple[Call, ...]:
    """The calls that the steps of `case` make, in order, each with its expected result."""
    formats = formats or precision(case.policy, case.dtype)
    state = initial_state(case, inputs)
    calls = []
    with np.errstate(all="ignore"):
        for index, batch in enumerate(inputs.batches):
            if batch is None:
                state = changed(case, state, index, formulas)
                continue
            given = {**inputs.at(index), "x": entered(batch, formats)}
            call = advance(case, read(state, formats), index, given, formulas)
            state = call.after if call.updates else state
            calls.append(call)
    return tuple(calls)


def changed(case: Case, state: State, index: int, formulas: Formulas) -> State:
    """The layer after a step without a call: frozen, unfrozen, or saved and loaded."""
    step = case.steps[index]
    if step is Step.SAVE or not _heard(case, index, formulas):
        return state
    return replace(state, frozen=step is Step.FREEZE or (state.frozen and not formulas.unfreezes))


def initial_state(case: Case, inputs: Inputs) -> State:
    """The layer as built: the given weights, or Keras' initial values."""
    shape = tuple(size if axis in case.kept else 1 for axis, size in enumerate(case.shape))
    wide = precision(case.policy, case.dtype).wide
    given = inputs.weights or {}
    names = case.config.weight_names()
    values = {name: given.get(name, case.config.initial(name)) for name in names}
    weights = {name: np.broadcast_to(value, case.channels_shape) for name, value in values.items()}
    frozen = not case.config.trainable
    return State({name: np.asarray(value, wide).reshape(shape) for name, value in weights.items()}, frozen)


def entered(batch: Array, formats: Precision) -> Array:
    """The batch as it enters the layer's arithmetic: autocast to the policy's compute format, integers converted.

    float64 is cast to a half format through float32, so it is rounded twice. TensorFlow's casts (Eigen) do this; NumPy's do
    not. If the arithmetic is narrower than the policy's compute format, as in some Keras for float64, the batch is rounded once
    more.
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


def advance(case: Case, state: State, index: int, given: Mapping[str, Array | None], formulas: Formulas) -> Call:
    """One call of the layer in `state` with x, mask, upstream and direction. The next state is its `after`."""
    step, config = case.steps[index], case.config
    x, mask, wide = given["x"], given["mask"], precision(case.policy, case.dtype).wide
    assert x is not None
    mask = None if mask is None else (mask[..., None] if mask.ndim < x.ndim else mask) != 0
    mean, variance = state.weights["moving_mean"], state.weights["moving_variance"]
    training = formulas.told(step.training, False if case.how.pins_inference else None)
    uses_batch, updates = (f(training, state.frozen) for f in (formulas.normalizes_with_batch, formulas.updates))
    batch, after, correction = None, state, None
    if uses_batch or updates:
        batch = batch_statistics(x, mask, case.kept, formulas, wide)
    if batch and updates:
        after = replace(state, weights={**state.weights, **moved(state, batch, config, formulas)})
    if batch and uses_batch:
        mean = formulas.training_statistics(batch.mean, after.weights["moving_mean"])
        variance = formulas.training_statistics(batch.variance, after.weights["moving_variance"])
        if config.renorm:
            renorm = (state.weights["renorm_mean"], state.weights["renorm_stddev"])
            stddev = formulas.deviation(np, batch.variance, config.epsilon)
            correction = formulas.renorm_correction(
                np, batch.mean, stddev, *renorm, config.epsilon, dict(config.renorm_clipping)
            )
    inverse = formulas.inverse_deviation(np, variance, config.epsilon)
    call = Call(index, step, x, batch, mean, variance, inverse, state, after, formulas, correction=correction)
    if mask is not None:
        call = replace(call, mask=np.broadcast_to(mask, x.shape))
    if given["upstream"] is None:
        return call
    call = replace(call, backward=backward(call, given["upstream"], given["direction"], case.kept))
    return optimized(call, config) if step is Step.OPTIMIZE and not state.frozen else call


def moved(state: State, batch: Batch, config: LayerConfig, formulas: Formulas) -> dict[str, Array]:
    """The moving statistics after a training call."""
    old, momentum, epsilon = state.weights, config.momentum, config.epsilon
    mean = formulas.moving_mean(np, old["moving_mean"], batch.mean, momentum)
    if not config.renorm:
        variance = formulas.moving_variance(np, old["moving_variance"], batch.variance, momentum, batch.n, epsilon)
        return {"moving_mean": mean, "moving_variance": variance}
    own = formulas.deviation(np, batch.variance, epsilon)
    stddev = formulas.moving_mean(np, old["moving_stddev"], own, momentum)
    pairs = {"renorm_mean": batch.mean, "renorm_stddev": own}
    momenta = (momentum, config.renorm_momentum)
    return {
        "moving_mean": mean,
        "moving_variance": formulas.renorm_variance(np, stddev, epsilon),
        "moving_stddev": stddev,
        **{name: formulas.renorm_average(np, old[name], new, *momenta) for name, new in pairs.items()},
    }


def backward(call: Call, dy: Array, direction: Array | None, kept: tuple[int, ...]) -> Backward:
    """What the gradients of a call are computed from."""
    wide, axes = call.mean.dtype, tuple(axis for axis in range(call.x.ndim) if axis not in kept)
    r, shift = call.correction or (np.ones_like(call.mean), np.zeros_like(call.mean))
    return Backward(
        dy=dy.astype(wide),
        mean=call.mean,
        d=call.x.astype(wide) - call.mean,
        n=call.batch.n if call.batch is not None and call.normalizes_with_batch else None,
        inverse=call.inverse,
        gamma=r * call.own_gamma,
        r=r,
        shift=shift,
        total=lambda terms: np.sum(np.broadcast_to(terms, call.x.shape), axis=axes, keepdims=True),
        within=lambda terms: terms if call.counted is None else np.where(call.counted, terms, 0.0),
        direction=None if direction is None else direction.astype(wide),
    )


def optimized(call: Call, config: LayerConfig) -> Call:
    """The call, followed by a step of gradient descent on gamma and beta and by the projections of their constraints."""
    assert call.backward is not None
    _, of_gamma, of_beta = call.formulas.gradients(call.backward)
    weights = dict(call.after.weights)
    for name, gradient in (("gamma", of_gamma), ("beta", of_beta)):
        if name in weights:
            weights[name] = constrained(np, getattr(config, f"{name}_constraint"), weights[name] - RATE * gradient)
    return replace(call, after=replace(call.after, weights=weights))


def batch_statistics(
    x: Array, mask: Array | None, kept: tuple[int, ...], formulas: Formulas, wide: type[np.floating[Any]]
) -> Batch:
    """Mean, variance and count of a batch over all axes except `kept`, for the values where the mask is True."""
    axes = tuple(axis for axis in range(x.ndim) if axis not in kept)
    if x.size == 0:
        nothing = np.full([size if axis in kept else 1 for axis, size in enumerate(x.shape)], np.nan, wide)
        return Batch(nothing, nothing, 0)
    if mask is not None:
        return Batch(*formulas.masked_moments(np, x.astype(wide), mask, axes))
    if formulas.moments is keras_formulas.moments:
        mean, variance = blocked_moments(x, kept, wide)
    else:
        mean, variance = formulas.moments(np, x.astype(wide), axes)
    return Batch(mean, variance, count(x.shape, axes))
