"""Evidence: what the reference expects and what the target gave, call by call. Clauses are checked against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from bnverify.bounds.compare import Numbers, compare, largest_margin, locate, output_numbers, weight_numbers
from bnverify.bounds.derive import CallBounds, follow
from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.steps import Step
from bnverify.numeric.precision import Array, Precision, precision
from bnverify.reference.formulas import KERAS, Formulas
from bnverify.reference.machine import Call, trace_case
from bnverify.values import Check, Grade, Mismatch, Observation, Status, StepObservation

UNSEEN = Check("", "", None, Status.INCONCLUSIVE, reason="not observable in this mode")  # the judge drops a check of this kind


@dataclass(frozen=True)
class Expectation:
    """What the reference says about a case: its calls, each with its bounds. formulas: the promised formulas."""

    case: Case
    calls: tuple[Call, ...]
    bounds: tuple[CallBounds, ...]
    formats: Precision
    formulas: Formulas = KERAS


def expect(case: Case, inputs: Inputs, formulas: Formulas = KERAS, formats: Precision | None = None) -> Expectation:
    """The expectation of `case` with `inputs`.

    With other `formulas`, the expectation of a layer with that fault. With other `formats`, the bounds of a layer that computes
    in those formats instead of the ones that its dtype policy promises.
    """
    return replace(with_bounds(case, trace_case(case, inputs, formulas, formats), formats), formulas=formulas)


def with_bounds(case: Case, calls: tuple[Call, ...], formats: Precision | None = None) -> Expectation:
    """The expectation for a given trace of calls."""
    formats = formats or precision(case.policy, case.dtype)
    return Expectation(case, calls, follow(case, calls, formats), formats)


@dataclass(frozen=True)
class CallEvidence:
    """One call: what the reference says, its bounds, and what the target gave.

    thawed: whether the layer was frozen and unfrozen before. pinned: whether a model passes training=False to the layer even
    when the model trains.
    """

    call: Call
    bounds: CallBounds
    observed: StepObservation
    thawed: bool
    pinned: bool = False

    @property
    def output_bound(self) -> Array:
        """The bounds of the whole output, with a leading axis over the grades."""
        with np.errstate(all="ignore"):
            return np.asarray(np.abs(self.call.x - self.call.mean) * self.bounds.slope + self.bounds.offset)


@dataclass(frozen=True)
class Evidence:
    """A case's expectation and its observation. Clauses take calls from it and turn numbers into checks.

    companions: by clause key, the evidence of the second observation that the clause asked for.
    """

    expectation: Expectation
    observation: Observation
    required: Grade
    companions: Mapping[str, Evidence] = field(default_factory=dict)

    @property
    def case(self) -> Case:
        return self.expectation.case

    @property
    def formats(self) -> Precision:
        return self.expectation.formats

    @property
    def channel_axis(self) -> int | None:
        """The channel axis of x, if there is exactly one."""
        return self.case.kept[0] if len(self.case.kept) == 1 else None

    @property
    def built(self) -> bool:
        """Whether the target was built. In mode:unbuilt the first call builds it."""
        late = self.case.how.builds_late and self.observation.failure is not None and not self.observation.weights
        return self.observation.built and not late

    @cached_property
    def calls(self) -> tuple[CallEvidence, ...]:
        """The calls that the target completed, in order."""
        steps = self.observation.steps
        pairs = zip(self.expectation.calls, self.expectation.bounds, strict=True)
        return tuple(
            CallEvidence(call, bounds, steps[call.index], thawed, self.case.how.pins_inference and bool(call.step.training))
            for (call, bounds), thawed in zip(pairs, self._thawed(), strict=True)
            if call.index < len(steps) and steps[call.index].y is not None
        )

    def _thawed(self) -> list[bool]:
        """For each call, whether the layer was frozen and unfrozen before it."""
        return [
            "F" in trail and trail.rindex("F") < trail.rfind("U")
            for trail in ("".join(s.value for s in self.case.steps[: c.index]) for c in self.expectation.calls)
        ]

    def frozen_after(self, index: int) -> bool:
        """Whether the layer is frozen after a step."""
        changes = [s for s in self.case.steps[: index + 1] if s in (Step.FREEZE, Step.UNFREEZE)]
        return changes[-1] is Step.FREEZE if changes else not self.case.config.trainable

    def weights_before(self, index: int) -> dict[str, Array]:
        """The target's weights just before step `index`."""
        return dict(self.observation.steps[index - 1].weights if index else self.observation.initial)

    def output(self, clause: str, evidence: CallEvidence) -> Check:
        """The check of a call's output against its bounds."""
        form = self.formats.narrowest(self.formats.output)
        numbers = output_numbers(evidence.call, evidence.bounds.slope, evidence.bounds.offset, form)
        assert evidence.observed.y is not None
        return self.numbers(clause, "y", evidence.call.index, evidence.observed.y, numbers, self.channel_axis)

    def moving(self, clause: str, name: str, evidence: CallEvidence) -> Check:
        """The check of a moving statistic after a call."""
        if "weights" in evidence.observed.hidden:
            return UNSEEN
        shape = self.case.channels_shape
        value = evidence.call.after.weights[name].reshape(shape)
        bounds = evidence.bounds.moving[name].reshape(3, *shape)
        numbers = weight_numbers(value, bounds, self.formats.variable)
        actual = evidence.observed.weights.get(name)
        if actual is None:
            return self.texts(clause, name, evidence.call.index, expected="present", actual="missing")
        return self.numbers(clause, name, evidence.call.index, actual, numbers, 0)

    def gradient(self, clause: str, name: str, c: CallEvidence) -> Check:
        """The check of one gradient of a call: of x, gamma or beta, or "second", the gradient of the gradient of x."""
        gradient, quantity = c.bounds.gradients[name], "dL/dx'" if name == "second" else f"dL/d{name}"
        if "gradients" in c.observed.hidden:
            return UNSEEN
        actual = c.observed.gradients.get(name)
        if actual is None:
            return self.texts(clause, quantity, c.call.index, expected="a gradient", actual="none")
        whole = name in ("x", "second")
        shape = self.case.shape if whole else self.case.channels_shape
        numbers = weight_numbers(gradient.value.reshape(shape), gradient.bound.reshape(3, *shape), gradient.format)
        return self.numbers(clause, quantity, c.call.index, actual, numbers, self.channel_axis if whole else 0)

    def numbers(
        self, clause: str, quantity: str, step: int | None, actual: Array, numbers: Numbers, channel_axis: int | None
    ) -> Check:
        """Compare and grade: CONFORMS up to the required grade, UNSTABLE above it, WRONG if no grade explains the numbers."""
        if actual.shape != numbers.shape:
            return self.texts(clause, quantity, step, expected=f"shape {numbers.shape}", actual=f"shape {actual.shape}")
        if actual.dtype.kind not in "biuf":
            return self.texts(clause, quantity, step, expected="real numbers", actual=str(actual.dtype))
        if actual.size == 0:
            return Check(clause, quantity, step, Status.INCONCLUSIVE, reason="no elements")
        comparison = compare(actual, numbers)
        if comparison.grade <= self.required:
            if not comparison.conclusive:
                reason = "every bound is infinite, so no error can be detected"
                return Check(clause, quantity, step, Status.INCONCLUSIVE, reason=reason)
            return Check(clause, quantity, step, Status.CONFORMS, comparison.grade, comparison.margin)
        status = Status.WRONG if comparison.grade is Grade.NONE else Status.UNSTABLE
        margin = largest_margin(actual, numbers, self.required)
        mismatch = locate(actual, numbers, self.required, channel_axis)
        return Check(clause, quantity, step, status, comparison.grade, margin, mismatch)

    def texts(self, clause: str, quantity: str, step: int | None, *, expected: str, actual: str) -> Check:
        """The check that an attribute equals the promised value."""
        if actual == expected:
            return Check(clause, quantity, step, Status.CONFORMS)
        return Check(clause, quantity, step, Status.WRONG, mismatch=Mismatch(expected=expected, actual=actual))

    def unchanged(self, clause: str, name: str, index: int) -> Check:
        """The check that step `index` left every bit of a weight unchanged (NaN equals NaN)."""
        near = self.observation.steps[max(index - 1, 0) : index + 1]
        if any("weights" in step.hidden for step in near) or not (index or self.observation.initial):
            return UNSEEN
        before, after = self.weights_before(index).get(name), self.observation.steps[index].weights.get(name)
        return self.same_bits(clause, name, index, expected=before, actual=after, promised="as before", channel_axis=0)

    def same_bits(
        self,
        clause: str,
        quantity: str,
        step: int,
        *,
        expected: Array | None,
        actual: Array | None,
        promised: str,
        channel_axis: int | None = None,
    ) -> Check:
        """The check that both arrays exist and have the same dtype, shape and values (NaN equals NaN).

        promised: where the expected value comes from; the report prints it after the value.
        """
        if expected is None or actual is None:
            return self.texts(clause, quantity, step, expected="present", actual="missing")
        if actual.shape != expected.shape or actual.dtype != expected.dtype:
            forms = [f"{array.dtype} of shape {array.shape}" for array in (expected, actual)]
            return self.texts(clause, quantity, step, expected=forms[0], actual=forms[1])
        differ = actual != expected
        if actual.dtype.kind == "f":
            differ &= ~(np.isnan(actual) & np.isnan(expected))
        if not differ.any():
            return Check(clause, quantity, step, Status.CONFORMS)
        place = tuple(int(i) for i in np.unravel_index(int(np.argmax(differ)), differ.shape))
        mismatch = Mismatch(
            expected=f"{expected[place]!r} {promised}",
            actual=repr(actual[place]),
            index=place,
            channel=None if channel_axis is None else place[channel_axis],
            share=float(np.mean(differ)),
        )
        return Check(clause, quantity, step, Status.WRONG, mismatch=mismatch)
