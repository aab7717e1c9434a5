"""Sub-cases: the single calls of a case whose steps make several calls, or call several layers.

Each sub-case is itself a case with inputs and an observation, and is judged like any other. A network has one for each call of
each batch normalization; replicas have one for each call of a replica; TimeDistributed has one step for each time slice; a
shared layer has its two calls in the order in which they were made.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.layer_config import LayerConfig
from bnverify.cases.steps import Step
from bnverify.numeric.precision import Array
from bnverify.values import InnerCall, Observation, StepObservation

Fed = tuple[Array | None, Array | None]  # the batch of a call, and its mask
Weights = Mapping[str, Array]


@dataclass(frozen=True)
class SubCase:
    """One call, or one sequence of calls, that the steps of a case make; itself a case.

    label: which call or which layer this is; empty if it covers all. steps: for each of its steps, the index in the whole case.
    alone: where replicas compute with the whole batch, the same call with the replica's own shard only.
    """

    label: str
    case: Case
    inputs: Inputs
    observation: Observation
    steps: tuple[int, ...]
    alone: SubCase | None = None


def sub_cases_of(case: Case, inputs: Inputs, observation: Observation, slices: bool) -> tuple[SubCase, ...] | None:
    """The sub-cases that are judged instead of the case's own calls; None if each step makes one call.

    slices: whether TimeDistributed calls its layer once for each slice, as Keras 3 does; otherwise once for all of them.
    """
    if case.misuse:
        return ()
    if case.how.replicas > 1:
        return tuple(_of_replicas(case, observation))
    if case.network:
        return tuple(_inner(case, call) for call in observation.inner)
    if case.how.calls_per_step == "pairs":
        return (_in_order(case, inputs, observation),)
    if case.how.calls_per_step == "slices" and slices:
        return (_slices(case, inputs, observation),)
    return None


def together(case: Case) -> bool:
    """Whether all replicas normalize with the statistics of the whole batch, and update their moving statistics with them."""
    return case.config.synchronized or case.how.one_computation


def _of_replicas(case: Case, observation: Observation) -> Iterator[SubCase]:
    """The call of each replica with its shard. Where replicas compute together: one call with the whole batch and all
    outputs.
    """
    for _, group in itertools.groupby(observation.inner, key=lambda call: call.step):
        calls = list(group)
        ys = [call.after.y for call in calls if call.after.y is not None]
        if not (together(case) and calls[0].training and calls[0].trainable and len(ys) == len(calls)):
            yield from (_inner(case, call) for call in calls)
            continue
        masks = [call.mask for call in calls if call.mask is not None]
        x, y = np.concatenate([call.x for call in calls]), np.concatenate(ys)
        mask = np.concatenate(masks) if masks else None
        for call in calls:
            whole = _inner(case, replace(call, x=x, mask=mask, after=replace(call.after, y=y)))
            yield replace(whole, alone=_inner(case, call))


def shards(case: Case, inputs: Inputs) -> tuple[tuple[str, Case, Inputs], ...]:
    """The steps of a case on each replica, for replicas that share nothing: a label, the case and its inputs."""
    count = case.how.replicas

    def of(values: tuple[Array | None, ...], index: int) -> tuple[Array | None, ...]:
        return tuple(None if value is None else np.array_split(value, count)[index] for value in values)

    sizes = [len(part) for part in np.array_split(np.arange(case.shape[0]), count)]
    return tuple(
        (
            f"replica {index + 1}",
            replace(case, shape=(size, *case.shape[1:])),
            replace(inputs, batches=of(inputs.batches, index), masks=of(inputs.masks, index)),
        )
        for index, size in enumerate(sizes)
    )


def _inner(case: Case, call: InnerCall) -> SubCase:
    """A watched call of a layer, with the arguments that the layer was made with."""
    known = {f.name for f in fields(LayerConfig)}
    given = {name: value for name, value in call.arguments.items() if name in known}
    if isinstance(given.get("axis"), (list, tuple)) and len(given["axis"]) == 1:
        given["axis"] = given["axis"][0]
    config = LayerConfig(**given) if given else case.config
    step = {True: Step.TRAIN, False: Step.INFER, None: Step.NOT_GIVEN}[call.training]
    own = replace(
        case,
        shape=call.x.shape,
        steps=(step,),
        config=replace(config, trainable=call.trainable),
        policy=call.policy,
        dtype=call.dtype,
        weights="random",
        mask="" if call.mask is None else "random",
        gradients=0,
        network="",
    )
    masks = () if call.mask is None else (call.mask,)
    observation = Observation((), call.before, None, (call.after,))
    return SubCase(call.label, own, Inputs(dict(call.before), (call.x,), masks), observation, (call.step,))


def _in_order(case: Case, inputs: Inputs, observation: Observation) -> SubCase:
    """The two calls of a model, in the order that the moving mean shows; Keras does not promise an order."""
    order = list(range(len(case.steps)))
    calls = [index for index in order if case.steps[index].is_call]
    for first, second in zip(calls[::2], calls[1::2], strict=True):
        x, other = inputs.batches[first], inputs.batches[second]
        if x is None or other is None or second >= len(observation.steps):
            continue
        if case.steps[first].training:
            before = observation.steps[first - 1].weights if first else observation.initial
            after = observation.steps[second].weights
            one, two = ((inputs.at(index)["x"], inputs.at(index)["mask"]) for index in (first, second))
            if _later(case, one, two, before, after):
                order[first], order[second] = second, first
    steps = tuple(replace(observation.steps[i], weights=s.weights, hidden=s.hidden) for i, s in _known(order, observation))
    moved = replace(
        inputs,
        batches=tuple(inputs.batches[i] for i in order),
        masks=tuple(inputs.masks[i] for i in order) if inputs.masks else (),
    )
    return SubCase("", case, moved, replace(observation, steps=steps), tuple(order))


def _known(order: list[int], observation: Observation) -> Iterator[tuple[int, StepObservation]]:
    return zip(order[: len(observation.steps)], observation.steps, strict=True)


def _later(case: Case, first: Fed, second: Fed, before: Weights, after: Weights) -> bool:
    """Whether the moving mean gives the first input's mean more weight than the second's, because its call came later.

    The layer may have used or ignored the mask. Channels whose means are NaN or infinite are left out.
    """
    if not {"moving_mean"} <= before.keys() & after.keys() or before["moving_mean"].shape != after["moving_mean"].shape:
        return False
    old, new, m = before["moving_mean"], after["moving_mean"], case.config.momentum

    def error(early: Fed, late: Fed) -> float:
        means = zip(_means(case, early), _means(case, late), strict=True)
        expected = (m * (m * old + (1 - m) * one.reshape(old.shape)) + (1 - m) * two.reshape(old.shape) for one, two in means)
        off = (np.abs(value - new) for value in expected)
        return min(
            float(np.max(value, initial=0.0, where=np.isfinite(value))) if np.isfinite(value).any() else np.inf for value in off
        )

    with np.errstate(all="ignore"):
        return error(second, first) < error(first, second)


def _means(case: Case, fed: Fed) -> Iterator[Array]:
    """The means of a batch: over all values, and under a mask over the unmasked values."""
    x, mask = fed
    axes = tuple(axis for axis in range(len(case.shape)) if axis not in case.kept)
    wide = np.asarray(x, np.float64)
    yield np.mean(wide, axis=axes)
    if mask is not None:
        counted = np.broadcast_to((mask[..., None] if mask.ndim < wide.ndim else mask) != 0, wide.shape)
        yield np.sum(wide, axis=axes, where=counted) / np.sum(counted, axis=axes)


def _slices(case: Case, inputs: Inputs, observation: Observation) -> SubCase:
    """One call for each slice along axis 1. The weights between these calls cannot be observed."""
    times = case.shape[1]
    steps: list[Step] = []
    batches: list[Array | None] = []
    masks: list[Array | None] = []
    seen: list[StepObservation] = []
    places: list[int] = []
    for index, (step, x) in enumerate(zip(case.steps, inputs.batches, strict=True)):
        observed = observation.steps[index] if index < len(observation.steps) else None
        count = times if step.is_call else 1
        steps += [step] * count
        places += [index] * count
        mask = inputs.masks[index] if inputs.masks else None
        batches += [None] if x is None else [x[:, t] for t in range(count)]
        masks += [None] * count if mask is None else [mask[:, t] for t in range(count)]
        if observed is None:
            continue
        y = observed.y
        sliced = y is not None and y.shape == case.shape
        seen += [
            replace(
                observed,
                y=y[:, t] if sliced and y is not None else y,
                hidden=() if t + 1 == count else ("weights",),
            )
            for t in range(count)
        ]
    own = replace(case, shape=(case.shape[0], *case.shape[2:]), steps=tuple(steps))
    given = replace(inputs, batches=tuple(batches), masks=tuple(masks) if inputs.masks else ())
    return SubCase("", own, given, replace(observation, steps=tuple(seen)), tuple(places))
