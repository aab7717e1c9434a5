"""Modes: the facts about each, and which cases cannot exist in it."""

from __future__ import annotations

import pytest

from bnverify.cases.askable import cannot_exist
from bnverify.cases.case import Case
from bnverify.cases.layer_config import LayerConfig
from bnverify.cases.modes import MODES, modes_that
from bnverify.cases.steps import Step

T, I, F, O = Step.TRAIN, Step.INFER, Step.FREEZE, Step.OPTIMIZE  # noqa: E741


@pytest.mark.parametrize(
    ("fact", "modes"),
    [
        ("differentiates", {"call", "positional"}),
        ("trains_model", {"fit", "on_batch", "evaluate", "uncompiled"}),
        ("freezes_late", {"uncompiled"}),
        ("pins_inference", {"pinned"}),
        ("makes_mask", {"masking", "embedding"}),
        ("builds_late", {"unbuilt"}),
        ("one_computation", {"parallel2", "parallel4"}),
        ("compiles_anew", {"function", "xla", "parallel2", "parallel4"}),
    ],
)
def test_which_modes_have_a_fact(fact: str, modes: set[str]) -> None:
    """The facts that other code decides by."""
    assert set(modes_that(fact)) == modes


def test_replicas_are_as_many_as_the_name_says() -> None:
    """mirrored3 has three; every other mode has one."""
    assert {name: mode.replicas for name, mode in MODES.items() if mode.replicas > 1} == {
        "mirrored2": 2,
        "mirrored3": 3,
        "mirrored4": 4,
        "parallel2": 2,
        "parallel4": 4,
    }


def test_modes_that_are_compared_with_the_plain_call() -> None:
    """All but those that make other calls, or other statistics."""
    others = {name for name, mode in MODES.items() if not mode.plain}
    assert others == {
        "call",
        "unbuilt",
        "pinned",
        "uncompiled",
        "shared",
        "timedistributed",
        "mirrored2",
        "mirrored3",
        "mirrored4",
        "parallel2",
        "parallel4",
    }


def case(mode: str, *, shape: tuple[int, ...] = (6, 5, 4), steps: tuple[Step, ...] = (T, I), **changes: object) -> Case:
    config = LayerConfig(**{name: changes.pop(name) for name in tuple(changes) if name in LayerConfig.__dataclass_fields__})  # type: ignore[arg-type]
    return Case(shape=shape, steps=steps, config=config, mode=mode, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (case("unbuilt"), "needs weights:initial"),
        (case("shared"), "each call must occur twice in a row"),
        (case("timedistributed", shape=(6, 4)), "three axes or more"),
        (case("timedistributed", axis=1), "axis -1"),
        (case("masking"), "got mask:none"),
        (case("embedding", mask="hidden"), "got mask:hidden"),
        (case("masking", mask="full", shape=(6, 4)), "three axes or more, and axis -1"),
        (case("fit", gamma_regularizer="l2"), "cannot be combined with gamma_regularizer"),
        (case("fit", beta_constraint="non_neg"), "cannot be combined with beta_constraint"),
        (case("fit", fill="nonfinite"), "needs a finite gradient of gamma"),
        (case("on_batch", epsilon=0.0), "needs a finite gradient of gamma"),
        (case("evaluate", shape=(0, 4)), "cannot train with an empty batch"),
        (case("uncompiled", mask="full"), "has inputs only, no mask"),
        (case("uncompiled", steps=(T, F, O)), "O without F and U"),
        (case("mirrored3", shape=(2, 4)), "batch size of 3 or more; got 2"),
        (case("parallel4", shape=(6, 4)), "a batch size that is a multiple of 4; got 6"),
        (case("mirrored2", axis=0), "axis 0 cannot be kept"),
    ],
)
def test_what_cannot_exist_in_a_mode(asked: Case, says: str) -> None:
    """Each mode names what it needs and what it got."""
    assert any(says in reason for reason in asked.how.objections(asked))
    assert cannot_exist(asked)


@pytest.mark.parametrize(
    "asked",
    [
        case("unbuilt", weights="initial"),
        case("shared", steps=(T, T, F, F, I, I)),
        case("shared", steps=(T, T, F, I, I)),  # a step that calls nothing may stand alone
        case("timedistributed", mask="padding"),
        case("masking", mask="one"),
        case("embedding", mask="empty"),
        case("fit", steps=(T, O)),
        case("uncompiled", steps=(T, O)),
        case("mirrored3", shape=(7, 4)),
        case("mirrored2", shape=(3, 4)),
        case("parallel4", shape=(8, 4)),
    ],
    ids=lambda asked: asked.id,
)
def test_what_can_exist_in_a_mode(asked: Case) -> None:
    """The cases beside those above."""
    assert cannot_exist(asked) == ""
