"""The view of a selftest: the score, each mutant with the case that caught it, and the survivors."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bnverify.running.selftest import Score
from bnverify.views.text import plural


def show_score(score: Score, out: Console) -> None:
    """Prints a table of all mutants, then the score, survivors and false alarms."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("mutant", "group", "fault", "caught by", "cause named"):
        table.add_column(name, overflow="fold")
    for outcome in score.mutants:
        caught = outcome.caught
        case = escape(caught.case.id) if caught else "[bold red]survived[/]"
        table.add_row(outcome.key, outcome.group, escape(outcome.fault), case, escape(caught.cause) if caught else "")
    out.print(table)
    out.print(f"\ncaught {len(score.mutants) - len(score.survivors)} of {plural(len(score.mutants), 'mutant')}")
    passed = len(score.equivalent) - len(score.false_alarms)
    out.print(f"passed {passed} of {len(score.equivalent)} that must pass (the reference and equivalent mutants)")
    for outcome in score.survivors:
        out.print(f"[bold red]SURVIVED[/]  {outcome.key}: {escape(outcome.fault)}")
    for outcome in score.false_alarms:
        assert outcome.caught is not None
        case = outcome.caught.case.id
        out.print(f"[bold red]FALSE ALARM[/]  {outcome.key}: {escape(outcome.fault)}, in {escape(case)}")
