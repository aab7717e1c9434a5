"""The command line. Frameworks are imported only by the commands that run a layer."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnverify import cli_explain, cli_files, cli_matrix
from bnverify.commands import BAD_INPUT, CONFORMS, CONTEXT, DEVIATES, INTERRUPTED, NOTHING_TESTED, Example, echo_all, selection
from bnverify.errors import BadInput

if TYPE_CHECKING:
    from bnverify.matrix.records import Record
    from bnverify.model import Results


@click.group(context_settings=CONTEXT)
@click.version_option(package_name="bnverify")
def cli() -> None:
    """Does this batch-normalization layer compute what Keras says it computes?

    Exit codes: 0 conforms, 1 deviates, 2 bad usage or input, 3 nothing could be tested, 130 interrupted.
    """


@cli.command(
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
    from bnverify.files import write_whole
    from bnverify.matrix.records import as_text, load_record, record_of
    from bnverify.model import GRADES
    from bnverify.run import verify_target
    from bnverify.targets.loading import load_layer, open_targets
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
            write_whole(record, as_text(recording), "--record")
    sys.exit(code)


def _check_files(files: dict[str, Path], baseline: Path | None, backends: tuple[str, ...]) -> None:
    """Raises BadInput where a report could not be written later, or would overwrite another."""
    from bnverify.files import check_reports

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


@cli.command("list", cls=Example, example="bnverify list --suite smoke\nbnverify list --suite full -k 'axis:1 and offset'")
@selection
def list_cases(suite: str, ids: tuple[str, ...], select: str) -> None:
    """List the ids of cases; nothing is run."""
    from bnverify.cases.suites import choose

    lines = [f"{case.id}  # {case.cause}" if case.cause else case.id for case in choose(suite, ids, select)[0]]
    echo_all(lines)


@cli.command(cls=Example, example="bnverify show shape:2x3x5x7/axis:1/fill:offset/steps:T3")
@click.argument("case")
@click.option("--seed", default=0, type=click.IntRange(0), metavar="N", help="Seed of the input values.  [0]")
def show(case: str, seed: int) -> None:
    """Explain a case: the layer, its inputs, what must come out of each step and within what bound."""
    from bnverify.cases.suites import choose
    from bnverify.views import terminal
    from bnverify.views.case_view import case_lines

    out = terminal.console()
    for line in case_lines(choose("regressions", (case,))[0][0], seed):
        out.print(line, markup=False)


@cli.command(cls=Example, example="bnverify contract\nbnverify contract --suite smoke")
@click.option(
    "--suite", default="default", metavar="NAME", help="Suite to count checks in: smoke, default, full, regressions.  [default]"
)
def contract(suite: str) -> None:
    """Print the clauses of the Keras BatchNormalization contract, and how many checks of a suite stand behind each."""
    from bnverify.views import terminal
    from bnverify.views.contract_view import contract_lines

    out = terminal.console()
    for line in contract_lines(suite):
        out.print(line, markup=False, soft_wrap=True)


@cli.command(cls=Example, example="bnverify selftest\nbnverify selftest -k epsilon")
@click.option("-k", "select", default="", metavar="EXPR", help="Only mutants whose key fits.")
@click.option("--suite", default="smoke", metavar="NAME", help="Suite that must catch them.  [smoke]")
def selftest(select: str, suite: str) -> None:
    """Verify the verifier: plant faults in real Keras layers and see whether each is caught."""
    from bnverify.selftest import selftest_score
    from bnverify.views import terminal
    from bnverify.views.selftest_view import show_score

    with terminal.progress() as start:
        score = selftest_score(select, suite, start)
    show_score(score, terminal.console())
    sys.exit(CONFORMS if score.ok else DEVIATES)


for command in (*cli_explain.COMMANDS, *cli_matrix.COMMANDS, *cli_files.COMMANDS):
    cli.add_command(command)


def main() -> None:
    """Entry point: every foreseeable failure is one line on standard error and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an encoding that lacks ² or ─ must not end a run
    try:
        cli(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(BAD_INPUT)
    except (BadInput, click.ClickException) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"bnverify: {text}", err=True)
        sys.exit(BAD_INPUT)
    except (KeyboardInterrupt, click.Abort):
        click.echo("bnverify: interrupted before any verdict", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever read the output, head say, has seen enough
        _drop_output()
        sys.exit(CONFORMS)
    except OSError as error:
        _drop_output()
        click.echo(f"bnverify: standard output: {error.strerror or error}", err=True)
        sys.exit(BAD_INPUT)


def _drop_output() -> None:
    """Lets what is still buffered for standard output go nowhere, so that nothing fails while the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
