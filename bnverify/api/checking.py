"""The Python interface: check a layer and get a report, or an AssertionError with the report's text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bnverify.api import arguments
from bnverify.cases import suites
from bnverify.running.run import verify_target
from bnverify.targets.loading import open_target
from bnverify.values import Environment, Results, Verdict
from bnverify.verdicts import known
from bnverify.views import html, terminal
from bnverify.views.text import conclusion


class Report:
    """The result of checking a layer. In a notebook it shows as a table; `print(report)` gives the same as text."""

    def __init__(self, results: Results) -> None:
        self.results = results

    @property
    def ok(self) -> bool:
        """Whether something was tested and nothing failed."""
        return self.results.ok

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One verdict for each case, with all its checks."""
        return self.results.verdicts

    @property
    def environment(self) -> Environment:
        """What was tested and where."""
        return self.results.environment

    def summary(self) -> str:
        """The report as text: counts per clause, every failure with its cause, and the conclusion."""
        return terminal.results_as_text(self.results)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<Report: {conclusion(self.results)}>"

    def _repr_html_(self) -> str:
        return html.as_html(self.results)


class NotConforming(AssertionError):
    """A layer does not compute what Keras promises. `report` says where and why."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return "\n" + self.report.summary()


def check_layer(
    layer_class_or_factory: Callable[..., Any] | None = None,
    *,
    suite: str = "default",
    cases: Iterable[str] = (),
    select: str = "",
    seed: int = 0,
    min_grade: str = "sequential",
    known_deviations: str | Path | None = None,
) -> Report:
    """Checks a layer against the Keras BatchNormalization contract, in this process.

    layer_class_or_factory: returns a new layer when called with keyword arguments of keras.layers.BatchNormalization (only
    those that differ from the defaults, and `dtype` if a case needs another policy). A class is its own factory. None means
    Keras' own layer. suite: smoke, default, full or regressions. cases: ids of single cases instead of a suite. select: an
    expression on ids, like pytest's `-k`. seed: of the inputs, 0 or more. min_grade: the worst grade that conforms: blocked,
    sequential or one-pass. known_deviations: a file of known deviations, the same as for `bnverify run --known`.

    Raises BadInput for anything that cannot be used; its one line says what is allowed.

    >>> import keras, bnverify
    >>> bnverify.check_layer(keras.layers.BatchNormalization, suite="smoke").ok
    True
    """
    ids = arguments.texts("cases", cases)
    chosen, label = suites.choose(arguments.a_text("suite", suite), ids, arguments.a_text("select", select))
    options: dict[str, Any] = {
        "label": label,
        "seed": arguments.seed(seed),
        "min_grade": arguments.a_text("min_grade", min_grade),
        "recorded": () if known_deviations is None else known.load(arguments.file("known_deviations", known_deviations)),
        "with_evidence": not ids and not select,
    }
    return Report(verify_target(open_target(layer_class_or_factory), chosen, **options))


def assert_conforms(layer_class_or_factory: Callable[..., Any] | None = None, **options: Any) -> None:
    """The same as `check_layer`, but raises NotConforming, an AssertionError with the report's text, unless the report is
    ok.
    """
    report = check_layer(layer_class_or_factory, **options)
    if not report.ok:
        raise NotConforming(report)


__all__ = ["NotConforming", "Report", "assert_conforms", "check_layer"]
