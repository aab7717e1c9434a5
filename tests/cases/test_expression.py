"""`-k` expressions select what pytest selects with them, and a malformed one is bad input."""

from __future__ import annotations

import pytest
from _pytest.mark.expression import Expression
from hypothesis import given
from hypothesis import strategies as st

from bnverify.cases.case import Case
from bnverify.cases.expression import compile_expression
from bnverify.cases.suites import suite
from bnverify.errors import BadInput

WORDS = ("offset", "shape:4x3", "axis:1", "steps:T")


@given(
    st.recursive(
        st.sampled_from(WORDS),
        lambda e: e.map("not {}".format) | st.builds("({} {} {})".format, e, st.sampled_from(("and", "or")), e),
    ),
    st.sampled_from(suite("smoke")),
)
def test_expressions_mean_what_they_mean_to_pytest(expression: str, case: Case) -> None:
    """-k selects on the command line exactly what pytest's -k selects."""
    theirs = Expression.compile(expression).evaluate(lambda word, **_: word.lower() in case.id.lower())
    assert compile_expression(expression)(case.id) == theirs


@pytest.mark.parametrize("expression", ["", "(", "offset and", "or", "a b", "not", ")", "(a"])
def test_malformed_expressions_are_bad_input(expression: str) -> None:
    """A malformed expression says so."""
    with pytest.raises(BadInput, match="is not an expression"):
        compile_expression(expression)
