"""Suites nest and cover every field; a choice of cases, and selections by field."""

from __future__ import annotations

import pytest

from bnverify.cases.fields import FILLS
from bnverify.cases.file_formats import FILES
from bnverify.cases.ids import parse
from bnverify.cases.modes import LAYOUTS, MODES
from bnverify.cases.steps import Step
from bnverify.cases.suites import SUITES, choose, matches, smaller_first, suite
from bnverify.errors import BadInput
from bnverify.numeric.precision import FORMATS, INTEGERS, POLICIES


def test_suites_nest() -> None:
    """smoke ⊂ default ⊂ full, each larger than the one before, no case twice."""
    smoke, default, full = (set(suite(name)) for name in ("smoke", "default", "full"))
    assert smoke < default < full
    assert all(len(set(suite(name))) == len(suite(name)) for name in SUITES)


def test_the_default_suite_has_every_axis_of_every_rank() -> None:
    """Ranks 2 to 6, each axis by both its names."""
    found = {(len(case.shape), case.config.axis) for case in suite("default")}
    assert {(rank, axis) for rank in range(2, 7) for axis in range(-rank, rank)} <= found


def test_the_default_suite_has_every_value_of_every_field() -> None:
    """Every fill, policy, input dtype and step; momentum from 0 to 1, epsilon from 1e-12 to 1; one value per channel."""
    found = suite("default")
    assert {case.fill for case in found} == set(FILLS)
    assert {case.policy for case in found} == set(POLICIES)
    assert {case.dtype for case in found} == {*FORMATS, *INTEGERS}
    assert {step for case in found for step in case.steps} == set(Step)
    assert {case.layout for case in found} == set(LAYOUTS)
    assert {case.file for case in found} == {"", *FILES}
    assert {case.mode for case in found} >= {mode for mode in MODES if mode != "one_thread" and not mode[-1].isdigit()}
    assert {0.0, 0.5, 0.99, 1.0} <= {case.config.momentum for case in found}
    assert {1e-12, 1e-7, 1e-3, 1.0} <= {case.config.epsilon for case in found}
    assert {(case.config.center, case.config.scale) for case in found} == {(a, b) for a in (True, False) for b in (True, False)}
    assert any(case.shape == (1, 7) for case in found)
    assert max(case.shape[0] for case in found) == 150_000


def test_every_regression_has_its_cause() -> None:
    """A regression case says why it exists."""
    assert all(len(case.cause) > 20 for case in suite("regressions"))


def test_choosing_nothing_is_bad_input() -> None:
    """An expression that selects no case is a mistake, not an empty success."""
    with pytest.raises(BadInput, match="selects nothing in the smoke suite"):
        choose("smoke", (), "nosuchword")


def test_a_selection_matches_defaults_and_alternatives() -> None:
    """A part of an id selects by the fields it names; `|` gives alternatives; defaults count."""
    case = parse("shape:4x3/axis:1/steps:T")
    assert matches(case, "axis:1|2/fill:normal")
    assert not matches(case, "fill:offset")
    assert matches(case, "")


def test_smaller_cases_come_first() -> None:
    """The order in which a failure looks for its example."""
    shuffled = [parse(t) for t in ("shape:8x3/steps:T9", "shape:4x3/steps:T", "shape:2x2/steps:TI")]
    assert [case.id for case in smaller_first(shuffled)] == ["shape:2x2/steps:TI", "shape:4x3/steps:T", "shape:8x3/steps:T9"]
