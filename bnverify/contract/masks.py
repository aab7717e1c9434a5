"""Clauses about masks: which positions the statistics include, and what the layer returns at masked positions."""

from __future__ import annotations

from collections.abc import Iterator

from bnverify.contract.clause import KERAS_DOC, Clause
from bnverify.contract.evidence import Evidence
from bnverify.contract.moving import trains
from bnverify.contract.outputs import output_clause
from bnverify.values import Check

MASK = (
    KERAS_DOC
    + ", `mask`: “Binary tensor of shape broadcastable to `inputs` tensor”; “Masked elements of the current inputs are "
    "are not taken into account for mean and variance computation during training”"
)


def check_masked_training(e: Evidence) -> Iterator[Check]:
    return (e.output("masked-training", c) for c in e.calls if output_clause(c) == "masked-training")


def check_masked_statistics(e: Evidence) -> Iterator[Check]:
    for c in e.calls:
        if trains(c) and output_clause(c) == "masked-training":
            for name in e.case.config.statistics:
                yield e.moving("masked-statistics", name, c)


def check_masked_inference(e: Evidence) -> Iterator[Check]:
    return (e.output("masked-inference", c) for c in e.calls if output_clause(c) == "masked-inference")


CLAUSES = (
    Clause(
        "masked-training",
        "output in training under a mask",
        "training=True: mean and variance are computed from the positions where the mask is true only; they normalize all "
        "positions, masked ones too",
        MASK,
        check_masked_training,
    ),
    Clause(
        "masked-statistics",
        "moving statistics under a mask",
        "the moving statistics are updated with the mean and the biased variance of the positions where the mask is true",
        MASK,
        check_masked_statistics,
    ),
    Clause(
        "masked-inference",
        "output in inference under a mask",
        "training=False: a mask has no effect; the moving statistics normalize all positions",
        MASK + " (“during training”)",
        check_masked_inference,
    ),
)
