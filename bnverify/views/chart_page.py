"""The compatibility chart as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence

from bnverify.contract import CLAUSES
from bnverify.matrix.chart import ChartRow
from bnverify.views.chart_text import CELL_SIGNS, chart_conclusion, mismatch_words, reproduce_in_row
from bnverify.views.templates import render


def as_page(rows: Sequence[ChartRow], title: str = "BatchNormalization: compatibility") -> str:
    """The page. It needs no network and no script. Each cell links to its evidence further down."""
    return (
        render(
            "chart",
            title=title,
            rows=rows,
            clauses=CLAUSES,
            conclusion=chart_conclusion(rows),
            signs=CELL_SIGNS,
            reproduce=reproduce_in_row,
            mismatch_words=mismatch_words,
        )
        + "\n"
    )
