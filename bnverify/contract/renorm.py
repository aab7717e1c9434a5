"""Clauses about batch renormalization, for the versions that have it."""

from __future__ import annotations

from collections.abc import Iterator

from bnverify.contract.clause import KERAS_DOC, Clause
from bnverify.contract.evidence import Evidence
from bnverify.contract.moving import trains
from bnverify.contract.outputs import output_clause
from bnverify.values import Check

RENORM_PAPER = "Ioffe 2017, Batch Renormalization, https://arxiv.org/abs/1702.03275; " + KERAS_DOC + ", `renorm`"


def check_renorm_training(e: Evidence) -> Iterator[Check]:
    return (e.output("renorm-training", c) for c in e.calls if output_clause(c) == "renorm-training")


def check_renorm_statistics(e: Evidence) -> Iterator[Check]:
    for c in e.calls:
        if trains(c) and c.call.correction is not None:
            for name in e.case.config.statistics:
                yield e.moving("renorm-statistics", name, c)


CLAUSES = (
    Clause(
        "renorm-training",
        "output in training with renorm",
        "renorm=True, training=True: y = (x̂*r + d)*gamma + beta with r = stddev/renorm_stddev in [rmin, rmax] and "
        "d = (mean-renorm_mean)/renorm_stddev in [-dmax, dmax], both from the values before the call; "
        "stddev = sqrt(var+epsilon)",
        RENORM_PAPER + ", algorithm 1",
        check_renorm_training,
    ),
    Clause(
        "renorm-statistics",
        "moving statistics with renorm",
        "moving_mean and moving_stddev are updated with momentum, renorm_mean and renorm_stddev with "
        "renorm_momentum; moving_variance = max(moving_stddev^2-epsilon, 0)",
        RENORM_PAPER,
        check_renorm_statistics,
    ),
)
