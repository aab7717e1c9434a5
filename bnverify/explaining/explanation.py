"""Explanations: one call of a layer step by step, with the correct result of each step beside the layer's.

The layer is observed twice: as it is, and with momentum 0, gamma 1 and beta 0, which shows its own mean, variance and x̂.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.steps import Step
from bnverify.contract.evidence import CallEvidence, Evidence, Expectation, expect
from bnverify.errors import BadInput
from bnverify.explaining.subject import Subject
from bnverify.numeric.precision import Array
from bnverify.reference.machine import Call
from bnverify.targets.target import Target
from bnverify.values import Check, Environment, Failure, Grade, Mismatch, Status, Verdict, worst
from bnverify.verdicts import known
from bnverify.verdicts.ask import not_here
from bnverify.verdicts.diagnose import name_causes
from bnverify.verdicts.excuse import excuse
from bnverify.verdicts.judged_case import JudgedCase, Observed
from bnverify.verdicts.pipeline import verify_inputs


@dataclass(frozen=True)
class Quantity:
    """One step of the computation.

    formula: in Keras' names. reference: the correct result, in float64 or wider: one value per channel for a statistic, the
    shape of x for x̂ and y. layer: the layer's result; None if it cannot be observed. check: the comparison of the two.
    """

    name: str
    formula: str
    reference: Array
    layer: Array | None = None
    check: Check | None = None

    @property
    def margin(self) -> float | None:
        """The largest error / bound. Up to 1, rounding explains the difference."""
        return None if self.check is None else self.check.margin


@dataclass(frozen=True)
class Explanation:
    """One explained call of a layer.

    name: the layer's. source: which statistics normalize, "batch" or "moving". why: the reason. verdict: whether the layer's
    numbers are what Keras promises, with the cause if they are not. x: as it entered the arithmetic. failure: the exception
    that the layer raised instead.
    """

    name: str
    environment: Environment
    case: Case
    inputs: Inputs
    source: str
    why: str
    count: Array
    x: Array
    quantities: tuple[Quantity, ...]
    verdict: Verdict
    failure: Failure | None = None

    def __getitem__(self, name: str) -> Quantity:
        """The quantity of that name: mean, variance, deviation, x̂, y, moving_mean, moving_variance …"""
        for quantity in self.quantities:
            if quantity.name == name:
                return quantity
        raise KeyError(f"{name!r}; there are {', '.join(q.name for q in self.quantities)}")

    @property
    def ok(self) -> bool:
        """Whether the layer returned what Keras promises in each call, apart from known deviations of Keras."""
        return not self.verdict.status.fails and not self.unsteady

    @property
    def unsteady(self) -> tuple[Quantity, ...]:
        """What was wrong only in the second call, which shows the layer's mean, variance and x̂."""
        if self.verdict.status.fails:
            return ()
        return tuple(q for q in self.quantities if q.check is not None and q.check.status.fails)

    @property
    def reduced(self) -> tuple[int, ...]:
        """The axes that each statistic reduces."""
        return tuple(axis for axis in range(len(self.case.shape)) if axis not in self.case.kept)


def explain_subject(subject: Subject, target: Target) -> Explanation:
    """What one call of the subject computes, and what the target returns. Raises BadInput if the target cannot make the
    call.
    """
    case, inputs = subject.case, subject.inputs
    judged, observed, (call,) = verified(case, inputs, target)
    quantities = [*_statistics(call, case), *_outputs(call, case)]
    probes = _own_numbers(observed, call, target)
    seen = observed.observation.steps[0] if observed.observation.steps else None
    if seen is not None and seen.y is not None:
        probes["y"] = (seen.y, _check(judged, "y"))
        for name in case.config.statistics if call.updates else ():
            probes[name] = (seen.weights[name], _check(judged, name))
    found = tuple(replace(q, layer=probes[q.name][0], check=probes[q.name][1]) if q.name in probes else q for q in quantities)
    return Explanation(
        subject.name,
        target.environment,
        case,
        inputs,
        source="batch" if call.normalizes_with_batch else "moving",
        why=why(case.steps[0], not case.config.trainable, call.normalizes_with_batch),
        count=_count(call, case),
        x=np.asarray(call.x),
        quantities=found,
        verdict=judged.verdict,
        failure=observed.observation.failure,
    )


def why(step: Step, frozen: bool, with_batch: bool) -> str:
    """Why a call normalizes with the batch or the moving statistics."""
    if with_batch and frozen:
        return "training=True; trainable=False freezes gamma and beta only in this Keras"
    if with_batch:
        return "training=True, and the layer is trainable"
    if step.training and frozen:
        return "training=True, but the layer is frozen (trainable=False)"
    return "training=False" if step is Step.INFER else "training is not given, so the call is inference"


