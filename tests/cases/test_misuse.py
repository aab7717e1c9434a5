"""Mistakes: at which stage each is made, in which steps it can be noticed, and how a refusal must read."""

from __future__ import annotations

import pytest

from bnverify.cases.misuse import MISUSES, Misuse


@pytest.mark.parametrize(
    ("name", "stage", "steps"),
    [
        ("axis-bool", "constructor", "I"),
        ("momentum-large", "constructor", "TI"),  # only training reads the momentum
        ("renorm-momentum-nan", "constructor", "TI"),
        ("clipping-order", "constructor", "TI"),
        ("undefined", "build", "I"),
        ("channels-one", "step 0", "I"),
        ("mask-size", "step 0", "TI"),
        ("keyword", "constructor", "I"),
    ],
)
def test_where_a_mistake_is_made(name: str, stage: str, steps: str) -> None:
    """In the constructor, in build(), or in the first call, which trains if only training reads the value."""
    assert (MISUSES[name].stage, MISUSES[name].steps) == (stage, steps)


def test_what_a_refusal_must_say() -> None:
    """The types, the first name, and the first text of the value; no value if none need be shown."""
    assert MISUSES["momentum-large"].wanted == "ValueError or TypeError that names momentum and shows 1.5"
    assert MISUSES["axis-range"].wanted == "ValueError or IndexError that names axis and shows 2"
    assert MISUSES["clipping-order"].wanted == "ValueError or TypeError that names rmax and shows 0.25"
    assert MISUSES["keyword"].wanted == "ValueError or TypeError that names momentun"


def test_arguments_of_renorm_come_with_renorm() -> None:
    """Without renorm=True a layer need not read them."""
    for name, mistake in MISUSES.items():
        if name.startswith(("renorm", "clipping")):
            assert mistake.layer["renorm"] is True
        else:
            assert "renorm" not in mistake.layer


@pytest.mark.parametrize("mistake", MISUSES.values(), ids=MISUSES)
def test_an_argument_is_wrong_or_an_input_but_not_both(mistake: Misuse) -> None:
    """A mistake is one: a constructor argument, a build shape, an input, or a mask; inputs and masks fix the case's shape."""
    made = [mistake.build is not None, mistake.call is not None, mistake.mask is not None]
    wrong = {name for name in mistake.layer if name not in ("renorm", "axis")} or (
        set(mistake.layer) == {"axis"} and not any(made)
    )
    assert sum(made) + bool(wrong) == 1
    assert not any(made) or mistake.shape is not None


def test_an_input_of_the_wrong_shape_really_is_wrong() -> None:
    """It has another rank, or another size along the kept axis, than the layer was built for."""
    for mistake in MISUSES.values():
        if mistake.call is None or mistake.shape is None:
            continue
        axis = mistake.layer.get("axis", -1)
        assert len(mistake.call) != len(mistake.shape) or mistake.call[axis] != mistake.shape[axis]
