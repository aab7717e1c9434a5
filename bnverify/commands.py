"""What the commands share: exit codes, help with examples, and the options that say which cases are meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

CONFORMS, DEVIATES, BAD_INPUT, NOTHING_TESTED, INTERRUPTED = 0, 1, 2, 3, 130
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Example(click.Command):
    """A command whose help ends with an example, set off from the text."""

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **{"context_settings": CONTEXT, **kwargs})
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for line in self.example.strip().splitlines():
                formatter.write(f"  {line.strip()}\n")


def selection(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which cases are meant."""
    options = (
        click.option("--suite", default="default", metavar="NAME", help="smoke, default, full or regressions.  [default]"),
        click.option("--case", "ids", multiple=True, metavar="ID", help="This case instead of a suite (repeatable)."),
        click.option("-k", "select", default="", metavar="EXPR", help="Only ids that fit, as 'offset and not axis:1'."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def echo_all(lines: Iterable[str]) -> None:
    """Writes lines to standard output at once; whoever reads them may close it."""
    try:
        click.echo("\n".join(lines))
    except BrokenPipeError:  # click would end with 1; without its errno, this goes on to main
        raise BrokenPipeError from None
