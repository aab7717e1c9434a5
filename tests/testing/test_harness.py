"""The pytest harness: one test per case, ids as everywhere else, expected failures strict in both directions."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from support.layers import LAYERS
from support.sessions import Session, run_pytest

from bnverify import BadInput, parametrize_conformance
from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.ids import parse
from bnverify.cases.suites import suite
from bnverify.reference.hypotheses import HYPOTHESES
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.testing.harness import Harness
from bnverify.values import Environment, Observation
from bnverify.verdicts import known
from bnverify.verdicts.known import Deviation

SMALL = "shape:2x2/steps:TI"
KERAS = Environment(
    "keras.layers.BatchNormalization", "keras", "3.15.1", "tensorflow", "2.21.0", "CPU", True, "2.4.6", "3.11.7", ""
)


# --- parametrize_conformance

TESTS = """
import bnverify
from mylayers import EpsilonOutside, NoCenter, RaisesInCall, Right, factory

SMALL = "shape:2x2/steps:TI"
EPSILON = "epsilon as in the thesis"
BOTH = {"training-output": EPSILON, "inference-output": EPSILON}


def harness(layer, **options):
    return bnverify.parametrize_conformance(layer, suite="smoke", **options)


@harness(Right)
def test_right(check):
    check()


@harness(factory)
def test_factory(check):
    check()


@harness(NoCenter)
def test_no_center(check):
    check()


@harness(EpsilonOutside)
def test_wrong(check):
    check()


@harness(RaisesInCall)
def test_raising(check):
    check()


@harness(EpsilonOutside, expected_failures={SMALL: EPSILON})
def test_by_id(check):
    check()


@harness(Right, expected_failures={SMALL: EPSILON})
def test_by_id_but_right(check):
    check()


@harness(EpsilonOutside, expected_failures={"steps:TI/axis:-1/shape:2x2": EPSILON})
def test_by_another_spelling(check):
    check()


@harness(Right, expected_failures={"steps:TI/axis:-1/shape:2x2": EPSILON})
def test_by_another_spelling_but_right(check):
    check()


@harness(NoCenter, expected_failures={"shape:6x4/center:False/steps:TI": "no center"})
def test_unsupported_by_id(check):
    check()


@harness(EpsilonOutside, expected_failures=BOTH)
def test_by_clause(check):
    check()


@harness(EpsilonOutside, expected_failures={"training-output": EPSILON})
def test_by_half_the_clauses(check):
    check()


@harness(Right, expected_failures={"training-output": EPSILON})
def test_by_clause_but_right(check):
    check()
"""
CENTERLESS = "shape:6x4/center:False/steps:TI"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Many harnesses in one run, warnings being errors; of each the smallest case, one without center, and the clauses."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mylayers.py").write_text(LAYERS)
    (folder / "test_own.py").write_text(TESTS)
    return run_pytest(
        folder, "-W", "error", "-k", f"{SMALL} or {CENTERLESS} or expected", "test_own.py", env={"PYTHONPATH": str(folder)}
    )


@pytest.mark.slow
def test_right_layers_pass(own: Session) -> None:
    """A right layer passes, whether class or factory, and has no test but those of its cases."""
    assert {
        name: outcome.status for name, outcome in own.tests.items() if name.startswith(("test_right[", "test_factory["))
    } == {f"{test}[{id_}]": "passed" for test in ("test_right", "test_factory") for id_ in (SMALL, CENTERLESS)}


@pytest.mark.slow
def test_failures_read_as_the_report_does(own: Session) -> None:
    """A failing test shows the environment and the report's paragraph, with what reproduces it, and no traceback."""
    outcome = own.tests[f"test_wrong[{SMALL}]"]
    lines = outcome.text.splitlines()
    assert outcome.status == "failed"
    assert lines[0].startswith("mylayers:EpsilonOutside · Keras ")
    assert lines[1:5] == [
        "",
        "WRONG  epsilon is added to the deviation, outside the root",
        "  1 case of 1; failing checks: output in training (1), output in inference (1)",
        f"  smallest case  {SMALL}",
    ]
    assert lines[-1] == f"  reproduce      bnverify run --case {SMALL} --layer mylayers:EpsilonOutside"
    assert "Traceback" not in outcome.text
    assert "harness.py" not in outcome.text


def test_exceptions_fail_the_test(own: Session) -> None:
    """A layer that raises fails its test with the exception's text."""
    outcome = own.tests[f"test_raising[{SMALL}]"]
    assert outcome.status == "failed"
    assert "CRASHED  step 0: ValueError\n" in outcome.text
    assert "got ValueError: out of order\n" in outcome.text


