"""The Python interface for a user's numbers: explain a call step by step, follow moving statistics over batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bnverify.api import arguments
from bnverify.contract.eras import era_of
from bnverify.errors import BadInput
from bnverify.explaining.expected import Answer, Setting, compare_expected
from bnverify.explaining.explanation import Explanation, Quantity, explain_subject
from bnverify.explaining.model_layer import ModelLayer
from bnverify.explaining.subject import Subject, as_batch, make_subject
from bnverify.explaining.trajectory import Trajectory, follow_batches
from bnverify.matrix.environments import NoInterpreter
from bnverify.matrix.open_rows import open_row
from bnverify.targets.existing_layer import ExistingLayer
from bnverify.targets.loading import open_target
from bnverify.targets.target import Target
from bnverify.values import Environment
from bnverify.views import explanation_html, explanation_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARRAYS = "a list of arrays, or another iterable of them"


class Explained:
    """An explained call of a layer. In a notebook it shows as a table with a plot; `print` gives the table as text."""

    def __init__(self, explanation: Explanation, comparisons: tuple[Answer, ...] = ()) -> None:
        self.explanation = explanation
        self.expected = comparisons

    @property
    def ok(self) -> bool:
        """Whether the layer returned what Keras promises, apart from known deviations."""
        return self.explanation.ok

    @property
    def cause(self) -> str:
        """Why the layer's numbers differ from what Keras promises; empty if they do not, or if no cause was found."""
        return self.explanation.verdict.cause

    @property
    def environment(self) -> Environment:
        """The layer that was called, and where."""
        return self.explanation.environment

    def __getitem__(self, name: str) -> Quantity:
        """A step by its name (mean, variance, deviation, x̂, y, moving_mean …), with `reference`, `layer` and `margin`."""
        return self.explanation[name]

    def summary(self) -> str:
        """The table and its conclusion as text."""
        return explanation_text.as_text(explanation_text.explanation(self.explanation, self.expected))

    def plot(self) -> Figure:
        """x, x̂ and y per channel. Raises BadInput without matplotlib."""
        from bnverify.views import plots

        return plots.plot_explanation(self.explanation)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<Explained: {explanation_text.explanation_conclusion(self.explanation)}>"

    def _repr_html_(self) -> str:
        return explanation_html.explanation_html(self.explanation, self.expected)


class Traced:
    """Moving statistics over batches. In a notebook they show as a table with a plot; `print` gives the table as text."""

    def __init__(self, trajectory: Trajectory) -> None:
        self.trajectory = trajectory

    @property
    def ok(self) -> bool:
        """Whether the moving statistics are what Keras promises."""
        return self.trajectory.ok

    @property
    def agrees_after(self) -> int | None:
        """The step from which on inference agrees with training; None if there are too few batches."""
        return self.trajectory.agrees_after

    @property
    def needed(self) -> int | None:
        """The number of steps that the layer's momentum needs if all batches are alike; None if inference never agrees."""
        return self.trajectory.needed

    def summary(self) -> str:
        """The table and its conclusion as text."""
        return explanation_text.as_text(explanation_text.trajectory(self.trajectory))

    def plot(self) -> Figure:
        """The moving statistics, and how far inference is from training. Raises BadInput without matplotlib."""
        from bnverify.views import plots

        return plots.plot_trajectory(self.trajectory)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<Traced: {' '.join(explanation_text.trajectory_lines(self.trajectory))}>"

    def _repr_html_(self) -> str:
        return explanation_html.trajectory_html(self.trajectory)


