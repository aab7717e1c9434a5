"""The notebook views of one's own numbers: tables that read in light and dark themes, with a plot where matplotlib is there."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bnverify.explaining.expected import Answer
from bnverify.explaining.explanation import Explanation
from bnverify.explaining.trajectory import Trajectory
from bnverify.values import Status
from bnverify.views import explanation_text as text
from bnverify.views import plots
from bnverify.views.html import MARK
from bnverify.views.text import encodable, environment_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def explanation_html(e: Explanation, comparisons: Sequence[Answer] = ()) -> str:
    """A self-contained fragment: the heading, a row for each step, the conclusion, the plot."""
    rows = []
    for quantity in e.quantities:
        status = quantity.check.status if quantity.check else Status.CONFORMS
        *texts, margin = text.cells(quantity)
        mark = "" if quantity.check is None else f" style='border-bottom:2px solid {MARK.get(status, '#4b8bbe')}'"
        rows.append([*map(escape, texts), f"<span{mark}>{escape(margin)}</span>"])
    notes = [line for comparison in comparisons for line in text.comparison_lines(comparison)]
    head = list(text.heading(e))
    table = _table(("", "formula", "reference", "the layer's own", "margin"), rows)
    return _fragment(head, table, [text.explanation_conclusion(e), *notes], lambda: plots.plot_explanation(e))


def trajectory_html(t: Trajectory) -> str:
    """A self-contained fragment: some steps as a table, when inference agrees with training, the plot."""
    rows = [[*map(escape, text.row(t, step))] for step in text.shown_steps(t)]
    rows.append(["data", text.shown_values(t.data["mean"]), "", text.shown_values(t.data["variance"]), "", ""])
    names = ("step", "moving_mean", "reference", "moving_variance", "reference", "apart")
    head = [f"{t.name} · {environment_line(t.environment)}"]
    return _fragment(head, _table(names, rows), list(text.trajectory_lines(t)), lambda: plots.plot_trajectory(t))


def _table(names: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _fragment(head: Sequence[str], table: str, notes: Sequence[str], plot: Callable[[], Figure]) -> str:
    lines = "<br>".join(map(_labelled, head))
    conclusion = f"<p><b>{escape(notes[0])}</b>{''.join('<br>' + escape(note) for note in notes[1:])}</p>"
    return encodable(f"<div class='bnverify'><p>{lines}</p>{table}{conclusion}{_picture(plot)}</div>")


def _labelled(line: str) -> str:
    """A line of the heading, with what stands in its first column in bold."""
    label, gap, rest = line.partition("  ")
    return f"<b>{escape(label)}</b>&ensp;{escape(rest.strip())}" if gap else escape(line)


def _picture(plot: Callable[[], Figure]) -> str:
    """The plot as a picture inside the page; nothing where matplotlib is missing."""
    if find_spec("matplotlib") is None:
        return ""
    data = base64.b64encode(plots.as_png(plot())).decode("ascii")
    return f"<img alt='' src='data:image/png;base64,{data}'>"
