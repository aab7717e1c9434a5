"""Templates: every value is escaped, a missing one is an error, and a status has its colour."""

from __future__ import annotations

import jinja2
import pytest

from bnverify.values import Status
from bnverify.views.templates import COLOURS_OF_STATUS, OTHER_COLOUR, render


def page(**changes: object) -> str:
    given = {"head": [("call", "x")], "names": ("", "a"), "rows": [], "notes": ["a note"], "picture": ""}
    return render("explanation", **{**given, **changes})


def test_every_value_is_escaped() -> None:
    """Text of others cannot become markup, and a lone surrogate becomes an escape."""
    found = page(notes=["<script>alert(1)</script> & 'x'", "\ud800"])
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#39;x&#39;" in found
    assert "<script" not in found
    assert "\\ud800" in found


def test_a_value_that_is_missing_is_an_error() -> None:
    """Not an empty place, also where a template only asks whether there is a value."""
    with pytest.raises(jinja2.UndefinedError, match="picture"):
        render("explanation", head=[], names=(), rows=[], notes=["a note"])


def test_a_status_has_its_colour() -> None:
    """Failures have colours of their own, all other statuses share one."""
    row = (("y", "formula", "1", "1", "0.5"), Status.WRONG)
    assert COLOURS_OF_STATUS[Status.WRONG] in page(rows=[row])
    assert OTHER_COLOUR in page(rows=[(row[0], Status.KNOWN)])
    assert len({*COLOURS_OF_STATUS.values(), OTHER_COLOUR}) == 5
