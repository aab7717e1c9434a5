"""Plots: what is drawn of a call and of a trajectory, in a style that other figures do not keep."""

from __future__ import annotations

import numpy as np
import pytest
from support.targets import Changed

from bnverify.explaining.explanation import explain_subject
from bnverify.explaining.subject import make_subject
from bnverify.explaining.trajectory import follow_batches
from bnverify.views import plots

matplotlib = pytest.importorskip("matplotlib")
X = np.arange(32, dtype=np.float32).reshape(4, 8)


def test_a_call_shows_its_first_channels() -> None:
    """x with the means, x̂ and y: six of eight channels, one dot for each value."""
    made = plots.plot_explanation(explain_subject(make_subject("bn", {}, None, [X], True), Changed()))
    assert [ax.get_title() for ax in made.axes] == ["x", "x̂", "y"]
    assert [len(ax.collections) for ax in made.axes[1:]] == [6, 6]
    dots = made.axes[0].collections[0].get_offsets()
    assert np.asarray(dots)[:, 0].tolist() == [0.0, 8.0, 16.0, 24.0]
    assert [label.get_text() for label in made.axes[0].get_yticklabels()] == [f"channel {i}" for i in range(6)]
    assert made.axes[0].get_ylim() == (5.5, -0.5)  # the first channel is on top


def test_a_trajectory_shows_three_channels_and_the_distance() -> None:
    """The layer's line, the reference's and the data's for each; the distance on a logarithmic scale."""
    t = follow_batches(make_subject("bn", {"momentum": 0.5}, None, [X, X + 1, X], True), Changed(), 0.1)
    made = plots.plot_trajectory(t)
    assert [ax.get_title() for ax in made.axes] == ["moving_mean", "moving_variance", "inference less training"]
    assert [len(ax.lines) for ax in made.axes] == [9, 9, 2]
    assert [ax.get_yscale() for ax in made.axes] == ["linear", "linear", "log"]
    assert np.asarray(made.axes[0].lines[0].get_ydata())[:2].tolist() == [0.0, 6.0]  # from 0 half way to the mean 12


def test_many_values_are_thinned() -> None:
    """About 200 of each channel, spread over the batch; several kept axes are one."""
    rows = plots._by_channel(np.arange(1000.0).reshape(500, 2), (1,))
    assert rows.shape == (250, 2)
    assert rows[1].tolist() == [4.0, 5.0]
    assert plots._by_channel(np.zeros((3, 4, 5)), (0, 2)).shape == (4, 15)


def test_the_style_is_that_of_the_plot_alone() -> None:
    """Until use_style applies it to all figures; a picture is a PNG."""
    before = matplotlib.rcParams["font.size"]
    made = plots.plot_explanation(explain_subject(make_subject("bn", {}, None, [X], True), Changed()))
    assert matplotlib.rcParams["font.size"] == before != plots.STYLE["font.size"]
    assert made.axes[0].title.get_fontsize() == pytest.approx(1.2 * plots.STYLE["font.size"])  # "large" in matplotlib
    assert plots.as_png(made).startswith(b"\x89PNG")
    with matplotlib.rc_context():
        plots.use_style()
        assert matplotlib.rcParams["font.size"] == plots.STYLE["font.size"]
