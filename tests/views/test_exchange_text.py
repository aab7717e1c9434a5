"""Files across versions as text: one sign for each outcome, one line for each reason, and the last line."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bnverify.matrix.exchange import Exchange, Exchanges
from bnverify.views.exchange_text import EXCHANGE_SIGNS, exchange_conclusion, exchange_lines, exchange_table, legend, sign

OK = Exchange("keras", "a", "b", "ok")
WRONG = Exchange("keras", "b", "a", "wrong", "gamma differs")
UNPROMISED = Exchange("h5", "a", "b", "cannot load", "too old", promised=False)


def exchanges(*found: Exchange, **changes: object) -> Exchanges:
    given = {"rows": ("a", "b"), "found": found, "problems": {}, "skipped": frozenset(), **changes}
    return Exchanges(**given)  # type: ignore[arg-type]


def test_each_outcome_has_a_sign_of_its_own() -> None:
    """A failure to load that nobody promised is no failure."""
    assert len(set(EXCHANGE_SIGNS.values())) == len(EXCHANGE_SIGNS)
    assert [sign(one) for one in (OK, WRONG, UNPROMISED)] == ["✓", "✗", "n"]
    assert sign(Exchange("h5", "a", "b", "cannot load")) == "!"
    assert all(mark in legend() for mark in (*EXCHANGE_SIGNS.values(), "n cannot load, and does not promise to"))


def test_a_table_has_saved_rows_and_loaded_columns() -> None:
    """An exchange that was not made is a dot; other formats are not in it."""
    out = io.StringIO()
    Console(file=out, width=80).print(exchange_table(exchanges(OK, WRONG, UNPROMISED), "keras"))
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines() if line.strip()]
    assert lines == ["keras: saved under (down), loaded under (across)", "1 2", "1 a · ✓", "2 b ✗ ·"]


def test_failures_are_grouped_by_reason() -> None:
    """Three pairs are named, the rest counted; what is excused only if asked for; rows that did not start at the end."""
    many = [Exchange("keras", str(i), "z", "wrong", "gamma differs") for i in range(5)]
    found = exchanges(OK, UNPROMISED, *many, problems={"c": "no Python 2.7", "d": "pip failed"}, skipped=frozenset({"c"}))
    failing = ["keras: wrong: gamma differs", "  0 → z, 1 → z, 2 → z and 2 more"]
    rows = ["c: skipped: no Python 2.7", "d: not started: pip failed"]
    excused = ["h5: cannot load: too old", "  a → b"]
    assert list(exchange_lines(found, verbose=False)) == [*failing, *rows]
    verbose = list(exchange_lines(found, verbose=True))
    assert sorted(verbose) == sorted([*failing, *excused, *rows])
    assert verbose[-2:] == rows


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (exchanges(OK, UNPROMISED), "CONFORMS: 2 exchanges: 1 ok, 1 cannot load"),
        (exchanges(OK, WRONG), "DEVIATES: 2 exchanges: 1 ok, 1 wrong"),
        (exchanges(Exchange("h5", "a", "b", "not tested", "x")), "NOTHING TESTED: 1 exchange: 1 not tested"),
    ],
)
def test_the_last_line(found: Exchanges, line: str) -> None:
    """The result and the counts."""
    assert exchange_conclusion(found) == line
