"""Fitted hypotheses: the value that a layer really uses is found from its numbers, to the digits that float32 has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.targets import Changed

from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.contract.evidence import expect
from bnverify.reference.formulas import KERAS, Formulas
from bnverify.values import Observation
from bnverify.verdicts.fitted import fitted

NAN = np.full(4, np.nan)


def found(id_: str, formulas: Formulas, change: Callable[[Observation], Observation] = lambda o: o) -> dict[str, str]:
    """The fitted hypotheses by key, with their details."""
    case = parse(id_)
    inputs = make_inputs(case)
    observation = change(Changed(formulas=formulas).observe(case, inputs))
    return {hypothesis.key: detail for hypothesis, detail in fitted(expect(case, inputs), observation)}


def moving(momentum: float) -> Formulas:
    return replace(
        KERAS,
        moving_mean=lambda xp, old, new, m: old * momentum + new * (1 - momentum),
        moving_variance=lambda xp, old, new, m, n, e: old * momentum + new * (1 - momentum),
    )


def inverse(function: Callable[..., Any]) -> Formulas:
    return replace(KERAS, inverse_deviation=lambda xp, v, e: function(v, e))


@pytest.mark.parametrize(
    ("formulas", "key", "before", "value"),
    [
        (moving(0.75), "fitted-momentum", "it acts as ", 0.75),
        (moving(0.25), "fitted-momentum", "it acts as ", 0.25),
        (inverse(lambda v, e: (v + 0.125) ** -0.5), "fitted-epsilon", "it acts as ", 0.125),
        (inverse(lambda v, e: 3 * (v + e) ** -0.5), "fitted-factor", "the factor is ", 3.0),
        (inverse(lambda v, e: -0.5 * (v + e) ** -0.5), "fitted-factor", "the factor is ", -0.5),
    ],
)
def test_the_value_is_found(formulas: Formulas, key: str, before: str, value: float) -> None:
    """The detail names it, to about six digits."""
    detail = found("shape:8x4/steps:T", formulas)[key]
    assert detail.startswith(before)
    assert float(detail.removeprefix(before)) == pytest.approx(value, rel=1e-4)


def test_a_hypothesis_has_the_fitted_value() -> None:
    """Its formulas compute with that value, whatever argument is given."""
    case = parse("shape:8x4/steps:T")
    inputs = make_inputs(case)
    observation = Changed(formulas=moving(0.75)).observe(case, inputs)
    (hypothesis,) = [h for h, _ in fitted(expect(case, inputs), observation) if h.key == "fitted-momentum"]
    for formula in (
        hypothesis.formulas.moving_mean(np, 8.0, 4.0, 0.1),
        hypothesis.formulas.moving_variance(np, 8.0, 4.0, 0.1, 3, 1),
    ):
        assert float(formula) == pytest.approx(7.0, rel=1e-5)


def test_one_channel_confirms_nothing() -> None:
    """With a single channel any value would fit its own element."""
    assert found("shape:8x1/steps:T", moving(0.75)) == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda o: Observation(),
        lambda o: replace(o, steps=(replace(o.steps[0], y=None),)),
        lambda o: replace(o, steps=(replace(o.steps[0], y=np.zeros((2, 2)), weights={}),)),
        lambda o: replace(
            o, steps=(replace(o.steps[0], y=np.full((8, 4), np.nan), weights={"moving_mean": np.full(4, np.nan)}),)
        ),
    ],
    ids=["nothing", "no output", "other shapes", "NaN"],
)
def test_numbers_that_are_none_fit_nothing(change: Callable[[Observation], Observation]) -> None:
    """No exception and no hypothesis."""
    assert found("shape:8x4/steps:T", KERAS, change) == {}


def test_an_impossible_value_is_not_proposed() -> None:
    """A momentum of 3, or an epsilon below 0, is no argument of a layer."""
    assert "fitted-momentum" not in found("shape:8x4/steps:T", moving(3.0))
    assert "fitted-epsilon" not in found("shape:8x4/steps:T", inverse(lambda v, e: (v - 0.05) ** -0.5))


def test_a_constant_input_fits_no_output() -> None:
    """Where every d is 0 no element tells an epsilon or a factor."""
    assert set(found("shape:8x4/fill:constant/steps:T", KERAS)) <= {"fitted-momentum"}
