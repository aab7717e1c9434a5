"""The command line. Only the commands that run a layer import a framework."""

from __future__ import annotations

import codecs
import io
import os
import sys

import click

from bnverify.cli.bisect import bisect
from bnverify.cli.cache import cache
from bnverify.cli.contract import contract
from bnverify.cli.diff import diff
from bnverify.cli.explain import explain
from bnverify.cli.files import files
from bnverify.cli.list import list_cases
from bnverify.cli.matrix import matrix
from bnverify.cli.options import BAD_INPUT, CONFORMS, CONTEXT, INTERRUPTED, drop_output
from bnverify.cli.run import run
from bnverify.cli.selftest import selftest
from bnverify.cli.show import show
from bnverify.errors import BadInput, printable, shortened


@click.group(context_settings=CONTEXT)
@click.version_option(package_name="bnverify")
def cli() -> None:
    """Does this batch normalization layer compute what Keras promises?

    Exit codes: 0 conforms, 1 does not conform, 2 bad usage or input, 3 nothing could be tested, 130 interrupted.
    """


for command in (run, explain, show, list_cases, contract, matrix, diff, bisect, files, cache, selftest):
    cli.add_command(command)


# What an encoding without a character gets in its place: no run ends, and the marks of a chart stay apart.
SPELLED = dict(zip("✓✗–−²·…→“”±×", ("+", "x", "-", "-", "^2", ".", "...", "->", '"', '"', "+-", "x"), strict=True))


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(SPELLED.get(character, "?") for character in text), error.end


codecs.register_error("spelled", _spelled)


def main() -> None:
    """Entry point. Every foreseeable failure is one line on standard error and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="spelled")
    try:
        os.getcwd()
    except OSError:
        click.echo("bnverify: the current folder does not exist any more", err=True)
        sys.exit(BAD_INPUT)
    try:
        cli(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(BAD_INPUT)
    except (BadInput, click.ClickException) as error:
        text = message(error) if isinstance(error, click.ClickException) else str(error)
        click.echo(f"bnverify: {text}", err=True)
        sys.exit(BAD_INPUT)
    except (KeyboardInterrupt, click.Abort):
        click.echo("bnverify: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader, such as head, has closed the output
        drop_output()
        sys.exit(CONFORMS)
    except OSError as error:
        drop_output()
        click.echo(f"bnverify: standard output: {error.strerror or error}", err=True)
        sys.exit(BAD_INPUT)


def message(error: click.ClickException) -> str:
    """The text of click's own message, which quotes what was typed, on one line."""
    return shortened(printable(error.format_message()), 1_000)
