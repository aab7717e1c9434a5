"""The parameterized harness: one pytest test per case. `bnverify.conformance` and `parametrize_conformance` use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, NoReturn, TypeVar

import pytest

from bnverify.api import arguments
from bnverify.cases import suites
from bnverify.cases.case import Case
from bnverify.cases.ids import parse
from bnverify.contract import BY_KEY
from bnverify.errors import BadInput
from bnverify.targets.loading import open_target
from bnverify.targets.target import Target
from bnverify.values import Results, Status, Verdict
from bnverify.verdicts import known
from bnverify.verdicts.diagnose import name_causes
from bnverify.verdicts.excuse import excuse
from bnverify.verdicts.known import Deviation
from bnverify.verdicts.pipeline import verify
from bnverify.verdicts.stale import SEEDS
from bnverify.views.terminal import results_as_text

Test = TypeVar("Test", bound=Callable[..., Any])


class Harness:
    """A layer that the first test opens, and its expected failures, by case or by clause."""

    def __init__(
        self,
        layer: Callable[..., Any] | None,
        *,
        seed: int = 0,
        cases: Mapping[Case, str] | None = None,
        clauses: Mapping[str, str] | None = None,
    ) -> None:
        self.layer = layer
        self.seed = seed
        self.expected_cases = dict(cases or {})
        self.expected_clauses = dict(clauses or {})

    @cached_property
    def target(self) -> Target:
        """The target. Keras is imported by the first test that needs it."""
        try:
            return open_target(self.layer)
        except BadInput as error:
            fail(str(error))

    @cached_property
    def shipped(self) -> tuple[Deviation, ...]:
        """The known deviations of Keras that apply here."""
        return tuple(d for d in known.shipped() if d.applies(self.target.environment))

    @cached_property
    def deviations(self) -> tuple[Deviation, ...]:
        """The known deviations and expected failures of a case here."""
        by_case = (
            Deviation(clauses=tuple(BY_KEY), case=case.all_fields, why=why, link="", evidence=case.id)
            for case, why in self.expected_cases.items()
        )
        by_clause = (Deviation(clauses=(key,), why=why, link="", evidence="") for key, why in self.expected_clauses.items())
        return (*by_case, *by_clause, *self.shipped)

    def verdict(self, case: Case) -> Verdict:
        """The verdict on a case with its cause. Expected failures count as known deviations."""
        judged = excuse(verify(case, self.target, self.seed), self.deviations)
        if not judged.verdict.status.fails:
            return judged.verdict
        return name_causes([judged], self.target.observe)[0]

    def check(self, case: Case) -> None:
        """Passes, fails with the report's text, or ends the test as skipped or xfailed, with the reason."""
        verdict = self.verdict(case)
        if verdict.status.fails:
            fail(results_as_text(Results(self.target.environment, "", self.seed, (verdict,)), failures_only=True))
        if case in self.expected_cases and verdict.status is not Status.KNOWN:
            why = self.expected_cases[case]
            fail(f"[XPASS(strict)] expected to fail ({why}), but {verdict.status.value}: {case.id}")
        reasons = "; ".join(dict.fromkeys(filter(None, (verdict.reason, *(c.reason for c in verdict.checks)))))
        if verdict.status is Status.KNOWN:
            pytest.xfail(reasons)
        if not verdict.status.tested:
            pytest.skip(f"{verdict.status.value}: {reasons}")

    def check_clause_still_fails(self, clause: str, cases: tuple[Case, ...]) -> None:
        """Ends as xfailed at the first case in which the clause fails; the smallest cases come first."""
        why = self.expected_clauses[clause]
        for case in suites.smaller_first(cases):
            verdict = excuse(verify(case, self.target, self.seed), self.shipped).verdict
            if any(check.clause == clause for check in verdict.failures):
                pytest.xfail(f"{why} (seen in {case.id})")
        fail(f"[XPASS(strict)] clause {clause} was expected to fail ({why}), but no case violates it")

    def check_deviation_still_occurs(self, deviation: Deviation) -> None:
        """Ends as xfailed if the evidence of a known deviation still shows it; skips if the deviation does not apply here."""
        if not deviation.applies(self.target.environment):
            pytest.skip(f"does not apply here, only to {deviation.backend} keras{deviation.keras}")
        evidence = parse(deviation.evidence)
        for seed in dict.fromkeys((self.seed, *SEEDS)):
            verdict = verify(evidence, self.target, seed).verdict
            if any(deviation.selects(evidence, check) for check in verdict.failures):
                pytest.xfail(deviation.why)
        fail(f"[XPASS(strict)] known deviation at {deviation.where} no longer occurs in {evidence.id}")


def fail(text: str) -> NoReturn:
    """Fails the test with this text and no traceback, because the report says everything."""
    pytest.fail(text, pytrace=False)


def parametrize_conformance(
    layer_class_or_factory: Callable[..., Any],
    *,
    suite: str = "default",
    seed: int = 0,
    expected_failures: Mapping[str, str] | None = None,
) -> Callable[[Test], Test]:
    """Parametrizes a test over the cases of a suite. The test has the argument `check` and calls it.

    expected_failures: {case id or clause key: reason}, strict: an id that passes fails the test. Each clause adds one test,
    `expected:<clause>`, which fails if no case of the suite violates the clause.

    Raises BadInput for an unknown suite, clause or id, and for an id that is not a case of the suite.

    >>> @parametrize_conformance(MyBatchNorm, expected_failures={"arguments": "get_config() comes later"})
    ... def test_my_batch_norm(check):
    ...     check()
    """
    cases = suites.suite(arguments.a_text("suite", suite))
    expected = arguments.mapping("expected_failures", {} if expected_failures is None else expected_failures)
    by_case, by_clause = _split(expected, cases, suite)
    harness = Harness(layer_class_or_factory, seed=arguments.seed(seed), cases=by_case, clauses=by_clause)
    tests = [pytest.param(partial(harness.check, case), id=case.id) for case in cases]
    tests += [pytest.param(partial(harness.check_clause_still_fails, key, cases), id=f"expected:{key}") for key in by_clause]
    return pytest.mark.parametrize("check", tests)


def _split(expected: Mapping[str, str], cases: tuple[Case, ...], suite: str) -> tuple[dict[Case, str], dict[str, str]]:
    """The expected failures by case and by clause."""
    by_case, by_clause = {}, {}
    for key, why in expected.items():
        if key in BY_KEY:
            by_clause[key] = why
        elif ":" not in key:
            raise BadInput(f"expected_failures: {key!r} is neither a case id nor a clause; clauses: {', '.join(BY_KEY)}")
        elif parse(key) not in cases:
            raise BadInput(f"expected_failures: {key!r} is not a case of the {suite} suite")
        else:
            by_case[parse(key)] = why
    return by_case, by_clause
