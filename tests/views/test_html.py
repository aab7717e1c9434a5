"""The report of a notebook says what the results hold, and nothing that breaks the form."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from html.parser import HTMLParser

from support.shown import ENVIRONMENT, EVERYTHING, SCRIPT, results, right

from bnverify.api.checking import Report
from bnverify.contract import CLAUSES
from bnverify.views import html, terminal


class Reader(HTMLParser):
    """Collects elements and text, and whether every element that is opened is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        assert not any(name.startswith("on") for name, _ in attrs)
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_html_escapes_what_it_shows() -> None:
    """Nothing that a layer, its name or a suite's name says becomes an element: it is text, as it was."""
    hostile = dataclasses.replace(ENVIRONMENT, target="<b onclick=x>:<lambda>", cpu="<i>")
    made = dataclasses.replace(
        EVERYTHING, environment=hostile, suite="smoke suite with -k '<u>'", stale=("gone </p><img src=x>",)
    )
    read = Reader(html.as_html(made))
    assert read.open == []
    assert set(read.tags) == {"div", "p", "br", "table", "thead", "tbody", "tr", "th", "td", "span", "code", "b", "pre"}
    text = "".join(read.words)
    for shown in (SCRIPT, "<b onclick=x>:<lambda> · Keras 3.15.1", "smoke suite with -k '<u>'", "gone </p><img src=x>"):
        assert shown in text


def test_html_shows_every_clause_and_failure() -> None:
    """The HTML has a row per clause, a paragraph per group of failures and the last line of the text."""
    read = Reader(Report(EVERYTHING)._repr_html_())
    assert read.tags.count("tr") == 1 + len(CLAUSES)
    assert read.tags.count("pre") == 3
    text = "".join(read.words)
    assert all(clause.title in text for clause in CLAUSES)
    assert text.endswith(terminal.results_as_text(EVERYTHING).splitlines()[-1])
    assert "reproduce      bnverify run --case shape:3x2/steps:T --layer mypackage.layers:MyBatchNorm" in text


def test_repr_is_short() -> None:
    """The repr of a report is its last line."""
    assert repr(Report(results(right("shape:2x2/steps:T")))) == "<Report: CONFORMS: 1 check of 1 clause in 1 case>"
