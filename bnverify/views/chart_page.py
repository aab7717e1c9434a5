"""The compatibility chart as one self-contained HTML page. Everything shown is escaped by the template engine."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined

from bnverify.contract import CLAUSES
from bnverify.matrix.chart import ChartRow
from bnverify.views.chart_text import SIGNS, conclusion, mismatch_words, reproduce
from bnverify.views.text import encodable, number, plural, short


def as_page(rows: Sequence[ChartRow], title: str = "BatchNormalization: compatibility") -> str:
    """The page. It needs no network and no script; cells lead to the evidence further down."""
    source = (resources.files("bnverify.views") / "chart.html.j2").read_text(encoding="utf-8")
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    engine.globals.update(
        signs=SIGNS, reproduce=reproduce, mismatch_words=mismatch_words, short=short, number=number, plural=plural
    )
    template = engine.from_string(source)
    return encodable(template.render(title=title, rows=rows, clauses=CLAUSES, conclusion=conclusion(rows))) + "\n"
