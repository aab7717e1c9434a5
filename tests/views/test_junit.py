"""The JUnit report says what the results hold, each case once."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET

from support.shown import EPSILON_OUTSIDE, EVERYTHING, HEADING, SCRIPT, results, right

from bnverify.views import junit


def test_junit_has_a_testcase_for_each_case() -> None:
    """A JUnit report has one testcase per case, in order, and one more for each stale known deviation, and counts them."""
    root = ET.fromstring(junit.as_junit(EVERYTHING))
    assert root.tag == "testsuites"
    testcases = list(root.iter("testcase"))
    assert [case.get("name") for case in testcases] == [verdict.case.id for verdict in EVERYTHING.verdicts] + [
        "known deviations are current"
    ]
    children = [[child.tag for child in case] for case in testcases]
    assert children == [[], ["failure"], ["failure"], ["error"], ["skipped"], ["skipped"], ["skipped"], ["failure"]]
    for element in (root, *root.iter("testsuite")):
        counts = {name: element.get(name) for name in ("tests", "failures", "errors", "skipped")}
        assert counts == {"tests": "8", "failures": "3", "errors": "1", "skipped": "3"}


def test_junit_tells_failures_as_the_terminal_does() -> None:
    """The text of a failure in JUnit is its paragraph; the message is its status and cause."""
    root = ET.fromstring(junit.as_junit(EVERYTHING))
    failure = next(root.iter("failure"))
    assert failure.get("message") == f"wrong: {EPSILON_OUTSIDE}"
    assert failure.text == (
        "epsilon is added to the deviation, outside the root\n"
        "1 case of 7; failing checks: output in training (1)\n"
        "smallest case  shape:3x2/steps:T\n"
        "clause         training=True: y = gamma*(x-mean)/sqrt(var+epsilon)+beta with the batch's mean and biased variance, "
        "computed over all axes except `axis`\n"
        "               step 0 (call with training=True): y[3, 1], channel 1: expected 1.5, got 1.25\n"
        "               error 0.25, bound 1.0e-04, margin 2 500, grade none, 12.50% of the elements\n"
        "cause          epsilon is added to the deviation, outside the root\n"
        "reproduce      bnverify run --case shape:3x2/steps:T --layer mypackage.layers:MyBatchNorm"
    )
    error = next(root.iter("error"))
    assert error.get("message") == f"crashed: step 0: ValueError: {SCRIPT}"
    assert f"step 0: expected no exception, got ValueError: {SCRIPT}" in str(error.text)


def test_junit_gives_reasons_for_what_was_skipped() -> None:
    """A testcase that is skipped says whether it is known, unsupported or inconclusive, and why."""
    skipped = [element.get("message") for element in ET.fromstring(junit.as_junit(EVERYTHING)).iter("skipped")]
    assert skipped == [
        "known deviation: as in the paper",
        "unsupported: the layer's constructor has no argument `center`",
        "inconclusive: every bound is infinite: the data overflow",
    ]


def test_junit_says_where_and_with_which_seed() -> None:
    """The suite's properties hold environment and seed; a stale deviation is told in its failure."""
    root = ET.fromstring(junit.as_junit(dataclasses.replace(EVERYTHING, seed=7)))
    assert {p.get("name"): p.get("value") for p in root.iter("property")} == {"environment": HEADING, "seed": "7"}
    assert list(root.iter("failure"))[-1].get("message") == EVERYTHING.stale[0]


def test_junit_of_an_incomplete_run_says_so() -> None:
    """A JUnit report of an interrupted run says that it is INCOMPLETE: what was not run must not look passed."""
    assert "INCOMPLETE" in junit.as_junit(results(right("shape:2x2/steps:T"), complete=False)).upper()
