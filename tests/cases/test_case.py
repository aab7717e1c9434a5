"""A case: its id, its fields, and what follows from its axes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bnverify.cases.case import DEFAULT_TEXTS, Case
from bnverify.cases.ids import parse
from bnverify.cases.layer_config import LayerConfig
from bnverify.cases.steps import Step
from bnverify.cases.suites import matches

SMALL = Case(shape=(4, 3), steps=(Step.TRAIN,))


def test_an_id_lists_what_differs_from_the_defaults() -> None:
    """A written-out literal with layer arguments, types, fill, mask and steps, in the order of fields."""
    case = Case(
        shape=(2, 3, 4),
        steps=(Step.TRAIN, Step.TRAIN, Step.INFER),
        config=LayerConfig(axis=1, momentum=0.5, center=False, renorm=True, renorm_clipping=(("rmax", 3.0),)),
        policy="mixed_float16",
        dtype="float16",
        fill="tiny",
        mask="one",
        gradients=2,
        mode="positional",
    )
    assert SMALL.id == "shape:4x3/steps:T"
    assert case.id == (
        "shape:2x3x4/axis:1/momentum:0.5/center:False/renorm:True/renorm_clipping:rmax3.0/policy:mixed_float16/"
        "dtype:float16/fill:tiny/mask:one/gradients:2/mode:positional/steps:T2I"
    )


def test_the_reason_of_a_case_is_no_part_of_it() -> None:
    """Two cases that differ in `cause` only are equal, hash alike and have one id."""
    other = replace(SMALL, cause="once it was wrong")
    assert other == SMALL
    assert len({other, SMALL}) == 1
    assert other.id == SMALL.id


@pytest.mark.parametrize("other", ["shape:4x3/steps:TI", "shape:4x3/center:False/steps:T", "shape:3x4/steps:T"])
def test_all_fields_select_one_case(other: str) -> None:
    """Used as a selection, the fields with their defaults match this case and no other."""
    assert matches(SMALL, SMALL.all_fields)
    assert not matches(parse(other), SMALL.all_fields)


def test_shape_and_steps_have_no_default() -> None:
    """All other fields of an id have one."""
    assert set(SMALL.fields) - set(DEFAULT_TEXTS) == {"shape", "steps"}


@pytest.mark.parametrize(
    ("shape", "axis", "kept", "channels"),
    [
        ((4, 3), -1, (1,), (3,)),
        ((4, 3), 0, (0,), (4,)),
        ((2, 3, 4, 5), -3, (1,), (3,)),
        ((2, 3, 4), (2, 1), (1, 2), (1, 3, 4)),
        ((2, 3, 4), (-1, 0), (0, 2), (2, 1, 4)),
        ((2, 3, 4), (1,), (1,), (1, 3, 1)),  # one axis in a list has the shape of several, as in Keras 2
    ],
)
def test_axes_and_weights(
    shape: tuple[int, ...], axis: int | tuple[int, ...], kept: tuple[int, ...], channels: tuple[int, ...]
) -> None:
    """Kept axes count from 0 in order; several keep the rank of x in the weights."""
    case = replace(SMALL, shape=shape, config=LayerConfig(axis=axis))
    assert (case.kept, case.channels_shape) == (kept, channels)
