"""The notebook views of a user's numbers: tables that are readable in light and dark themes, and a plot."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bnverify.explaining.expected import Answer
from bnverify.explaining.explanation import Explanation
from bnverify.explaining.trajectory import Trajectory
from bnverify.views import explanation_text as text
from bnverify.views import plots
from bnverify.views.templates import render
from bnverify.views.text import environment_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def explanation_html(e: Explanation, comparisons: Sequence[Answer] = ()) -> str:
    """A self-contained fragment: the heading, a row per step, the conclusion, and the plot."""
    notes = [line for comparison in comparisons for line in text.comparison_lines(comparison)]
    return render(
        "explanation",
        head=[_labelled(line) for line in text.heading(e)],
        names=("", "formula", "reference", "the layer's own", "margin"),
        rows=[(text.cells(quantity), quantity.check.status if quantity.check else None) for quantity in e.quantities],
        notes=[text.explanation_conclusion(e), *notes],
        picture=_picture(lambda: plots.plot_explanation(e)),
    )


def trajectory_html(t: Trajectory) -> str:
    """A self-contained fragment: some steps as a table, the step from which inference agrees with training, and the plot."""
    rows: list[tuple[Any, None]] = [(text.row(t, step), None) for step in text.shown_steps(t)]
    rows.append((("data", text.shown_values(t.data["mean"]), "", text.shown_values(t.data["variance"]), "", ""), None))
    return render(
        "explanation",
        head=[(f"{t.name} · {environment_line(t.environment)}", "")],
        names=("step", "moving_mean", "reference", "moving_variance", "reference", "apart"),
        rows=rows,
        notes=list(text.trajectory_lines(t)),
        picture=_picture(lambda: plots.plot_trajectory(t)),
    )


def _labelled(line: str) -> tuple[str, str]:
    """A line of the heading as its label and the rest. For a line without a label the rest is empty."""
    label, gap, rest = line.partition("  ")
    return (label, rest.strip()) if gap else (line, "")


def _picture(plot: Callable[[], Figure]) -> str:
    """The plot as PNG in base64; empty if matplotlib is not installed."""
    return "" if find_spec("matplotlib") is None else base64.b64encode(plots.as_png(plot())).decode("ascii")