def _judged(case: Case, inputs: Inputs, target: Target) -> JudgedCase:
    """The verdict on the numbers of calls, with known deviations. Clauses on arguments and weights are left out."""
    judged = verify_inputs(case, inputs, target)
    if judged.verdict.status is Status.UNSUPPORTED:
        return judged
    meant = ("y", *case.config.statistics)
    checks = [c for c in judged.verdict.checks if (c.quantity in meant and c.step is not None) or c.status is Status.CRASHED]
    verdict = replace(judged.verdict, checks=tuple(checks), status=worst([check.status for check in checks]))
    return excuse(replace(judged, verdict=verdict), [d for d in known.shipped() if d.applies(target.environment)])


def verified(case: Case, inputs: Inputs, target: Target) -> tuple[JudgedCase, Observed, tuple[Call, ...]]:
    """The verdict on calls, with its cause if it fails; the observation; and the calls of the reference.

    Raises BadInput if the target cannot make these calls.
    """
    environment = target.environment
    if reason := not_here(case, environment):
        raise BadInput(f"{environment.module} {environment.keras} on {environment.backend}: {reason}")
    judged = _judged(case, inputs, target)
    observed = judged.observed
    if judged.verdict.status is Status.UNSUPPORTED or observed is None:
        raise BadInput(f"{environment.target}: {judged.verdict.reason}")
    alike = len({x.shape for x in inputs.batches if x is not None}) == 1
    if judged.verdict.status.fails and observed.observation.failure is None and alike:
        (verdict,) = name_causes([judged], target.observe)
        judged = replace(judged, verdict=verdict)
    return judged, observed, _expectation(observed, case, inputs).calls


def _expectation(observed: Observed, case: Case, inputs: Inputs) -> Expectation:
    return expect(case, inputs, observed.era.formulas, observed.era.formats(case))


def _count(call: Call, case: Case) -> Array:
    """The number of values in each statistic of this batch."""
    reduced = math.prod(n for axis, n in enumerate(case.shape) if axis not in case.kept)
    n = call.batch.n if call.batch is not None else reduced
    return np.broadcast_to(np.asarray(n), call.mean.shape).reshape(-1)


def _statistics(call: Call, case: Case) -> list[Quantity]:
    """Mean, variance, variance + epsilon, and the deviation that divides."""
    shape, epsilon = case.channels_shape, case.config.epsilon
    batch = call.normalizes_with_batch
    masked = " of the unmasked values" if call.mask is not None and batch else ""
    mean = "sum(x) / n" if batch else "the layer's moving_mean"
    variance = "sum((x - mean)²) / n" if batch else "the layer's moving_variance"
    return [
        Quantity("mean", mean + masked, call.mean.reshape(shape)),
        Quantity("variance", variance + masked, call.variance.reshape(shape)),
        Quantity("variance + epsilon", f"epsilon = {epsilon:g} is added", (call.variance + epsilon).reshape(shape)),
        Quantity("deviation", "sqrt(variance + epsilon), the divisor", (1 / call.inverse).reshape(shape)),
    ]


def _outputs(call: Call, case: Case) -> list[Quantity]:
    """x̂, y, and the moving statistics after the call."""
    shape, config = case.channels_shape, case.config
    gamma, beta = ("gamma" if config.scale else "1"), ("beta" if config.center else "0")
    found = [Quantity("x̂", "(x - mean) / deviation", _normalized(call))]
    if call.correction is not None:
        of = ("r, batch renormalization", "d, batch renormalization")
        found += [Quantity(name, "", value.reshape(shape)) for name, value in zip(of, call.correction, strict=True)]
        gamma, beta = f"{gamma}·r", f"{gamma}·d + {beta}"
    found.append(Quantity("y", f"{gamma}·x̂ + {beta}", np.asarray(call.y())))
    if not call.updates:
        return found
    for name in config.statistics:
        momentum = config.renorm_momentum if name.startswith("renorm") else config.momentum
        formula = (
            f"{momentum:g}·old + {1 - momentum:.6g}·batch"
            if name != "moving_variance" or not config.renorm
            else ("moving_stddev² - epsilon")
        )
        found.append(Quantity(name, formula, call.after.weights[name].reshape(shape)))
    return found


def _normalized(call: Call) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray((call.x.astype(call.mean.dtype) - call.mean) * call.inverse)


