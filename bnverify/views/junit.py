"""The JUnit view: one JUnit test case per case, for the reports of CI services."""

from __future__ import annotations

import re
from collections.abc import Sequence

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from bnverify.matrix.chart import Cell, ChartRow
from bnverify.values import Results, Status, Verdict
from bnverify.verdicts.tally import Group
from bnverify.views.chart_text import mismatch_words, reproduce_in_row
from bnverify.views.text import environment_line, group_lines


def as_junit(results: Results) -> str:
    """The document as text."""
    suite = TestSuite(_legal(f"bnverify {results.suite}".strip()))
    suite.add_property("environment", _legal(environment_line(results.environment)))
    suite.add_property("seed", str(results.seed))
    if not results.complete:
        suite.add_property("complete", "INCOMPLETE: the run ended before its last case")
    for verdict in results.verdicts:
        suite.add_testcase(_case(verdict, results))
    for line in results.stale:
        stale = TestCase("known deviations are current", "bnverify.known")
        stale.result = [Failure(_legal(line))]
        suite.add_testcase(stale)
    document = JUnitXml("bnverify")
    document.add_testsuite(suite)
    document.update_statistics()
    text: bytes = document.tostring()
    return text.decode("utf-8")


def matrix_as_junit(rows: Sequence[ChartRow]) -> str:
    """A matrix as text: one suite per environment, one test case per clause."""
    document = JUnitXml("bnverify matrix")
    for row in rows:
        suite = TestSuite(_legal(row.name))
        if row.record is None:
            case = TestCase("environment", _legal(row.name))
            case.result = [(Skipped if row.skipped else Error)(_legal(row.problem))]
            suite.add_testcase(case)
        else:
            suite.add_property("environment", _legal(environment_line(row.record.environment)))
            for cell in row.cells:
                suite.add_testcase(_clause_case(row, cell))
            for line in row.record.stale:
                stale = TestCase("known deviations are current", _legal(row.name))
                stale.result = [Failure(_legal(line))]
                suite.add_testcase(stale)
        document.add_testsuite(suite)
    document.update_statistics()
    text: bytes = document.tostring()
    return text.decode("utf-8")


def _clause_case(row: ChartRow, cell: Cell) -> TestCase:
    case = TestCase(cell.clause.key, _legal(row.name))
    lines = [
        f"{group.status} in {len(group.cases)} cases: {group.cause}\n{reproduce_in_row(row, group)}\n{mismatch_words(group)}"
        for group in cell.groups
    ]
    if cell.status and cell.status.fails:
        kind = Error if cell.status is Status.CRASHED else Failure
        case.result = [kind(_legal(f"{cell.clause.title}: {cell.status}"), str(cell.status))]
        case.result[0].text = _legal("\n\n".join(lines))
    elif cell.status is not Status.CONFORMS:
        case.result = [Skipped(_legal("; ".join(lines) or "no check"), str(cell.status or "no check"))]
    return case


def _legal(text: str) -> str:
    """The text with an escape for every character that XML 1.0 does not allow (section 2.2)."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", lambda m: repr(m.group())[1:-1], text)


def _case(verdict: Verdict, results: Results) -> TestCase:
    case = TestCase(verdict.case.id, "bnverify.case")
    if verdict.status.fails:
        title = verdict.cause or verdict.failures[0].reason or verdict.failures[0].clause
        kind = Error if verdict.status is Status.CRASHED else Failure
        entry = kind(_legal(f"{verdict.status.value}: {title}"), verdict.status.value)
        entry.text = _legal("\n".join(group_lines(Group(verdict.status, verdict.cause, title, (verdict,)), results)))
        case.result = [entry]
    elif verdict.status is not Status.CONFORMS:
        reasons = filter(None, (verdict.reason, *dict.fromkeys(check.reason for check in verdict.checks)))
        case.result = [Skipped(_legal(f"{verdict.status.value}: {'; '.join(reasons)}"), verdict.status.value)]
    return case
