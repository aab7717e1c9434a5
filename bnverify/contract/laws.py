"""Laws: relations between two calls that hold for any input. Each law needs a second observation.

A case names its law (`law:permutation`). The second call's output is put back into the order of the first. Then the two may
differ by the sum of both bounds, plus the difference of their references where an input of the second call had to be rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from bnverify.bounds.compare import weight_numbers
from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.steps import Step
from bnverify.contract.clause import KERAS_DOC, PAPER, Clause
from bnverify.contract.eras import ERAS
from bnverify.contract.evidence import Evidence
from bnverify.numeric.precision import FORMATS, INTEGERS, Array, precision
from bnverify.reference.formulas import KERAS
from bnverify.reference.machine import batch_statistics, entered
from bnverify.values import Check

Other = tuple[Case, Inputs] | None
Back = Callable[[Array, Array, Case], Array]


def _moved(case: Case, inputs: Inputs, change: Callable[[Array], Array], **changes: object) -> Other:
    """The case with a changed batch (and fields). None if the layer's input dtype would round the change away."""
    x = inputs.batches[0]
    assert x is not None
    with np.errstate(all="ignore"):
        changed = change(x.astype(np.int64) if case.dtype in INTEGERS else x)
        moved = changed.astype(x.dtype)
    if case.dtype in INTEGERS and not np.array_equal(moved, changed):
        return None
    formats = () if case.dtype in INTEGERS else (FORMATS[case.dtype], precision(case.policy, case.dtype).output)
    if not all(np.array_equal(f.round(moved), moved, equal_nan=True) for f in formats if f.bits < 53):
        return None
    mask = inputs.masks[:1]
    plain = replace(inputs, batches=(moved,), masks=mask, upstream=(), direction=())
    return replace(case, steps=case.steps[:1], law="", gradients=0, **changes), plain  # type: ignore[arg-type]


def _per_channel(case: Case, values: Array) -> Array:
    return values.reshape([size if axis in case.kept else 1 for axis, size in enumerate(case.shape)])


def shifted(case: Case, inputs: Inputs) -> Other:
    sign = np.array([(-1.0) ** i for i in range(math.prod(case.channels_shape))])
    return _moved(case, inputs, lambda x: x + 16 * _per_channel(case, sign).astype(x.dtype))


def scaled(case: Case, inputs: Inputs) -> Other:
    config = replace(case.config, epsilon=case.config.epsilon * 16)
    return _moved(case, inputs, lambda x: x * x.dtype.type(4), config=config)


def _flip(x: Array, case: Case) -> Array:
    return np.flip(x, tuple(axis for axis in range(x.ndim) if axis not in case.kept))


def permuted(case: Case, inputs: Inputs) -> Other:
    other = _moved(case, inputs, lambda x: _flip(x, case))
    if other is None or not inputs.masks or inputs.masks[0] is None:
        return other
    mask = np.flip(inputs.masks[0], tuple(a for a in range(len(case.shape) - 1) if a not in case.kept))
    return other[0], replace(other[1], masks=(mask,))


def first_channel(case: Case, inputs: Inputs) -> Other:
    first = _per_channel(case, np.arange(math.prod(case.channels_shape)) == 0)
    return _moved(case, inputs, lambda x: np.where(first, x[::-1] * x.dtype.type(-2), x))


def _others(y: Array, own: Array, case: Case) -> Array:
    """The second output with the first channel taken from the first output, because the law does not cover that channel."""
    return np.where(_per_channel(case, np.arange(math.prod(case.channels_shape)) == 0), own, y)


def transposed(case: Case, inputs: Inputs) -> Other:
    if inputs.masks or len(case.kept) > 1:
        return None
    kept, to = case.kept[0], 0 if case.kept[0] else len(case.shape) - 1
    shape = tuple(np.moveaxis(np.empty(case.shape, bool), kept, to).shape)
    return _moved(case, inputs, lambda x: np.moveaxis(x, kept, to), shape=shape, config=replace(case.config, axis=to))


def merged(case: Case, inputs: Inputs) -> Other:
    """x with all reduced axes before the kept axis merged into one, and all after it merged into one."""
    if inputs.masks or len(case.kept) > 1 or len(case.shape) < 3:
        return None
    kept = case.kept[0]
    sizes = [math.prod(case.shape[:kept]), case.shape[kept], math.prod(case.shape[kept + 1 :])]
    shape = tuple(sizes[0 if kept else 1 : 3 if kept + 1 < len(case.shape) else 2])
    return _moved(case, inputs, lambda x: x.reshape(shape), shape=shape, config=replace(case.config, axis=1 if kept else 0))


def shared_epsilon(case: Case, inputs: Inputs) -> Other:
    if inputs.weights is None:
        return None
    part = case.config.epsilon / 2
    variance = precision(case.policy, case.dtype).variable.round(inputs.weights["moving_variance"] + part).astype(np.float64)
    config = replace(case.config, epsilon=case.config.epsilon - part)
    return _with(case, inputs, {"moving_variance": variance}, config=config)


def loaded(case: Case, inputs: Inputs) -> Other:
    x = inputs.batches[0]
    if inputs.weights is None or x is None or case.config.renorm:
        return None
    formats = ERAS[-1].formats(case)
    mask = inputs.masks[0] if inputs.masks else None
    if mask is not None:
        mask = np.broadcast_to(mask if mask.ndim == x.ndim else mask[..., None], x.shape) != 0
    with np.errstate(all="ignore"):
        batch = batch_statistics(entered(x, formats), mask, case.kept, KERAS, formats.wide)
    found = {"moving_mean": batch.mean, "moving_variance": batch.variance}
    weights = {k: formats.variable.round(v.reshape(case.channels_shape)).astype(np.float64) for k, v in found.items()}
    return _with(case, inputs, weights, steps=(Step.INFER,))


