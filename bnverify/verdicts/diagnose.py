"""Diagnosing: which hypothesis gives exactly the numbers of the cases that fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.contract.evidence import Evidence, Expectation, expect, with_bounds
from bnverify.numeric.precision import FORMATS, Precision
from bnverify.reference.formulas import Formulas
from bnverify.reference.hypotheses import HYPOTHESES
from bnverify.reference.machine import Call, trace
from bnverify.values import Grade, Observation, Status, StepObservation, Verdict
from bnverify.verdicts.fitted import fitted
from bnverify.verdicts.judge import judge
from bnverify.verdicts.judged_case import JudgedCase
from bnverify.verdicts.stages import Observe, stage_of

UNSTABLE_CAUSES = {
    Grade.SEQUENTIAL: "sums taken one after another round more than blocked sums",
    Grade.ONE_PASS: "the variance is computed as E[x²]−E[x]², which cancels where the mean is large against the spread",
}
SEARCHED = 1 << 15  # numbers up to which a case is searched through the catalogue; a smaller case tells as much
TRIED = 1 << 20  # numbers up to which a case is held against the causes that smaller ones gave
SEARCHES = 24  # cases searched through the catalogue in one run
LOOKS = 400  # cases observed once more for their stage in one run
SAME_MARGIN = 0.01  # a hypothesis closer than this share of its bounds to the right numbers changes nothing in the case
NARROW_MARGIN = 0.01  # errors below this share of a narrower format's bound are too small to be that format's

REGULAR = 0.1  # share of the squared errors that a line may leave over
FEW = 0.5  # share of the channels that rounding to a narrower format would reach, at least


@dataclass(frozen=True)
class Cause:
    """A cause that fits a case, its numbers there, and the formulas that it stands for."""

    text: str
    detail: str = ""
    formulas: Formulas | None = None


def name_causes(failing: Sequence[JudgedCase], observe: Observe) -> list[Verdict]:
    """The verdicts of `failing`, in that order, each with its cause where one is found, and with the stage that is off.

    observe: the target's own, for a second look at cases without a cause.
    Cases are searched from the smallest on. Where several hypotheses fit a case, the one that fits most cases is meant.
    """
    wholes, failing = failing, [_telling(one) for one in failing]
    fits: dict[int, list[Cause]] = {}
    votes: Counter[str] = Counter()
    searched = 0
    for index in sorted(range(len(failing)), key=lambda i: (not _numbers_wrong(failing[i].verdict), failing[i].size)):
        one = failing[index]
        if not one.observation.steps or one.size > TRIED or _other_weights(one.verdict) or not _numbers_fail(one.verdict):
            continue
        shown, inputs = _shown(one)
        found = list(search(shown, inputs, votes.__contains__))
        open_ = _numbers_wrong(one.verdict) and one.size <= SEARCHED and searched < SEARCHES
        if open_ and (searched < 4 or not found):
            searched += 1
            found = list(search(shown, inputs, lambda cause: True))
        fits[index] = found
        votes.update(cause.text for cause in found)
    stable = not any(_numbers_wrong(one.verdict) for one in failing)
    looks = 0
    found_all = []
    for index, one in enumerate(failing):
        verdict = _with_cause(one.verdict, fits.get(index, []), votes, stable)
        cause = next((c for c in fits.get(index, []) if c.text in verdict.cause.split(" or: ")), None)
        formulas = cause.formulas if cause else None
        alone = wholes[index].verdict.case.network == "none"  # else the layer would be looked at outside its network
        if one.observation.steps and one.size <= SEARCHED and (formulas is not None or (alone and looks < LOOKS)):
            looks += formulas is None
            verdict = replace(verdict, stage=stage_of(one, observe, formulas))
        found_all.append(verdict)
    return [
        replace(whole.verdict, cause=found.cause, reason=found.reason, stage=found.stage)
        for whole, found in zip(wholes, found_all, strict=True)
    ]


def _telling(one: JudgedCase) -> JudgedCase:
    """The smallest part of a case that fails, where it has parts: as a case of its own it says what is wrong with the whole."""
    parts = [part for _, part in one.parts if part.verdict.status.fails]
    return min(parts, key=lambda part: (not _numbers_wrong(part.verdict), part.size), default=one)


def search(one: JudgedCase, inputs: Inputs, wanted: Callable[[str], bool]) -> Iterator[Cause]:
    """The wanted causes that explain the case: of the catalogue; else an argument fitted to the numbers; else a format."""
    case, observation = one.verdict.case, one.observation
    right = expect(case, inputs, one.era.formulas, one.era.formats(case))
    if not any(_forward(check.quantity, case) for check in one.verdict.failures):
        yield from _of_gradients(one, right, inputs, wanted)
        return
    found = False
    for hypothesis in HYPOTHESES:
        if not hypothesis.backward and wanted(hypothesis.cause):
            calls = trace(case, inputs, one.era.apply(hypothesis.formulas), right.formats)
            if _closer(calls, one.verdict) and explains(with_bounds(case, calls, right.formats), observation, right):
                found = True
                yield Cause(hypothesis.cause, formulas=hypothesis.formulas)
    if found:
        return
    for hypothesis, detail in fitted(right, observation):
        if wanted(hypothesis.cause) and explains(
            expect(case, inputs, one.era.apply(hypothesis.formulas), right.formats), observation, right
        ):
            yield Cause(hypothesis.cause, detail)
            return
    for cause, formats in _narrower(one, right):
        narrow = expect(case, inputs, one.era.formulas, formats)
        if wanted(cause) and NARROW_MARGIN <= fit(narrow, observation, unknown_fits=False) <= 1.0:
            yield Cause(cause)
            return


def _shown(one: JudgedCase) -> tuple[JudgedCase, Inputs]:
    """The case and its inputs; where a law alone is broken, its second observation, judged as a case of its own."""
    broken = {check.clause for check in one.verdict.failures}
    if len(broken) > 1 or not broken <= set(one.companions):
        return one, one.inputs
    case, inputs, observation = one.companions[broken.pop()]
    verdict = judge(expect(case, inputs, one.era.formulas, one.era.formats(case)), observation)
    return replace(one, verdict=verdict, observation=observation, companions={}), inputs


def _of_gradients(one: JudgedCase, right: Expectation, inputs: Inputs, wanted: Callable[[str], bool]) -> Iterator[Cause]:
    """The wanted causes of a case whose output and statistics are right; none for a loss, or for gamma after a step."""
    if not any(check.quantity.startswith("dL/") for check in one.verdict.failures):
        return
    for hypothesis in HYPOTHESES:
        if hypothesis.backward and wanted(hypothesis.cause):
            wrong = expect(right.case, inputs, one.era.apply(hypothesis.formulas), right.formats)
            if fit_gradients(wrong, one.observation) <= 1.0 and fit_gradients(wrong, _as_observed(right)) > SAME_MARGIN:
                yield Cause(hypothesis.cause, formulas=hypothesis.formulas)


def _narrower(one: JudgedCase, right: Expectation) -> Iterator[tuple[str, Precision]]:
    """Formats that the numbers may have been computed in or stored in, widest first, each with its cause in words."""
    formats = right.formats
    outputs = [check for check in one.verdict.checks if check.quantity == "y" and check.grade is not None]
    output_fails = bool(outputs) and min(outputs, key=lambda check: check.step or 0).status.fails
    names = one.verdict.case.config.statistics
    moving = [step.weights[name] for step in one.observation.steps for name in names if name in step.weights]
    for name in ("float32", "float16", "bfloat16"):
        narrow = FORMATS[name]
        if narrow.bits < formats.variable.bits and all(np.array_equal(v, narrow.round(v), equal_nan=True) for v in moving):
            yield f"the moving statistics are stored as {name}", replace(formats, variable=narrow)
        plain = one.verdict.case.mask == "none" and not one.verdict.case.config.renorm  # else few values make up a bound
        if narrow.bits < formats.arithmetic.bits and output_fails and plain and not _regular(one, right):
            like = "float16 or TF32" if name == "float16" else name  # both have 11 bits of significand
            cause = f"the errors have the size of rounding to {like}, not to {formats.arithmetic.name}"
            yield cause, replace(formats, arithmetic=narrow)


@np.errstate(all="ignore")
def _regular(one: JudgedCase, right: Expectation) -> bool:
    """Whether the errors of y are none of rounding's: one line a + b*y over all channels, or in few channels only."""
    c = next((c for c in Evidence(right, one.observation, Grade.SEQUENTIAL).calls), None)
    case = one.verdict.case
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
    return bool(left @ left < REGULAR * (error.ravel() @ error.ravel()) or channels.mean() < FEW)


