"""Search: find the formula, argument or format that reproduces the numbers of a failing case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnverify.cases.case import Case
from bnverify.contract.evidence import Evidence, Expectation, expect, with_bounds
from bnverify.numeric.precision import FORMATS, Precision
from bnverify.reference.formulas import Formulas
from bnverify.reference.hypotheses import HYPOTHESES
from bnverify.reference.machine import Call, trace_case
from bnverify.values import Grade, Observation, Status, StepObservation, Verdict
from bnverify.verdicts.fitted import fitted
from bnverify.verdicts.judge import verdict_of
from bnverify.verdicts.judged_case import Observed

SAME_MARGIN = (
    0.01  # a hypothesis that differs from the correct numbers by less than this share of the bounds cannot be told from them
)
NARROW_MARGIN = 0.01  # errors below this share of a narrower format's bound are too small to come from that format
REGULAR = 0.1  # the largest share of the squared errors that a fitted line may leave unexplained
FEW_CHANNELS = 0.5  # rounding to a narrower format reaches at least this share of the channels


@dataclass(frozen=True)
class Cause:
    """A cause that fits a case, the numbers that it predicts there, and its formulas."""

    text: str
    detail: str = ""
    formulas: Formulas | None = None


Wanted = Callable[[str], bool]  # whether to try a cause, given by its text


def search(verdict: Verdict, observed: Observed, wanted: Wanted) -> Iterator[Cause]:
    """The wanted causes that explain the case: from the catalogue; else an argument fitted to the numbers; else a format."""
    verdict, observed = _shown(verdict, observed)
    right = _right(observed)
    if not any(_forward(check.quantity, observed.case) for check in verdict.failures):
        yield from _of_gradients(verdict, observed, right, wanted)
        return
    of_the_catalogue = list(_of_formulas(verdict, observed, right, wanted))
    yield from of_the_catalogue or _of_arguments(observed, right, wanted) or _of_formats(verdict, observed, right, wanted)


def _right(observed: Observed) -> Expectation:
    """What a correct layer gives in this case."""
    era = observed.era
    return expect(observed.case, observed.inputs, era.formulas, era.formats(observed.case))


def _of_formulas(verdict: Verdict, observed: Observed, right: Expectation, wanted: Wanted) -> Iterator[Cause]:
    """Every formula of the catalogue that reproduces all numbers of the case."""
    case = observed.case
    for hypothesis in HYPOTHESES:
        if not hypothesis.backward and wanted(hypothesis.cause):
            calls = trace_case(case, observed.inputs, observed.era.apply(hypothesis.formulas), right.formats)
            if _closer(calls, verdict) and explains(with_bounds(case, calls, right.formats), observed.observation, right):
                yield Cause(hypothesis.cause, formulas=hypothesis.formulas)


def _of_arguments(observed: Observed, right: Expectation, wanted: Wanted) -> list[Cause]:
    """The first argument that reproduces all numbers with a fitted value."""
    for hypothesis, detail in fitted(right, observed.observation):
        formulas = observed.era.apply(hypothesis.formulas)
        wrong = expect(observed.case, observed.inputs, formulas, right.formats)
        if wanted(hypothesis.cause) and explains(wrong, observed.observation, right):
            return [Cause(hypothesis.cause, detail)]
    return []


def _of_formats(verdict: Verdict, observed: Observed, right: Expectation, wanted: Wanted) -> list[Cause]:
    """The widest format whose rounding has the size of the errors."""
    for cause, formats in _narrower(verdict, observed, right):
        narrow = expect(observed.case, observed.inputs, observed.era.formulas, formats)
        if wanted(cause) and NARROW_MARGIN <= fit(narrow, observed.observation, unknown_fits=False) <= 1.0:
            return [Cause(cause)]
    return []


def _shown(verdict: Verdict, observed: Observed) -> tuple[Verdict, Observed]:
    """The case. If it breaks a law only: the second observation of that law, judged as a case."""
    broken = {check.clause for check in verdict.failures}
    if len(broken) > 1 or not broken <= set(observed.companions):
        return verdict, observed
    second = observed.companions[broken.pop()]
    return verdict_of(_right(second), second.observation), second


def _of_gradients(verdict: Verdict, observed: Observed, right: Expectation, wanted: Wanted) -> Iterator[Cause]:
    """Causes of wrong gradients, if output and statistics are right. None for a loss, or for gamma after an optimizer's
    step.
    """
    if not any(check.quantity.startswith("dL/") for check in verdict.failures):
        return
    for hypothesis in HYPOTHESES:
        if hypothesis.backward and wanted(hypothesis.cause):
            wrong = expect(right.case, observed.inputs, observed.era.apply(hypothesis.formulas), right.formats)
            if fit_gradients(wrong, observed.observation) <= 1.0 and fit_gradients(wrong, _as_observed(right)) > SAME_MARGIN:
                yield Cause(hypothesis.cause, formulas=hypothesis.formulas)


def _narrower(verdict: Verdict, observed: Observed, right: Expectation) -> Iterator[tuple[str, Precision]]:
    """Formats that the numbers may have been computed in or stored in, widest first, each with the text of its cause."""
    formats = right.formats
    outputs = [check for check in verdict.checks if check.quantity == "y" and check.grade is not None]
    output_fails = bool(outputs) and min(outputs, key=lambda check: check.step or 0).status.fails
    config = observed.case.config
    names = config.statistics
    moving = [step.weights[name] for step in observed.observation.steps for name in names if name in step.weights]
    for name in ("float32", "float16", "bfloat16"):
        narrow = FORMATS[name]
        if narrow.bits < formats.variable.bits and all(np.array_equal(v, narrow.round(v), equal_nan=True) for v in moving):
            yield f"the moving statistics are stored as {name}", replace(formats, variable=narrow)
        plain = not observed.case.mask and not config.renorm  # fewer values do not give a reliable bound
        if narrow.bits < formats.arithmetic.bits and output_fails and plain and not _regular(observed, right):
            like = "float16 or TF32" if name == "float16" else name  # both have 11 bits of significand
            cause = f"the errors have the size of rounding to {like}, not to {formats.arithmetic.name}"
            yield cause, replace(formats, arithmetic=narrow)


@np.errstate(all="ignore")
def _regular(observed: Observed, right: Expectation) -> bool:
    """Whether rounding cannot explain the errors of y: they follow one line a + b*y, or occur in a few channels only."""
    c = next((c for c in Evidence(right, observed.observation, Grade.SEQUENTIAL).calls), None)
    case = observed.case
    if c is None or c.observed.y is None or c.observed.y.shape != c.call.x.shape or np.prod(case.channels_shape) < 3:
        return False
    y = c.call.y().astype(np.float64)
    error = c.observed.y - y
    off = np.abs(error) > c.output_bound[Grade.SEQUENTIAL]
    if not np.isfinite(error).all() or not off.any():
        return False
    line = np.stack([np.ones(y.size), y.ravel()], axis=1)
    fit, *_ = np.linalg.lstsq(line, error.ravel(), rcond=None)
    left = error.ravel() - line @ fit
    channels = off.any(axis=tuple(axis for axis in range(y.ndim) if axis not in case.kept))
    return bool(left @ left < REGULAR * (error.ravel() @ error.ravel()) or channels.mean() < FEW_CHANNELS)


def _closer(calls: Sequence[Call], verdict: Verdict) -> bool:
    """Whether the predicted calls are closer than the reference to the worst number. This is cheap, and false for most
    hypotheses.

    It is also true if the error of the worst number is so small that the number's rounding would hide the difference.
    """
    names = ("y", *verdict.case.config.statistics)
    located = [c for c in verdict.failures if c.quantity in names and c.mismatch and c.mismatch.error is not None]
    if not located:
        return True
    check = max(located, key=lambda c: c.margin or 0.0)
    m = check.mismatch
    if m is None or m.index is None or m.error is None or not np.isfinite(m.error) or (check.margin or 0.0) < 4:
        return True
    call = next(call for call in calls if call.index == check.step)
    value = call.y() if check.quantity == "y" else call.after.weights[check.quantity].reshape(-1)
    there = float(value[m.index]) if value.ndim == len(m.index) else float("nan")
    return not abs(there - float(m.actual)) > m.error * 0.9


def explains(hypothesis: Expectation, observation: Observation, right: Expectation) -> bool:
    """Whether a hypothesis reproduces every observed number and differs from the correct formula in this case.

    For example, a fault in beta does not differ from the correct formula in a layer without beta.
    """
    return fit(hypothesis, observation) <= 1.0 and fit(hypothesis, _as_observed(right)) >= SAME_MARGIN


def _as_observed(expectation: Expectation) -> Observation:
    """What a perfect layer would show in the calls of a case."""
    steps = [StepObservation({}, ())] * len(expectation.case.steps)
    for call in expectation.calls:
        shape = expectation.case.channels_shape
        weights = {name: value.reshape(shape) for name, value in call.after.weights.items()}
        gradients = {name: g.reshape(shape) if name in ("gamma", "beta") else g for name, g in call.gradients().items()}
        steps[call.index] = StepObservation(weights, (), call.y(), gradients=gradients)
    return Observation(steps=tuple(steps))


def fit(expectation: Expectation, observation: Observation, unknown_fits: bool = True) -> float:
    """The largest margin of the case's numbers under an expectation; infinite if a number has no accepted grade."""
    fine = (Status.CONFORMS, Status.INCONCLUSIVE) if unknown_fits else (Status.CONFORMS,)
    evidence = Evidence(expectation, observation, Grade.SEQUENTIAL)
    largest = 0.0
    for call in evidence.calls:
        names = expectation.case.config.statistics
        for check in (evidence.output("", call), *(evidence.moving("", name, call) for name in names)):
            if check.status not in fine:
                return float("inf")
            largest = max(largest, check.margin or 0.0)
    return largest


def fit_gradients(expectation: Expectation, observation: Observation) -> float:
    """The largest margin of the case's gradients under an expectation; infinite if a gradient has no accepted grade."""
    evidence = Evidence(expectation, observation, Grade.SEQUENTIAL)
    checks = [
        evidence.gradient("", name, c) for c in evidence.calls for name in c.bounds.gradients if name in c.observed.gradients
    ]
    if any(check.status not in (Status.CONFORMS, Status.INCONCLUSIVE) for check in checks):
        return float("inf")
    return max((check.margin or 0.0 for check in checks), default=0.0)


def _forward(quantity: str, case: Case) -> bool:
    """Whether the forward pass computes a quantity."""
    return quantity.startswith("y") or quantity in case.config.statistics