def test_missing_arguments_skip_the_test(own: Session) -> None:
    """A layer that takes no `center` is skipped where center is asked for, with the reason."""
    assert own.tests[f"test_no_center[{SMALL}]"].status == "passed"
    outcome = own.tests[f"test_no_center[{CENTERLESS}]"]
    assert (outcome.status, outcome.message) == ("pytest.skip", "unsupported: the layer's constructor has no argument `center`")


def test_expected_by_id(own: Session) -> None:
    """A failure expected by its case id is an expected failure with the reason; another case of the fault fails."""
    outcome = own.tests[f"test_by_id[{SMALL}]"]
    assert (outcome.status, outcome.message) == ("pytest.xfail", "epsilon as in the thesis")
    assert own.tests[f"test_by_id[{CENTERLESS}]"].status == "failed"


def test_expected_by_id_is_strict(own: Session) -> None:
    """A case that was expected to fail and conforms fails its test and says so; the other cases pass."""
    outcome = own.tests[f"test_by_id_but_right[{SMALL}]"]
    assert outcome.status == "failed"
    assert outcome.text == f"[XPASS(strict)] expected to fail (epsilon as in the thesis), but conforms: {SMALL}"
    assert own.tests[f"test_by_id_but_right[{CENTERLESS}]"].status == "passed"


def test_expected_by_another_spelling_of_an_id(own: Session) -> None:
    """An id means its case in whatever spelling: fields in another order, defaults written out."""
    assert own.tests[f"test_by_another_spelling[{SMALL}]"].status == "pytest.xfail"


def test_another_spelling_is_strict(own: Session) -> None:
    """An expected failure in another spelling is as strict as any other."""
    assert own.tests[f"test_by_another_spelling_but_right[{SMALL}]"].status == "failed"


def test_expected_but_not_tested(own: Session) -> None:
    """A case that was expected to fail and cannot be tested did not fail: its test fails."""
    outcome = own.tests[f"test_unsupported_by_id[{CENTERLESS}]"]
    assert outcome.status == "failed"
    assert outcome.text == f"[XPASS(strict)] expected to fail (no center), but unsupported: {CENTERLESS}"


def test_expected_by_clause(own: Session) -> None:
    """A failure in clauses that are all expected to fail is an expected failure; each clause has a test that sees it fail."""
    for id_ in (SMALL, CENTERLESS):
        outcome = own.tests[f"test_by_clause[{id_}]"]
        assert (outcome.status, outcome.message) == ("pytest.xfail", "epsilon as in the thesis")
    for clause in ("training-output", "inference-output"):
        outcome = own.tests[f"test_by_clause[expected:{clause}]"]
        assert outcome.status == "pytest.xfail"
        assert outcome.message.startswith("epsilon as in the thesis (seen in shape:")


def test_expected_by_half_the_clauses(own: Session) -> None:
    """A failure in a clause that is not expected to fail fails its test, and only that clause is counted."""
    outcome = own.tests[f"test_by_half_the_clauses[{SMALL}]"]
    assert outcome.status == "failed"
    assert "  1 case of 1; failing checks: output in inference (1)\n" in outcome.text
    assert "expected:inference-output" not in " ".join(name for name in own.tests if name.startswith("test_by_half"))


def test_expected_by_clause_is_strict(own: Session) -> None:
    """A clause that was expected to fail and conforms in every case of the suite fails one test; the cases pass."""
    outcome = own.tests["test_by_clause_but_right[expected:training-output]"]
    assert outcome.status == "failed"
    assert outcome.text == (
        "[XPASS(strict)] clause training-output was expected to fail (epsilon as in the thesis), but no case violates it"
    )
    assert own.tests[f"test_by_clause_but_right[{SMALL}]"].status == "passed"


def test_nothing_else_was_run(own: Session) -> None:
    """The run had the tests that are looked at here: two for each harness, and one for each clause expected to fail."""
    assert len(own.tests) == 13 * 2 + 2 + 1 + 1


# --- what cannot be decorated


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ({"moving_mean": "why"}, "'moving_mean' is neither a case id nor a clause; clauses: returns, "),
        ({"shape:2x2": "why"}, "case id 'shape:2x2': no steps"),
        ({"shape:2x2/steps:TIT": "why"}, "'shape:2x2/steps:TIT' is not a case of the smoke suite"),
        ({SMALL: "fine", "shape:2x2/fill:ofset/steps:TI": "why"}, "did you mean fill:offset"),
    ],
)
def test_expected_failures_that_cannot_be_meant(expected: dict[str, str], problem: str) -> None:
    """An expected failure that is no clause and no case of the suite is refused when the test is decorated."""
    with pytest.raises(BadInput, match=problem):
        parametrize_conformance(object, suite="smoke", expected_failures=expected)


