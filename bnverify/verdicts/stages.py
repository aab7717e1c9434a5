"""Stages: the first quantity that is wrong in a case, in the order in which a layer computes them.

The order is mean, variance, inverse deviation, x̂, output, moving averages, gradients. If the cause is known, its formulas show
the stage. If not, the layer is observed again with gamma 1 and beta 0, so that its output is x̂. If x̂ is right, the output is
wrong. In each channel x̂ = a*x + b, which is 0 at the mean, and a is the inverse deviation. The moving variance then shows
whether the variance is wrong or what is computed from it. If x̂ is not such a line, single values of x̂ are wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.contract.evidence import CallEvidence, Evidence, expect
from bnverify.numeric.precision import Array
from bnverify.reference.formulas import Formulas
from bnverify.reference.machine import Call, trace_case
from bnverify.values import Grade, Observation, Status, Verdict
from bnverify.verdicts.judged_case import Observed

Observe = Callable[[Case, Inputs], Observation]
SAME_REFERENCE = 1e-9  # relative difference between two references in float64


def stage_of(verdict: Verdict, observed: Observed, observe: Observe, formulas: Formulas | None) -> str:
    """The first quantity that is wrong; empty if no number is. formulas: the formulas of the cause, if one was named."""
    failing = [check for check in verdict.failures if check.grade is not None and check.step is not None]
    if not failing:
        return ""
    if formulas is None and observed.case.how.replicas > 1:
        return ""  # the call of one replica cannot be repeated without the others
    first = min(check.step or 0 for check in failing)
    quantities = {check.quantity for check in failing if check.step == first}
    moved, normalized = quantities & set(observed.case.config.statistics), {q for q in quantities if q.startswith("y")}
    if not moved and not normalized:
        return "gradients" if any(quantity.startswith("dL/") for quantity in quantities) else ""
    if formulas is not None:
        found = _by_formulas(observed, first, observed.era.apply(formulas))
        return found or ("output" if normalized else "moving averages")
    return _by_observation(observed, first, observe) if normalized else "moving averages"


def _by_formulas(observed: Observed, step: int, wrong: Formulas) -> str:
    """The first intermediate that the cause's formulas change; empty if they change none."""
    case, formats = observed.case, observed.era.formats(observed.case)
    right, other = (
        next(call for call in trace_case(case, observed.inputs, formulas, formats) if call.index == step)
        for formulas in (observed.era.formulas, wrong)
    )
    parts: tuple[tuple[str, Callable[[Call], tuple[Array | None, ...]]], ...] = (
        ("mean", lambda call: (call.mean, None if call.batch is None else call.batch.mean)),
        ("variance", lambda call: (call.variance, None if call.batch is None else call.batch.variance)),
        ("inverse deviation", lambda call: (call.inverse,)),
    )
    return next((name for name, part in parts if not all(map(_same, part(right), part(other)))), "")


def _same(a: Array | None, b: Array | None) -> bool:
    """Whether two intermediates agree; a missing one counts as equal."""
    return a is None or b is None or bool(np.allclose(a, b, rtol=SAME_REFERENCE, atol=0.0, equal_nan=True))


def _by_observation(observed: Observed, step: int, observe: Observe) -> str:
    """The stage that is wrong, according to a second observation with gamma 1 and beta 0."""
    case, inputs, era = observed.case, observed.inputs, observed.era
    plain = replace(inputs, weights=_plain(case, inputs)) if case.weights != "initial" else inputs
    seen = observe(case, plain)
    evidence = Evidence(expect(case, plain, era.formulas, era.formats(case)), seen, Grade.SEQUENTIAL)
    c = next((c for c in evidence.calls if c.call.index == step), None)
    if c is None or c.observed.y is None or c.observed.y.shape != case.shape:
        return "output"
    if not evidence.output("", c).status.fails:
        return "output"
    if c.call.correction is not None or len(case.kept) > 1:
        return "x̂"
    return _of_line(evidence, c)


def _plain(case: Case, inputs: Inputs) -> dict[str, Array]:
    assert inputs.weights is not None
    shape = case.channels_shape
    values = {"gamma": np.ones(shape), "beta": np.zeros(shape)}
    return {name: values.get(name, value) for name, value in inputs.weights.items()}


@np.errstate(all="ignore")
def _of_line(evidence: Evidence, c: CallEvidence) -> str:
    """Which of mean, variance and inverse deviation is wrong, according to the line x̂ = a*x + b."""
    case, call = evidence.case, c.call
    kept = case.kept[0]
    channels = case.shape[kept]

    def rows(values: Array) -> Array:
        return np.moveaxis(np.broadcast_to(values, case.shape), kept, -1).reshape(-1, channels).astype(np.float64)

    assert c.observed.y is not None
    x, y, mean = rows(call.x), rows(c.observed.y), call.mean.reshape(-1)
    u = evidence.formats.output.unit_roundoff
    room = 2 * rows(np.abs(call.x - call.mean) * c.bounds.slope[1] + c.bounds.offset[1]) + 4 * u * np.abs(y).max(0)
    fine = np.isfinite(x).all(0) & np.isfinite(y).all(0) & np.isfinite(room).all(0) & (x.std(0) > 0)
    if not fine.any():
        return "x̂"
    d = x - x.mean(0)
    a = (d * y).sum(0) / (d * d).sum(0)
    b = y.mean(0) - a * x.mean(0)
    line = np.abs(y - (a * x + b)) <= room
    reach = 1 + np.abs(x.mean(0) - mean) / x.std(0)  # the distance of the mean from the data that the line was fitted to
    at_mean = np.abs(a * mean + b) <= room.max(0) * reach
    if not line[:, fine].all():
        return "x̂"
    if not at_mean[fine].all():
        return "mean"
    moved = call.batch is not None and evidence.moving("", "moving_variance", c).status is Status.WRONG
    return "variance" if moved else "inverse deviation"
