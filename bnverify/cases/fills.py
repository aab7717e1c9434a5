"""Fills: how input values are made. Each fill exposes a class of faults, which its docstring names.

A fill takes a random generator, the shape `(rows, channels)` of the batch, the case, and the format that must hold the values
exactly. It returns float64 values. The seed comes from the case id, so a case has the same values everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bnverify.cases.case import Case
from bnverify.cases.data import network_batches
from bnverify.cases.fields import FILLS
from bnverify.cases.posted import POSTED
from bnverify.cases.steps import Step
from bnverify.numeric.precision import FORMATS, INTEGERS, Array, Format, precision

Rng = np.random.Generator


@dataclass(frozen=True)
class Inputs:
    """The inputs of the target and of the reference.

    weights: float64 arrays by Keras' names, of shape `case.channels_shape`, each value exact in the variables' format; None to
    keep the layer's initial values. batches: per step the input array of `case.shape`, or None for a step without a call; a
    bfloat16 batch is a float32 array with bfloat16 values. masks: per step, with one axis less than x. upstream, direction: per
    step, with the shape of x: the gradient of a loss with respect to y, and the direction of the second derivative; the output
    format holds both exactly. They are empty if the case has none. labels: per step, what a network learns for the batch.
    """

    weights: dict[str, Array] | None
    batches: tuple[Array | None, ...]
    masks: tuple[Array | None, ...] = ()
    upstream: tuple[Array | None, ...] = ()
    direction: tuple[Array | None, ...] = ()
    labels: tuple[Array | None, ...] = ()

    def at(self, step: int) -> dict[str, Array | None]:
        """All inputs of one step, by name."""
        given = {"x": self.batches, "mask": self.masks, "upstream": self.upstream, "direction": self.direction}
        if self.labels:
            given["labels"] = self.labels
        return {name: values[step] if values else None for name, values in given.items()}


def make_inputs(case: Case, seed: int = 0) -> Inputs:
    """The initial weights and a batch for each call of `case`."""
    digest = hashlib.sha256(f"{seed} {case.id}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
    if case.network:
        batches, labels = network_batches(case, rng)
        return Inputs(None if case.weights == "initial" else {}, batches, labels=labels)
    make = _make_batch if not case.posted else _posted_batch
    weights = _make_weights(rng, case)
    batches = tuple(make(rng, case) if step.is_call else None for step in case.steps)
    masks: tuple[Array | None, ...] = ()
    if case.mask:
        masks = tuple(None if x is None else _make_mask(rng, case) for x in batches)
    if case.mask == "hidden":
        batches = tuple(x if m is None else _hide(x, m) for x, m in zip(batches, masks, strict=True))
    if case.how.makes_mask:
        batches = tuple(x if m is None or x is None else _mark(x, m) for x, m in zip(batches, masks, strict=True))
    differentiates = [case.gradients > 0 or step is Step.OPTIMIZE for step in case.steps]
    upstream = tuple(_make_upstream(rng, case) if wanted else None for wanted in differentiates)
    direction = tuple(_make_upstream(rng, case) for _ in case.steps) if case.gradients > 1 else ()
    return Inputs(weights, batches, masks, upstream if any(differentiates) else (), direction)


def _posted_batch(rng: Rng, case: Case) -> Array:
    values = np.array(POSTED[case.posted].x, float)
    return np.rint(values).astype(case.dtype) if case.dtype in INTEGERS else FORMATS[case.dtype].round(values)


def _mark(x: Array, mask: Array) -> Array:
    """A batch for which a Masking layer makes the given mask: 0 where the mask is False, and not 0 elsewhere."""
    marked = np.where(mask[..., None], x, 0)
    marked[mask & ~marked.any(axis=-1), 0] = 1
    return marked


def _make_weights(rng: Rng, case: Case) -> dict[str, Array] | None:
    """gamma and beta of both signs, away from 0 and 1, and moving statistics that no batch of the fill has; or posted weights.

    None means that the layer keeps its initial weights.
    """
    shape = case.channels_shape
    if case.weights == "initial" or (case.posted and not POSTED[case.posted].weights):
        return None
    values = {
        "gamma": rng.uniform(0.5, 2.0, shape) * rng.choice([-1.0, 1.0], shape),
        "beta": rng.uniform(0.25, 1.5, shape) * rng.choice([-1.0, 1.0], shape),
        "moving_mean": rng.uniform(-2.0, 2.0, shape),
        "moving_variance": rng.uniform(0.25, 4.0, shape),
    }
    variable = precision(case.policy, case.dtype).variable
    if case.posted:
        values = {name: np.array(value, float).reshape(shape) for name, value in POSTED[case.posted].weights.items()}
    if case.weights == "negative":  # some are still positive after epsilon is added, the others are not
        values["moving_variance"] = case.config.epsilon * rng.choice([-0.5, -2.0], shape)
    if case.weights == "subnormal":
        values["moving_variance"] = variable.smallest_normal * rng.uniform(0.1, 0.9, shape)
    if case.config.renorm:
        values["moving_stddev"] = rng.uniform(0.5, 2.0, shape)
        values["renorm_mean"] = rng.uniform(-2.0, 2.0, shape)
        values["renorm_stddev"] = rng.uniform(0.5, 2.0, shape)
    return {name: variable.round(values[name]).astype(np.float64) for name in case.config.weight_names()}


def _make_batch(rng: Rng, case: Case) -> Array:
    kept = case.kept
    reduced = tuple(axis for axis in range(len(case.shape)) if axis not in kept)
    rows = int(np.prod([case.shape[axis] for axis in reduced]))
    channels = int(np.prod([case.shape[axis] for axis in kept]))
    values = _FILL[case.fill](rng, rows, channels, case) if rows else np.zeros((0, channels))
    order = np.argsort(reduced + kept)
    arranged = values.reshape([case.shape[axis] for axis in reduced + kept]).transpose(order)
    return _to_dtype(np.ascontiguousarray(arranged), case.dtype)


MASK_WORDS = {
    "random": "about half of the positions are unmasked",
    "padding": "the later positions of each sample and the whole last sample are masked",
    "one": "a single position counts",
    "full": "all positions count",
    "empty": "no position counts",
    "hidden": "about half of the positions are unmasked; the masked ones hold NaN and infinities",
    "int32": "about half of the positions are unmasked; the mask has integers 1 and 0",
    "float32": "about half of the positions are unmasked; the mask has numbers 1.0 and 0.0",
    "broadcast": "a sample is masked as a whole; the mask has size 1 on the other axes",
    "whole": "about half of the positions are unmasked; the mask has the rank of x, with size 1 on its last axis",
}


def _make_mask(rng: Rng, case: Case) -> Array:
    """A mask as Keras takes it, with the shape of x without its last axis: True, or 1, at unmasked positions (`MASK_WORDS`)."""
    shape = case.shape[:-1]
    if case.mask == "broadcast":
        shape = (case.shape[0], *(1,) * (len(shape) - 1))
    mask = rng.random(shape) < 0.6
    if mask.size > 1:
        mask.flat[rng.choice(mask.size, 2, replace=False)] = [True, False]
    if case.mask == "padding" and len(shape) > 1:
        mask[...] = True
        for row in mask:
            row[rng.integers(1, max(shape[1], 1) + 1) :] = False
        mask[-1:] = shape[0] == 1
    elif case.mask == "padding":
        mask = np.arange(shape[0]) <= shape[0] // 2
    elif case.mask in ("full", "empty", "one"):
        mask[...] = case.mask == "full"
        if case.mask == "one" and mask.size:
            mask.flat[rng.integers(mask.size)] = True
    if case.mask == "whole":
        return mask[..., None]
    return mask.astype(case.mask) if case.mask in ("int32", "float32") else mask


def _hide(x: Array | None, mask: Array) -> Array | None:
    """The batch with NaN and infinities in its masked positions."""
    if x is None or x.dtype.kind in "iu":
        return x
    poison = np.where(np.arange(x.shape[-1]) % 2, np.nan, np.inf).astype(x.dtype)
    return np.where(mask[..., None], x, poison)


def _make_upstream(rng: Rng, case: Case) -> Array:
    """A random gradient with respect to y, without a pattern that cancels in sums over the batch."""
    narrow = _narrowest(case)
    return narrow.round(rng.standard_normal(case.shape))


def _to_dtype(values: Array, dtype: str) -> Array:
    if dtype in INTEGERS:
        limits = np.iinfo(dtype)
        scaled = np.clip(np.nan_to_num(values) * 20.0, max(limits.min, -(2**20)), min(limits.max, 2**20))
        return np.rint(scaled).astype(dtype)
    return FORMATS[dtype].round(values)


def _narrowest(case: Case) -> Format:
    """The narrowest format that the input values of the case are rounded to."""
    formats = [precision(case.policy, case.dtype).output]
    if case.dtype not in INTEGERS:
        formats.append(FORMATS[case.dtype])
    return min(formats, key=lambda f: f.largest)


def normal(rng: Rng, rows: int, channels: int, case: Case) -> Array:
    """Gaussian, means of about ±1 and standard deviations of 0.5 to 2: well-conditioned, so that a fault in the formula
    shows.
    """
    mean = rng.uniform(0.5, 1.5, channels) * rng.choice([-1.0, 1.0], channels)
    return mean + rng.uniform(0.5, 2.0, channels) * rng.standard_normal((rows, channels))


def exact(rng: Rng, rows: int, channels: int, case: Case) -> Array:
    """Every sum and the variance exactly representable in any order: exposes a value that is left out, or the divisor n−1.

    Any change of the moments shows, down to a unit in the last place, for any number of values. Each column is an integer mean
    plus blocks of 3, 4 or 5 integer deviations whose sum is 0 and whose mean square is 2 (±1 for two rows), times a power of
    two. It does not expose unstable formulas: E[x²]−E[x]² is exact on it as well.
    """
    blocks = {3: [1, 1, -2], 4: [2, -2, 0, 0], 5: [2, 1, 0, -1, -2]}
    if rows < 3:
        deviations = [0.0] if rows == 1 else [1.0, -1.0]
    else:
        last = {0: [], 1: [5], 2: [3, 3], 3: [3]}[rows % 4]
        sizes = [4] * ((rows - sum(last)) // 4) + last
        deviations = [d for size in sizes for d in blocks[size]]
    column = rng.permuted(np.tile(np.array(deviations, dtype=float)[:, None], (1, channels)), axis=0)
    return rng.integers(-2, 3, channels) + column * 2.0 ** rng.integers(-1, 3, channels)


def offset(rng: Rng, rows: int, channels: int, case: Case) -> Array:
    """Mean 1,000 times the standard deviation (in half formats as much as they resolve): exposes cancellation, above all in
    E[x²]−E[x]².
    """
    ratio = 1000.0 if min(_narrowest(case).bits, precision(case.policy, case.dtype).output.bits) >= 24 else 16.0
    spread = rng.uniform(0.5, 2.0, channels)
    return spread * (ratio * rng.choice([-1.0, 1.0], channels) + rng.standard_normal((rows, channels)))


def constant(rng: Rng, rows: int, channels: int, case: Case) -> Array:
    """One value per channel, variance 0: exposes a missing epsilon (0/0) and the error of sums that add one value after
    another.
    """
    return np.tile(rng.uniform(0.5, 3.0, channels) * rng.choice([-1.0, 1.0], channels), (rows, 1))


def tiny(rng: Rng, rows: int, channels: int, case: Case) -> Array:
    """Centred, variance epsilon/100: exposes a missing epsilon, a wrong value of it, or a wrong place."""
    return 0.1 * np.sqrt(case.config.epsilon) * rng.standard_normal((rows, channels))


def spike(rng: Rng, rows: int, channels: int, case: Case) -> Array:
    """Gaussian with one sample per channel 30 standard deviations away, often the last one: exposes a sample that is left
    out.
    """
    values = normal(rng, rows, channels, case)
    place = np.where(rng.random(channels) < 0.5, rows - 1, rng.integers(0, rows, channels))
    values[place, np.arange(channels)] += 30.0
    return values


def huge(rng: Rng, rows: int, channels: int, case: Case) -> Array:
    """As large as squares and sums allow in the arithmetic: exposes statistics in a format with a smaller range."""
    formats = precision(case.policy, case.dtype)
    square_fits = (formats.arithmetic.largest / (1e4 * rows)) ** 0.5
    entry = min(f.largest for f in (_narrowest(case), formats.autocast or formats.arithmetic))
    largest = min(square_fits, entry / 10)
    return largest * rng.uniform(0.1, 1.0, channels) * rng.standard_normal((rows, channels)).clip(-5, 5)


def subnormal(rng: Rng, rows: int, channels: int, case: Case) -> Array:
    """Below the smallest normal number of the input's format: exposes NaN and 0/0 if such values are flushed to zero."""
    dtype = FORMATS.get(case.dtype, FORMATS["float32"])
    return dtype.smallest_normal * rng.uniform(-1.0, 1.0, (rows, channels))


def nonfinite(rng: Rng, rows: int, channels: int, case: Case) -> Array:
    """NaN in the first channel, infinity in the last of three or more: exposes a channel that affects another one."""
    values = normal(rng, rows, channels, case)
    values[rng.integers(rows), 0] = np.nan
    if channels > 2:
        values[rng.integers(rows), -1] = np.inf
    return values


_FILL: dict[str, Callable[[Rng, int, int, Case], Array]] = {
    f.__name__: f for f in (normal, exact, offset, constant, tiny, spike, huge, subnormal, nonfinite)
}
assert tuple(_FILL) == FILLS


def describe(fill: str) -> str:
    """The purpose of the fill of that name: the first paragraph of its docstring."""
    return " ".join((_FILL[fill].__doc__ or "").split("\n\n")[0].split())
