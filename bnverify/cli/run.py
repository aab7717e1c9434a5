"""`bnverify run`: test a layer and write reports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from bnverify.cli.options import (
    CONFORMS,
    DEVIATES,
    INTERRUPTED,
    NOTHING_TESTED,
    Example,
    echo_all,
    patience,
    read_or_not,
    reporting,
    seed_option,
    selection,
)
from bnverify.errors import BadInput

if TYPE_CHECKING:
    from bnverify.matrix.records import Record
    from bnverify.storage.writing import Reports
    from bnverify.values import Results


@click.command(
    cls=Example,
    short_help="Test a layer: of the installed Keras, or your own.",
    example="""
        bnverify run
        bnverify run --suite smoke --json report.json
        bnverify run --backend jax --baseline ci/baselines/keras-3.15.1-jax.json
        bnverify run --layer mypackage.layers:MyBatchNorm --known deviations.toml
        bnverify run --target tf.nn.fused_batch_norm
        bnverify run --case shape:2x3x5x7/axis:1/fill:offset/steps:T3
    """,
)
@selection
@click.option(
    "--target",
    default="keras",
    metavar="NAME",
    help="Which Keras: keras, tf_keras, tf.keras; or a function, such as tf.nn.moments or tf.nn.moments@symbolic.",
)
@click.option("--backend", "backends", multiple=True, metavar="NAME", help="Backend of Keras 3 (repeatable: one run for each).")
@click.option("--layer", metavar="MODULE:NAME", help="Your layer class or factory, instead of Keras' own.")
@seed_option
@patience
@click.option("--fail-fast", is_flag=True, help="Stop at the first case that fails.")
@click.option(
    "--min-grade",
    default="sequential",
    metavar="GRADE",
    help="Worst grade that conforms: blocked, sequential, one-pass.",
)
@click.option(
    "--known", "known_file", type=click.Path(path_type=Path), help="File of your known deviations, added to bnverify's."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all verdicts to this file.")
@click.option("--junit", "junit_file", type=click.Path(path_type=Path), help="Write a JUnit report to this file.")
@click.option("--record", type=click.Path(path_type=Path), help="Write verdicts and margins, a baseline, to this file.")
@click.option("--baseline", type=click.Path(path_type=Path), help="A record; only regressions from it fail.")
@click.option("-v", "--verbose", is_flag=True, help="List known deviations and what was not tested, with reasons.")
def run(**given: Any) -> None:
    """Test the installed keras.layers.BatchNormalization, a function that computes a part of it, or your own layer."""
    from bnverify.values import GRADES

    options = RunOptions(**given)
    if options.min_grade not in GRADES:
        raise BadInput("--min-grade", got=options.min_grade, allowed=GRADES)
    before = options.read_baseline()
    code = CONFORMS
    with reporting(options.reports()) as reports:
        for results, recording in _run(options):
            code = max(code, _report(options, results, recording, before, reports))
    sys.exit(code)


class RunOptions(NamedTuple):
    """The options of `bnverify run`, by the names of its parameters."""

    suite: str
    ids: tuple[str, ...]
    select: str
    target: str
    backends: tuple[str, ...]
    layer: str | None
    seed: int
    fail_fast: bool
    patience: float
    min_grade: str
    known_file: Path | None
    json_file: Path | None
    junit_file: Path | None
    record: Path | None
    baseline: Path | None
    verbose: bool

    def reports(self) -> dict[str, Path]:
        """The files to write, by option. Raises BadInput if several backends would share one."""
        files = {"--json": self.json_file, "--junit": self.junit_file, "--record": self.record}
        found = {option: path for option, path in files.items() if path}
        if len(self.backends) > 1 and (found or self.baseline):
            option = next(iter(found), "--baseline")
            raise BadInput(f"{option}: names one file for {len(self.backends)} backends", allowed="one --backend")
        return found

    def read_baseline(self) -> Record | None:
        """The record to compare with. Raises BadInput if the file is not a record."""
        from bnverify.matrix.record_files import load_record

        return load_record(self.baseline, "--baseline") if self.baseline else None


def _run(options: RunOptions) -> list[tuple[Results, Record]]:
    """The results on each backend, with their records."""
    from bnverify.cases.suites import choose
    from bnverify.matrix.records import record_of
    from bnverify.running.run import verify_target
    from bnverify.targets.loading import open_targets
    from bnverify.verdicts import known
    from bnverify.views import terminal

    cases, label = choose(options.suite, options.ids, options.select)
    recorded = known.load(options.known_file) if options.known_file else ()
    found = []
    with terminal.progress(len(cases)) as start:
        for target in open_targets(options.layer or "", options.target, options.backends, options.patience):
            results = verify_target(
                target,
                cases,
                label=label,
                seed=options.seed,
                min_grade=options.min_grade,
                recorded=recorded,
                with_evidence=not options.ids and not options.select,
                fail_fast=options.fail_fast,
                progress=start(label),
            )
            name = options.layer or target.environment.target
            found.append((results, record_of(name, results, target.interface)))
    return found


def _report(options: RunOptions, results: Results, recording: Record, before: Record | None, reports: Reports) -> int:
    """Shows the results and writes the files. Returns the exit code."""
    from bnverify.matrix.records import record_as_text
    from bnverify.views import terminal

    with read_or_not():
        terminal.show(results, terminal.console(), verbose=options.verbose)
    code = exit_code(results)
    if before is not None:
        code, lines = _against(before, recording, results)
        with read_or_not():
            echo_all(lines)
    if options.json_file:
        from bnverify.views.json_report import as_json

        reports.write("--json", as_json(results))
    if options.junit_file:
        from bnverify.views.junit import as_junit

        reports.write("--junit", as_junit(results))
    if options.record:
        reports.write("--record", record_as_text(recording), _beside(options.record, recording))
    return code


def _beside(path: Path, recording: Record) -> Path:
    """The file for a record. An incomplete one must not replace a whole one, so it is written beside it, with a notice."""
    if recording.complete:
        return path
    other = path.with_name(f"{path.stem}.incomplete{path.suffix}")
    with read_or_not():
        click.echo(f"the record is incomplete and was written to {other}; {path} is unchanged")
    return other


def _against(before: Record, now: Record, results: Results) -> tuple[int, list[str]]:
    """The exit code of a run with a baseline, for which only regressions count, and the lines that say what changed."""
    from bnverify.matrix.difference import difference, regressions, tested_in_both
    from bnverify.views.diff_text import change_line

    changes = difference(before, now)
    compared = tested_in_both(before, now)
    lines = ["", f"against the baseline {before.name}:", *(f"  {change_line(change)}" for change in changes)]
    if not compared:
        lines.append("  no case was tested in the baseline and in this run; nothing was compared")
    elif not changes:
        lines.append("  nothing has changed")
    if results.interrupted:
        return INTERRUPTED, lines
    if not results.complete:
        return DEVIATES, [*lines, "  the run ended before its last case; the rest was not compared"]
    return DEVIATES if regressions(changes) else CONFORMS if compared else NOTHING_TESTED, lines


def exit_code(results: Any) -> int:
    """The exit code of a run. A run that Ctrl-C ended has its own code."""
    if results.interrupted:
        return INTERRUPTED
    if not results.tested and not any(verdict.status.fails for verdict in results.verdicts):
        return NOTHING_TESTED
    return CONFORMS if results.ok else DEVIATES
