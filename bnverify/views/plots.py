"""Plots with matplotlib: of an explained call and of a trajectory, in a style for light and dark pages."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from bnverify.errors import BadInput
from bnverify.explaining.explanation import Explanation
from bnverify.explaining.trajectory import Trajectory
from bnverify.numeric.precision import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GREEN, BLUE, PALE, ORANGE, RED, PURPLE, GREY = "#4a9d77", "#4788cc", "#98b7d9", "#cf8a3b", "#d1495b", "#a8549c", "#8a8f94"
CHANNELS = 6  # channels to show
POINTS = 200  # values of each channel to show
STYLE: dict[str, Any] = {
    **{f"{part}.facecolor": "none" for part in ("figure", "axes", "savefig")},
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), "#808589"),
    "figure.dpi": 90,
    "font.size": 9,
    "legend.frameon": False,
    **{f"axes.spines.{side}": False for side in ("top", "right")},
}


def use_style() -> None:
    """Applies the style to all later figures in this process, for notebooks."""
    _matplotlib().rcParams.update(STYLE)


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise BadInput("plots need matplotlib; pip install 'bnverify[plots]'") from None
    return matplotlib


def _styled(plot: Callable[[Any], Figure]) -> Callable[[Any], Figure]:
    """Draws in the style, and keeps the style of other figures."""

    @wraps(plot)
    def draw(what: Any) -> Figure:
        with _matplotlib().rc_context(STYLE):
            return plot(what)

    return draw


def _figure(size: tuple[float, float], columns: int) -> tuple[Figure, Any]:
    """A figure with axes side by side, which pyplot does not keep open."""
    from matplotlib.figure import Figure

    made = Figure(figsize=size, layout="constrained")
    return made, made.subplots(1, columns, squeeze=False)[0]


def as_png(made: Figure) -> bytes:
    """A figure as a small picture with a transparent background."""
    out = io.BytesIO()
    made.savefig(out, format="png", dpi=84, transparent=True)
    return out.getvalue()


@_styled
def plot_explanation(e: Explanation) -> Figure:
    """x, x̂ and y of the first channels: each value a dot, the mean a line, and ± deviation a bar."""
    made, axes = _figure((8.5, 2.4), 3)
    own = e["y"].layer
    parts = (("x", e.x, BLUE), ("x̂", e["x̂"].reference, PURPLE), ("y", e["y"].reference if own is None else own, GREEN))
    for ax, (name, values, colour) in zip(axes, parts, strict=True):
        rows = _by_channel(values, e.case.kept)[:, :CHANNELS]
        for channel, column in enumerate(rows.T):
            ax.scatter(column, np.full(len(column), channel), s=14, color=colour, alpha=0.6, linewidths=0)
        if name == "x":
            mean, deviation = (e[what].reference.reshape(-1)[:CHANNELS] for what in ("mean", "deviation"))
            ax.errorbar(
                mean,
                range(len(mean)),
                xerr=deviation,
                fmt="|",
                color=ORANGE,
                markersize=12,
                label=f"{e.source} mean ± deviation",
            )
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12))
        ax.set_title(name)
        ax.set_yticks(range(rows.shape[1]), [f"channel {i}" for i in range(rows.shape[1])] if name == "x" else [])
        ax.set_ylim(rows.shape[1] - 0.5, -0.5)
        ax.grid(axis="x", color=GREY, alpha=0.25)
    return made


def _by_channel(values: Array, kept: tuple[int, ...]) -> Array:
    """At most POINTS values of each channel, spread over the batch."""
    moved = np.moveaxis(values, kept, range(-len(kept), 0))
    rows = moved.reshape(-1, int(np.prod(moved.shape[values.ndim - len(kept) :])))
    return rows[:: max(1, len(rows) // POINTS)]


@_styled
def plot_trajectory(t: Trajectory) -> Figure:
    """Moving mean and variance over the steps, of the first channels, beside the data's; and the distance of inference from
    training.
    """
    made, axes = _figure((8.5, 2.6), 3)
    for ax, name, of in ((axes[0], "moving_mean", "mean"), (axes[1], "moving_variance", "variance")):
        for channel in range(min(CHANNELS // 2, t.data[of].size)):
            colour = (BLUE, GREEN, PURPLE)[channel]
            ax.plot(t.moving[name][:, channel], color=colour, label=f"channel {channel}")
            ax.plot(t.reference[name][:, channel], color=GREY, linewidth=0.8, linestyle=":")
            ax.axhline(t.data[of][channel], color=colour, linestyle="--", linewidth=0.8)
        ax.set_title(name)
        ax.set_xlabel("step (dashed: statistics of the data)")
    axes[0].legend(fontsize=8)
    axes[2].plot(t.apart, color=ORANGE)
    axes[2].axhline(t.within, color=GREY, linestyle="--", linewidth=0.8)
    axes[2].set(title="inference less training", xlabel="step", yscale="log")
    axes[2].set_ylabel("standard deviations")
    return made