def test_a_suite_that_cannot_be_meant() -> None:
    """An unknown suite is refused when the test is decorated."""
    with pytest.raises(BadInput, match="did you mean smoke"):
        parametrize_conformance(object, suite="smok")


def test_decorating_makes_no_layer() -> None:
    """Decorating makes no layer: that is left to the first test."""

    def factory(**arguments: Any) -> Any:
        raise AssertionError("called")

    def test(check: Any) -> None:
        check()

    parametrize_conformance(factory, suite="smoke", expected_failures={"weights": "other names"})(test)
    (mark,) = test.pytestmark  # type: ignore[attr-defined]
    assert mark.args[0] == "check"
    assert [parameter.id for parameter in mark.args[1]] == [*(case.id for case in suite("smoke")), "expected:weights"]


# --- the harness itself, on the reference


class Patchy:
    """The reference under Keras' name, with a fault in the cases whose id holds a word."""

    environment = KERAS

    def __init__(self, word: str, key: str = "epsilon-outside") -> None:
        self._word = word
        self._right = ReferenceTarget()
        self._wrong = ReferenceTarget(next(h.formulas for h in HYPOTHESES if h.key == key))

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        return (self._wrong if self._word in case.id else self._right).observe(case, inputs)


def harness(target: Patchy, **options: Any) -> Harness:
    made = Harness(None, **options)
    made.__dict__["target"] = target
    return made


def test_a_known_deviation_of_keras_is_no_evidence_for_a_clause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clause expected to fail is not confirmed by a case that fails as a known deviation of Keras anyway."""
    recorded = Deviation(("training-output", "inference-output"), "why", "link", SMALL, case="shape:2x2")
    monkeypatch.setattr(known, "shipped", lambda: (recorded,))
    patchy = harness(Patchy("2x2/"), clauses={"training-output": "as in the paper"})
    with pytest.raises(pytest.fail.Exception) as failed:
        patchy.check_clause_still_fails("training-output", (parse(SMALL), parse("shape:3x2/steps:TI")))
    assert failed.type is pytest.fail.Exception  # pytest's xfail is a kind of fail
    assert str(failed.value).startswith("[XPASS(strict)] clause training-output was expected to fail (as in the paper)")


def test_a_clause_is_seen_in_the_smallest_case() -> None:
    """The test of a clause ends at the smallest case that violates it, and names it."""
    chosen = (parse("shape:9x2/steps:TI"), parse("shape:2x3/steps:TI"), parse("shape:3x2/steps:TI"))
    with pytest.raises(pytest.xfail.Exception, match=r"^as in the paper \(seen in shape:3x2/steps:TI\)$"):
        harness(Patchy("x2/"), clauses={"training-output": "as in the paper"}).check_clause_still_fails(
            "training-output", chosen
        )


def test_a_deviation_that_is_gone_fails() -> None:
    """A shipped deviation whose evidence conforms fails its test, with the line of the record."""
    gone = Deviation(("training-output",), "why", "link", SMALL, where="known.toml:4")
    with pytest.raises(pytest.fail.Exception) as failed:
        harness(Patchy("3x2")).check_deviation_still_occurs(gone)
    assert failed.type is pytest.fail.Exception  # pytest's xfail is a kind of fail
    assert str(failed.value) == f"[XPASS(strict)] known deviation at known.toml:4 no longer occurs in {SMALL}"
    with pytest.raises(pytest.xfail.Exception, match=r"^why$"):
        harness(Patchy("2x2/")).check_deviation_still_occurs(gone)
    with pytest.raises(pytest.skip.Exception, match="does not apply here"):
        harness(Patchy("2x2/")).check_deviation_still_occurs(dataclasses.replace(gone, backend="jax"))


def test_the_seed_reaches_the_inputs() -> None:
    """The harness' seed makes the inputs: another seed, other numbers in the failure."""
    texts = []
    for seed in (0, 1):
        made = harness(Patchy("2x2/"), seed=seed)
        with pytest.raises(pytest.fail.Exception) as failed:
            made.check(parse(SMALL))
        texts.append(str(failed.value))
    assert "--seed 1" in texts[1]
    assert "--seed" not in texts[0]
    assert texts[0].splitlines()[6] != texts[1].splitlines()[6]
