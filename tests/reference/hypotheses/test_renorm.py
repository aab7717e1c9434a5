"""Hypotheses about batch renormalization predict the numbers that their causes say, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bnverify.reference.formulas import KERAS
from bnverify.reference.hypotheses.renorm import RENORM_HYPOTHESES

BY_KEY = {hypothesis.key: hypothesis.formulas for hypothesis in RENORM_HYPOTHESES}
CORRECTIONS = {  # of a batch with mean 5 and stddev 6, where renorm_mean is 1 and renorm_stddev 2: r = 3 and d = 2 are right
    "renorm-ignored": (1.0, 0.0),
    "renorm-without-r": (1.0, 2.0),
    "renorm-without-d": (3.0, 0.0),
    "renorm-r-inverted": (1 / 3, 2.0),
    "renorm-d-negative": (3.0, -2.0),
    "renorm-d-by-batch": (3.0, 4 / 6),
    "renorm-unclipped": (3.0, 2.0),
}
OTHER = {  # averages and variances where 7, 1 and 0.75 are right
    "renorm-without-epsilon": ("deviation", (0.75, 0.25), 0.75**0.5),
    "renorm-momentum": ("renorm_average", (8.0, 4.0, 0.5, 0.75), 6.0),
    "renorm-never-updated": ("renorm_average", (8.0, 4.0, 0.5, 0.75), 8.0),
    "renorm-keeps-epsilon": ("renorm_variance", (1.0, 0.25), 1.0),
}


def test_every_hypothesis_has_its_numbers_here() -> None:
    """No hypothesis about renorm is without a number that shows it, and none is about gradients."""
    assert set(BY_KEY) == {*CORRECTIONS, *OTHER}
    assert not any(hypothesis.backward for hypothesis in RENORM_HYPOTHESES)


@pytest.mark.parametrize("key", CORRECTIONS)
def test_r_and_d(key: str) -> None:
    """Without limits."""
    found = BY_KEY[key].renorm_correction(np, np.array(5.0), np.array(6.0), np.array(1.0), np.array(2.0), 1e-3, {})
    assert tuple(map(float, found)) == pytest.approx(CORRECTIONS[key], rel=1e-15)


def test_limits_are_ignored() -> None:
    """rmax 1.5 and dmax 1 leave r = 3 and d = 2 as they are; the right formula clips both."""
    given = (np, np.array(5.0), np.array(6.0), np.array(1.0), np.array(2.0), 1e-3, {"rmax": 1.5, "dmax": 1.0})
    assert tuple(map(float, BY_KEY["renorm-unclipped"].renorm_correction(*given))) == (3.0, 2.0)
    assert tuple(map(float, KERAS.renorm_correction(*given))) == (1.5, 1.0)


@pytest.mark.parametrize("key", OTHER)
def test_averages_and_variances(key: str) -> None:
    """The statistics of renorm that each of these faults changes."""
    name, given, expected = OTHER[key]
    assert float(getattr(BY_KEY[key], name)(np, *given)) == expected
