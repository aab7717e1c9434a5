"""`-k` expressions with pytest's meaning: words joined by and, or, not and parentheses. A word matches any id that contains
it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from bnverify.errors import BadInput

Fits = Callable[[str], bool]
ALLOWED = "words of case ids joined by and, or, not, ( )"


def compile_expression(text: str) -> Fits:
    """A predicate on case ids. Raises BadInput for a malformed expression."""
    tokens = re.findall(r"[()]|[^\s()]+", text)
    rest = list(reversed(tokens))

    def fail() -> BadInput:
        return BadInput(f"-k {text!r} is not an expression", allowed=ALLOWED)

    def either() -> Fits:
        found = both()
        while rest and rest[-1] == "or":
            rest.pop()
            found = _or(found, both())
        return found

    def both() -> Fits:
        found = one()
        while rest and rest[-1] == "and":
            rest.pop()
            found = _and(found, one())
        return found

    def one() -> Fits:
        if not rest or rest[-1] in (")", "and", "or"):
            raise fail()
        word = rest.pop()
        if word == "not":
            inner = one()
            return lambda id_: not inner(id_)
        if word == "(":
            inner = either()
            if not rest or rest.pop() != ")":
                raise fail()
            return inner
        return lambda id_: word.lower() in id_.lower()

    try:
        fits = either()
        fits("")
    except RecursionError:
        raise BadInput(f"-k {text!r} is nested too deeply", allowed=ALLOWED) from None
    if rest:
        raise fail()
    return fits


def _or(a: Fits, b: Fits) -> Fits:
    return lambda id_: a(id_) or b(id_)


def _and(a: Fits, b: Fits) -> Fits:
    return lambda id_: a(id_) and b(id_)
