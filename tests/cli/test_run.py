"""`bnverify run`: what it prints, what each option changes, and every exit code."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli

SMALL = "shape:2x2/steps:TI"
CENTERLESS = "shape:6x4/center:False/steps:TI"
OFFSET = "shape:37x4/fill:offset/steps:TI"  # where E[x²]−E[x]² fails
LONG = "shape:4096x3/fill:constant/steps:T"  # where one running total loses digits
ONE_PASS = "the variance is computed as E[x²]−E[x]², which loses digits if |mean| is much larger than the standard deviation"
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert f"\nUNSUPPORTED\n  {CENTERLESS}: the layer's constructor has no argument `center`\n" in ended.out
    verdicts = report(layers)["verdicts"]
    assert [(v["case"], v["status"], v["reason"]) for v in verdicts] == [
        (SMALL, "conforms", ""),
        (CENTERLESS, "unsupported", "the layer's constructor has no argument `center`"),
    ]
    assert verdicts[1]["checks"] == []


@pytest.mark.slow
@pytest.mark.usefixtures("layers")
def test_a_constructor_without_dtype(cli: Cli) -> None:
    """A class that takes no `dtype` is not tested under another policy than the default."""
    ended = cli("run", "--layer", "mylayers:NoDtype", "--case", "shape:4x3/policy:float64/dtype:float64/steps:T", "-v")
    assert ended.code == 3
    assert ": the layer's constructor has no argument `dtype`\n" in ended.out


@pytest.mark.slow
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
    assert (
        "\nUNSUPPORTED\n  shape:3x4x5/axis:1+2/steps:TI: Keras 3 allows one integer as axis, not a list as tf.keras 2 does"
        in ended.out
    )


@pytest.mark.slow
@pytest.mark.usefixtures("layers")
def test_untested_cases_are_listed_only_with_v(cli: Cli) -> None:
    """Without -v one line counts what was not tested and says how to see it."""
    ended = cli("run", "--layer", "mylayers:NoCenter", "--case", SMALL, "--case", CENTERLESS)
    assert "\n1 unsupported (-v lists them)\n" in ended.out
    assert "UNSUPPORTED" not in ended.out


@pytest.mark.slow
@pytest.mark.usefixtures("layers")
def test_refusing_a_value_is_a_crash(cli: Cli) -> None:
    """A constructor that takes `center` but raises for False crashed: that is a failure, not an unsupported case."""
    ended = cli("run", "--layer", "mylayers:PickyCenter", "--case", CENTERLESS)
    assert ended.code == 1
    assert paragraph(ended.out, "CRASHED")[0] == "CRASHED  constructor: ValueError"
    assert "constructor: expected no exception, got ValueError: center must be True" in ended.out
    assert ended.last == "DEVIATES: 1 check of 1 clause in 1 case; 1 crashed"


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    ended = cli("run", "--layer", "mylayers:SendsInterrupt", "--fail-fast", *ids)
    assert ended.last == f"INCOMPLETE: {CHECKS} checks of 14 clauses in 1 case"
    assert ended.code == 130


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "case", "grade", "code", "cause"),
    [
        ("OnePass", OFFSET, "blocked", 1, ONE_PASS),
        ("OnePass", OFFSET, "sequential", 1, ONE_PASS),
        ("OnePass", OFFSET, "one-pass", 0, ""),
        ("Running", LONG, "blocked", 1, "sums that add one value after another have larger rounding errors than blocked sums"),
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


@pytest.mark.slow
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