def _closer(calls: Sequence[Call], verdict: Verdict) -> bool:
    """Whether calls come closer than the reference to the worst number; cheap, and false for most hypotheses.

    True also where the worst number is off by so little that its rounding would hide the difference.
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
    """Whether a hypothesis gives every number observed, and is not the right formula in disguise, as beta's is without beta."""
    return fit(hypothesis, observation) <= 1.0 and fit(hypothesis, _as_observed(right)) >= SAME_MARGIN


def _as_observed(expectation: Expectation) -> Observation:
    """What a perfect layer would have shown in the calls of a case."""
    steps = [StepObservation({}, ())] * len(expectation.case.steps)
    for call in expectation.calls:
        shape = expectation.case.channels_shape
        weights = {name: value.reshape(shape) for name, value in call.after.weights.items()}
        gradients = {name: g.reshape(shape) if name in ("gamma", "beta") else g for name, g in call.gradients().items()}
        steps[call.index] = StepObservation(weights, (), call.y(), gradients=gradients)
    return Observation(steps=tuple(steps))


def fit(expectation: Expectation, observation: Observation, unknown_fits: bool = True) -> float:
    """The largest margin of the case's numbers under an expectation; infinite where one has no accepted grade."""
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
    """The largest margin of the case's gradients under an expectation; infinite where one has no accepted grade."""
    evidence = Evidence(expectation, observation, Grade.SEQUENTIAL)
    checks = [
        evidence.gradient("", name, c) for c in evidence.calls for name in c.bounds.gradients if name in c.observed.gradients
    ]
    if any(check.status not in (Status.CONFORMS, Status.INCONCLUSIVE) for check in checks):
        return float("inf")
    return max((check.margin or 0.0 for check in checks), default=0.0)


