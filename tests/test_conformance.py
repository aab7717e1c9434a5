"""pytest --pyargs bnverify.conformance: one test per case against the installed Keras, ids as everywhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import without
from support.sessions import Outcome, Session, run_pytest

from bnverify.cases.suites import suite
from bnverify.values import Environment
from bnverify.verdicts import known

SMALL = "shape:2x2/steps:TI"
INTEGER = "shape:29x5/policy:float64/dtype:int32/steps:TI"  # a known deviation of Keras
SEVERAL = "shape:3x4x5/axis:1+2/steps:TI"  # which Keras 3 does not take
KERAS = Environment(
    "keras.layers.BatchNormalization", "keras", "3.15.1", "tensorflow", "2.21.0", "CPU", True, "2.4.6", "3.11.7", ""
)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The shipped harness on a few cases and every known deviation, in two processes."""
    chosen = " or ".join((SMALL, "shape:4x3/weights:initial/steps:FTUT", INTEGER, SEVERAL, "known_deviation"))
    return run_pytest(tmp_path_factory.mktemp("shipped"), "--pyargs", "bnverify.conformance", "-n", "2", "-k", chosen)


@pytest.mark.slow
def test_whole_case_ids_select(shipped: Session) -> None:
    """A whole case id is a -k expression; the ids of the tests are the ids of the cases."""
    names = [name for name in shipped.tests if name.startswith("test_case[")]
    assert sorted(names) == sorted(
        f"test_case[{id_}]" for id_ in (SMALL, "shape:4x3/weights:initial/steps:FTUT", INTEGER, SEVERAL)
    )


@pytest.mark.slow
def test_keras_passes(shipped: Session) -> None:
    """Cases in which Keras conforms pass, and the run as a whole does."""
    assert shipped.code == 0
    assert shipped.tests[f"test_case[{SMALL}]"] == Outcome("passed")
    assert shipped.tests["test_case[shape:4x3/weights:initial/steps:FTUT]"] == Outcome("passed")


def test_known_deviations_are_expected_failures(shipped: Session) -> None:
    """A case in which Keras deviates as recorded is an expected failure, with the recorded reason."""
    outcome = shipped.tests[f"test_case[{INTEGER}]"]
    assert outcome.status == "pytest.xfail"
    assert outcome.message.startswith("integer inputs under a float64 policy are computed in float32")


def test_unsupported_cases_are_skipped(shipped: Session) -> None:
    """A case that Keras cannot express is skipped with the reason, not passed."""
    outcome = shipped.tests[f"test_case[{SEVERAL}]"]
    assert outcome.status == "pytest.skip"
    assert outcome.message == "unsupported: Keras 3 allows one integer as axis, not a list as tf.keras 2 does"


def test_known_deviations_are_tested_themselves(shipped: Session) -> None:
    """Each known deviation that ships is a test: it still occurs, or is skipped as of another environment."""
    found = {name: outcome.status for name, outcome in shipped.tests.items() if name.startswith("test_known_deviation[")}
    assert found == {
        f"test_known_deviation[{d.where}]": "pytest.xfail" if d.applies(KERAS) else "pytest.skip" for d in known.shipped()
    }
    assert "pytest.xfail" in found.values()


def conformance(pytester: pytest.Pytester, *arguments: str) -> tuple[int, str]:
    """Collects the shipped harness in this process, which imports no Keras: exit code and what was printed."""
    ran = pytester.runpytest_inprocess("--pyargs", "bnverify.conformance", "--collect-only", "-q", *arguments)
    return int(ran.ret), "\n".join((*ran.outlines, *ran.errlines))


@pytest.mark.parametrize("name", ["smoke", "default", "regressions"])
def test_the_suite_option(pytester: pytest.Pytester, name: str) -> None:
    """--bnverify-suite chooses the cases: a test for each, in order."""
    code, printed = conformance(pytester, "--bnverify-suite", name)
    assert code == 0
    found = [line.split("::")[-1] for line in printed.splitlines() if "::test_case[" in line]
    assert found == [f"test_case[{case.id}]" for case in suite(name)]


def test_the_default_suite(pytester: pytest.Pytester) -> None:
    """Without the option it is the default suite."""
    assert conformance(pytester)[1].count("::test_case[") == len(suite("default"))


def test_unknown_suite(pytester: pytest.Pytester) -> None:
    """An unknown --bnverify-suite is a usage error that names the near one, without a traceback of bnverify."""
    code, printed = conformance(pytester, "--bnverify-suite", "smok")
    assert code != 0
    assert (
        "--bnverify-suite: suite 'smok' is unknown; allowed: smoke, default, full, regressions; did you mean smoke?" in printed
    )
    assert "Traceback" not in printed


@pytest.mark.parametrize("seed", ["-1", "many", "1_0"])
def test_bad_seed(pytester: pytest.Pytester, seed: str) -> None:
    """A seed that the command line refuses is refused here, too."""
    code, printed = conformance(pytester, "--bnverify-seed", seed)
    assert code != 0
    assert "--bnverify-seed" in printed
    assert "TypeError" not in printed


def test_missing_keras(tmp_path: Path) -> None:
    """Without Keras the harness says so in one line for a test, and shows no source of bnverify."""
    env = without(tmp_path / "blocked", "keras")
    ran = run_pytest(tmp_path, "--pyargs", "bnverify.conformance", "-k", SMALL, env=env)
    assert ran.code != 0
    assert ran.printed.count("keras is not installed; found tensorflow") == 1
    assert "def open_target" not in ran.printed
