"""What is written is true: README blocks, docstring examples, the linter and the type checker."""

from __future__ import annotations

import doctest
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest
from support.cli import Cli

from bnverify.api import checking as api
from bnverify.api import explaining as own_numbers
from bnverify.cases.ids import parse
from bnverify.cli import main as command_line
from bnverify.matrix.difference import difference
from bnverify.matrix.record_files import load_record
from bnverify.matrix.rows import load_matrix
from bnverify.values import Status
from bnverify.verdicts.known import parse_known

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def block(language: str, word: str) -> str:
    """The one block of a language that holds a word."""
    (found,) = [text for text in blocks(language) if word in text]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("word", ["check_layer", "bnverify.trace"])
def test_a_python_example_runs(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The Python blocks of the README run as they stand, and print what they say."""
    exec(compile(block("python", word), "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_the_example_of_explain_is_what_is_shown(cli: Cli) -> None:
    """Each line that the README shows comes out of the command above it."""
    section = README.split("## Your own numbers")[1].split("```")[0]
    command, _, shown = section.strip().partition("\n\n")
    said = [line.split() for line in cli(*shlex.split(command)[1:]).out.splitlines()]
    lines = [line.split() for line in shown.splitlines() if line.startswith("    ") and "…" not in line]
    assert len(lines) == 8
    assert [line for line in lines if line not in said] == []


@pytest.mark.slow
def test_the_pytest_example_runs(tmp_path: Path) -> None:
    """The second one is a test file that passes on a layer with that very fault, and fails on one without it."""
    package = tmp_path / "mypackage"
    package.mkdir()
    (package / "__init__.py").touch()
    wrong = "import keras\nclass MyBatchNorm(keras.layers.BatchNormalization):\n    def get_config(self):\n        return {}\n"
    test = block("python", "parametrize_conformance").replace("expected_failures=", 'suite="smoke", expected_failures=')
    (tmp_path / "test_mine.py").write_text(test)
    results = {}
    for name, layers in (("wrong", wrong), ("right", "from keras.layers import BatchNormalization as MyBatchNorm\n")):
        (package / "layers.py").write_text(layers)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "steps:T2I or steps:TFT or expected"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        results[name] = done.stdout
    assert re.search(r"\d+ xfailed", results["wrong"])
    assert "failed," not in results["wrong"].replace("xfailed", "")
    assert "expected:arguments" in results["right"]
    assert "XPASS(strict)" in results["right"]


def test_the_example_of_known_deviations_is_valid() -> None:
    """The TOML block of known deviations in the README is a file that --known takes."""
    (text,) = [block for block in blocks("toml") if "[[deviation]]" in block]
    (deviation,) = parse_known(text, "README.md")
    assert deviation.clauses == ("moving-variance",)


def test_the_example_of_a_row_is_valid(tmp_path: Path) -> None:
    """The TOML block of a row in the README is a file that `bnverify matrix --file` takes."""
    (text,) = [block for block in blocks("toml") if "[[row]]" in block]
    (tmp_path / "rows.toml").write_text(text)
    (row,) = load_matrix(tmp_path / "rows.toml").rows
    assert row.name == "my-branch"
    assert row.packages[0].startswith("/")


def found_rows() -> list[tuple[str, list[str]]]:
    """The table “What bnverify found”: what, and the arguments of the command that shows it."""
    table = README.split("## What bnverify found")[1].split("\n\n")[2]
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    return [(row[0].lstrip("| "), shlex.split(row[-1].strip(" |`"))) for row in rows]


def test_every_finding_is_in_the_records() -> None:
    """The command of a finding names a row and a case of the committed records in which the deviation is known."""
    baselines = ROOT / "ci" / "baselines"
    assert len(found_rows()) >= 14
    for what, (_, command, *arguments) in found_rows():
        if command == "matrix":
            row, _, case = arguments
            record = load_record(baselines / f"{row}.json", "test")
            assert record.cases[parse(case).id].status == Status.KNOWN, what
        elif command == "diff":
            names = [a if (baselines / f"{a}.json").exists() else f"keras-{a}-tensorflow" for a in arguments]
            old, new = (load_record(baselines / f"{name}.json", "test") for name in names)
            assert any("known deviation" in change.text for change in difference(old, new)), what


def commands(text: str) -> list[list[str]]:
    names = "|".join(command_line.cli.commands)
    found = re.findall(rf"(?:^|`)\s*(bnverify (?:{names})\b[^`\n]*)", text, re.MULTILINE)
    return [shlex.split(line) for line in found if "CASE" not in line and "…" not in line]


def parsed(name: str, arguments: list[str]) -> click.Context:
    """The context of a command, or of the command in a group, that takes these arguments."""
    command = command_line.cli.commands[name]
    if isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.commands[name]
    return command.make_context(name, arguments)


def test_every_command_in_the_readme_is_one_that_the_tool_takes() -> None:
    """Commands and options named in the README parse; a renamed option would fail here."""
    found = commands(README)
    assert len(found) >= 4
    for _, name, *arguments in found:
        parsed(name, arguments)
    run = command_line.cli.commands["run"]
    named = set(re.findall(r"`(-{1,2}[a-z-]+)", README.split("| `bnverify run` |")[1].split("\n")[0]))
    taken = {option for parameter in run.params if isinstance(parameter, click.Option) for option in parameter.opts}
    assert named <= taken


def test_every_example_in_a_help_text_parses() -> None:
    """Each command's help ends with examples that the command takes."""
    for name, command in command_line.cli.commands.items():
        with click.Context(command, info_name=name) as context:
            text = command.get_help(context)
        examples = commands(text.split("Examples:")[1])
        assert examples, name
        for _, used, *arguments in examples:
            parsed(used, arguments)


@pytest.mark.slow
@pytest.mark.parametrize("module", [api, own_numbers])
def test_docstring_examples_run(module: ModuleType) -> None:
    """The examples of the Python interface give what they say."""
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_readme_links_lead_somewhere() -> None:
    """Every relative link of the README is a file of the repository."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy", "bnverify")],
    ids=" ".join,
)
def test_style(command: tuple[str, ...]) -> None:
    """One linter and one strict type checker have nothing to say."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


QUESTIONS = [f"{part}{number}" for part, last in (("A", 7), ("B", 3), ("C", 4), ("D", 10)) for number in range(1, last + 1)]


def test_every_question_has_the_verdict_of_its_notebook() -> None:
    """Each claim stands once in the README, with the words that its notebook ends on."""
    table = README.split("## Questions, settled")[1].split("\n\n")[2]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]
    assert [row[0] for row in rows] == QUESTIONS
    for number, _, verdict, link in rows:
        target = re.fullmatch(r"\[\w+\]\((notebooks/\w+\.ipynb)\)", link)
        assert target is not None, number
        cells = json.loads((ROOT / target[1]).read_text(encoding="utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        assert sum(text.startswith(f"**{number} verdict: {verdict}**") for text in texts) == 1, number
        assert sum(text.startswith(f"## {number} · ") for text in texts) == 1, number
