"""Clauses about modes: what a model changes, that all modes agree, and that repeating a call gives the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bnverify.bounds.compare import weight_numbers
from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.steps import Step
from bnverify.contract.clause import KERAS_DOC, Clause
from bnverify.contract.evidence import UNSEEN, CallEvidence, Evidence
from bnverify.numeric.precision import Array
from bnverify.values import Check, Status, StepObservation

TRANSFER = "“Transfer learning & fine-tuning”, https://keras.io/guides/transfer_learning/"
KERAS_MODEL_DOC = "keras.Model, https://keras.io/api/models/model/"
DETERMINISM = "keras.utils.set_random_seed, https://keras.io/api/utils/python_utils/ (the layer draws no random numbers)"


def check_pinned(e: Evidence) -> Iterator[Check]:
    for c in e.calls:
        if c.pinned:
            yield e.output("pinned", c)
            for name in e.case.config.statistics:
                yield e.moving("pinned", name, c)


def check_uncompiled(e: Evidence) -> Iterator[Check]:
    if not e.case.how.freezes_late:
        return
    for c in e.calls:
        if c.call.step.training and set(e.case.steps[: c.call.index]) & {Step.FREEZE, Step.UNFREEZE}:
            yield e.output("uncompiled", c)
            for name in e.case.config.statistics:
                yield e.moving("uncompiled", name, c)


def by_plain_calls(case: Case, inputs: Inputs) -> tuple[Case, Inputs] | None:
    """The same case in mode:call, without gradients and files."""
    if not case.how.plain or Step.SAVE in case.steps or case.law:
        return None
    return replace(case, mode="call"), inputs


def check_agree(e: Evidence) -> Iterator[Check]:
    other = e.companions.get("ways-agree")
    if other is None:
        return
    yield from _failed(e, "ways-agree", other)
    for one, two in zip(e.calls, other.calls, strict=False):
        yield _close(e, "ways-agree", one, two)


def _failed(e: Evidence, clause: str, other: Evidence) -> Iterator[Check]:
    """The check for a second observation that cannot be made here, or that raises where the first did not."""
    failure = other.observation.failure
    if failure is not None and failure.type == "NotHere":
        yield Check(clause, "y", 0, Status.INCONCLUSIVE, reason=failure.text)
    elif failure is not None and e.observation.failure is None:
        yield e.texts(clause, failure.stage, None, expected="no exception", actual=f"{failure.type}: {failure.text}")


def _close(e: Evidence, clause: str, one: CallEvidence, two: CallEvidence) -> Check:
    """Whether the outputs of two calls that must agree differ by no more than the bounds of both."""
    y, other = one.observed.y, two.observed.y
    if y is None or other is None or y.shape != e.case.shape or other.dtype.kind not in "biuf" or y.dtype.kind not in "biuf":
        return UNSEEN  # other clauses report a wrong y
    if other.shape != y.shape:
        return e.texts(clause, "y", one.call.index, expected=f"shape {other.shape}", actual=f"shape {y.shape}")
    numbers = weight_numbers(other.astype(one.call.mean.dtype), one.output_bound + two.output_bound, e.formats.output)
    return e.numbers(clause, "y", one.call.index, y, numbers, e.channel_axis)


def again(case: Case, inputs: Inputs) -> tuple[Case, Inputs] | None:
    return (replace(case, law=""), inputs) if case.law == "repeat" else None


def check_repeatable(e: Evidence) -> Iterator[Check]:
    other = e.companions.get("repeatable")
    if other is None:
        return
    yield from _failed(e, "repeatable", other)
    for index, (one, two) in enumerate(zip(e.observation.steps, other.observation.steps, strict=False)):
        for name, value, second in _pairs(one, two):
            yield e.same_bits("repeatable", name, index, expected=value, actual=second, promised="as the first time")


def _pairs(one: StepObservation, two: StepObservation) -> Iterator[tuple[str, Array, Array | None]]:
    if one.y is not None:
        yield "y", one.y, two.y
    for name, value in one.weights.items():
        yield name, value, two.weights.get(name)
    for name, gradient in one.gradients.items():
        if gradient is not None:
            yield f"dL/d{name}", gradient, two.gradients.get(name)


def one_thread(case: Case, inputs: Inputs) -> tuple[Case, Inputs] | None:
    return (replace(case, law="", mode="one_thread"), inputs) if case.law == "threads" else None


def check_threads(e: Evidence) -> Iterator[Check]:
    other = e.companions.get("thread-counts")
    if other is None:
        return
    yield from _failed(e, "thread-counts", other)
    for one, two in zip(e.calls, other.calls, strict=False):
        yield _close(e, "thread-counts", one, two)


CLAUSES = (
    Clause(
        "pinned",
        "training=False inside a model",
        "a layer that is called with training=False inside a model normalizes with the moving statistics and updates "
        "nothing, even if the model or fit runs with training=True",
        TRANSFER + " (“the layer will be run in inference mode … even after unfreezing”)",
        check_pinned,
    ),
    Clause(
        "uncompiled",
        "freezing after compile()",
        "trainable=False after compile() does not take effect in fit until compile() is called again",
        KERAS_DOC + ", “About setting layer.trainable = False”",
        check_uncompiled,
    ),
    Clause(
        "ways-agree",
        "all modes agree",
        "a layer gives the same output in every mode: called directly, in a model, in fit and predict, compiled, or stateless",
        KERAS_MODEL_DOC + "; " + KERAS_DOC,
        check_agree,
        companion=by_plain_calls,
    ),
    Clause(
        "repeatable",
        "the same call twice",
        "two layers with the same arguments, inputs and calls give bit-identical y, weights and gradients",
        DETERMINISM,
        check_repeatable,
        companion=again,
    ),
    Clause(
        "thread-counts",
        "any number of threads",
        "y with one thread equals y with many threads, within the bounds of both",
        DETERMINISM,
        check_threads,
        companion=one_thread,
    ),
)
