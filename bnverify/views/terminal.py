"""The terminal view: a progress bar during the run, then the table of clauses, the failures and the conclusion."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bnverify.contract import BY_KEY
from bnverify.values import Results, Status
from bnverify.verdicts.tally import ClauseTally, by_clause, failures
from bnverify.views.text import (
    conclusion,
    encodable,
    environment_line,
    group_lines,
    mismatch_lines,
    number,
    plural,
    promise_line,
    short,
)

COLOURS = {Status.CONFORMS: "green", Status.UNSTABLE: "yellow", Status.WRONG: "red", Status.CRASHED: "magenta"}
FEW = 3  # up to this number of cases, -v shows numbers instead of clauses without a check
ROOMY = 120  # from this width on, the table has room for case ids
WIDTH = 200  # the width if the output is not a terminal but, for example, a file or a CI log


class _Output(Console):
    """A console that raises BrokenPipeError when the reader closes the output, so that the command line can end."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """Standard output; wide enough for a case id if it is not a terminal."""
    made = _Output(highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = WIDTH
    return made


Start = Callable[[str], Callable[..., None]]


@contextmanager
def progress(total: int = 0) -> Iterator[Start]:
    """A progress bar on standard error; nothing if that is not a terminal.

    Yields a function to call after the import of Keras, with a label and, if it was unknown, a total. That function returns
    another one, which moves the bar by one.
    """
    try:
        own = os.fdopen(os.dup(2), "w")  # imports hide the framework's writes to descriptor 2, but the bar must stay visible
    except OSError:  # standard error may be closed
        own = Path(os.devnull).open("w")  # noqa: SIM115
    with own:
        screen = Console(file=own, highlight=False)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as bar:
            task = bar.add_task("importing Keras", total=None)

            def start(label: str, total: int = total) -> Callable[..., None]:
                bar.update(task, description=label, total=total)
                return lambda *_: bar.advance(task)

            yield start


def show(results: Results, out: Console, *, verbose: bool = False) -> None:
    """The whole report of a run."""
    out.print(Text(environment_line(results.environment)), soft_wrap=True)
    out.print(Text(results.environment.cpu, "dim"), soft_wrap=True)
    if promise := promise_line(results.environment):
        out.print(Text(promise, "dim"), soft_wrap=True)
    suite = f"{results.suite}, " if results.suite else ""
    out.print(
        Text(f"{suite}seed {results.seed}: {plural(len(results.verdicts), 'case')} in {results.seconds:.1f} s\n"),
        soft_wrap=True,
    )
    if results.verdicts:
        tallies = by_clause(results.verdicts)
        few = len(results.verdicts) <= FEW
        listed = tallies if verbose and not few else tuple(tally for tally in tallies if tally.checks)
        out.print(clause_table(listed, with_case=out.width >= ROOMY and not (few and verbose)))
        if len(listed) < len(tallies):
            hint = " (-v lists them)" if not verbose else ""
            out.print(f"[dim]no check of {plural(len(tallies) - len(listed), 'clause')}{hint}[/dim]")
        if verbose and few:
            _numbers(results, out)
    show_failures(results, out)
    _not_conforming(results, out, verbose)
    final = conclusion(results)
    out.print(Text(f"\n{final}", f"bold {'green' if results.ok else 'red'}"), soft_wrap=True)


def _numbers(results: Results, out: Console) -> None:
    """Every check that compared numbers, case by case: quantity, step, status, grade and margin."""
    for verdict in results.verdicts:
        compared = [check for check in verdict.checks if check.margin is not None]
        if not compared:
            continue
        table = Table(box=None, pad_edge=False, header_style="dim", title=verdict.case.id, title_justify="left")
        for name in ("clause", "quantity", "step", "status", "grade"):
            table.add_column(name, no_wrap=True)
        table.add_column("margin", justify="right")
        for check in compared:
            step = "" if check.step is None else f"{check.step} {verdict.case.steps[check.step].value}"
            status = f"[{COLOURS.get(check.status, 'cyan')}]{check.status.value}[/]"
            grade = check.grade.label if check.grade is not None else ""
            cells = (BY_KEY[check.clause].title, escape(check.quantity), step, status, grade, short(check.margin))
            table.add_row(*cells)
        out.print()
        out.print(table)


def show_failures(results: Results, out: Console) -> None:
    """A paragraph for each cause of failure."""
    for group in failures(results.verdicts):
        lines = group_lines(group, results)
        colour = COLOURS[group.status]
        out.print(Text.assemble("\n", (group.status.name, f"bold {colour}"), "  ", (lines[0], "bold")), soft_wrap=True)
        for line in lines[1:]:
            out.print(Text(f"  {line}"), soft_wrap=True)
    for line in results.stale:
        out.print(Text.assemble("\n", ("STALE", "bold red"), f"  {line}"), soft_wrap=True)


def _not_conforming(results: Results, out: Console, verbose: bool) -> None:
    """What neither conforms nor fails: with -v one line each, else one line that says how to list them."""
    quiet = (Status.KNOWN, Status.UNSUPPORTED, Status.INCONCLUSIVE)
    lines: dict[Status, list[str]] = {status: [] for status in quiet}
    for verdict in results.verdicts:
        if verdict.status in quiet and not verdict.checks:
            lines[verdict.status].append(f"{verdict.case.id}: {verdict.reason}")
        for check in {(c.status, c.reason): c for c in reversed(verdict.checks) if c.status in quiet}.values():
            lines[check.status].append(f"{verdict.case.id}: {check.reason}")
            if verbose and len(results.verdicts) <= FEW and check.mismatch is not None:
                lines[check.status] += [f"  {line}" for line in mismatch_lines(check, verdict.case.steps)]
    if not verbose and any(lines.values()):
        kinds = ", ".join(f"{len(found)} {status.value}" for status, found in lines.items() if found)
        out.print(f"\n[dim]{kinds} (-v lists them)[/dim]")
    elif verbose:
        for status, found in lines.items():
            if found:
                out.print(f"\n{status.name}")
            for line in found:
                out.print(Text(f"  {line}"), soft_wrap=True)


def clause_table(tallies: tuple[ClauseTally, ...], *, with_case: bool = True) -> Table:
    """A row for each clause: counts, worst grade, largest margin and its case."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", justify="right", style="dim")
    table.add_column("clause", no_wrap=True)
    table.add_column("checks", justify="right")
    table.add_column("status", no_wrap=True)
    table.add_column("grade")
    table.add_column("worst margin", justify="right")
    if with_case:
        table.add_column("in case", style="dim", overflow="fold")
    for tally in tallies:
        grade = tally.grade.label if tally.grade is not None else ""
        margin = short(tally.margin)
        cells = [str(tally.number), tally.clause.title, number(tally.checks), _statuses(tally), grade, margin]
        table.add_row(*cells, *([escape(tally.case)] if with_case else []))
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


