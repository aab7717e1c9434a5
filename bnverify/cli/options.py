"""Shared by the commands: exit codes, help with examples, and the options that select cases and rows."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bnverify.cases.spelling import NUMBER, parse_whole
from bnverify.errors import BadInput, printable

if TYPE_CHECKING:
    from bnverify.storage.writing import Reports

Command = Callable[..., None]
CONFORMS, DEVIATES, BAD_INPUT, NOTHING_TESTED, INTERRUPTED = 0, 1, 2, 3, 130
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True}


class _WithExamples(click.Command):
    """A command whose help ends with examples."""

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **{"context_settings": CONTEXT, **kwargs})
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for line in self.example.strip().splitlines():
                formatter.write(f"  {line.strip()}\n")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuses an empty value, which a shell passes for a variable that is not set, and NUL, which no file name has."""
        for before, arg in zip(["", *args], args, strict=False):
            if not arg or (arg.startswith("--") and arg.endswith("=")):
                option = arg.removesuffix("=") or (before if before.startswith("-") else str(ctx.info_name))
                raise BadInput(option, got="", allowed="a value that is not empty")
            if "\0" in arg:
                raise BadInput(str(ctx.info_name), got=arg, allowed="texts without the character NUL")
        return super().parse_args(ctx, args)


class Example(_WithExamples):
    """A command with examples."""


class ExampleGroup(_WithExamples, click.Group):
    """A group of commands with examples."""


def _together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, in the order of the help."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


selection = _together(  # options that select cases
    click.option("--suite", default="default", metavar="NAME", help="smoke, default, full or regressions."),
    click.option("--case", "ids", multiple=True, metavar="ID", help="This case instead of a suite (repeatable)."),
    click.option(
        "-k",
        "select",
        default="",
        show_default=False,
        metavar="EXPR",
        help="Only ids that fit, such as 'offset and not axis:1'.",
    ),
)
matrix_file = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    show_default="ci/matrix.toml, here or above, or the one of bnverify",
    help="File of rows.",
)
row_selection = _together(  # options that select rows of the matrix
    click.argument("rows", nargs=-1, metavar="[ROW]..."),
    matrix_file,
    click.option(
        "--only",
        default="",
        show_default=False,
        metavar="CONDITION",
        help="Only rows that fit, such as 'keras>=3.8' or 'python<3.8'.",
    ),
    click.option("--backend", "backends", multiple=True, metavar="NAME", help="Only rows on this backend (repeatable)."),
)


def number_option(name: str, default: float, read: Callable[[str], float], **given: Any) -> Callable[[Command], Command]:
    """An option whose text is a number as ids have it. Python would also take underscores, spaces and other scripts' digits.

    read: raises a ValueError that says what is allowed.
    """

    def convert(context: click.Context, option: click.Parameter, value: Any) -> Any:
        try:
            return read(value) if isinstance(value, str) else value  # the default is a number
        except ValueError as error:
            raise BadInput(name, got=value, allowed=str(error)) from None

    return click.option(name, default=default, type=click.UNPROCESSED, callback=convert, **given)


def _patience(text: str) -> float:
    value = float(text) if NUMBER.fullmatch(text) else float("nan")
    if not SHORTEST <= value < float("inf"):
        raise ValueError(f"{SHORTEST} seconds or more")
    return value


def jobs_option(default: int) -> Callable[[Command], Command]:
    """The number of rows at a time."""
    return number_option("--jobs", default, parse_whole(1), metavar="N", help="Rows at a time.")


SHORTEST = 0.1  # seconds
seed_option = number_option("--seed", 0, parse_whole(0), metavar="N", help="Seed of the input values.")
patience = number_option("--patience", 120.0, _patience, metavar="S", help="Seconds a case may take in a process of its own.")


def echo_all(lines: Iterable[str]) -> None:
    """Writes lines to standard output in one piece. Raises BrokenPipeError if the reader has closed it."""
    try:
        click.echo("\n".join(lines))
    except BrokenPipeError:  # click would end with exit code 1; main handles an exception without an errno
        raise BrokenPipeError from None


def drop_output() -> None:
    """Discards what is still to be printed, so that the interpreter does not fail when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextmanager
def reporting(files: Mapping[str, Path]) -> Iterator[Reports]:
    """The reports of a command, by option. Ctrl-C ends the command; its message says which of them are written."""
    from bnverify.storage.writing import Reports

    reports = Reports(files)
    try:
        yield reports
    except KeyboardInterrupt:
        drop_output()
        click.echo("bnverify: " + "; ".join(filter(None, ("interrupted", printable(reports.fate())))), err=True)
        sys.exit(INTERRUPTED)


@contextmanager
def read_or_not() -> Iterator[None]:
    """Goes on if the reader of standard output, such as head, has closed it: the exit code must still be the verdict's."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
