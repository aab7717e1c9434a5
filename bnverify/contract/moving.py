"""Clauses about the moving statistics: how a training call updates them, and that nothing else does."""

from __future__ import annotations

from collections.abc import Iterator

from bnverify.cases.steps import Step
from bnverify.contract.clause import KERAS_DOC, Clause
from bnverify.contract.evidence import CallEvidence, Evidence
from bnverify.values import Check


def trains(c: CallEvidence) -> bool:
    """Whether a call updates the moving statistics."""
    return c.call.updates


def _trained(c: CallEvidence) -> bool:
    """Whether a call trains a layer that is not frozen. Its weights are checked even if a known fault updates nothing."""
    return trains(c) or (bool(c.call.step.training) and not c.call.before.frozen and not c.pinned)


def _plain(c: CallEvidence) -> bool:
    """Whether a call trains and no clause on frozen layers, masks or renorm covers its update."""
    return _trained(c) and not c.thawed and c.call.mask is None and c.call.correction is None


def check_moving_mean(e: Evidence) -> Iterator[Check]:
    return (e.moving("moving-mean", "moving_mean", c) for c in e.calls if _plain(c))


def check_moving_variance(e: Evidence) -> Iterator[Check]:
    return (e.moving("moving-variance", "moving_variance", c) for c in e.calls if _plain(c))


def check_inference_updates_nothing(e: Evidence) -> Iterator[Check]:
    for c in e.calls:
        if not c.call.step.training:
            for name in e.case.config.statistics:
                yield e.unchanged("inference-updates-nothing", name, c.call.index)


def check_frozen_updates_nothing(e: Evidence) -> Iterator[Check]:
    for c in e.calls:
        if c.call.step is Step.TRAIN and c.call.before.frozen and not trains(c):
            for name in e.case.config.statistics:
                yield e.unchanged("frozen-updates-nothing", name, c.call.index)


def check_unfrozen(e: Evidence) -> Iterator[Check]:
    for c in e.calls:
        if c.thawed and _trained(c) and c.call.mask is None and c.call.correction is None:
            yield e.output("unfrozen", c)
            for name in e.case.config.statistics:
                yield e.moving("unfrozen", name, c)


def check_parameters_unchanged(e: Evidence) -> Iterator[Check]:
    for index in range(len(e.observation.steps)):
        for name in e.case.config.weight_names():
            if name not in e.case.config.statistics and e.case.steps[index] is not Step.OPTIMIZE:
                yield e.unchanged("calls-keep-parameters", name, index)


CLAUSES = (
    Clause(
        "moving-mean",
        "moving mean",
        "each training call: moving_mean = moving_mean*momentum + mean(batch)*(1-momentum)",
        KERAS_DOC,
        check_moving_mean,
    ),
    Clause(
        "moving-variance",
        "moving variance",
        "each training call: moving_variance = moving_variance*momentum + var(batch)*(1-momentum), with the biased variance",
        KERAS_DOC,
        check_moving_variance,
    ),
    Clause(
        "inference-updates-nothing",
        "inference updates nothing",
        "a call with training=False, or without `training`, leaves every bit of the moving statistics unchanged",
        KERAS_DOC,
        check_inference_updates_nothing,
    ),
    Clause(
        "frozen-updates-nothing",
        "a frozen layer updates nothing",
        "trainable=False: a call with training=True leaves every bit of the moving statistics unchanged",
        KERAS_DOC + ", “About setting layer.trainable = False”",
        check_frozen_updates_nothing,
    ),
    Clause(
        "unfrozen",
        "unfreezing restores training",
        "trainable=True after trainable=False: training calls normalize with the batch and update the moving statistics again",
        KERAS_DOC + ", “About setting layer.trainable = False”",
        check_unfrozen,
    ),
    Clause(
        "calls-keep-parameters",
        "calls keep gamma and beta",
        "no call and no change of `trainable` changes gamma or beta",
        KERAS_DOC + " (gamma and beta are learned by the optimizer)",
        check_parameters_unchanged,
    ),
)
