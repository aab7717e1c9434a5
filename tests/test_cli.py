"""The command line: what each command prints, what each option changes, and every exit code."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import LAYERS, Cli, assert_refused, environment, without

from bnverify import cli as commands
from bnverify.cases.case import Case, parse
from bnverify.cases.fills import make_inputs
from bnverify.cases.modes import replicas
from bnverify.cases.suites import select, suite
from bnverify.contract import CLAUSES
from bnverify.contract.eras import ERAS
from bnverify.run import run as verify
from bnverify.tally import by_clause
from bnverify.targets.loading import open_target
from bnverify.targets.reference_target import ReferenceTarget

SMALL = "shape:2x2/steps:TI"
CENTERLESS = "shape:6x4/center:False/steps:TI"
OFFSET = "shape:37x4/fill:offset/steps:TI"  # where E[x²]−E[x]² fails
LONG = "shape:4096x3/fill:constant/steps:T"  # where one running total loses digits
ONE_PASS = "the variance is computed as E[x²]−E[x]², which cancels where the mean is large against the spread"
COMMANDS = ("run", "list", "show", "explain", "contract", "selftest", "matrix", "files", "diff", "bisect")
# Of a case with T and I, random weights: 1 return, 5 arguments, 1 list of weights, 4 shapes, 4 dtypes, 4 trainable, 2 output
# shapes, 2 output dtypes, 2 outputs, 2 moving statistics, 2 left alone by I, and gamma and beta after both calls.
CHECKS = 1 + 5 + 1 + 4 + 4 + 4 + 2 + 2 + 2 + 2 + 2 + 4


def report(folder: Path, name: str = "report.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_text())
    return found


def ran(folder: Path) -> list[str]:
    return [verdict["case"] for verdict in report(folder)["verdicts"]]


def paragraph(out: str, word: str = "WRONG") -> list[str]:
    """The lines of the first paragraph that starts with `word`."""
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{word}  "))
    return lines[start : lines.index("", start)]


# --- help


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
        words = shlex.split(line)
        parsed.append(commands.cli.commands[name].make_context(name, words[2:]).params)
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
    assert "0 conforms, 1 deviates, 2 bad usage or input, 3 nothing could be tested, 130 interrupted" in said


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


# --- run


@pytest.mark.usefixtures("keras")
def test_keras_conforms(cli: Cli, folder: Path) -> None:
    """The installed Keras conforms in the smallest case: exit code 0, the number of checks as counted by hand."""
    ended = cli("run", "--case", SMALL, "--json", "report.json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.last == f"CONFORMS: {CHECKS} checks of 14 clauses in 1 case"
    found = report(folder)
    assert (found["ok"], found["complete"], found["environment"]["target"]) == (True, True, "keras.layers.BatchNormalization")


def test_a_wrong_layer_deviates(cli: Cli, layers: Path) -> None:
    """A layer that adds epsilon outside the root ends with exit code 1 and a paragraph that says so."""
    ended = cli("run", "--layer", "mylayers:EpsilonOutside", "--case", SMALL, "--json", "report.json")
    assert (ended.code, ended.err) == (1, "")
    assert ended.last == f"DEVIATES: {CHECKS} checks of 14 clauses in 1 case; 1 wrong"
    lines = paragraph(ended.out)
    assert lines[0] == "WRONG  epsilon is added to the deviation, outside the root"
    assert lines[1] == "  1 case of 1; failing checks: output in training (1), output in inference (1)"
    assert lines[-1] == f"  reproduce      bnverify run --case {SMALL} --layer mylayers:EpsilonOutside"
    assert report(layers)["ok"] is False


def test_the_reproduce_line_reproduces(cli: Cli, layers: Path) -> None:
    """Running what the reproduce line says gives the same numbers, seed and required grade included."""
    ended = cli(
        "run",
        "--layer",
        "mylayers:EpsilonOutside",
        "-k",
        "6x5/weights",
        "--suite",
        "smoke",
        "--seed",
        7,
        "--min-grade",
        "blocked",
    )
    lines = paragraph(ended.out)
    command = shlex.split(lines[-1])
    assert command[0] == "reproduce"
    assert command[-6:] == ["--seed", "7", "--min-grade", "blocked", "--layer", "mylayers:EpsilonOutside"]
    again = cli(*command[2:])
    assert (again.code, paragraph(again.out)) == (1, lines)


@pytest.mark.parametrize("name", ["Right", "factory", "Outer.Inner", "Textbook"])
@pytest.mark.usefixtures("layers")
def test_right_layers_conform(cli: Cli, name: str) -> None:
    """A correct subclass, a factory, a nested class and a layer written out conform, and the report names them."""
    ended = cli("run", "--layer", f"mylayers:{name}", "--case", SMALL)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"mylayers:{name} · Keras ")
    assert ended.last.startswith("CONFORMS: ")


def test_an_argument_the_constructor_lacks(cli: Cli, layers: Path) -> None:
    """A class that takes no `center` is not tested where center is asked for, with that reason, and is tested elsewhere."""
    ended = cli("run", "--layer", "mylayers:NoCenter", "--case", SMALL, "--case", CENTERLESS, "-v", "--json", "report.json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.last == f"CONFORMS: {CHECKS} checks of 14 clauses in 2 cases; 1 unsupported"
    assert f"\nUNSUPPORTED\n  {CENTERLESS}: the layer's constructor takes no center\n" in ended.out
    verdicts = report(layers)["verdicts"]
    assert [(v["case"], v["status"], v["reason"]) for v in verdicts] == [
        (SMALL, "conforms", ""),
        (CENTERLESS, "unsupported", "the layer's constructor takes no center"),
    ]
    assert verdicts[1]["checks"] == []


@pytest.mark.usefixtures("layers")
def test_a_constructor_without_dtype(cli: Cli) -> None:
    """A class that takes no `dtype` is not tested under another policy than the default."""
    ended = cli("run", "--layer", "mylayers:NoDtype", "--case", "shape:4x3/policy:float64/dtype:float64/steps:T", "-v")
    assert ended.code == 3
    assert ": the layer's constructor takes no dtype\n" in ended.out


@pytest.mark.usefixtures("layers")
def test_only_untested_cases(cli: Cli) -> None:
    """A run in which every case is unsupported has tested nothing: exit code 3, not 0."""
    ended = cli("run", "--layer", "mylayers:NoCenter", "--case", CENTERLESS)
    assert (ended.code, ended.last) == (3, "NOTHING TESTED: 0 checks of 0 clauses in 1 case; 1 unsupported")


@pytest.mark.usefixtures("keras", "folder")
def test_what_keras_3_cannot_express(cli: Cli) -> None:
    """Several axes, which Keras 3 does not take, are unsupported with the reason, and alone end with exit code 3."""
    ended = cli("run", "--case", "shape:3x4x5/axis:1+2/steps:TI", "-v")
    assert (ended.code, ended.last) == (3, "NOTHING TESTED: 0 checks of 0 clauses in 1 case; 1 unsupported")
    assert "\nUNSUPPORTED\n  shape:3x4x5/axis:1+2/steps:TI: Keras 3 takes one integer as axis; " in ended.out


@pytest.mark.usefixtures("layers")
def test_untested_cases_are_listed_only_with_v(cli: Cli) -> None:
    """Without -v one line counts what was not tested and says how to see it."""
    ended = cli("run", "--layer", "mylayers:NoCenter", "--case", SMALL, "--case", CENTERLESS)
    assert "\n1 unsupported (-v lists them)\n" in ended.out
    assert "UNSUPPORTED" not in ended.out


@pytest.mark.usefixtures("layers")
def test_refusing_a_value_is_a_crash(cli: Cli) -> None:
    """A constructor that takes `center` but raises for False crashed: that is a failure, not an unsupported case."""
    ended = cli("run", "--layer", "mylayers:PickyCenter", "--case", CENTERLESS)
    assert ended.code == 1
    assert paragraph(ended.out, "CRASHED")[0] == "CRASHED  constructor: ValueError"
    assert "constructor: expected no exception, got ValueError: center must be True" in ended.out
    assert ended.last == "DEVIATES: 1 check of 1 clause in 1 case; 1 crashed"


@pytest.mark.usefixtures("layers")
def test_raising_in_a_call_is_a_crash(cli: Cli) -> None:
    """A layer that raises in its call crashed at that step; what it showed before is still judged."""
    ended = cli("run", "--layer", "mylayers:RaisesInCall", "--case", SMALL)
    assert ended.code == 1
    assert paragraph(ended.out, "CRASHED")[0] == "CRASHED  step 0: ValueError"
    assert ended.last == "DEVIATES: 19 checks of 6 clauses in 1 case; 1 crashed"  # 1 return, and 5 + 1 + 3 × 4 as built


def test_case_is_repeatable(cli: Cli, layers: Path) -> None:
    """Every --case is run once, in the order given, however often and in whatever spelling it is named."""
    spelled = "steps:TI/shape:2x2/axis:-1/momentum:0.990/fill:normal"
    cli("run", "--case", CENTERLESS, "--case", SMALL, "--case", spelled, "--case", CENTERLESS, "--json", "report.json")
    assert ran(layers) == [CENTERLESS, SMALL]


def test_k_selects_among_cases(cli: Cli, layers: Path) -> None:
    """-k applies to the cases given with --case, too."""
    ended = cli("run", "--case", CENTERLESS, "--case", SMALL, "-k", "not center", "--json", "report.json")
    assert (ended.code, ran(layers)) == (0, [SMALL])


def test_k_selects_in_a_suite(cli: Cli, layers: Path) -> None:
    """-k runs exactly the cases of the suite that fit, and the report says so."""
    ended = cli("run", "--suite", "smoke", "-k", "shape:4x3/ and (momentum or weights) and not file", "--json", "report.json")
    assert ended.code == 0
    assert ran(layers) == [
        "shape:4x3/momentum:0.5/steps:T3I",
        "shape:4x3/momentum:0.0/steps:TI",
        "shape:4x3/momentum:1.0/steps:TI",
        "shape:4x3/weights:initial/steps:FTUT",
        "shape:4x3/momentum:0.9/steps:T50I",
    ]
    assert report(layers)["suite"] == "smoke suite with -k 'shape:4x3/ and (momentum or weights) and not file'"


def test_seed_changes_the_inputs_alone(cli: Cli, layers: Path) -> None:
    """Another --seed gives other numbers in the same checks; the same seed gives the same."""
    margins = {}
    for run, seed in (("a", 0), ("b", 5), ("c", 5)):
        assert cli("run", "--case", SMALL, "--seed", seed, "--json", f"{run}.json").code == 0
        found = report(layers, f"{run}.json")
        assert found["seed"] == seed
        margins[run] = [check.get("margin") for check in found["verdicts"][0]["checks"]]
    assert len(margins["a"]) == len(margins["b"]) == CHECKS
    assert margins["b"] == margins["c"]
    assert margins["a"] != margins["b"]


@pytest.mark.parametrize(("fast", "cases", "complete"), [(True, 2, False), (False, 3, True)])
def test_fail_fast_stops_at_the_first_failure(cli: Cli, layers: Path, fast: bool, cases: int, complete: bool) -> None:
    """--fail-fast ends the run with the first case that fails, marked INCOMPLETE; without it, every case is run."""
    chosen = (SMALL, OFFSET, CENTERLESS)
    ids = [word for case in chosen for word in ("--case", case)]
    ended = cli("run", "--layer", "mylayers:OnePass", *ids, *["--fail-fast"] * fast, "--json", "report.json")
    assert ended.code == 1
    assert (ran(layers), report(layers)["complete"]) == ([*chosen[:cases]], complete)
    assert ended.last.startswith("DEVIATES: " if complete else "DEVIATES, INCOMPLETE: ")
    assert paragraph(ended.out, "UNSTABLE")[0] == "UNSTABLE  " + ONE_PASS


def test_fail_fast_of_the_last_case_is_complete(cli: Cli, layers: Path) -> None:
    """A run whose last case is the first to fail left nothing out: with --fail-fast, too, it is complete and deviates."""
    ended = cli("run", "--layer", "mylayers:OnePass", "--case", SMALL, "--case", OFFSET, "--fail-fast", "--json", "report.json")
    assert (ended.code, ran(layers), report(layers)["complete"]) == (1, [SMALL, OFFSET], True)
    assert ended.last.startswith("DEVIATES: ")


@pytest.mark.usefixtures("layers")
def test_fail_fast_of_a_conforming_run(cli: Cli) -> None:
    """--fail-fast changes nothing where nothing fails."""
    ended = cli("run", "--case", SMALL, "--case", CENTERLESS, "--fail-fast")
    assert ended.code == 0
    assert ended.last.startswith("CONFORMS: ")


@pytest.mark.usefixtures("layers")
def test_ctrl_c_under_fail_fast_is_an_interruption(cli: Cli) -> None:
    """Ctrl-C ends a --fail-fast run in which nothing failed with exit code 130: it did not deviate."""
    ids = ("--case", SMALL, "--case", CENTERLESS, "--case", OFFSET)
    ended = cli("run", "--layer", "mylayers:RaisesInterrupt", "--fail-fast", *ids)
    assert ended.last == f"INCOMPLETE: {CHECKS} checks of 14 clauses in 1 case"
    assert ended.code == 130


@pytest.mark.parametrize(
    ("layer", "case", "grade", "code", "cause"),
    [
        ("OnePass", OFFSET, "blocked", 1, ONE_PASS),
        ("OnePass", OFFSET, "sequential", 1, ONE_PASS),
        ("OnePass", OFFSET, "one-pass", 0, ""),
        ("Running", LONG, "blocked", 1, "sums taken one after another round more than blocked sums"),
        ("Running", LONG, "sequential", 0, ""),
        ("EpsilonOutside", SMALL, "one-pass", 1, "epsilon is added to the deviation, outside the root"),
    ],
)
def test_min_grade(cli: Cli, layers: Path, layer: str, case: str, grade: str, code: int, cause: str) -> None:
    """--min-grade is the worst grade that conforms: what only a worse one explains deviates, and no grade excuses a fault."""
    ended = cli("run", "--layer", f"mylayers:{layer}", "--case", case, "--min-grade", grade, "--json", "report.json")
    assert ended.code == code
    found = report(layers)
    assert (found["required_grade"], found["verdicts"][0]["cause"]) == (grade, cause)


def test_known_may_be_given_for_a_layer(cli: Cli, layers: Path) -> None:
    """A deviation recorded in --known is excused with its reason, and the run conforms."""
    (layers / "known.toml").write_text(
        '[[deviation]]\nclauses = ["training-output", "inference-output"]\nwhy = "epsilon as in the thesis"\n'
        f'link = "https://example.org/1"\nevidence = "{SMALL}"\n'
    )
    ended = cli("run", "--layer", "mylayers:EpsilonOutside", "--case", SMALL, "--known", "known.toml", "-v")
    assert (ended.code, ended.err) == (0, "")
    assert ended.last == f"CONFORMS: {CHECKS} checks of 14 clauses in 1 case; 1 known deviation"
    assert f"\nKNOWN\n  {SMALL}: epsilon as in the thesis\n" in ended.out


def test_json_and_junit_in_one_run(cli: Cli, layers: Path) -> None:
    """--json and --junit are written beside each other, and nothing else is."""
    assert cli("run", "--case", SMALL, "--json", "r.json", "--junit", "r.xml").code == 0
    assert report(layers, "r.json")["verdicts"][0]["case"] == SMALL
    assert SMALL in (layers / "r.xml").read_text()
    assert sorted(path.name for path in layers.iterdir() if path.is_file()) == ["mylayers.py", "r.json", "r.xml"]


@pytest.mark.usefixtures("layers")
def test_markup_in_an_expression_is_text(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Square brackets in a -k expression are no markup, on a terminal either."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    ended = cli("run", "--suite", "smoke", "-k", "2x2 and not [/x]")
    assert ended.code == 0
    assert "[/x]" in ended.out


def test_a_run_on_a_terminal_of_its_own(shell: Cli, tmp_path: Path) -> None:
    """In a real process a deviating run ends with 1 and TensorFlow writes nothing to standard error."""
    (tmp_path / "mylayers.py").write_text(LAYERS)
    ended = shell("run", "--layer", "mylayers:EpsilonOutside", "--case", SMALL)
    assert (ended.code, ended.err) == (1, "")
    assert ended.last == f"DEVIATES: {CHECKS} checks of 14 clauses in 1 case; 1 wrong"


# --- output that cannot be written as usual


def test_run_with_standard_error_closed(shell: Cli) -> None:
    """Without a standard error (2>&-) a run does as ever."""
    ended = shell(command=("sh", "-c", f'exec "{sys.executable}" -m bnverify run --case {SMALL} 2>&-'))
    assert (ended.code, ended.last) == (0, f"CONFORMS: {CHECKS} checks of 14 clauses in 1 case")


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


# --- list


@pytest.mark.parametrize("suite", ["smoke", "default", "full", "regressions"])
def test_list_prints_ids(cli: Cli, suite: str) -> None:
    """Every line of `list` is an id in the form that it parses to, none stands twice."""
    ended = cli("list", "--suite", suite)
    ids = [line.split("  # ")[0] for line in ended.out.splitlines()]
    assert (ended.code, ended.err) == (0, "")
    assert [parse(id_).id for id_ in ids] == ids
    assert len(set(ids)) == len(ids)


def test_list_shows_nested_suites(cli: Cli) -> None:
    """`list` shows that smoke begins default and default begins full, and that default is what no --suite means."""
    smoke, default, full = (cli("list", "--suite", name).out for name in ("smoke", "default", "full"))
    assert default.startswith(smoke)
    assert full.startswith(default)
    assert len(smoke) < len(default) < len(full)
    assert cli("list").out == default


def test_list_says_why_regressions_exist(cli: Cli) -> None:
    """Every regression is listed with the cause that it exists for, whether by suite or by id."""
    lines = cli("list", "--suite", "regressions").out.splitlines()
    assert all(re.fullmatch(r"\S+  # .{20,}", line) for line in lines)
    assert cli("list", "--case", lines[0].split()[0]).out == lines[0] + "\n"


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ("offset", lambda id_: "offset" in id_),
        ("OFFSET", lambda id_: "offset" in id_),
        ("not offset", lambda id_: "offset" not in id_),
        ("axis:1 and offset", lambda id_: "axis:1" in id_ and "offset" in id_),
        ("axis:1 or offset and policy", lambda id_: "axis:1" in id_ or ("offset" in id_ and "policy" in id_)),
        ("(axis:1 or offset) and policy", lambda id_: ("axis:1" in id_ or "offset" in id_) and "policy" in id_),
        ("not not offset", lambda id_: "offset" in id_),
        ("not (offset or exact) and axis", lambda id_: "offset" not in id_ and "exact" not in id_ and "axis" in id_),
        ("fill:offset/steps", lambda id_: "fill:offset/steps" in id_),
    ],
)
def test_k_means_what_pytest_means(cli: Cli, expression: str, fits: Callable[[str], bool]) -> None:
    """-k joins substrings by and, or, not and parentheses, `and` before `or`, without regard to case."""
    ids = cli("list").out.splitlines()
    chosen = cli("list", "-k", expression)
    assert chosen.code == 0
    assert chosen.out.splitlines() == [id_ for id_ in ids if fits(id_)]
    assert 0 < len(chosen.out.splitlines()) < len(ids)


def test_no_keras_is_needed_to_look(shell: Cli, tmp_path: Path) -> None:
    """list, show and contract work where Keras is not installed."""
    env = without(tmp_path / "blocked", "keras")
    for arguments in (("list", "--case", SMALL), ("show", SMALL), ("contract", "--suite", "smoke")):
        ended = shell(*arguments, env=env)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out


# --- show


@pytest.mark.parametrize("seed", [0, 3])
def test_show_explains_a_case(cli: Cli, seed: int) -> None:
    """`show` gives the layer, the inputs and each step's numbers: here they are computed from the inputs with NumPy."""
    id_ = "shape:5x3/momentum:0.75/center:False/weights:initial/steps:TFTUI"
    x, _, frozen, _, _ = make_inputs(parse(id_), seed).batches
    assert x is not None
    assert frozen is not None
    mean, variance = x.mean(0, dtype=np.float64), x.var(0, dtype=np.float64)
    moved_mean, moved_variance = 0.25 * mean, 0.75 + 0.25 * variance
    y = (x - mean) / np.sqrt(variance + 1e-3)
    z = (frozen - moved_mean) / np.sqrt(moved_variance + 1e-3)

    def values(array: np.ndarray[Any, Any]) -> str:
        return " ".join(f"{value:.6g}" for value in array)

    ended = cli("show", id_, "--seed", seed)
    assert (ended.code, ended.err) == (0, "")
    lines = [re.sub(r"bound at most [\d.e+-]+$", "bound", line) for line in ended.out.splitlines()]
    assert lines[0] == id_
    assert lines[1] == "  layer     BatchNormalization(momentum=0.75, center=False)"
    assert lines[2].startswith("  input     float32 of shape (5, 3); normal: Gaussian")
    assert lines[3] == "  axes      kept 1, reduced 0: each statistic over 5 values"
    assert lines[4] == "  formats   computed in float32, stored in float32, y in float32; reference in float64"
    assert lines[5:18] == [
        "  step 0    call with training=True",
        f"    batch mean      {values(mean)}",
        f"    batch variance  {values(variance)}",
        f"    y  from {y.min():.6g} to {y.max():.6g}, bound",
        f"    moving_mean     {values(moved_mean)}, bound",
        f"    moving_variance {values(moved_variance)}, bound",
        "  step 1    set trainable=False",
        "  step 2    call with training=True",
        f"    moving mean      {values(moved_mean)}",
        f"    moving variance  {values(moved_variance)}",
        f"    y  from {z.min():.6g} to {z.max():.6g}, bound",
        "  step 3    set trainable=True",
        "  step 4    call with training=False",
    ]


