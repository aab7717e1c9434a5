"""The compatibility chart: what each cell says, and the page in a real browser."""

from __future__ import annotations

import dataclasses
import io
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
from rich.console import Console

from bnverify.cases.suites import suite
from bnverify.contract import CLAUSES
from bnverify.matrix.chart import ChartRow
from bnverify.matrix.records import Record, record_of
from bnverify.matrix.rows import Row
from bnverify.matrix.runs import RowOutcome
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.running.run import run
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Interface, Status
from bnverify.views.chart_page import as_page
from bnverify.views.chart_text import as_markdown, chart_conclusion, chart_tables, legend_lines, outcome_line, row_lines
from bnverify.views.text import number

EVIL = "<script>document.title='owned'</script>|`*_[x](y)\n<img src=x onerror=alert(1)>"


def record(name: str, hypothesis: str = "") -> Record:
    """The record of a perfect layer, or of one with this fault."""
    target = ReferenceTarget(HYPOTHESIS_BY_KEY[hypothesis].formulas) if hypothesis else ReferenceTarget()
    return record_of(name, run(suite("smoke"), target), Interface())


@pytest.fixture(scope="module")
def rows() -> tuple[ChartRow, ...]:
    return (
        ChartRow("good", record("good"), ""),
        ChartRow("swapped", record("swapped", "momentum-swapped"), ""),
        ChartRow("absent", None, "no working python3.6 was found on the PATH", skipped=True),
    )


def test_a_row_has_a_cell_for_every_clause(rows: tuple[ChartRow, ...]) -> None:
    """Cells stand in the contract's order; a fault shows in its own clauses and nowhere else.

    One case that can tell nothing, an empty batch, does not hide that all others conform; it is a group of its own.
    """
    good, swapped, absent = rows
    assert [cell.clause for cell in good.cells] == list(CLAUSES)
    assert {cell.status for cell in good.cells if cell.checks} == {Status.CONFORMS}
    without = {cell.clause.key.split("-")[0] for cell in good.cells if not cell.checks}
    assert without <= {"replicas", "file", "fresh", "thread", "refuses"}  # of which the reference has none, or smoke
    assert {example for cell in good.cells for group in cell.groups for example in group.cases} == {"shape:0x4/steps:TI"}
    wrong = {cell.clause.key for cell in swapped.cells if cell.status == Status.WRONG}
    assert {"moving-mean", "moving-variance"} <= wrong
    assert not wrong & {"training-output", "weights", "shift-invariance"}
    assert absent.cells == ()


def test_the_evidence_of_a_cell(rows: tuple[ChartRow, ...]) -> None:
    """A cell leads to its cause, the smallest case and the line that shows it."""
    cell = next(cell for cell in rows[1].cells if cell.clause.key == "moving-mean")
    (group,) = cell.groups
    assert group.cause == HYPOTHESIS_BY_KEY["momentum-swapped"].cause
    assert group.example in group.cases
    assert group.check.quantity == "moving_mean"
    lines = row_lines(rows[1])
    assert lines[0].startswith(f"swapped: wrong: {HYPOTHESIS_BY_KEY['momentum-swapped'].cause}: ")
    assert f"  see: bnverify matrix swapped --case {group.example}" in lines


def test_rows_that_were_not_run(rows: tuple[ChartRow, ...]) -> None:
    """A row without a record says why, in the chart's lines and when it ends."""
    assert row_lines(rows[2]) == ["absent: no working python3.6 was found on the PATH"]
    row = Row("absent", "keras", "2.1.2", "tensorflow", "3.6", ())
    assert outcome_line(RowOutcome(row, problem="no python3.6", skipped=True)) == "absent: skipped: no python3.6"
    assert outcome_line(RowOutcome(row, problem="boom")) == "absent: not run: boom"


def test_the_conclusion_counts(rows: tuple[ChartRow, ...]) -> None:
    """The last line says how many environments conform, of how many, and how many were not run."""
    checks = sum(cell.checks for row in rows for cell in row.cells)
    assert checks > 3000
    assert chart_conclusion(rows) == f"1 of 2 environments conforms, 1 not run; {number(checks)} checks"


