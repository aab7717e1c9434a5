"""The conformance harness for the installed Keras: `pytest --pyargs bnverify.conformance` runs one test for each case."""

from __future__ import annotations

import pytest

from bnverify.cases.case import Case
from bnverify.cases.suites import suite
from bnverify.contract.eras import era_of
from bnverify.errors import BadInput
from bnverify.testing.harness import Harness
from bnverify.verdicts import known
from bnverify.verdicts.known import Deviation


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrizes over the cases of the chosen suite, and over the known deviations that bnverify ships."""
    if "case" in metafunc.fixturenames:
        try:
            cases = suite(metafunc.config.getoption("--bnverify-suite"))
        except BadInput as error:
            raise pytest.UsageError(f"--bnverify-suite: {error}") from None
        metafunc.parametrize("case", cases, ids=[case.id for case in cases])
    if "deviation" in metafunc.fixturenames:
        shipped = known.shipped()
        metafunc.parametrize("deviation", shipped, ids=[d.where for d in shipped])


@pytest.fixture(scope="session")
def harness(request: pytest.FixtureRequest) -> Harness:
    """Keras' own layer, imported once per process. If the import fails, no test can run."""
    opened = Harness(None, seed=request.config.getoption("--bnverify-seed"))
    try:
        era_of(opened.target.environment)
    except (BadInput, pytest.fail.Exception) as error:
        pytest.exit(str(error), returncode=2)
    return opened


def test_case(case: Case, harness: Harness) -> None:
    """The layer conforms in this case, or shows a known deviation."""
    harness.check(case)


def test_known_deviation(deviation: Deviation, harness: Harness) -> None:
    """The deviation still occurs. If not, it must be removed from the list."""
    harness.check_deviation_still_occurs(deviation)
