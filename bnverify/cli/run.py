"""`bnverify run`: verify a layer, and write reports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnverify.cli.options import CONFORMS, DEVIATES, INTERRUPTED, NOTHING_TESTED, Example, selection
from bnverify.errors import BadInput

if TYPE_CHECKING:
    from bnverify.matrix.records import Record
    from bnverify.values import Results


@click.command(
    cls=Example,
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
    help="Which Keras: keras, tf_keras, tf.keras; or a function as tf.nn.moments, tf.nn.moments@symbolic.  [keras]",
)
@click.option("--backend", "backends", multiple=True, metavar="NAME", help="Backend of Keras 3 (repeatable: one run for each).")
@click.option("--layer", metavar="MODULE:NAME", help="A layer class, or a factory of layers, instead of Keras' own.")
@click.option("--seed", default=0, type=click.IntRange(0), metavar="N", help="Seed of the input values.  [0]")
@click.option("--fail-fast", is_flag=True, help="Stop at the first case that fails.")
@click.option(
    "--min-grade",
    default="sequential",
    metavar="GRADE",
    help="Worst grade that conforms: blocked, sequential, one-pass.  [sequential]",
)
@click.option(
    "--known", "known_file", type=click.Path(path_type=Path), help="File of known deviations, beside those that ship."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all verdicts to this file.")
@click.option("--junit", "junit_file", type=click.Path(path_type=Path), help="Write a JUnit report to this file.")
@click.option("--record", type=click.Path(path_type=Path), help="Write verdicts and margins, a baseline, to this file.")
@click.option("--baseline", type=click.Path(path_type=Path), help="A record: fail on regressions from it only.")
@click.option("-v", "--verbose", is_flag=True, help="List known deviations and what was not tested, with reasons.")
def run(
    suite: str,
    ids: tuple[str, ...],
    select: str,
    target: str,
    backends: tuple[str, ...],
    layer: str | None,
    seed: int,
    fail_fast: bool,
    min_grade: str,
    known_file: Path | None,
    json_file: Path | None,
    junit_file: Path | None,
    record: Path | None,
    baseline: Path | None,
    verbose: bool,
) -> None:
    """Verify the installed keras.layers.BatchNormalization, a function that gives the same numbers, or a layer of yours."""
    from bnverify.cases.suites import choose
    from bnverify.matrix.records import load_record, record_as_text, record_of
    from bnverify.running.run import verify_target
    from bnverify.storage.writing import write_whole
    from bnverify.targets.loading import load_layer, open_targets
    from bnverify.values import GRADES
    from bnverify.verdicts import known
    from bnverify.views import terminal

    cases, label = choose(suite, ids, select)
    if min_grade not in GRADES:
        raise BadInput(f"--min-grade {min_grade!r} is unknown; allowed: {', '.join(GRADES)}")
    recorded = known.load(known_file) if known_file else ()
    before = load_record(baseline, "--baseline") if baseline else None
    files = {"--json": json_file, "--junit": junit_file, "--record": record}
    _check_files({option: path for option, path in files.items() if path}, baseline, backends)
    code = CONFORMS
    with terminal.progress(len(cases)) as start:
        opened = open_targets(load_layer(layer) if layer is not None else None, layer or "", target, backends)
        reports = []
        for each in opened:
            results = verify_target(
                each,
                cases,
                label=label,
                seed=seed,
                min_grade=min_grade,
                recorded=recorded,
                with_evidence=not ids and not select,
                fail_fast=fail_fast,
                progress=start(label),
            )
            reports.append((results, record_of(layer or each.environment.target, results, each.interface)))
    for results, recording in reports:
        terminal.show(results, terminal.console(), verbose=verbose)
        code = max(code, exit_code(results) if before is None else _against(before, recording, results))
        if json_file:
            from bnverify.views.json_report import as_json

            write_whole(json_file, as_json(results), "--json")
        if junit_file:
            from bnverify.views.junit import as_junit

            write_whole(junit_file, as_junit(results), "--junit")
        if record:
            write_whole(record, record_as_text(recording), "--record")
    sys.exit(code)


def _check_files(files: dict[str, Path], baseline: Path | None, backends: tuple[str, ...]) -> None:
    """Raises BadInput where a report could not be written later, or would overwrite another."""
    from bnverify.storage.writing import check_reports

    if len(backends) > 1 and (files or baseline):
        option = next(iter(files), "--baseline")
        raise BadInput(f"{option}: is one file, for {len(backends)} backends; allowed: one --backend")
    check_reports(files)


def _against(before: Record, now: Record, results: Results) -> int:
    """Shows what changed from a baseline; the exit code, for which only regressions count."""
    from bnverify.matrix.difference import difference, regressions
    from bnverify.views.diff_text import change_line

    changes = difference(before, now)
    click.echo(f"\nagainst the baseline {before.name}:")
    for change in changes or ():
        click.echo(f"  {change_line(change)}")
    if not set(before.cases) & set(now.cases):
        click.echo("  no case is in both: nothing was compared")
        return INTERRUPTED if results.interrupted else NOTHING_TESTED
    if not changes:
        click.echo("  nothing has changed")
    return INTERRUPTED if results.interrupted else DEVIATES if regressions(changes) else CONFORMS


def exit_code(results: Any) -> int:
    """The exit code of a run; one that Ctrl-C ended says so."""
    if results.interrupted:
        return INTERRUPTED
    if not results.tested and not any(verdict.status.fails for verdict in results.verdicts):
        return NOTHING_TESTED
    return CONFORMS if results.ok else DEVIATES
