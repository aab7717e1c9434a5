"""`bnverify matrix`: test many Keras, each in its own environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from bnverify.cli.options import (
    BAD_INPUT,
    CONFORMS,
    DEVIATES,
    INTERRUPTED,
    NOTHING_TESTED,
    Example,
    echo_all,
    jobs_option,
    patience,
    read_or_not,
    reporting,
    row_selection,
    seed_option,
    selection,
)
from bnverify.errors import BadInput

if TYPE_CHECKING:
    from bnverify.matrix.records import Record
    from bnverify.matrix.rows import Row
    from bnverify.matrix.runs import RowOutcome
    from bnverify.storage.writing import Reports


@click.command(
    cls=Example,
    short_help="Test many Keras, each in its own environment.",
    example="""
        bnverify matrix
        bnverify matrix --only 'keras>=3.8' --backend torch
        bnverify matrix keras-3.15.1-jax --suite smoke
        bnverify matrix --file rows.toml --html chart.html --baseline ci/baselines
    """,
)
@row_selection
@selection
@seed_option
@click.option("--list", "list_only", is_flag=True, help="List the rows; nothing is run.")
@click.option("--force", is_flag=True, help="Make environments and run rows again, even if nothing changed.")
@jobs_option(os.cpu_count() or 1)
@patience
@click.option("--records", type=click.Path(path_type=Path), help="Write a record for each row into this folder.")
@click.option("--baseline", type=click.Path(path_type=Path), help="Folder of records: fail on regressions from it only.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the chart as Markdown to this file.")
@click.option("--html", type=click.Path(path_type=Path), help="Write the chart as one HTML page to this file.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write a JUnit report to this file.")
@click.option("-v", "--verbose", is_flag=True, help="Also show numbers of known deviations and what was not tested.")
def matrix(**given: Any) -> None:
    """Test many Keras side by side, each in its own environment.

    Exit code 2 if a row cannot be installed. A row is skipped if this machine does not have its interpreter.
    """
    from bnverify.matrix.rows import find_matrix, load_matrix, select_rows

    options = MatrixOptions(**given)
    rows = load_matrix(options.path or find_matrix()).rows
    chosen = select_rows(rows, options.rows, options.only, options.backends)
    if options.list_only:
        parts = [(row.name, f"Python {row.python}", " ".join(row.packages), " ".join(row.env)) for row in chosen]
        echo_all("  ".join(filter(None, part)) for part in parts)
    else:
        sys.exit(_verify_rows(options, chosen))


class MatrixOptions(NamedTuple):
    """The options of `bnverify matrix`, by the names of its parameters."""

    rows: tuple[str, ...]
    path: Path | None
    only: str
    backends: tuple[str, ...]
    suite: str
    ids: tuple[str, ...]
    select: str
    seed: int
    list_only: bool
    force: bool
    jobs: int
    patience: float
    records: Path | None
    baseline: Path | None
    markdown: Path | None
    html: Path | None
    junit: Path | None
    verbose: bool

    @property
    def reports(self) -> dict[str, Path]:
        """The reports to write, by option."""
        files = {"--markdown": self.markdown, "--html": self.html, "--junit": self.junit}
        return {option: path for option, path in files.items() if path}

    def check(self) -> None:
        """Raises BadInput for a folder into which nothing can be written later."""
        if self.records and not (self.records.is_dir() and os.access(self.records, os.W_OK)):
            raise BadInput(f"--records {self.records}: no such folder, or no permission to write into it")


def _verify_rows(options: MatrixOptions, rows: Sequence[Row]) -> int:
    """Runs the rows, shows the results and writes the reports. Returns the exit code."""
    from bnverify.cases.suites import choose
    from bnverify.matrix.runs import Job

    options.check()
    with reporting(options.reports) as reports:
        cases, label = choose(options.suite, options.ids, options.select)
        before = {row.name: _baseline_of(row.name, options.baseline) for row in rows} if options.baseline else {}
        whole = not options.ids and not options.select
        job = Job(cases, label, options.seed, whole=whole, patience=options.patience, force=options.force)
        outcomes, interrupted = _run(rows, job, options, reports)
        notes, worse = _against(outcomes, before)
        with read_or_not():
            _show(outcomes, notes, options.verbose or bool(options.ids))
        _write_reports(outcomes, notes, options.reports, reports)
        if interrupted:
            ended = {outcome.row.name for outcome in outcomes}
            rest = [row.name for row in rows if row.name not in ended]
            with read_or_not():
                click.echo(f"interrupted; not finished: {', '.join(rest)}" if rest else "interrupted after the last row")
            return INTERRUPTED
    return _exit_code(outcomes, worse if options.baseline else None)


def _run(rows: Sequence[Row], job: Any, options: MatrixOptions, reports: Reports) -> tuple[list[RowOutcome], bool]:
    """The outcomes in the order of the rows, and whether Ctrl-C ended the run. A line is printed as each row ends."""
    from bnverify.matrix.runs import run_rows
    from bnverify.views.chart_text import outcome_line
    from bnverify.views.terminal import row_status

    found: dict[str, RowOutcome] = {}
    interrupted = False
    with row_status(len(rows)) as status:
        try:
            with closing(run_rows(rows, job, options.jobs, lambda row, text: status.tell(row.name, text))) as outcomes:
                for outcome in outcomes:
                    found[outcome.row.name] = outcome
                    status.ended(outcome.row.name, outcome_line(outcome))
                    _write_record(outcome, options.records, reports)
        except KeyboardInterrupt:
            interrupted = True
    for outcome in found.values():  # Ctrl-C may have come before the record of the last one was written
        _write_record(outcome, options.records, reports)
    return [found[row.name] for row in rows if row.name in found], interrupted


def _write_record(outcome: RowOutcome, folder: Path | None, reports: Reports) -> None:
    """Writes the record of a row into the folder, once."""
    from bnverify.matrix.records import record_as_text

    if folder is None or outcome.record is None:
        return
    path = folder / f"{outcome.row.name}.json"
    if not reports.is_written("--records", path):
        reports.write("--records", record_as_text(outcome.record), path)


def _baseline_of(name: str, folder: Path) -> Record | None:
    """The record of a row in a folder of records; None if there is none."""
    from bnverify.matrix.record_files import load_record

    if not folder.is_dir():
        raise BadInput(f"--baseline {folder}: no such folder", allowed="a folder of records that --records wrote")
    file = folder / f"{name}.json"
    return load_record(file, "--baseline") if file.is_file() else None


def _against(outcomes: Sequence[RowOutcome], before: dict[str, Record | None]) -> tuple[list[str], int]:
    """The changes from the baseline, one line each, and the number of regressions."""
    from bnverify.matrix.difference import difference, tested_in_both
    from bnverify.views.diff_text import change_line

    notes, worse = [], 0
    for outcome in outcomes:
        name = outcome.row.name
        if name not in before or outcome.record is None:
            continue
        old = before[name]
        if old is None:
            notes.append(f"{name}: the baseline has no record of this row")
            worse += not outcome.record.ok
            continue
        if not tested_in_both(old, outcome.record):
            notes.append(f"{name}: no case was tested in the baseline and in this run; nothing was compared")
            worse += 1
        for change in difference(old, outcome.record):
            notes.append(f"{name}: {change_line(change)}")
            worse += bool(change.worse)
    return notes, worse


def _show(outcomes: Sequence[RowOutcome], notes: Sequence[str], verbose: bool) -> None:
    from rich.text import Text

    from bnverify.matrix.chart import chart_of
    from bnverify.views import chart_text, terminal

    out = terminal.console()
    chart = chart_of(outcomes)
    for table in chart_text.chart_tables(chart, out.width):
        out.print(table)
        out.print()
    for line in [*chart_text.legend_lines(chart), ""]:
        out.print(Text(line, "dim"), soft_wrap=True)
    for row in chart:
        for line in chart_text.row_lines(row, verbose):
            out.print(Text(line), soft_wrap=True)
    for note in notes:
        out.print(Text(f"against the baseline: {note}"), soft_wrap=True)
    out.print(Text(f"\n{chart_text.chart_conclusion(chart)}", "bold"), soft_wrap=True)


def _write_reports(outcomes: Sequence[RowOutcome], notes: Sequence[str], options: Iterable[str], reports: Reports) -> None:
    from bnverify.matrix.chart import chart_of
    from bnverify.views import chart_page, chart_text, junit

    chart = chart_of(outcomes)
    makers: dict[str, Callable[[], str]] = {
        "--markdown": lambda: chart_text.as_markdown(chart, notes),
        "--html": lambda: chart_page.as_page(chart),
        "--junit": lambda: junit.matrix_as_junit(chart),
    }
    for option in options:
        reports.write(option, makers[option]())


def _exit_code(outcomes: Sequence[RowOutcome], worse: int | None) -> int:
    """The exit code. With a baseline only regressions count; without one every failure does."""
    tested = [outcome.record for outcome in outcomes if outcome.record is not None and outcome.record.tested]
    if any(outcome.problem and not outcome.skipped for outcome in outcomes):
        return BAD_INPUT
    if not tested:
        return NOTHING_TESTED
    deviates = worse > 0 if worse is not None else not all(record.ok for record in tested)
    return DEVIATES if deviates else CONFORMS
