"""Laws: what must hold between two calls, whatever the right numbers are. Each asks for a second observation of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bnverify.bounds.compare import output_numbers
from bnverify.cases.case import Case, Step
from bnverify.cases.fills import Inputs
from bnverify.contract.clause import PAPER, Clause
from bnverify.contract.evidence import Evidence
from bnverify.model import Check
from bnverify.precision import FORMATS, INTEGERS, precision


def shifted(case: Case, inputs: Inputs) -> tuple[Case, Inputs] | None:
    """The first training call of an `exact` case with every channel shifted by ±16; None where that would round."""
    x = inputs.batches[0]
    if case.fill != "exact" or case.steps[0] is not Step.TRAIN or x is None or case.dtype in INTEGERS:
        return None
    sign = np.array([(-1) ** i for i in range(int(np.prod(case.channels_shape)))], x.dtype)
    spread = [size if axis in case.kept else 1 for axis, size in enumerate(case.shape)]
    moved = x + 16 * sign.reshape(spread)
    entry = precision(case.policy, case.dtype).output
    exact = all(np.array_equal(f.round(moved), moved) for f in (FORMATS[case.dtype], entry))
    return (replace(case, steps=(Step.TRAIN,)), Inputs(inputs.weights, (moved,))) if exact else None


def check_shift_invariance(e: Evidence) -> Iterator[Check]:
    other = e.companions.get("shift-invariance")
    if other is None or not e.calls or not other.calls:
        return
    first, second = e.calls[0], other.calls[0]
    slope, offset = first.bounds.slope + second.bounds.slope, first.bounds.offset + second.bounds.offset
    bounds = output_numbers(first.call, slope, offset, e.formats.output)
    y, y_shifted = first.observed.y, second.observed.y
    assert y is not None
    assert y_shifted is not None
    if y.shape == bounds.shape:
        same = replace(bounds, piece=lambda grade, index: (y[index].astype(float), bounds.piece(grade, index)[1]))
        yield e.numbers("shift-invariance", "y of x shifted by ±16", 0, y_shifted, same, e.channel_axis)


CLAUSES = (
    Clause(
        "shift-invariance",
        "shift invariance in training",
        "training=True: a constant added to every value of a channel does not change the output",
        PAPER + ", section 3: the mean is subtracted",
        check_shift_invariance,
        companion=shifted,
    ),
)