def unmasked(case: Case, inputs: Inputs) -> Other:
    other = _with(case, inputs, {}, mask="") if case.mask == "full" else None
    return other and (other[0], replace(other[1], masks=()))


def renormalized(case: Case, inputs: Inputs) -> Other:
    if inputs.weights is None or case.config.renorm:
        return None
    clipping = (("rmax", 1.0), ("rmin", 1.0), ("dmax", 0.0))
    own = dict.fromkeys(("moving_stddev", "renorm_stddev"), inputs.weights["moving_variance"])
    own["renorm_mean"] = inputs.weights["moving_mean"]
    return _with(case, inputs, own, config=replace(case.config, renorm=True, renorm_clipping=clipping))


def _with(case: Case, inputs: Inputs, weights: dict[str, Array], **changes: object) -> Other:
    """The first call of the case, with other weights (and fields)."""
    changes = {"steps": case.steps[:1], **changes}
    given = replace(inputs, weights={**(inputs.weights or {}), **weights}, batches=inputs.batches[:1], masks=inputs.masks[:1])
    return replace(case, law="", **changes), given  # type: ignore[arg-type]


@dataclass(frozen=True)
class Law:
    """A law by its name in case ids: how to make the second call, and how to put its output back into the order of the
    first.
    """

    name: str
    key: str
    step: Step
    other: Callable[[Case, Inputs], Other]
    back: Back = lambda y, own, case: y

    def companion(self, case: Case, inputs: Inputs) -> Other:
        return self.other(case, inputs) if case.law == self.name and case.steps[0] is self.step else None

    def check(self, e: Evidence) -> Iterator[Check]:
        other = e.companions.get(self.key)
        if other is None or not e.calls:
            return
        if not other.calls:
            yield e.texts(self.key, f"y, {self.name}", 0, expected="a second call", actual="none")
            return
        one, two = e.calls[0], other.calls[0]
        y, other_y = one.observed.y, two.observed.y
        assert y is not None
        assert other_y is not None
        if y.shape != e.case.shape or y.dtype.kind not in "biuf" or other_y.dtype.kind not in "biuf":
            return
        if other_y.shape != other.case.shape:
            expected_shape, shape = f"shape {other.case.shape}", f"shape {other_y.shape}"
            yield e.texts(self.key, f"y, {self.name}", 0, expected=expected_shape, actual=shape)
            return
        expected, of_one, of_two = (
            one.call.y(),
            one.output_bound,
            np.stack([self.put_back(b, b0, e.case) for b, b0 in zip(two.output_bound, one.output_bound, strict=True)]),
        )
        with np.errstate(all="ignore"):
            rounded = np.abs(self.put_back(two.call.y(), expected, e.case) - expected)
        own = np.broadcast_to(y.astype(expected.dtype), e.case.shape)
        numbers = weight_numbers(own, of_one + of_two + rounded, e.formats.output)
        yield e.numbers(self.key, f"y, {self.name}", 0, self.put_back(other_y, y, e.case), numbers, e.channel_axis)

    def put_back(self, y: Array, own: Array, case: Case) -> Array:
        return self.back(y, own, case).reshape(case.shape)


def _untransposed(y: Array, own: Array, case: Case) -> Array:
    kept = case.kept[0]
    return np.moveaxis(y, 0 if kept else y.ndim - 1, kept)


LAW_CHECKS = (
    Law("shift", "shift-invariance", Step.TRAIN, shifted),
    Law("scale", "scale-invariance", Step.TRAIN, scaled),
    Law("permutation", "permutation", Step.TRAIN, permuted, lambda y, own, case: _flip(y, case)),
    Law("channels", "channel-independence", Step.TRAIN, first_channel, _others),
    Law("transposition", "transposition", Step.TRAIN, transposed, _untransposed),
    Law("axes", "merged-axes", Step.TRAIN, merged),
    Law("epsilon", "epsilon-beside-variance", Step.INFER, shared_epsilon),
    Law("statistics", "training-as-inference", Step.TRAIN, loaded),
    Law("mask", "full-mask", Step.TRAIN, unmasked),
    Law("renorm", "renorm-of-nothing", Step.TRAIN, renormalized),
)
_SAME = KERAS_DOC + " (each channel is normalized over all other axes)"
_WORDS = {
    "shift": ("shift invariance in training", "adding a constant to every value of a channel does not change y", PAPER),
    "scale": (
        "scale invariance in training",
        "4*x with 16*epsilon gives the same y as x with epsilon",
        PAPER + ", section 3.3",
    ),
    "permutation": ("permutations of the batch", "permuting the values of the batch permutes y in the same way", _SAME),
    "channels": ("independence of channels", "changing one channel of x does not change any other channel of y", _SAME),
    "transposition": (
        "transposed inputs",
        "moving the kept axis and changing `axis` to match only transposes y",
        _SAME,
    ),
    "axes": ("merged axes", "merging reduced axes into one only reshapes y", _SAME),
    "epsilon": (
        "epsilon is added to the variance",
        "training=False: moving_variance+d and epsilon-d give the same y",
        KERAS_DOC,
    ),
    "statistics": (
        "training as inference",
        "training=False with the batch's statistics loaded gives the same y as training=True",
        KERAS_DOC,
    ),
    "mask": (
        "an all-true mask",
        "training with a mask that is true everywhere gives the same y as training without a mask",
        KERAS_DOC,
    ),
    "renorm": (
        "renorm without corrections",
        "renorm with r clipped to 1 and d to 0 gives the same y as no renorm",
        KERAS_DOC,
    ),
}
CLAUSES = tuple(Clause(law.key, *_WORDS[law.name], law.check, companion=law.companion) for law in LAW_CHECKS)