def test_show_says_why_a_regression_exists(cli: Cli) -> None:
    """`show` of a regression case says what went wrong once, as `list` does."""
    id_, cause = cli("list", "--suite", "regressions").out.splitlines()[0].split("  # ")
    assert f"  regression of  {cause}\n" in cli("show", id_).out


@pytest.mark.parametrize(
    "id_",
    ["shape:2x1/fill:nonfinite/steps:TI", "shape:23x4/epsilon:1e-12/fill:constant/steps:TI", "shape:3x4x5/axis:1+2/steps:TI"],
)
def test_show_never_warns(cli: Cli, id_: str) -> None:
    """`show` is as calm about NaN, overflow and several axes as about any other number (a warning would be an error here)."""
    ended = cli("show", id_)
    assert (ended.code, ended.err) == (0, "")
    assert "\n  step 1    call with training=False\n" in ended.out


# --- contract


def test_contract_prints_every_clause(cli: Cli) -> None:
    """`contract` prints number, title, key, rule and source of every clause, in the order of the contract."""
    ended = cli("contract", "--suite", "smoke")
    assert (ended.code, ended.err) == (0, "")
    head, *blocks = ended.out.rstrip("\n").split("\n\n")
    assert (
        head
        == f"{len(CLAUSES)} clauses; checks in the smoke suite of {len(cli('list', '--suite', 'smoke').out.splitlines())} cases"
    )
    for number, (clause, block) in enumerate(zip(CLAUSES, blocks, strict=True), 1):
        first, rule, source, *eras = block.splitlines()
        assert re.fullmatch(
            rf"{number:>2}  {re.escape(clause.title)}  \[{clause.key}\]  ([\d ]+ checks|checks of real layers alone)", first
        )
        assert rule == f"    {clause.rule}"
        assert source == f"    Source: {clause.source}"
        assert "https://" in source
        assert eras == [
            f"    {era.name} (Keras {era.keras}): {era.rules[clause.key]}" for era in ERAS if clause.key in era.rules
        ]


