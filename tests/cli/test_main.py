"""The command line: commands, help, bad usage, and every kind of output stream."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.cli import Cli, assert_refused, environment
from support.layers import LAYERS

from bnverify.cases.ids import parse
from bnverify.cli import main as commands

SMALL = "shape:2x2/steps:TI"
COMMANDS = ("run", "list", "show", "explain", "contract", "selftest", "matrix", "files", "diff", "bisect", "cache")
# Of a case with T and I, random weights: 1 return, 5 arguments, 1 list of weights, 4 shapes, 4 dtypes, 4 trainable, 2 output
# shapes, 2 output dtypes, 2 outputs, 2 moving statistics, 2 left alone by I, and gamma and beta after both calls.
CHECKS = 1 + 5 + 1 + 4 + 4 + 4 + 2 + 2 + 2 + 2 + 2 + 4


def test_the_commands_are_those_of_the_readme() -> None:
    """`bnverify` has these commands and no other."""
    assert sorted(commands.cli.commands) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_examples(name: str) -> None:
    """The help of every command ends with examples of that command."""
    shown = CliRunner().invoke(commands.cli, [name, "--help"])
    assert shown.exit_code == 0
    examples = shown.output.split("\nExamples:\n")[1].splitlines()
    assert examples
    assert all(line.startswith(f"  bnverify {name}") for line in examples)


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_parse(name: str) -> None:
    """Every example in a help text is a command line that the command accepts."""
    shown = CliRunner().invoke(commands.cli, [name, "--help"]).output
    parsed = []
    for line in shown.split("\nExamples:\n")[1].splitlines():
        command, words = commands.cli.commands[name], shlex.split(line)[2:]
        if isinstance(command, click.Group):
            command, words = command.commands[words[0]], words[1:]
        parsed.append(command.make_context(name, words).params)
    assert len(parsed) >= 1
    for params in parsed:
        for id_ in (*params.get("ids", ()), *filter(None, [params.get("case")])):
            assert parse(id_).id == id_


def test_h_is_help() -> None:
    """-h says the same as --help."""
    runner = CliRunner()
    assert runner.invoke(commands.cli, ["run", "-h"]).output == runner.invoke(commands.cli, ["run", "--help"]).output


def test_help_says_the_exit_codes(cli: Cli) -> None:
    """`bnverify --help` says what each exit code means."""
    said = " ".join(cli("--help").out.split())
    assert "0 conforms, 1 does not conform, 2 bad usage or input, 3 nothing could be tested, 130 interrupted" in said


def test_version_is_the_installed_one(cli: Cli) -> None:
    """--version prints the version of the installed distribution."""
    ended = cli("--version")
    assert ended.code == 0
    assert ended.out.endswith(f"bnverify, version {metadata.version('bnverify')}\n")


def test_bare_command_shows_help(cli: Cli) -> None:
    """Without a command, bnverify shows its help as it stands, and not as the text of an error."""
    ended = cli()
    assert (ended.out + ended.err).startswith("Usage: ")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("verify",), "verify"),
        (("run", "--sede", "1"), "--sede"),
        (("run", "--seed", "-1"), "-1"),
        (("run", "--seed", "many"), "many"),
        (("run", "extra"), "extra"),
        (("run", "--case"), "--case"),
        (("show",), "CASE"),
        (("show", SMALL, SMALL), SMALL),
    ],
)
def test_bad_usage_is_one_line(cli: Cli, arguments: tuple[str, ...], part: str) -> None:
    """A command line that cannot be parsed is one line that holds what was wrong, with exit code 2."""
    assert_refused(cli(*arguments), part)


@pytest.mark.usefixtures("layers")
def test_markup_in_an_expression_is_text(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Square brackets in a -k expression are no markup, on a terminal either."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    ended = cli("run", "--suite", "smoke", "-k", "2x2 and not [/x]")
    assert ended.code == 0
    assert "[/x]" in ended.out


@pytest.mark.slow
def test_a_run_on_a_terminal_of_its_own(shell: Cli, tmp_path: Path) -> None:
    """In a real process a deviating run ends with 1 and TensorFlow writes nothing to standard error."""
    (tmp_path / "mylayers.py").write_text(LAYERS)
    ended = shell("run", "--layer", "mylayers:EpsilonOutside", "--case", SMALL)
    assert (ended.code, ended.err) == (1, "")
    assert ended.last == f"DEVIATES: {CHECKS} checks of 14 clauses in 1 case; 1 wrong"


@pytest.mark.slow
def test_run_with_standard_error_closed(shell: Cli) -> None:
    """Without a standard error (2>&-) a run does as ever."""
    ended = shell(command=("sh", "-c", f'exec "{sys.executable}" -m bnverify run --case {SMALL} 2>&-'))
    assert (ended.code, ended.last) == (0, f"CONFORMS: {CHECKS} checks of 14 clauses in 1 case")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["list --suite full", f"run --case {SMALL}"])
def test_a_reader_that_leaves(tmp_path: Path, arguments: str) -> None:
    """Where the reader of a pipe leaves (as `| head -1` does), nothing deviates and there is no traceback."""
    command = [sys.executable, "-m", "bnverify", *arguments.split()]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 0


@pytest.mark.slow
@pytest.mark.parametrize("more", ["", "--baseline record.json"])
def test_the_verdict_of_a_reader_that_leaves(tmp_path: Path, more: str) -> None:
    """A wrong layer ends with 1, whether or not its report is read."""
    (tmp_path / "mylayers.py").write_text(LAYERS)
    asked = [sys.executable, "-m", "bnverify", "run", "--layer", "mylayers:EpsilonOutside", "--case", SMALL]
    if more:
        right = [*asked[:5], "mylayers:Right", *asked[6:], "--record", "record.json"]
        subprocess.run(right, cwd=tmp_path, env=environment(), capture_output=True, check=True)
    with subprocess.Popen(
        [*asked, *more.split()], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(120) == 1


def test_standard_output_is_full(shell: Cli) -> None:
    """A full disk behind standard output is one line and exit code 2."""
    ended = shell(command=("sh", "-c", f'exec "{sys.executable}" -m bnverify list > /dev/full'))
    assert_refused(ended, "No space left on device")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("arguments", ["list --suite regressions", "contract --suite smoke"])
def test_output_in_another_encoding(shell: Cli, encoding: str, arguments: str) -> None:
    """Where standard output cannot hold every character, as in a file on Windows, the rest is written all the same."""
    ended = shell(*arguments.split(), env={"PYTHONIOENCODING": encoding})
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.count("\n") >= 9


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", '+ x - - ^2 . ... -> " " ?'), ("utf-8", "✓ ✗ – − ² · … → “ ” 張")])
def test_marks_stay_apart(encoding: str, shown: str) -> None:
    """An encoding without a mark gets another one in its place; those of a chart differ."""
    code = "import sys, bnverify.cli.main; sys.stdout.reconfigure(errors='spelled'); print('✓ ✗ – − ² · … → “ ” 張')"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert ran.stdout.decode(encoding).strip() == shown


def test_a_folder_that_is_gone(shell: Cli, tmp_path: Path) -> None:
    """The line says that the folder is gone, and blames nothing else."""
    folder = tmp_path / "gone"
    folder.mkdir()
    ended = shell(command=("sh", "-c", f'cd "{folder}" && rmdir "{folder}" && exec "{sys.executable}" -m bnverify list'))
    assert_refused(ended, "bnverify: the current folder does not exist any more")
