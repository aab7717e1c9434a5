"""The compatibility chart as text: a table for the terminal, and Markdown for a CI summary."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from bnverify.contract import CLAUSES
from bnverify.matrix.chart import Cell, CellGroup, ChartRow
from bnverify.matrix.runs import RowOutcome
from bnverify.values import Status
from bnverify.views.text import number, plural, short

CELL_SIGNS = {
    Status.CONFORMS: "✓",
    Status.KNOWN: "k",
    Status.INCONCLUSIVE: "?",
    Status.UNSUPPORTED: "–",
    Status.UNSTABLE: "~",
    Status.WRONG: "✗",
    Status.CRASHED: "!",
    None: "–",
}
CELL_COLOURS = {"✓": "green", "k": "cyan", "?": "yellow", "–": "dim", "~": "yellow", "✗": "bold red", "!": "bold magenta"}
MARKS = {"✓": "✅", "k": "🔵", "?": "❔", "–": "➖", "~": "🟡", "✗": "❌", "!": "💥"}  # Markdown has no colours
LEGEND = "✓ conforms   k known deviation   ~ unstable   ✗ wrong   ! crashed   ? inconclusive   – no check"


def asked(rows: Sequence[ChartRow]) -> tuple[int, ...]:
    """The positions of the clauses that were checked in some environment."""
    return tuple(position for position in range(len(CLAUSES)) if any(row.cells and row.cells[position].checks for row in rows))


def chart_tables(rows: Sequence[ChartRow], width: int) -> Iterator[Table]:
    """Environments as rows, clauses as numbered columns, as many as fit; `legend_lines` explains the numbers."""
    names = max((len(row.name) for row in rows), default=0)
    room = max(10, (width - names - CASES) // COLUMN)
    positions = asked(rows)
    for start in range(0, max(len(positions), 1), room):
        some = positions[start : start + room]
        yield _chart_table(rows, some, last=start + room >= len(positions))


COLUMN, CASES = 3, 18  # the widths of a clause's number with a gap, and of the last column


def _chart_table(rows: Sequence[ChartRow], positions: Sequence[int], last: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("environment", no_wrap=True)
    for position in positions:
        table.add_column(str(position + 1), justify="right", no_wrap=True)
    if last:
        table.add_column("cases")
    for row in rows:
        counts = ("[yellow]not run[/]" if row.record is None else _counts(row),) if last else ()
        signs = [CELL_SIGNS[row.cells[position].status] if row.cells else "" for position in positions]
        table.add_row(escape(row.name), *(f"[{CELL_COLOURS[sign]}]{sign}[/]" if sign else "" for sign in signs), *counts)
    return table


def _counts(row: ChartRow) -> str:
    assert row.record is not None
    return ", ".join(f"{number(n)} {status}" for status, n in row.record.counts.items())


def legend_lines(rows: Sequence[ChartRow]) -> list[str]:
    """What the signs mean, and the titles of the clauses that were checked."""
    titles = [f"{position + 1:2} {CLAUSES[position].title}" for position in asked(rows)]
    if not titles:
        return [LEGEND]
    width = max(map(len, titles)) + 3
    columns = 3
    per = -(-len(titles) // columns)
    lines = ["".join(title.ljust(width) for title in titles[start::per]).rstrip() for start in range(per)]
    return [LEGEND, *lines]


def row_lines(row: ChartRow, verbose: bool = False) -> list[str]:
    """What does not conform in an environment, and why: one line per cause, failures first, with numbers.

    verbose: also numbers of known deviations, and why cases are unsupported.
    """
    if row.record is None:
        return [f"{row.name}: {row.problem}"]
    lines: list[str] = []
    causes: dict[tuple[Status, str], list[tuple[Cell, CellGroup]]] = {}
    for cell in row.cells:
        for group in cell.groups:
            causes.setdefault((group.status, group.cause), []).append((cell, group))
    for (status, cause), found in sorted(causes.items(), key=lambda item: not item[0][0].fails):
        titles = ", ".join(f"{cell.clause.title} ({number(len(group.cases))})" for cell, group in found)
        lines.append(f"{row.name}: {status}: {cause or 'no cause named'}: {titles}")
        if status.fails or verbose:
            lines += [f"  {mismatch_words(found[0][1])}", f"  see: {reproduce_in_row(row, found[0][1])}"]
    if verbose:
        lines += [f"{row.name}: unsupported ({number(n)}): {reason}" for reason, n in row.unsupported]
    lines += [f"{row.name}: stale: {line}" for line in row.record.stale]
    return lines


def reproduce_in_row(row: ChartRow, group: CellGroup) -> str:
    """The command that runs a cell's smallest case again."""
    return shlex.join(["bnverify", "matrix", row.name, "--case", group.example])


