"""The fields of an id: every value that a field can have is written and read back, in one order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnverify.cases.case import DEFAULT_TEXTS
from bnverify.cases.fields import CONFIG_FIELDS, FIELDS, FILLS, LAWS, MASKS, WEIGHTS
from bnverify.cases.layer_config import ARGUMENTS
from bnverify.cases.steps import Step

I, T, O, F = Step.INFER, Step.TRAIN, Step.OPTIMIZE, Step.FREEZE  # noqa: E741


@pytest.mark.parametrize(
    ("text", "steps"),
    [("T", (T,)), ("T3I", (T, T, T, I)), ("T2FTO", (T, T, F, T, O)), ("O", (O,)), ("T10", (T,) * 10)],
)
def test_steps_are_written_with_counts(text: str, steps: tuple[Step, ...]) -> None:
    """A run of the same step is its letter and a count; a count of one is left out."""
    write, read = FIELDS["steps"]
    assert (write(steps), read(text)) == (text, steps)


@given(st.lists(st.sampled_from([step for step in Step if step is not O]), min_size=1), st.booleans())
def test_steps_read_back(steps: list[Step], optimizes: bool) -> None:
    """Any order of steps with a call, and an optimizer step at the end."""
    given_steps = (*steps, *[O] * optimizes)
    if any(step.is_call for step in given_steps):
        write, read = FIELDS["steps"]
        assert read(write(given_steps)) == given_steps


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "at least one call"),
        ("FUS", "at least one call"),
        ("OT", "O only at the end"),
        ("TOO", "O only at the end"),
        ("T0", "optional count"),
        ("T1000000", "optional count"),
        ("t", "optional count"),
        ("T٣", "optional count"),
    ],
)
def test_steps_that_are_none(text: str, says: str) -> None:
    """No call, an optimizer step that others follow, a count of 0, of a million, or of other digits."""
    with pytest.raises(ValueError, match=says):
        FIELDS["steps"][1](text)


def test_two_spellings_of_the_same_steps_are_the_same() -> None:
    """TTI and T2I; T1 and T."""
    read = FIELDS["steps"][1]
    assert read("TTI") == read("T2I") == read("T1TI")


@pytest.mark.parametrize("name", sorted(DEFAULT_TEXTS))
def test_defaults_read_back(name: str) -> None:
    """The text of each default is the text of the value that it is read as."""
    write, read = FIELDS[name]
    if DEFAULT_TEXTS[name]:
        assert write(read(DEFAULT_TEXTS[name])) == DEFAULT_TEXTS[name]


@pytest.mark.parametrize(
    ("name", "values"),
    [("fill", FILLS), ("mask", MASKS), ("weights", WEIGHTS), ("law", LAWS), ("axis", (-2, (0, 2), (-1, 1)))],
)
def test_every_value_reads_back(name: str, values: tuple[object, ...]) -> None:
    """Names, and several axes at once."""
    write, read = FIELDS[name]
    assert [read(write(value)) for value in values] == list(values)


@pytest.mark.parametrize("name", ["mask", "law", "file", "misuse", "network", "posted"])
def test_a_field_that_may_be_omitted_is_none(name: str) -> None:
    """Its empty value is written as none and read back as empty; any other name is refused."""
    write, read = FIELDS[name]
    assert (write(""), read("none")) == ("none", "")
    with pytest.raises(ValueError, match="one of none, "):
        read("nothing")


def test_an_id_begins_with_the_shape_and_ends_with_the_steps() -> None:
    """All arguments of the layer are fields, in Keras' order, right after the shape."""
    names = list(FIELDS)
    assert (names[0], names[-1]) == ("shape", "steps")
    assert tuple(names[1 : 1 + len(ARGUMENTS)]) == CONFIG_FIELDS == ARGUMENTS
