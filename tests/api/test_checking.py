"""check_layer and assert_conforms: what they pass on, and what a report says, on the reference in place of Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.targets import Changed

from bnverify.api import checking
from bnverify.api.checking import NotConforming, assert_conforms, check_layer
from bnverify.errors import BadInput
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.values import Grade

ID = "shape:6x4/steps:TI"
WRONG = HYPOTHESIS_BY_KEY["epsilon-outside"].formulas
CAUSE = HYPOTHESIS_BY_KEY["epsilon-outside"].cause


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens the reference; `formulas` are what the layer argument gives."""

    def open_target(layer: Any) -> Changed:
        return Changed(formulas=layer) if layer else Changed()

    monkeypatch.setattr(checking, "open_target", open_target)
    return open_target


def test_a_report_of_single_cases(target: Any) -> None:
    """Its verdicts, its environment and its texts are those of the run."""
    report = check_layer(cases=[ID, ID, "shape:5x4/steps:T"], seed=3, min_grade="blocked")
    assert report.ok
    assert [verdict.case.id for verdict in report.verdicts] == [ID, "shape:5x4/steps:T"]
    assert (report.results.seed, report.results.required, report.results.suite) == (3, Grade.BLOCKED, "2 cases")
    assert report.environment.backend == "reference"
    assert repr(report) == f"<Report: {str(report).splitlines()[-1]}>"
    assert report._repr_html_().lstrip().startswith("<")


def test_a_wrong_layer_raises_with_its_report(target: Any) -> None:
    """The text begins on a line of its own, names the cause, and the exception holds the report."""
    assert_conforms(cases=ID)
    with pytest.raises(NotConforming) as caught:
        assert_conforms(WRONG, cases=ID)
    assert isinstance(caught.value, AssertionError)
    assert str(caught.value) == "\n" + caught.value.report.summary()
    assert CAUSE in str(caught.value)


def test_nothing_tested_does_not_conform(target: Any) -> None:
    """A case that cannot be asked is no pass."""
    report = check_layer(cases="shape:3x4x5/axis:1+2/steps:T")
    assert not report.ok
    with pytest.raises(NotConforming):
        assert_conforms(cases="shape:3x4x5/axis:1+2/steps:T")


def test_a_selection_within_a_suite(target: Any) -> None:
    """As -k does on the command line."""
    report = check_layer(suite="regressions", select="momentum:0.0 and not posted")
    assert [verdict.case.id for verdict in report.verdicts] == ["shape:12x4/momentum:0.0/steps:TITI"]


def test_known_deviations_of_a_file_excuse(target: Any, tmp_path: Path) -> None:
    """The same file as for --known."""
    (tmp_path / "known.toml").write_text(
        '[[deviation]]\nclauses = ["training-output", "inference-output"]\nwhy = "w"\nlink = "https://example.org"\n'
        'evidence = "shape:5x4/steps:TI"\ncomputes = "epsilon-outside"\n'
    )
    report = check_layer(WRONG, cases=ID, known_deviations=tmp_path / "known.toml")
    assert report.ok
    assert [verdict.case.id for verdict in report.verdicts] == [ID]  # a single case is run without the evidence
    assert not check_layer(WRONG, cases=ID).ok


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"suite": "smok"}, "suite 'smok' is unknown"),
        ({"suite": 3}, "suite: got 3; allowed: a text"),
        ({"cases": 3}, "cases: got 3; allowed: a list of texts"),
        ({"cases": ID, "select": "nothing"}, "-k 'nothing' selects nothing"),
        ({"cases": ID, "min_grade": "best"}, "min_grade 'best' is unknown"),
        ({"cases": ID, "seed": -1}, "seed: got -1"),
        ({"cases": ID, "known_deviations": "none.toml"}, "--known none.toml: No such file"),
    ],
)
def test_bad_input(target: Any, options: dict[str, Any], says: str) -> None:
    """One line that names the parameter, before any case is run."""
    with pytest.raises(BadInput) as caught:
        check_layer(**options)
    assert str(caught.value).startswith(says)