Shown = dict[str, tuple[Array, Check | None]]


def _own_numbers(observed: Observed, call: Call, target: Target) -> Shown:
    """The layer's mean, variance, deviation and x̂, which a call with momentum 0, gamma 1 and beta 0 shows."""
    case, inputs = observed.case, observed.inputs
    if not observed.observation.steps:
        return {}
    before = {name: np.asarray(v.reshape(case.channels_shape)) for name, v in call.before.weights.items()}
    plain = {name: np.ones_like(v) if name == "gamma" else np.zeros_like(v) for name, v in before.items()}
    weights = {name: plain[name] if name in ("gamma", "beta") else v.astype(np.float64) for name, v in before.items()}
    probe = replace(case, weights="random", config=replace(case.config, momentum=0.0))
    found = _looked_at(observed, probe, replace(inputs, weights=weights), target)
    if found is None:  # a custom layer that keeps its momentum under another name
        found = _looked_at(observed, replace(probe, config=case.config), replace(inputs, weights=weights), target)
    return found or {}


def _looked_at(before: Observed, case: Case, inputs: Inputs, target: Target) -> Shown | None:
    seen = _judged(case, inputs, target)
    if seen.observed is None or not seen.observed.observation.steps or seen.observed.observation.steps[0].y is None:
        return None
    expectation = _expectation(before, case, inputs)
    c = next(iter(Evidence(expectation, seen.observed.observation, Grade.SEQUENTIAL).calls))
    call, found = c.call, Shown()
    if call.batch is not None and case.config.momentum == 0.0 and call.updates:
        found["mean"] = (c.observed.weights["moving_mean"], _check(seen, "moving_mean"))
        found["variance"] = (c.observed.weights["moving_variance"], _check(seen, "moving_variance"))
    elif not call.normalizes_with_batch:
        found["mean"] = (c.observed.weights["moving_mean"], None)
        found["variance"] = (c.observed.weights["moving_variance"], None)
    assert c.observed.y is not None
    if call.correction is None and c.observed.y.shape == call.x.shape:
        check = _check(seen, "y")
        found["x̂"] = (c.observed.y, check)
        if check is not None and (deviation := _deviation(c, case, check.status)) is not None:
            found["deviation"] = deviation
    return found


def _deviation(c: CallEvidence, case: Case, status: Status) -> tuple[Array, Check] | None:
    """The layer's divisor, per channel: the difference of two values of x, far apart, divided by the difference of their x̂.

    It is correct if x̂ is correct, so the bounds of x̂ are enough.
    """
    call, y = c.call, c.observed.y
    assert y is not None

    def rows(values: Array) -> Array:
        moved = np.moveaxis(np.broadcast_to(values, call.x.shape), case.kept, range(-len(case.kept), 0))
        return moved.reshape(-1, math.prod(case.channels_shape)).astype(np.float64)

    x, normalized = rows(call.x), rows(y)
    bound = rows(np.abs(call.x - call.mean) * c.bounds.slope[Grade.SEQUENTIAL] + c.bounds.offset[Grade.SEQUENTIAL])
    if not (np.isfinite(x).all() and np.isfinite(normalized).all()):
        return None
    high, low, each = x.argmax(0), x.argmin(0), np.arange(x.shape[1])
    run, rise = x[high, each] - x[low, each], normalized[high, each] - normalized[low, each]
    if not (run > 0).all() or not (rise > 0).all():
        return None
    own, right = run / rise, (1 / call.inverse).reshape(-1).astype(np.float64)
    room = (bound[high, each] + bound[low, each]) * right / run  # relative
    with np.errstate(all="ignore"):
        allowed = np.where(room < 1, right * room / (1 - room), np.inf)
        margin = float(np.max(np.abs(own - right) / allowed))
    status = Status.CONFORMS if margin <= 1 else status
    worst_ = int(np.argmax(np.abs(own - right) / allowed))
    mismatch = Mismatch(f"{right[worst_]:.9g}", f"{own[worst_]:.9g}", channel=worst_)
    found = own.reshape(case.channels_shape)
    return found, Check("", "deviation", 0, status, None, margin, None if margin <= 1 else mismatch)


def _check(judged: JudgedCase, quantity: str) -> Check | None:
    """Of the checks of a quantity after the call, the one with the worst status."""
    own = [
        check for check in judged.verdict.checks if check.quantity == quantity and check.step == 0 and check.grade is not None
    ]
    return max(own, key=lambda check: (check.status.fails, check.margin or 0.0), default=None)
