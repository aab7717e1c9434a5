"""Bad input is one line that says what was got, what is allowed and what to do, and keeps both ends of a long text."""

from __future__ import annotations

import pytest

from bnverify.errors import BadInput, shortened


def test_the_parts_are_in_one_order() -> None:
    """What, got, allowed and hint follow each other; a choice that is near is suggested."""
    assert str(BadInput("--suite", got="smok", allowed=("smoke", "full"))) == (
        "--suite: got 'smok'; allowed: smoke, full; did you mean smoke?"
    )
    assert str(BadInput("--jobs", got=0, allowed="1 or more", hint="type --jobs 1")) == (
        "--jobs: got 0; allowed: 1 or more; type --jobs 1"
    )
    assert str(BadInput("no row is left")) == "no row is left"
    assert str(BadInput("x", got=None, allowed="a number")) == "x: got None; allowed: a number"


def test_the_parts_can_be_read() -> None:
    """A program reads the parts from the exception and need not parse its text."""
    error = BadInput("--suite", got="smok", allowed=("smoke", "full"))
    assert (error.what, error.got, error.allowed, error.hint) == ("--suite", "smok", "smoke, full", "did you mean smoke?")


@pytest.mark.parametrize("text", ["two\nlines", "two\r\nlines", "two\n   lines"])
def test_line_breaks_become_spaces(text: str) -> None:
    """Whatever a user gives, the message stays one line."""
    assert str(BadInput(text)) == "two lines"


def test_a_long_text_is_cut_in_the_middle() -> None:
    """The end of an exception's text often names the cause, so both ends stay."""
    text = "Error when loading: " + "x" * 500 + " the cause"
    short = shortened(text, 60)
    assert len(short) <= 60
    assert short.startswith("Error when loading: ")
    assert short.endswith(" the cause")
    assert shortened("short") == "short"