# What the reference has and a run of Keras has not, by mode: clauses with fewer checks, because nobody sees in between.
UNSEEN = {
    "fit": {"output-dtype", "gradient-dtypes", "gradient-training"},  # fit keeps neither tensors nor gradients
    "uncompiled": {"output-dtype"},
    "evaluate": {"output-dtype"},
    "shared": {"calls-keep-parameters", "moving-mean", "moving-variance", "inference-updates-nothing"},  # between two calls
    "unbuilt": {"calls-keep-parameters", "trainable-weights", "frozen-updates-nothing"},  # no weights before the first call
}
PLAIN = "shape and not (file: or network: or mirrored or parallel or " + " or ".join(f"mode:{mode}/" for mode in UNSEEN) + ")"


def of_reference(cases: tuple[Case, ...]) -> dict[str, int]:
    """The checks that the reference makes, clause by clause."""
    return {tally.clause.key: tally.checks for tally in by_clause(verify(cases, ReferenceTarget()).verdicts)}


def test_contract_counts_what_a_run_checks(cli: Cli, layers: Path) -> None:
    """`contract` counts the checks of the reference; a run of Keras makes the same, clause by clause.

    The reference is in no replicas, networks and files, whose cases have checks of their own.
    """
    shown = dict(re.findall(r"\[([a-z-]+)\]  ([\d ]+) checks", cli("contract", "--suite", "smoke").out))
    whole = of_reference(suite("smoke"))
    assert {key: int(text.replace(" ", "")) for key, text in shown.items()} == {key: n for key, n in whole.items() if n}
    cli("run", "--suite", "smoke", "-k", PLAIN, "--json", "report.json")  # -k leaves out evidence of known deviations
    made = {clause["clause"]: sum(clause["checks"].values()) for clause in report(layers)["clauses"]}
    chosen = select(suite("smoke"), PLAIN)
    assert made == of_reference(chosen)
    assert sum(made.values()) > 3000
    left = [case for case in suite("smoke") if case not in chosen]
    assert {case.mode for case in left if case.file == "none" and case.network == "none" and replicas(case.mode) == 1} == set(
        UNSEEN
    )


