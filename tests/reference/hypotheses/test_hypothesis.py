"""A hypothesis is backward if its fault changes gradients, and forward otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bnverify.reference.formulas import KERAS, Formulas
from bnverify.reference.hypotheses.hypothesis import Hypothesis


@pytest.mark.parametrize(
    ("formulas", "backward"),
    [
        (KERAS, False),
        (replace(KERAS, output=lambda *given: 0), False),
        (replace(KERAS, gradients=lambda b: (0, 0, 0)), True),
        (replace(KERAS, second_gradient=lambda b: 0), True),
    ],
)
def test_backward(formulas: Formulas, backward: bool) -> None:
    """Either order of derivatives counts; formulas of the forward pass do not."""
    assert Hypothesis("key", "a cause", formulas).backward is backward


def test_star_import_of_the_catalogue() -> None:
    """Every name that the package offers exists."""
    given: dict[str, object] = {}
    exec("from bnverify.reference.hypotheses import *", given)
    assert {"HYPOTHESES", "HYPOTHESIS_BY_KEY", "Hypothesis"} <= set(given)
