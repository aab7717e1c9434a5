"""Trajectories: the moving statistics of a layer over batches, beside the reference's and those of the data.

Inference and training differ until the moving statistics are close to the statistics of the data. Their distance is measured
before gamma and beta, in standard deviations: the root mean square over the data of (x - moving_mean) / moving deviation minus
(x - mean) / deviation, in the channel where it is largest. With s = sqrt(variance + epsilon) it is sqrt(((mean - moving_mean) /
s_moving)^2 + variance * (1 / s_moving - 1 / s)^2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bnverify.cases.case import Case
from bnverify.explaining.explanation import verified
from bnverify.explaining.subject import Subject
from bnverify.numeric.precision import Array
from bnverify.reference.machine import Batch, Call, batch_statistics
from bnverify.targets.target import Target
from bnverify.values import Check, Environment, Failure, Status, worst

LONGEST = 10**7  # the largest number of further steps that is computed


@dataclass(frozen=True)
class Trajectory:
    """A layer's moving statistics over batches, each called once with training=True.

    moving, reference: by Keras' names, the values of the layer and of the reference before the first batch and after each, of
    shape (steps + 1, channels). batch, data: mean and variance of each batch (steps, channels), and of all batches as one
    (channels). apart: the distance of inference from training after each step, in standard deviations. within: the distance
    that counts as agreement. agrees_after: the first step with agreement; None if there is none. needed: the number of steps
    that this momentum needs if all batches are alike; None if it never agrees. status: whether the layer's moving statistics
    are what Keras promises. still: whether they do not change, because the layer is frozen.
    """

    name: str
    environment: Environment
    case: Case
    moving: Mapping[str, Array]
    reference: Mapping[str, Array]
    batch: Mapping[str, Array]
    data: Mapping[str, Array]
    apart: Array
    within: float
    agrees_after: int | None
    needed: int | None
    checks: tuple[Check, ...]
    failure: Failure | None = None
    cause: str = ""
    still: bool = False

    @property
    def momentum(self) -> float:
        return self.case.config.momentum

    @property
    def steps(self) -> int:
        return len(self.apart) - 1

    @property
    def margin(self) -> float | None:
        """The largest error / bound of the moving statistics, without known deviations."""
        own = [check for check in self.checks if check.status is not Status.KNOWN]
        return max((check.margin for check in own if check.margin is not None), default=None)

    @property
    def known(self) -> str:
        """Which known deviations of Keras the moving statistics show; empty if none."""
        return "; ".join(dict.fromkeys(check.reason for check in self.checks if check.status is Status.KNOWN))

    @property
    def shrunk(self) -> float:
        """The average variance of a batch divided by the variance of all values, in the channel where this ratio is
        smallest.
        """
        with np.errstate(all="ignore"):
            return float(np.min(self.batch["variance"].mean(axis=0) / self.data["variance"], initial=1.0))

    @property
    def ok(self) -> bool:
        """Whether the layer's moving statistics are what Keras promises."""
        return self.failure is None and not worst([check.status for check in self.checks]).fails

    def needed_with(self, momentum: float) -> int | None:
        """The number of steps that another momentum would need from the layer's initial values, if all batches are alike."""
        if self.still:
            return self.needed
        start = {name: values[0] for name, values in self.moving.items()}
        return _needed(start, self.batch, self.data, momentum, self.case.config.epsilon, self.within)


def follow_batches(subject: Subject, target: Target, within: float) -> Trajectory:
    """The trajectory of a subject whose steps are all training calls."""
    case, batches = subject.case, [x for x in subject.inputs.batches if x is not None]
    judged, observed, calls = verified(case, subject.inputs, target)
    names = ("moving_mean", "moving_variance")
    before = {name: calls[0].before.weights[name].reshape(-1) for name in names}
    reference = {name: _rows([before[name], *(call.after.weights[name] for call in calls)]) for name in names}
    seen = observed.observation.steps
    own = {name: _rows([before[name], *(step.weights[name] for step in seen)]) for name in names}
    each = [_statistics(call.x, call.mask, case.kept, call) for call in calls]
    batch = {"mean": _rows([b.mean for b in each]), "variance": _rows([b.variance for b in each])}
    data = _data(case, calls)
    epsilon = case.config.epsilon
    apart = distance(own["moving_mean"], own["moving_variance"], data, epsilon)
    still = not any(call.updates for call in calls)
    agrees = [bool(np.all(apart[step:] <= within)) for step in range(len(apart))]
    return Trajectory(
        subject.name,
        target.environment,
        case,
        own,
        reference,
        batch,
        data,
        apart,
        within,
        agrees_after=agrees.index(True) if any(agrees) and len(seen) == len(batches) else None,
        needed=_needed(before, batch, data, 1.0 if still else case.config.momentum, epsilon, within),
        checks=tuple(c for c in judged.verdict.checks if c.quantity in case.config.statistics and c.step is not None),
        failure=observed.observation.failure,
        cause=judged.verdict.cause,
        still=still,
    )


def distance(mean: Array, variance: Array, data: Mapping[str, Array], epsilon: float) -> Array:
    """The distance of inference with these moving statistics from training on the data; for each row the largest channel."""
    with np.errstate(all="ignore"):
        s, own = np.sqrt(variance + epsilon), np.sqrt(data["variance"] + epsilon)
        shift, stretch = (data["mean"] - mean) / s, 1 / s - 1 / own
        found: Array = np.sqrt(shift**2 + data["variance"] * stretch**2).max(axis=-1)
        return found


def _needed(
    start: Mapping[str, Array],
    batch: Mapping[str, Array],
    data: Mapping[str, Array],
    momentum: float,
    epsilon: float,
    within: float,
) -> int | None:
    """The first step at which statistics that approach the batches' mean are close enough; None if there is none."""
    mean, variance = batch["mean"].mean(axis=0), batch["variance"].mean(axis=0)

    def close(steps: int) -> bool:
        left = momentum**steps
        moved = mean + left * (start["moving_mean"] - mean), variance + left * (start["moving_variance"] - variance)
        return bool(distance(*moved, data, epsilon) <= within)

    if not close(LONGEST):
        return None
    low, high = -1, 1
    while not close(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if close(middle) else (middle, high)
    return 0 if close(0) else high


def _statistics(x: Array, mask: Array | None, kept: tuple[int, ...], call: Call) -> Batch:
    """The statistics of a batch, even if the layer does not use them."""
    with np.errstate(all="ignore"):  # 0/0 if everything is masked
        return batch_statistics(x, mask, kept, call.formulas, call.mean.dtype.type)


def _data(case: Case, calls: Sequence[Call]) -> dict[str, Array]:
    """Mean and variance of all batches as one."""
    batches = [np.moveaxis(call.x, case.kept, range(-len(case.kept), 0)) for call in calls]
    flat = np.concatenate([x.reshape(-1, *x.shape[-len(case.kept) :]) for x in batches])
    masks = [call.mask for call in calls]
    kept = tuple(range(1, flat.ndim))
    mask = None
    if masks[0] is not None:
        moved = [np.moveaxis(m, case.kept, range(-len(case.kept), 0)) for m in masks if m is not None]
        mask = np.concatenate([m.reshape(-1, *m.shape[-len(case.kept) :]) for m in moved])
    found = _statistics(flat, mask, kept, calls[0])
    return {"mean": found.mean.reshape(-1), "variance": found.variance.reshape(-1)}


def _rows(values: Sequence[Array]) -> Array:
    return np.stack([np.asarray(v, np.float64).reshape(-1) for v in values])
