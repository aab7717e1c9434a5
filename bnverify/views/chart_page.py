"""The compatibility chart as one self-contained HTML page. Everything shown is escaped by the template engine."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined

from bnverify.contract import CLAUSES
from bnverify.matrix.chart import ChartRow
from bnverify.views.chart_text import CELL_SIGNS, chart_conclusion, mismatch_words, reproduce_in_row
from bnverify.views.text import encodable, number, plural, short


def as_page(rows: Sequence[ChartRow], title: str = "BatchNormalization: compatibility") -> str:
    """The page. It needs no network and no script; cells lead to the evidence further down."""
    source = (resources.files("bnverify.views") / "chart.html.j2").read_text(encoding="utf-8")
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    engine.globals.update(
        signs=CELL_SIGNS, reproduce=reproduce_in_row, mismatch_words=mismatch_words, short=short, number=number, plural=plural
    )
    template = engine.from_string(source)
    return encodable(template.render(title=title, rows=rows, clauses=CLAUSES, conclusion=chart_conclusion(rows))) + "\n"