def explain(
    layer: Any,
    x: Any,
    *,
    training: bool | None = None,
    mask: Any = None,
    expected: Any = None,
    weights: Mapping[str, Any] | None = None,
    row: str = "",
) -> Explained:
    """One call of a batch normalization step by step, with the layer's numbers beside the reference's.

    layer: a built Keras layer, which is left as it was; or a dict of constructor arguments with Keras' names, from which a
    layer is made. x: numbers with two axes or more. training, mask: as in the call. expected: the y that you expected, with the
    shape of x, or a dict of arrays for y, mean, variance, moving_mean, moving_variance; common misunderstandings are tried on
    it. weights: with a dict, the layer's weights by Keras' names, one value per channel; without it, Keras' initial weights.
    row: with a dict, the environment of the version matrix that makes the layer, such as keras-2.3.1-tensorflow.

    Raises BadInput for input that does not fit; its one line says what was got and what is allowed.

    >>> import bnverify
    >>> print(bnverify.explain({"axis": -1}, [[1.0, 2.0], [5.0, 4.0]], training=True)["mean"].layer)
    [3. 3.]
    """
    subject, target = _open(layer, weights, row, [x], training, [] if mask is None else [mask])
    explanation = explain_subject(subject, target)
    era = era_of(target.environment)
    if expected is None:
        return Explained(explanation)
    setting = Setting(subject.case, subject.inputs, era.formulas)
    return Explained(explanation, compare_expected(expected, setting, era.formats(subject.case)))


def explain_across(rows: Iterable[str], layer: Mapping[str, Any], x: Any, **options: Any) -> dict[str, Explained | str]:
    """`explain` in several environments of the version matrix, by their names. A line of text replaces an environment that is
    missing.
    """
    found: dict[str, Explained | str] = {}
    for row in arguments.items("rows", rows, "a list of names, such as ['keras-2.15.0-tensorflow']"):
        try:
            found[row] = explain(layer, x, row=row, **options)
        except NoInterpreter as error:
            found[row] = f"skipped: {error}"
    return found


def trace(
    layer: Any,
    batches: Iterable[Any],
    *,
    masks: Iterable[Any] = (),
    within: float = 0.05,
    weights: Mapping[str, Any] | None = None,
    row: str = "",
) -> Traced:
    """The moving statistics of a layer over batches called with training=True, and the step when inference agrees with
    training.

    layer, weights, row: the same as for `explain`; a built layer is left as it was. batches: arrays; the number of samples may
    differ. masks: one for each batch. within: how far inference may be from training to agree with it, in standard deviations
    of the data (root mean square, before gamma and beta).

    Raises BadInput for input that does not fit.
    """
    if isinstance(within, bool) or not isinstance(within, (int, float)) or not 0 < within < float("inf"):
        raise BadInput("within", got=within, allowed="a number of standard deviations above 0")
    arrays, given = (arguments.items(name, each, ARRAYS) for name, each in (("batches", batches), ("masks", masks)))
    if not arrays:
        raise BadInput("batches: got none", allowed="one or more")
    subject, target = _open(layer, weights, row, arrays, True, given)
    return Traced(follow_batches(subject, target, float(within)))


def _open(
    layer: Any, weights: Mapping[str, Any] | None, row: str, batches: list[Any], training: bool | None, masks: list[Any]
) -> tuple[Subject, Target]:
    """The question as a subject, and the target: the layer itself, or one made from its arguments, here or in a row."""
    row = arguments.a_text("row", row)
    if isinstance(layer, ModelLayer):
        for x in batches:
            layer.check_rank(x)
        subject = make_subject(layer.name, layer.arguments, layer.weights, batches, training, masks)
        return subject, open_row(row) if row else open_target()
    if isinstance(layer, Mapping):
        subject = make_subject("BatchNormalization", layer, weights, batches, training, masks)
        return subject, open_row(row) if row else open_target()
    if weights is not None or row:
        raise BadInput(f"{'row' if row else 'weights'}: can be used with a dict of arguments only, not with a layer")
    held = ExistingLayer(layer)
    for x in batches:
        held.check_rank(np.ndim(x) if hasattr(x, "ndim") else as_batch(x, "float32", "x").ndim)
    return make_subject(held.name, held.arguments, held.weights, batches, training, masks), held


__all__ = ["Explained", "Traced", "explain", "explain_across", "trace"]
