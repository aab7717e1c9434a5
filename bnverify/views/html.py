"""The notebook view: the report as an HTML table that reads in light and dark themes. Everything shown is escaped."""

from __future__ import annotations

from html import escape

from bnverify.values import Results, Status
from bnverify.verdicts.tally import by_clause, failures
from bnverify.views.text import conclusion, encodable, environment_line, group_lines, number, short

MARK = {Status.CONFORMS: "#2e9e5b", Status.UNSTABLE: "#c98a00", Status.WRONG: "#d64545", Status.CRASHED: "#a34fc4"}


def as_html(results: Results) -> str:
    """A self-contained fragment; colours are marks on the theme's own text colour."""
    rows = "".join(
        "<tr>"
        f"<td style='text-align:right;opacity:.6'>{tally.number}</td>"
        f"<td style='text-align:left' title='{escape(tally.clause.rule, quote=True)}'>{escape(tally.clause.title)}</td>"
        f"<td style='text-align:right'>{number(tally.checks)}</td>"
        f"<td style='text-align:left'>{_statuses(dict(tally.statuses))}</td>"
        f"<td style='text-align:left'>{tally.grade.label if tally.grade is not None else ''}</td>"
        f"<td style='text-align:right'>{short(tally.margin)}</td>"
        f"<td style='text-align:left'><code>{escape(tally.case)}</code></td>"
        "</tr>"
        for tally in by_clause(results.verdicts)
    )
    head = "".join(f"<th>{name}</th>" for name in ("", "clause", "checks", "status", "grade", "worst margin", "in case"))
    groups = "".join(
        f"<p>{_badge(group.status)} <b>{escape(group.title)}</b></p>"
        f"<pre>{escape(chr(10).join(group_lines(group, results)[1:]))}</pre>"
        for group in failures(results.verdicts)
    )
    stale = "".join(f"<p>{escape(line)}</p>" for line in results.stale)
    return encodable(
        f"<div class='bnverify'><p>{escape(environment_line(results.environment))}<br>"
        f"{escape(results.suite)}, seed {results.seed}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{groups}{stale}"
        f"<p><b>{escape(conclusion(results))}</b></p></div>"
    )


def _statuses(statuses: dict[Status, int]) -> str:
    if not statuses:
        return "no check"
    if set(statuses) == {Status.CONFORMS}:
        return _badge(Status.CONFORMS)
    return ", ".join(f"{number(n)} {_badge(s)}" for s, n in statuses.items() if s is not Status.CONFORMS)


def _badge(status: Status) -> str:
    return f"<span style='border-bottom:2px solid {MARK.get(status, '#4b8bbe')}'>{escape(status.value)}</span>"
