"""The terminal view: a progress bar while a run goes on, then the table of clauses, the failures and the conclusion."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bnverify.model import Results, Status
from bnverify.tally import ClauseTally, by_clause, failures
from bnverify.views.text import conclusion, environment_line, group_lines, number, short

COLOURS = {Status.CONFORMS: "green", Status.UNSTABLE: "yellow", Status.WRONG: "red", Status.CRASHED: "magenta"}
WIDTH = 200  # where the output is no terminal, a file or a CI log, say


def console() -> Console:
    """Standard output; wide enough for a case id where it is no terminal."""
    made = Console(highlight=False, soft_wrap=True)
    if not made.is_terminal:
        made.width = WIDTH
    return made


Start = Callable[[str], Callable[..., None]]


@contextmanager
def progress(total: int = 0) -> Iterator[Start]:
    """A bar on standard error; nothing where that is no terminal.

    Yields a function that takes a label (and, where it was not known, a total) when the import of Keras is over, and
    returns the function that moves the bar by one.
    """
    with os.fdopen(os.dup(2), "w") as own:  # imports silence the framework's writing to descriptor 2, but not this
        screen = Console(file=own, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as bar:
            task = bar.add_task("importing Keras", total=None)

            def start(label: str, total: int = total) -> Callable[..., None]:
                bar.update(task, description=label, total=total)
                return lambda *_: bar.advance(task)

            yield start


def show(results: Results, out: Console, *, verbose: bool = False) -> None:
    """The whole report of a run."""
    out.print(escape(environment_line(results.environment)))
    out.print(f"[dim]{escape(results.environment.cpu)}[/dim]")
    suite = f"{results.suite}, " if results.suite else ""
    out.print(f"{escape(suite)}seed {results.seed}: {number(len(results.verdicts))} cases in {results.seconds:.1f} s\n")
    if results.verdicts:
        out.print(clause_table(by_clause(results.verdicts)))
    show_failures(results, out)
    _not_conforming(results, out, verbose)
    final = conclusion(results)
    out.print(f"\n[bold {'green' if results.ok else 'red'}]{escape(final)}[/]")


def show_failures(results: Results, out: Console) -> None:
    """A paragraph for each cause of failure."""
    for group in failures(results.verdicts):
        lines = group_lines(group, results)
        colour = COLOURS[group.status]
        out.print(f"\n[bold {colour}]{group.status.name}[/]  [bold]{escape(lines[0])}[/]")
        for line in lines[1:]:
            out.print(f"  {escape(line)}")
    for line in results.stale:
        out.print(f"\n[bold red]STALE[/]  {escape(line)}")


def _not_conforming(results: Results, out: Console, verbose: bool) -> None:
    """What neither conforms nor fails; one line each with -v, else a line that says how to see them."""
    quiet = (Status.KNOWN, Status.UNSUPPORTED, Status.INCONCLUSIVE)
    lines: dict[Status, list[str]] = {status: [] for status in quiet}
    for verdict in results.verdicts:
        if verdict.status in quiet and not verdict.checks:
            lines[verdict.status].append(f"{verdict.case.id}: {verdict.reason}")
        for check in {(c.status, c.reason): c for c in verdict.checks if c.status in quiet}.values():
            lines[check.status].append(f"{verdict.case.id}: {check.reason}")
    if not verbose and any(lines.values()):
        kinds = ", ".join(f"{len(found)} {status.value}" for status, found in lines.items() if found)
        out.print(f"\n[dim]{kinds} (-v lists them)[/dim]")
    elif verbose:
        for status, found in lines.items():
            if found:
                out.print(f"\n{status.name}")
            for line in found:
                out.print(f"  {escape(line)}")


def clause_table(tallies: tuple[ClauseTally, ...]) -> Table:
    """A row for each clause: counts, worst grade, largest margin and where."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", justify="right", style="dim")
    table.add_column("clause", no_wrap=True)
    table.add_column("checks", justify="right")
    table.add_column("status", no_wrap=True)
    table.add_column("grade")
    table.add_column("worst margin", justify="right")
    table.add_column("in case", style="dim", overflow="fold")
    for tally in tallies:
        grade = tally.grade.label if tally.grade is not None else ""
        margin = short(tally.margin)
        table.add_row(
            str(tally.number), tally.clause.title, number(tally.checks), _statuses(tally), grade, margin, escape(tally.case)
        )
    return table


def _statuses(tally: ClauseTally) -> str:
    if not tally.checks:
        return "[yellow]no check[/]"
    if set(tally.statuses) == {Status.CONFORMS}:
        return "[green]conforms[/]"
    parts = [
        f"[{COLOURS.get(status, 'cyan')}]{number(tally.statuses[status])} {status.value}[/]"
        for status in reversed(Status)
        if tally.statuses[status] and status is not Status.CONFORMS
    ]
    return ", ".join(parts)


def as_text(results: Results, *, failures_only: bool = False) -> str:
    """The report, or its failures alone, as plain text: for exceptions and `report.summary()`."""
    out = Console(file=StringIO(), width=WIDTH, highlight=False, color_system=None)
    if failures_only:
        out.print(escape(environment_line(results.environment)))
        show_failures(results, out)
    else:
        show(results, out)
    assert isinstance(out.file, StringIO)
    return out.file.getvalue()