def _forward(quantity: str, case: Case) -> bool:
    """Whether a quantity comes out of the forward pass."""
    return quantity.startswith("y") or quantity in case.config.statistics


def _numbers_wrong(verdict: Verdict) -> bool:
    """Whether a number is wrong that a hypothesis could explain: an attribute that differs speaks for itself."""
    return any(
        check.grade is Grade.NONE or check.clause.endswith("updates-nothing")
        for check in verdict.failures
        if check.status is Status.WRONG
    )


def _numbers_fail(verdict: Verdict) -> bool:
    """Whether a number fails, and not only an attribute."""
    return any(check.grade is not None or check.clause.endswith("updates-nothing") for check in verdict.failures)


def _other_weights(verdict: Verdict) -> bool:
    """Whether the layer has, or ends up with, other weights: its numbers follow from that, and no formula is to blame."""
    return any(check.clause in ("weights", "weight-shapes", "calls-keep-parameters") for check in verdict.failures)


def _with_cause(verdict: Verdict, fits: list[Cause], votes: Counter[str], stable: bool) -> Verdict:
    """The verdict with its cause. Instability is one only in a run where no number is outright wrong."""
    if fits:
        most = max(votes[cause.text] for cause in fits)
        best = [cause for cause in fits if votes[cause.text] == most]
        detail = best[0].detail if len(best) == 1 else ""
        return replace(verdict, cause=" or: ".join(cause.text for cause in best), reason=detail)
    grades = [check.grade for check in verdict.failures if check.status is Status.UNSTABLE and check.grade is not None]
    return replace(verdict, cause=UNSTABLE_CAUSES[max(grades)]) if grades and stable else verdict