@pytest.mark.usefixtures("keras")
@pytest.mark.parametrize("mode", UNSEEN)
def test_what_a_mode_hides_is_all_that_a_run_checks_less(mode: str) -> None:
    """Where a way of running hides something, the clauses about that have fewer checks, and all others as many."""
    cases = tuple(case for case in suite("smoke") if case.mode == mode)
    made = {tally.clause.key: tally.checks for tally in by_clause(verify(cases, open_target()).verdicts)}
    promised = of_reference(cases)
    assert {key for key in promised if made[key] != promised[key]} == UNSEEN[mode]
    assert all(made[key] < promised[key] for key in UNSEEN[mode])


def test_ctrl_c_in_contract(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while `contract` counts ends with exit code 130: counts of half a suite are not the contract's."""
    observed = iter(range(5))
    observe = ReferenceTarget.observe

    def interrupted(target: ReferenceTarget, *arguments: Any) -> Any:
        if next(observed) == 4:
            raise KeyboardInterrupt
        return observe(target, *arguments)

    monkeypatch.setattr(ReferenceTarget, "observe", interrupted)
    ended = cli("contract", "--suite", "smoke")
    assert next(observed, None) is None
    assert ended.code == 130


# --- selftest


@pytest.mark.usefixtures("keras", "folder")
def test_selftest_catches_a_mutant(cli: Cli) -> None:
    """`selftest` reports the case that caught a mutant and the cause it named, and that a right layer passes: exit code 0."""
    ended = cli("selftest", "-k", "epsilon-outside or subclass", "--suite", "regressions")
    assert (ended.code, ended.err) == (0, "")
    row = next(line for line in ended.out.splitlines() if line.startswith("epsilon-outside "))
    assert parse(row.split("outside the root")[1].split()[0]).shape
    assert row.count("epsilon is added to the deviation, outside the root") == 2
    assert "\ncaught 1 of 1 mutant\n" in ended.out
    assert "\npassed 2 of 2 that must pass " in ended.out


@pytest.mark.usefixtures("folder")
def test_selftest_admits_survivors_and_false_alarms(cli: Cli, keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant that no case catches and a right layer that one rejects are reported: exit code 1."""
    from bnverify.targets import mutants

    faultless = mutants.Mutant("faultless", "nothing at all", "test", keras.layers.BatchNormalization)
    faulty = mutants.Mutant(
        "faulty", "beta subtracted", "test", mutants.formula_layer(output=lambda xp, x, m, i, g, b: (x - m) * i * g - b)
    )
    monkeypatch.setattr(mutants, "MUTANTS", (faultless,))
    monkeypatch.setattr(mutants, "EQUIVALENT", (faulty,))
    ended = cli("selftest", "--suite", "regressions")
    assert (ended.code, ended.err) == (1, "")
    assert "\ncaught 0 of 1 mutant\n" in ended.out
    assert "\npassed 1 of 2 that must pass " in ended.out
    assert "\nSURVIVED  faultless: nothing at all\n" in ended.out
    assert re.search(r"\nFALSE ALARM  faulty: beta subtracted, in shape:\S+\n", ended.out)


@pytest.mark.usefixtures("keras", "folder")
def test_selftest_of_nothing_is_refused(cli: Cli) -> None:
    """A -k that fits no mutant is bad input that lists the keys."""
    assert_refused(cli("selftest", "-k", "nothing-fits"), "'nothing-fits'", "epsilon-outside", "subclass")
