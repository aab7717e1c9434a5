"""The notebook view of a report: an HTML table that is readable in light and dark themes."""

from __future__ import annotations

from bnverify.values import Results, Status
from bnverify.verdicts.tally import by_clause, failures
from bnverify.views.templates import render
from bnverify.views.text import conclusion, environment_line, group_lines


def as_html(results: Results) -> str:
    """A self-contained fragment. Colours are marks beside text in the theme's own colour."""
    return render(
        "report",
        results=results,
        heading=environment_line(results.environment),
        tallies=by_clause(results.verdicts),
        groups=[(group, "\n".join(group_lines(group, results)[1:])) for group in failures(results.verdicts)],
        conclusion=conclusion(results),
        conforms=Status.CONFORMS,
    )
