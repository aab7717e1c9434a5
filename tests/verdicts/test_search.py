"""Search: which causes explain a case, in which order they are tried, and that a cause must differ from the right formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from support.targets import Changed

from bnverify.cases.case import Case
from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.contract.evidence import expect
from bnverify.contract.laws import shifted
from bnverify.numeric.precision import FORMATS
from bnverify.reference.formulas import KERAS, Formulas
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.values import Observation
from bnverify.verdicts.pipeline import verify
from bnverify.verdicts.search import Cause, explains, fit, fit_gradients, search

Plant = Callable[[Case, Observation], Observation]


def causes(
    id_: str, formulas: Formulas = KERAS, plant: Plant = lambda case, o: o, wanted: Callable[[str], bool] = lambda text: True
) -> list[Cause]:
    judged = verify(parse(id_), Changed(plant, formulas))
    assert judged.verdict.status.fails
    assert judged.observed is not None
    return list(search(judged.verdict, judged.observed, wanted))


def of(key: str) -> Formulas:
    return HYPOTHESIS_BY_KEY[key].formulas


def y_of(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """A change of every output."""

    def plant(case: Case, o: Observation) -> Observation:
        steps = tuple(step if step.y is None else replace(step, y=change(step.y).astype(step.y.dtype)) for step in o.steps)
        return replace(o, steps=steps)

    return plant


@pytest.mark.parametrize("key", ["epsilon-outside", "unbiased", "momentum-swapped", "always-batch", "gamma-ignored", "no-mean"])
def test_a_fault_of_the_catalogue_is_found(key: str) -> None:
    """Its own cause is among those that explain the case, with its formulas."""
    found = causes("shape:6x4/steps:TI", of(key))
    assert HYPOTHESIS_BY_KEY[key].cause in [cause.text for cause in found]
    assert all(cause.formulas is not None for cause in found)


def test_only_wanted_causes_are_tried() -> None:
    """A cause that is not wanted is not given, even if it fits."""
    wanted = HYPOTHESIS_BY_KEY["epsilon-twice"].cause
    assert causes("shape:6x4/steps:T", of("epsilon-outside"), wanted=lambda text: text == wanted) == []


def test_an_argument_is_fitted_if_no_formula_of_the_catalogue_explains() -> None:
    """epsilon 0.25 is in no catalogue."""
    odd = replace(KERAS, inverse_deviation=lambda xp, v, e: 1.0 / xp.sqrt(v + 0.25))
    (cause,) = causes("shape:8x4/steps:TI", odd)
    assert cause.text == "epsilon is not the given value"
    assert float(cause.detail.removeprefix("it acts as ")) == pytest.approx(0.25, rel=1e-3)


def test_a_narrow_format_is_found_last() -> None:
    """Outputs rounded to float16, which has TF32's significand, and moving statistics stored as float16."""
    coarse = y_of(FORMATS["float16"].round)
    assert [cause.text for cause in causes("shape:64x8/steps:T", plant=coarse)] == [
        "the errors have the size of rounding to float16 or TF32, not to float32"
    ]

    def stored(case: Case, o: Observation) -> Observation:
        names = case.config.statistics
        steps = tuple(
            replace(
                s, weights={n: FORMATS["float16"].round(w).astype(w.dtype) if n in names else w for n, w in s.weights.items()}
            )
            for s in o.steps
        )
        return replace(o, steps=steps)

    assert [cause.text for cause in causes("shape:64x8/steps:T", plant=stored)] == [
        "the moving statistics are stored as float16"
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y * np.where(np.arange(8) == 3, 1.003, 1.0),  # one channel of eight
        lambda y: y * 1.003 + 0.001,  # one line
    ],
    ids=["one channel", "a line"],
)
def test_regular_errors_are_no_rounding(change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Errors of the size of a format's rounding that follow a line, or are in few channels, have another cause."""
    assert [cause for cause in causes("shape:64x8/steps:T", plant=y_of(change)) if "rounding" in cause.text] == []


@pytest.mark.parametrize("key", ["gradient-negative", "gradient-constant-mean", "gradient-swapped"])
def test_gradients_are_explained_by_gradients(key: str) -> None:
    """If output and statistics are right only hypotheses about gradients are tried."""
    found = [cause.text for cause in causes("shape:6x4/gradients:1/steps:T", of(key))]
    assert found == [HYPOTHESIS_BY_KEY[key].cause]


def test_a_wrong_loss_has_no_cause_among_formulas() -> None:
    """Neither the forward pass nor a gradient is wrong."""

    def plant(case: Case, o: Observation) -> Observation:
        return replace(o, steps=tuple(replace(step, losses=tuple(2 * loss for loss in step.losses)) for step in o.steps))

    assert causes("shape:6x4/gamma_regularizer:l2/gradients:1/steps:T", plant=plant) == []


def test_gradients_of_another_dtype_have_no_cause_among_formulas() -> None:
    """The numbers are right, so a hypothesis that changes nothing here does not explain the dtype."""

    def plant(case: Case, o: Observation) -> Observation:
        return replace(o, steps=(replace(o.steps[0], dtypes={**o.steps[0].dtypes, "x": "float16"}),))

    assert causes("shape:6x4/gradients:1/steps:T", plant=plant) == []


def test_a_broken_law_is_searched_in_its_second_call() -> None:
    """A fault that only the second call shows is found there."""
    wrong = Changed(formulas=of("gamma-ignored"))

    def plant(case: Case, o: Observation) -> Observation:
        return o if case.law else wrong.observe(case, plant_inputs[0])

    case = parse("shape:6x4/law:shift/steps:T")
    other = shifted(case, make_inputs(case))
    assert other is not None
    plant_inputs = [other[1]]
    assert HYPOTHESIS_BY_KEY["gamma-ignored"].cause in [cause.text for cause in causes(case.id, plant=plant)]


def test_a_formula_that_makes_no_difference_explains_nothing() -> None:
    """A fault in beta of a layer without beta reproduces all numbers, and so does the right formula."""
    case = parse("shape:6x4/center:False/steps:T")
    inputs = make_inputs(case)
    right, without = expect(case, inputs), expect(case, inputs, of("beta-ignored"))
    seen = Changed().observe(case, inputs)
    assert fit(without, seen) <= 1.0
    assert not explains(without, seen, right)
    case = parse("shape:6x4/steps:T")
    inputs = make_inputs(case)
    seen = Changed(formulas=of("beta-ignored")).observe(case, inputs)
    assert explains(expect(case, inputs, of("beta-ignored")), seen, expect(case, inputs))
    assert not explains(expect(case, inputs, of("beta-first")), seen, expect(case, inputs))


def test_the_fit_is_the_largest_margin() -> None:
    """Below 1 for a right layer, infinite for a wrong one; of gradients likewise."""
    case = parse("shape:6x4/gradients:1/steps:TI")
    inputs = make_inputs(case)
    right, seen = expect(case, inputs), Changed().observe(case, inputs)
    assert 0 < fit(right, seen) <= 1.0
    assert 0 < fit_gradients(right, seen) <= 1.0
    assert fit(expect(case, inputs, of("gamma-ignored")), seen) == np.inf
    negative = expect(case, inputs, of("gradient-negative"))
    assert fit(negative, seen) <= 1.0  # its output is right
    assert fit_gradients(negative, seen) == np.inf


def test_an_inconclusive_number_fits_unless_it_may_not() -> None:
    """An empty batch has no number that could contradict; where a format must be shown, that is no evidence."""
    case = parse("shape:0x3/steps:T")
    inputs = make_inputs(case)
    right, seen = expect(case, inputs), Changed().observe(case, inputs)
    assert fit(right, seen) == 0.0
    assert fit(right, seen, unknown_fits=False) == np.inf
