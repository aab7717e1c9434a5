"""Clauses about the output: it is gamma*(x-mean)/sqrt(var+epsilon)+beta, and which mean and variance it uses."""

from __future__ import annotations

from collections.abc import Iterator

from bnverify.cases.steps import Step
from bnverify.contract.clause import KERAS_DOC, PAPER, Clause
from bnverify.contract.evidence import CallEvidence, Evidence
from bnverify.values import Check


def output_clause(c: CallEvidence) -> str:
    """The clause that covers a call's output; exactly one for each call."""
    if c.pinned:
        return "pinned"
    if not c.call.step.training:
        plain = "inference-output" if c.call.mask is None else "masked-inference"
        return plain if c.call.step is Step.INFER else "training-not-given"
    if c.call.before.frozen:
        return "frozen-output"
    if c.call.correction is not None:
        return "renorm-training"
    if c.call.mask is not None:
        return "masked-training"
    return "unfrozen" if c.thawed else "training-output"


def check_training(e: Evidence) -> Iterator[Check]:
    yield from _outputs(e, "training-output")


def check_inference(e: Evidence) -> Iterator[Check]:
    yield from _outputs(e, "inference-output")


def check_not_given(e: Evidence) -> Iterator[Check]:
    yield from _outputs(e, "training-not-given")


def check_frozen(e: Evidence) -> Iterator[Check]:
    yield from _outputs(e, "frozen-output")


def _outputs(e: Evidence, clause: str) -> Iterator[Check]:
    return (e.output(clause, c) for c in e.calls if output_clause(c) == clause)


CLAUSES = (
    Clause(
        "training-output",
        "output in training",
        "training=True: y = gamma*(x-mean)/sqrt(var+epsilon)+beta with the batch's mean and biased variance, computed over "
        "all axes except `axis`",
        KERAS_DOC + "; " + PAPER + ", algorithm 1",
        check_training,
    ),
    Clause(
        "inference-output",
        "output in inference",
        "training=False: y = gamma*(x-moving_mean)/sqrt(moving_variance+epsilon)+beta",
        KERAS_DOC + "; " + PAPER + ", algorithm 2",
        check_inference,
    ),
    Clause(
        "training-not-given",
        "output, training not given",
        "a call without `training`, outside a model, is inference",
        KERAS_DOC + " (training=False “is the default”)",
        check_not_given,
    ),
    Clause(
        "frozen-output",
        "output when frozen",
        "trainable=False: training=True normalizes with the moving statistics, the same as training=False",
        KERAS_DOC + ", “About setting layer.trainable = False”",
        check_frozen,
    ),
)