def mismatch_words(group: CellGroup) -> str:
    """The worst check: quantity, step, expected and actual value, margin and grade."""
    check = group.check
    where = "" if check.step is None else f" after step {check.step}"
    values = f": expected {check.expected}, got {check.actual}" if check.expected or check.actual else ""
    margin = f"; margin {short(check.margin)}, grade {check.grade}" if check.margin is not None else ""
    return f"{check.quantity}{where}{values}{margin}"


def chart_conclusion(rows: Sequence[ChartRow]) -> str:
    """The last line: how many environments conform, fail, or were not run."""
    run = [row for row in rows if row.record is not None]
    good = [row for row in run if row.record and row.record.ok]
    parts = [f"{len(good)} of {plural(len(run), 'environment')} conform" + "s" * (len(good) == 1)]
    if len(run) < len(rows):
        parts.append(f"{len(rows) - len(run)} not run")
    checks = sum(cell.checks for row in run for cell in row.cells)
    return f"{', '.join(parts)}; {plural(checks, 'check')}"


def as_markdown(rows: Sequence[ChartRow], notes: Sequence[str] = ()) -> str:
    """The chart as Markdown: the table, notes (such as changes against a baseline), and the evidence of each environment."""
    head = ["environment", *map(str, range(1, len(CLAUSES) + 1)), "cases"]
    lines = ["# BatchNormalization: compatibility", "", _row(head), _row(["---", *[":-:"] * len(CLAUSES), "---"])]
    for row in rows:
        if row.record is None:
            lines.append(_row([_code(row.name), *[" "] * len(CLAUSES), "not run"]))
        else:
            lines.append(_row([_code(row.name), *(MARKS[CELL_SIGNS[cell.status]] for cell in row.cells), _counts(row)]))
    legend = ", ".join(
        f"{MARKS[sign]} {status or 'no check'}" for status, sign in CELL_SIGNS.items() if status is not Status.UNSUPPORTED
    )
    lines += ["", f"{chart_conclusion(rows)}. {legend}.", ""]
    lines += [f"{position}. {_text(clause.title)}: {_text(clause.rule)}" for position, clause in enumerate(CLAUSES, 1)]
    if notes:
        lines += ["", "## Against the baseline", "", *(f"- {_text(note)}" for note in notes)]
    lines += ["", "## Evidence"]
    for row in rows:
        found = [(cell, group) for cell in row.cells for group in cell.groups]
        if row.record is None:
            lines += ["", f"{_code(row.name)}: {_text(row.problem)}"]
        elif found:
            lines += ["", f"<details><summary>{_text(row.name)}</summary>", ""]
            for cell, group in found:
                what = f"{cell.clause.title}, {group.status} in {plural(len(group.cases), 'case')}: {group.cause or '?'}"
                lines += [f"- {_text(what)}", f"  {_code(reproduce_in_row(row, group))}: {_text(mismatch_words(group))}"]
            lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    return "`" + text.replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`"


def _text(text: str) -> str:
    """The text with everything escaped that Markdown or HTML would interpret."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\`*_{}[]#|~!" else c for c in text)


def outcome_line(outcome: RowOutcome) -> str:
    """The outcome of a row, on one line."""
    name, record = outcome.row.name, outcome.record
    if record is None:
        return f"{name}: {'skipped' if outcome.skipped else 'not run'}: {outcome.problem}"
    how = "unchanged" if outcome.cached else f"{outcome.seconds:.0f} s"
    how += f"; {outcome.note}" if outcome.note else ""
    return f"{name}: {', '.join(f'{number(n)} {status}' for status, n in record.counts.items())} ({how})"