def test_the_legend_names_every_clause_that_was_checked(rows: tuple[ChartRow, ...]) -> None:
    """Numbers above the columns are explained; a clause without a check anywhere has no column."""
    text = "\n".join(legend_lines(rows))
    checked = {cell.clause.key for row in rows for cell in row.cells if cell.checks}
    for position, clause in enumerate(CLAUSES, 1):
        assert (f"{position} {clause.title}" in text) == (clause.key in checked)


@pytest.mark.parametrize("width", [60, 100, 200])
def test_tables_fit_the_terminal(rows: tuple[ChartRow, ...], width: int) -> None:
    """Clauses that do not fit stand in a further table below; none is lost."""
    out = Console(width=width, file=io.StringIO(), force_terminal=False)
    for table in chart_tables(rows, width):
        out.print(table)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    headers = [line.split() for line in text.splitlines() if line.startswith("environment")]
    numbers = [int(word) for line in headers for word in line if word.isdigit()]
    assert numbers == [n for n in range(1, len(CLAUSES) + 1) if any(row.cells and row.cells[n - 1].checks for row in rows)]
    assert len(headers) > 1 or width > 100


def evil(rows: tuple[ChartRow, ...]) -> tuple[ChartRow, ...]:
    """Rows whose causes, reasons and problems are hostile text."""
    found = rows[1].record
    assert found is not None
    cases = {id_: dataclasses.replace(case, cause=EVIL, reason=EVIL) for id_, case in found.cases.items()}
    hostile = dataclasses.replace(found, cases=cases, stale=(EVIL,))
    return (ChartRow("swapped", hostile, ""), ChartRow("absent", None, EVIL))


def test_markdown_shows_hostile_text_as_text(rows: tuple[ChartRow, ...]) -> None:
    """Nothing in a cause or a problem becomes Markdown or HTML; every row of the table has all columns."""
    text = as_markdown(evil(rows), [EVIL])
    assert "<script" not in text
    assert "<img" not in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {len(CLAUSES) + 3}


def test_the_page_stands_alone(rows: tuple[ChartRow, ...]) -> None:
    """The page loads nothing, runs nothing, and every link in it leads to a place in it."""
    page = as_page(rows)
    assert not re.findall(r"<(?:script|link|img|iframe)\b", page)
    assert "default-src 'none'" in page
    links = {unescape(target) for target in re.findall(r'href="#([^"]+)"', page)}
    places = {unescape(target) for target in re.findall(r'id="([^"]+)"', page)}
    assert links
    assert links <= places
    assert not re.findall(r'(?:href|src)="(?!#)', page)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1300,900",
]


def browse(page: str, folder: Path, *options: str) -> str:
    """What a real browser makes of the page: its document after loading, as HTML."""
    if CHROMIUM is None:
        pytest.skip("no chromium was found on the PATH")
    file = folder / "chart.html"
    file.write_text(page, encoding="utf-8")
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}", *options, file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def test_a_real_browser_shows_the_chart(rows: tuple[ChartRow, ...], tmp_path: Path) -> None:
    """Chromium, offline, shows one row for each environment and a linked cell for each clause."""
    shown = browse(as_page(rows), tmp_path, "--dump-dom")
    body = shown.split("<tbody>")[1].split("</tbody>")[0]
    assert body.count("<tr>") == len(rows)
    assert body.count("✓") >= len(CLAUSES)
    assert body.count("✗") >= 2
    assert "not run" in body


def test_a_real_browser_runs_nothing_hostile(rows: tuple[ChartRow, ...], tmp_path: Path) -> None:
    """Hostile text in causes, reasons and problems is shown as text."""
    shown = browse(as_page(evil(rows)), tmp_path, "--dump-dom")
    assert "<title>BatchNormalization: compatibility</title>" in shown
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_real_browser_paints_the_chart(rows: tuple[ChartRow, ...], tmp_path: Path, scheme: str) -> None:
    """A screenshot is no empty page, in the light and in the dark scheme."""
    picture = tmp_path / "chart.png"
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    browse(as_page(rows), tmp_path, f"--screenshot={picture}", *dark)
    assert picture.stat().st_size > 30_000