def results_as_text(results: Results, *, failures_only: bool = False) -> str:
    """The report, or only its failures, as plain text: for exceptions and `report.summary()`."""
    out = Console(file=StringIO(), width=WIDTH, highlight=False, color_system=None, emoji=False, force_jupyter=False)
    if failures_only:
        out.print(Text(environment_line(results.environment)), soft_wrap=True)
        show_failures(results, out)
    else:
        show(results, out)
    assert isinstance(out.file, StringIO)
    return encodable(out.file.getvalue())


class RowStatus:
    """The running rows with their progress, and a line for each row that has ended, on standard error."""

    def __init__(self, total: int, screen: Console) -> None:
        self._total, self._screen, self._ended, self._now = total, screen, 0, dict[str, str]()
        self.live = Live(console=screen, get_renderable=self._running, transient=True, refresh_per_second=4)

    def tell(self, name: str, text: str) -> None:
        """Shows the progress of a row."""
        self._now[name] = text

    def ended(self, name: str, line: str) -> None:
        """Shows the line of a row that has ended."""
        self._ended += 1
        self._now.pop(name, None)
        self._screen.print(Text(f"[{self._ended}/{self._total}] {line}"), soft_wrap=True)

    def _running(self) -> Text:
        busy = [f"{name} {text}" for name, text in list(self._now.items()) if text != "waiting"]
        return Text("   ".join(busy), "dim")


@contextmanager
def row_status(total: int) -> Iterator[RowStatus]:
    """The status of a matrix while it runs. It moves only if standard error is a terminal."""
    screen = Console(stderr=True, highlight=False)
    status = RowStatus(total, screen)
    with status.live if screen.is_terminal else nullcontext():
        yield status
