"""Bad input: one clear line on standard error, exit code 2, no traceback, nothing half-written. And Ctrl-C."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from conftest import LAYERS, Cli, Ended, assert_refused, environment, without

from bnverify.contract import BY_KEY
from bnverify.errors import BadInput
from bnverify.files import check_writable, write_whole

SMALL = "shape:2x2/steps:TI"
FIELDS = (
    "shape, axis, momentum, epsilon, center, scale, gamma_initializer, beta_initializer, moving_mean_initializer, "
    "moving_variance_initializer, gamma_regularizer, beta_regularizer, gamma_constraint, beta_constraint, renorm, "
    "renorm_clipping, renorm_momentum, synchronized, trainable, policy, dtype, fill, mask, weights, gradients, law, layout, "
    "mode, file, misuse, network, steps"
)

# Runs bnverify as a user to whom permissions apply: root loses CAP_DAC_OVERRIDE (1) from what it may ever have (24).
WITHOUT_PRIVILEGE = """
import ctypes, os, sys
if os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, 1, 0, 0, 0):
    sys.exit(77)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


# --- suites and expressions


@pytest.mark.parametrize("command", ["run", "list", "contract", "selftest"])
@pytest.mark.usefixtures("folder")
def test_unknown_suite(cli: Cli, command: str) -> None:
    """An unknown suite is refused with the suites that there are and the one that was probably meant."""
    ended = cli(command, "--suite", "defualt")
    assert_refused(ended)
    assert ended.err == (
        "bnverify: suite 'defualt' is unknown; allowed: smoke, default, full, regressions; did you mean default?\n"
    )


def test_unknown_suite_like_none(cli: Cli) -> None:
    """Where no suite is near, none is suggested."""
    assert cli("list", "--suite", "x").err == "bnverify: suite 'x' is unknown; allowed: smoke, default, full, regressions\n"


def test_unknown_suite_beside_a_case(cli: Cli) -> None:
    """A misspelled --suite is refused, too, where --case makes it superfluous."""
    assert_refused(cli("list", "--suite", "smok", "--case", SMALL), "did you mean smoke?")


@pytest.mark.parametrize("expression", [")", "(", "axis and", "or axis", "not", "()", "axis offset", "(axis", "axis)", " "])
@pytest.mark.parametrize("command", ["run", "list"])
@pytest.mark.usefixtures("folder")
def test_malformed_expression(cli: Cli, command: str, expression: str) -> None:
    """A malformed -k expression is quoted with what is allowed."""
    ended = cli(command, "-k", expression)
    assert_refused(ended)
    assert ended.err == f"bnverify: -k {expression!r} is malformed; allowed: words of case ids joined by and, or, not, ( )\n"


@pytest.mark.usefixtures("folder")
def test_expression_that_selects_nothing(cli: Cli) -> None:
    """A -k that fits no case is refused before anything is run: nothing tested is never a pass."""
    assert_refused(cli("run", "--suite", "smoke", "-k", "axsi"), "-k 'axsi' selects nothing in the smoke suite")


# --- case ids


LETTERS = "letters T, I, N, F, U, S, each with an optional count, as T5IFTI, and O at the end"
CLIPPING = "rmax, rmin and dmax, each at most once, rmin <= rmax, joined by +, as rmax3.0+rmin0.3+dmax5.0"
MALFORMED = (
    ("", f"'' is not field:value with a field of {FIELDS}"),
    ("foo", f"'foo' is not field:value with a field of {FIELDS}"),
    ("shape", f"'shape' is not field:value with a field of {FIELDS}; did you mean shape:…?"),
    ("shapes:2x2/steps:T", f"'shapes:2x2' is not field:value with a field of {FIELDS}; did you mean shape:…?"),
    ("shape:2x2/moment:0.9/steps:T", f"'moment:0.9' is not field:value with a field of {FIELDS}; did you mean momentum:…?"),
    ("shape:2x2//steps:T", f"'' is not field:value with a field of {FIELDS}"),
    ("shape:2x2/steps:T/", f"'' is not field:value with a field of {FIELDS}"),
    ("shape=2x2/steps:T", f"'shape=2x2' is not field:value with a field of {FIELDS}; did you mean shape:…?"),
    ("shape:2x2", "no steps; an id needs shape and steps, as shape:4x3/steps:TI"),
    ("steps:T", "no shape; an id needs shape and steps, as shape:4x3/steps:TI"),
    ("shape:2x2/shape:2x2/steps:T", "the field shape stands twice"),
    ("shape:2x2/steps:T/steps:I", "the field steps stands twice"),
    ("shape:4/steps:T", "shape is '4'; allowed: two or more sizes joined by x, as 4x3"),
    ("shape:/steps:T", "shape is ''; allowed: two or more sizes joined by x, as 4x3"),
    ("shape:2x0/steps:T", "the kept axis has size 0; allowed: sizes of 0 on reduced axes"),
    ("shape:2x03/steps:T", "shape is '2x03'; allowed: two or more sizes joined by x, as 4x3"),
    ("shape:-2x2/steps:T", "shape is '-2x2'; allowed: two or more sizes joined by x, as 4x3"),
    ("shape:2X2/steps:T", "shape is '2X2'; allowed: two or more sizes joined by x, as 4x3"),
    ("shape:2x2.5/steps:T", "shape is '2x2.5'; allowed: two or more sizes joined by x, as 4x3"),
    ("shape:2,2/steps:T", "shape is '2,2'; allowed: two or more sizes joined by x, as 4x3"),
    ("shape:2x2/steps:", "steps is ''; allowed: at least one call (T, I, N or O)"),
    ("shape:2x2/steps:t", f"steps is 't'; allowed: {LETTERS}"),
    ("shape:2x2/steps:X", f"steps is 'X'; allowed: {LETTERS}"),
    ("shape:2x2/steps:5", f"steps is '5'; allowed: {LETTERS}"),
    ("shape:2x2/steps:T0I0N", f"steps is 'T0I0N'; allowed: {LETTERS}"),
    ("shape:2x2/steps:T-1", f"steps is 'T-1'; allowed: {LETTERS}"),
    ("shape:2x2/steps:FU", "steps is 'FU'; allowed: at least one call (T, I, N or O)"),
    ("shape:2x2/steps:OT", f"steps is 'OT'; allowed: {LETTERS}"),
    ("shape:2x2/axis:2/steps:T", "axis 2 is out of range -2…1 of the shape"),
    ("shape:2x3x4/axis:-4/steps:T", "axis -4 is out of range -3…2 of the shape"),
    ("shape:2x3x4/axis:0+3/steps:T", "axis 0+3 is out of range -3…2 of the shape"),
    ("shape:2x2/axis:0+0/steps:T", "axis 0+0 names an axis twice"),
    ("shape:2x2/axis:1+-1/steps:T", "axis 1+-1 names an axis twice"),
    ("shape:2x2/axis:one/steps:T", "axis is 'one'; allowed: an integer, or several joined by +, as -1 or 1+3"),
    ("shape:2x2/axis:0.5/steps:T", "axis is '0.5'; allowed: an integer, or several joined by +, as -1 or 1+3"),
    ("shape:2x2/axis:/steps:T", "axis is ''; allowed: an integer, or several joined by +, as -1 or 1+3"),
    ("shape:2x2/momentum:1.5/steps:T", "momentum is '1.5'; allowed: a number from 0 to 1"),
    ("shape:2x2/momentum:-0.1/steps:T", "momentum is '-0.1'; allowed: a number from 0 to 1"),
    ("shape:2x2/momentum:nan/steps:T", "momentum is 'nan'; allowed: a number from 0 to 1"),
    ("shape:2x2/momentum:high/steps:T", "momentum is 'high'; allowed: a number from 0 to 1"),
    ("shape:2x2/epsilon:-1e-3/steps:T", "epsilon is '-1e-3'; allowed: a number from 0 to 1e+06"),
    ("shape:2x2/epsilon:inf/steps:T", "epsilon is 'inf'; allowed: a number from 0 to 1e+06"),
    ("shape:2x2/center:true/steps:T", "center is 'true'; allowed: one of True, False; did you mean center:True?"),
    ("shape:2x2/scale:0/steps:T", "scale is '0'; allowed: one of True, False"),
    (
        "shape:2x2/policy:mixed_float/steps:T",
        "policy is 'mixed_float'; allowed: one of float32, float64, float16, bfloat16, mixed_float16, mixed_bfloat16; "
        "did you mean policy:mixed_float16?",
    ),
    (
        "shape:2x2/dtype:int23/steps:T",
        "dtype is 'int23'; allowed: one of bfloat16, float16, float32, float64, int8, uint8, int16, int32, int64; "
        "did you mean dtype:int32?",
    ),
    (
        "shape:2x2/fill:ofset/steps:T",
        "fill is 'ofset'; allowed: one of normal, exact, offset, constant, tiny, spike, huge, subnormal, nonfinite; "
        "did you mean fill:offset?",
    ),
    ("shape:2x2/weights:ones/steps:T", "weights is 'ones'; allowed: one of random, initial, negative, subnormal"),
    ("shape:2x2/gradients:3/steps:T", "gradients is '3'; allowed: one of 0, 1, 2"),
    ("shape:2x2/renorm_momentum:0.5/steps:T", "renorm_clipping and renorm_momentum need renorm:True"),
    ("shape:2x2/renorm:True/renorm_clipping:rmax/steps:T", f"renorm_clipping is 'rmax'; allowed: {CLIPPING}"),
    ("shape:2x2/renorm:True/renorm_clipping:rmin3+rmax2/steps:T", f"renorm_clipping is 'rmin3+rmax2'; allowed: {CLIPPING}"),
)


@pytest.mark.parametrize(("id_", "problem"), MALFORMED, ids=[id_ or "empty" for id_, _ in MALFORMED])
def test_malformed_case_id(cli: Cli, id_: str, problem: str) -> None:
    """A malformed or impossible case id is quoted with its problem, what is allowed and what is near."""
    for ended in (cli("show", id_), cli("run", "--case", SMALL, "--case", id_)):
        assert_refused(ended)
        assert ended.err == f"bnverify: case id {id_!r}: {problem}\n"


def test_a_case_id_of_several_lines(cli: Cli) -> None:
    """A line break in a case id is shown as \\n, so that the message stays one line."""
    assert_refused(cli("show", "shape:2x2\n/steps:T"), r"'2x2\n'")


@pytest.mark.parametrize(
    "id_",
    [
        "shape:1000000000x1000000/steps:T",
        "shape:" + "x".join(["1"] * 70) + "/steps:T",
        "shape:" + "9" * 400 + "x2/steps:T",
        "shape:" + "9" * 5000 + "x2/steps:T",
        "shape:2x2/axis:" + "9" * 5000 + "/steps:T",
    ],
    ids=["8 petabytes", "rank 70", "400 digits", "5000 digits", "axis of 5000 digits"],
)
@pytest.mark.parametrize("command", [("show",), ("run", "--case")], ids=["show", "run"])
@pytest.mark.usefixtures("keras", "folder")
def test_a_case_beyond_the_machine(cli: Cli, command: tuple[str, ...], id_: str) -> None:
    """A case that no machine can hold is bad input and no traceback."""
    assert_refused(cli(*command, id_), "case id ")


def test_steps_beyond_the_machine(cli: Cli) -> None:
    """A million steps of a gigabyte each are bad input (`list` does not make the inputs)."""
    assert_refused(cli("list", "--case", "shape:16384x16384/steps:T999999"), "case id 'shape:16384x16384/steps:T999999'")


# --- options


@pytest.mark.usefixtures("keras", "folder")
def test_unknown_grade(cli: Cli) -> None:
    """An unknown --min-grade is refused under the name that it was given with, and with the grades that there are."""
    ended = cli("run", "--case", SMALL, "--min-grade", "perfect")
    assert_refused(ended, "--min-grade", "'perfect'", "blocked", "sequential", "one-pass")


# --- known deviations

GOOD = {
    "clauses": '["moving-mean", "moving-variance"]',
    "case": '"policy:float64"',
    "why": '"because"',
    "link": '"https://example.org"',
    "evidence": '"shape:4x3/policy:float64/steps:T"',
}


def record(**changes: str | None) -> str:
    """A table with some fields changed or, where None, left out; its head stands on line 1, `clauses` on line 2."""
    lines = [f"{name} = {value}" for name, value in {**GOOD, **changes}.items() if value is not None]
    return "\n".join(["[[deviation]]", *lines]) + "\n"


CLAUSE_KEYS = "numbers, " + ", ".join(BY_KEY)
RECORD_FIELDS = (
    "clauses, why, link, evidence, case, quantity, computes, arithmetic, variable, read, autocast, output, grade, replicas, "
    "raises, backend, keras, target"
)


WRONG_FILES = (
    ("[[deviation]\n", "1: not valid TOML: "),
    ("# comment\n\nclauses = [\n", "4: not valid TOML: "),
    ('# comment\n[[deviation]]\nwhy = "a"\nwhy = "b"\n', "4: not valid TOML: "),
    ("deviation = 3\n", "1: 'deviation' must be written as [[deviation]] tables\n"),
    ("# one table\n\n[deviation]\n", "3: 'deviation' must be written as [[deviation]] tables\n"),
    ("# c\ndeviations = 3\n", "2: 'deviations' is unknown; allowed: [[deviation]] tables\n"),
    ('# c\n\n[[deviations]]\nwhy = "w"\n', "3: 'deviations' is unknown; allowed: [[deviation]] tables\n"),
    (record(clauses=None), "1: deviation 1, field clauses: missing\n"),
    (record(why=None), "1: deviation 1, field why: missing\n"),
    (record(link=None), "1: deviation 1, field link: missing\n"),
    (record(evidence=None), "1: deviation 1, field evidence: missing\n"),
    (record(why='""'), "4: deviation 1, field why: missing\n"),
    (record(clauses="[]"), "2: deviation 1, field clauses: missing\n"),
    (record(clause='["moving-mean"]'), f"7: deviation 1, field clause: unknown; allowed: {RECORD_FIELDS}\n"),
    (record(why="3"), "4: deviation 1, field why: must be a text in quotes, is 3\n"),
    (record(case='["policy:float64"]'), "3: deviation 1, field case: must be a text in quotes, is ['policy:float64']\n"),
    (
        record(clauses='"moving-mean"'),
        "2: deviation 1, field clauses: must be a list of texts, as [\"moving-mean\"], is 'moving-mean'\n",
    ),
    (record(clauses="[1]"), '2: deviation 1, field clauses: must be a list of texts, as ["moving-mean"], is [1]\n'),
    (record(clauses='["moving_mean"]'), f"2: deviation 1, field clauses: 'moving_mean' is unknown; allowed: {CLAUSE_KEYS}\n"),
    (record(keras='"3.0 to 3.5"'), "7: deviation 1, field keras: '3.0 to 3.5' is no version range; allowed: as >=3.0,<3.5\n"),
    (record(evidence='"shape:4x3"'), "6: deviation 1, field evidence: case id 'shape:4x3': no steps; "),
    (
        record(evidence='"shape:4x3/steps:T"'),
        "6: deviation 1, field evidence: the case shape:4x3/steps:T is not among those that case = 'policy:float64' selects\n",
    ),
    (record(case='"float64"'), f"3: deviation 1, field case: 'float64' is not field:value with a field of {FIELDS}\n"),
    (
        record(case='"polcy:float64"'),
        f"3: deviation 1, field case: 'polcy:float64' is not field:value with a field of {FIELDS}\n",
    ),
    (record(backend='"tensorflwo"'), "7: deviation 1, field backend: "),
    (record() + "\n# the next\n" + record(why=None), "9: deviation 2, field why: missing\n"),
    (record() + "\n# the next\n" + record(why="4"), "12: deviation 2, field why: must be a text in quotes, is 4\n"),
)


@pytest.mark.parametrize(("text", "problem"), WRONG_FILES, ids=[problem[:60].strip() for _, problem in WRONG_FILES])
@pytest.mark.usefixtures("folder")
def test_wrong_known_deviations(cli: Cli, folder: Path, text: str, problem: str) -> None:
    """A file of known deviations that cannot be used is refused with file, line and field, before Keras is imported."""
    (folder / "known.toml").write_text(text)
    ended = cli("run", "--suite", "smoke", "--known", "known.toml")
    assert_refused(ended)
    assert ended.err.startswith(f"bnverify: known.toml:{problem}")


def test_deeply_nested_known_deviations(cli: Cli, folder: Path) -> None:
    """A file that is nested beyond what the TOML parser takes is refused like any other malformed one."""
    (folder / "known.toml").write_text("a = " + "[" * 5000)
    assert_refused(cli("run", "--suite", "smoke", "--known", "known.toml"), "known.toml:")


def test_known_deviations_that_cannot_be_read(cli: Cli, folder: Path) -> None:
    """A file of known deviations that is missing, a folder or no text is refused with its path and the reason."""
    (folder / "binary").write_bytes(b"\xff\xfe\x00")
    for name, reason in (
        ("missing.toml", "No such file or directory"),
        (".", "Is a directory"),
        ("binary", "not a text file in UTF-8"),
    ):
        ended = cli("run", "--case", SMALL, "--known", name)
        assert_refused(ended)
        assert ended.err == f"bnverify: --known {name}: {reason}\n"


def test_evidence_beyond_the_machine(cli: Cli, folder: Path, keras: Any) -> None:
    """Evidence that no machine can hold is refused with file, line and field, as any other evidence that cannot be run."""
    assert keras.__version__
    (folder / "known.toml").write_text(record(case=None, evidence='"shape:1000000000x1000000/steps:T"'))
    assert_refused(cli("run", "--suite", "regressions", "--known", "known.toml"), "known.toml:5: deviation 1, field evidence: ")


# --- layers


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("mylayers", "--layer 'mylayers' is not module:Class, as mypackage.layers:MyBatchNormalization"),
        (":Right", "--layer ':Right' is not module:Class, as mypackage.layers:MyBatchNormalization"),
        ("mylayers:", "--layer 'mylayers:' is not module:Class, as mypackage.layers:MyBatchNormalization"),
        ("", "--layer '' is not module:Class, as mypackage.layers:MyBatchNormalization"),
        ("nowhere:Right", "--layer nowhere:Right: nowhere does not import: ModuleNotFoundError: No module named 'nowhere'"),
        ("mylayers.sub:X", "--layer mylayers.sub:X: mylayers.sub does not import: ModuleNotFoundError: No module named "),
        ("broken:X", "--layer broken:X: broken does not import: SyntaxError: "),
        ("raising:X", "--layer raising:X: raising does not import: ZeroDivisionError: division by zero"),
        ("mylayers:Rihgt", "--layer mylayers:Rihgt: mylayers has no Rihgt"),
        ("mylayers:Outer.Other", "--layer mylayers:Outer.Other: mylayers has no Outer.Other"),
        ("mylayers:number", "--layer mylayers:number: number is int, not a layer class or a factory"),
        ("mylayers:instance", "layer mylayers:instance: got BatchNormalization <BatchNormalization name="),
        ("mylayers:NotALayer", "layer mylayers:NotALayer: calling it gives NotALayer, not a keras.layers.Layer"),
        (
            "mylayers:RaisesInConstructor",
            "layer mylayers:RaisesInConstructor: its constructor raises RuntimeError: no licence for this layer",
        ),
        ("keras.layers:Dense", "layer keras.layers:Dense: its constructor raises TypeError: "),
        ("os.path:join", "layer os.path:join: its constructor raises TypeError: "),
        ("builtins:dict", "layer builtins:dict: calling it gives dict, not a keras.layers.Layer"),
    ],
)
def test_layer_that_cannot_be_used(cli: Cli, layers: Path, layer: str, message: str) -> None:
    """A --layer that does not import, is no layer or cannot be made is refused with the reason, and no report is written."""
    (layers / "broken.py").write_text("def\n")
    (layers / "raising.py").write_text("1 / 0\n")
    ended = cli("run", "--suite", "smoke", "--layer", layer, "--json", "report.json", "--junit", "report.xml")
    assert_refused(ended, message)
    assert not (layers / "report.json").exists()
    assert not (layers / "report.xml").exists()


@pytest.mark.parametrize("code", ["sys.exit(0)", "sys.exit()", "raise SystemExit('usage: train.py')"])
def test_layer_in_a_script_that_exits(cli: Cli, layers: Path, code: str) -> None:
    """A module that ends the process while it is imported tested nothing: it is refused, and no exit code 0."""
    (layers / "script.py").write_text(f"import sys\nfrom mylayers import Right\n{code}\n")
    assert_refused(cli("run", "--case", SMALL, "--layer", "script:Right"), "script does not import")


def test_layer_that_exits_in_its_call(cli: Cli, layers: Path) -> None:
    """A layer that calls sys.exit(0) did not return: the run does not end with exit code 0."""
    (layers / "exiting.py").write_text(
        "import sys, keras\n"
        "class Exits(keras.layers.BatchNormalization):\n"
        "    def call(self, inputs, training=None):\n"
        "        sys.exit(0)\n"
    )
    ended = cli("run", "--case", SMALL, "--layer", "exiting:Exits")
    assert ended.code == 1
    assert "CRASHED  step 0: SystemExit" in ended.out


def test_layer_name_of_several_lines(cli: Cli, layers: Path) -> None:
    """A line break in what is quoted does not make the message two lines."""
    assert layers.is_dir()
    assert_refused(cli("run", "--case", SMALL, "--layer", "no\nwhere:Right"), "does not import")


# --- the environment


@pytest.mark.parametrize("package", ["keras", "tensorflow"])
@pytest.mark.parametrize("command", ["run --suite smoke --json report.json", "selftest"])
def test_missing_package(shell: Cli, tmp_path: Path, package: str, command: str) -> None:
    """Without Keras, or without its backend, there is one line that says what is missing and how to install it."""
    ended = shell(*command.split(), env=without(tmp_path / "blocked", package))
    assert_refused(ended, "keras cannot be imported", f"No module named '{package}'", "; pip install keras tensorflow\n")
    assert not (tmp_path / "report.json").exists()


FAKE_KERAS = """
__version__ = {version!r}

class layers:
    class Layer:
        pass

    class BatchNormalization(Layer):
        pass

    BatchNormalization.call = lambda self, inputs: None

class backend:
    @staticmethod
    def backend():
        return "numpy"

    @staticmethod
    def standardize_dtype(dtype):
        return str(dtype)

class ops:
    @staticmethod
    def convert_to_tensor(values, dtype):
        return values
"""


def fake_keras(folder: Path, text: str) -> dict[str, str]:
    """The environment of a process in which `keras` is a package with this text."""
    (folder / "fake" / "keras").mkdir(parents=True)
    (folder / "fake" / "keras" / "__init__.py").write_text(text)
    return {"PYTHONPATH": str(folder / "fake")}


@pytest.mark.parametrize(
    "command", ["run --suite smoke --json report.json", "selftest", "run --layer keras:layers.BatchNormalization"]
)
def test_too_old_keras(shell: Cli, tmp_path: Path, command: str) -> None:
    """A Keras before 2.1 is refused with its version, and with the oldest that is supported."""
    ended = shell(*command.split(), env=fake_keras(tmp_path, FAKE_KERAS.format(version="2.0.9")))
    assert_refused(ended)
    assert ended.err == "bnverify: keras 2.0.9 is too old: bnverify verifies Keras 2.1.0 and newer, tf.keras 2.4 and newer\n"
    assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "module 'keras' has no attribute '__version__'"),
        ("raise ValueError('Unable to import backend : nonsense')", "Unable to import backend : nonsense"),
        ("raise AttributeError('_ARRAY_API not found')", "_ARRAY_API not found"),
        (FAKE_KERAS.format(version="3.unknown"), "3.unknown"),
    ],
    ids=["an empty package", "an unknown backend", "another NumPy", "no version"],
)
def test_broken_keras(shell: Cli, tmp_path: Path, text: str, part: str) -> None:
    """A Keras that cannot be used for another reason than a missing package is one line, too."""
    assert_refused(shell("run", "--case", SMALL, env=fake_keras(tmp_path, text)), "eras", part)


# --- reports that cannot be written

OPTIONS = pytest.mark.parametrize("option", ["--json", "--junit"])


@OPTIONS
def test_report_in_a_missing_folder(cli: Cli, folder: Path, option: str) -> None:
    """A report into a folder that does not exist is refused before anything is run, and the folder is not made."""
    ended = cli("run", "--suite", "smoke", option, "no/report")
    assert_refused(ended)
    assert ended.err == f"bnverify: {option} no/report: the folder no does not exist\n"
    assert list(folder.iterdir()) == []


@OPTIONS
def test_report_that_is_a_folder(cli: Cli, folder: Path, option: str) -> None:
    """A report whose path is a folder is refused before anything is run."""
    (folder / "report").mkdir()
    ended = cli("run", "--suite", "smoke", option, "report")
    assert_refused(ended)
    assert ended.err == f"bnverify: {option} report: is a folder, not a file\n"


@OPTIONS
@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + "/report"])
@pytest.mark.usefixtures("folder")
def test_report_with_too_long_a_name(cli: Cli, option: str, name: str) -> None:
    """A name that is too long for the file system is refused before anything is run."""
    assert_refused(cli("run", "--suite", "smoke", option, name), option)


@OPTIONS
def test_report_with_the_longest_name(cli: Cli, layers: Path, option: str) -> None:
    """A name as long as the file system allows is written."""
    name = "a" * os.pathconf(layers, "PC_NAME_MAX")
    assert cli("run", "--case", SMALL, option, name).code == 0
    assert (layers / name).stat().st_size > 0


@OPTIONS
def test_report_to_a_full_disk(cli: Cli, layers: Path, option: str) -> None:
    """A report to a full device is one line on standard error and exit code 2, after the verdicts."""
    (layers / "full").symlink_to("/dev/full")  # by a link, so that a fault here cannot replace the device itself
    ended = cli("run", "--case", SMALL, option, "full")
    assert (ended.code, ended.err) == (2, f"bnverify: {option} full: not written: No space left on device\n")
    assert ended.last.startswith("CONFORMS: ")


@OPTIONS
@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_disk_that_fills_leaves_the_old_report(
    cli: Cli, layers: Path, monkeypatch: pytest.MonkeyPatch, option: str, failing: str
) -> None:
    """Where the disk is full while a report is written, the report of before stays as it was, and nothing lies beside it."""
    (layers / "report").write_text("of yesterday")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    ended = cli("run", "--case", SMALL, option, "report")
    assert (ended.code, ended.err) == (2, f"bnverify: {option} report: not written: No space left on device\n")
    assert (layers / "report").read_text() == "of yesterday"
    assert sorted(path.name for path in layers.iterdir() if path.is_file()) == ["mylayers.py", "report"]


def test_a_real_limit_leaves_the_old_report(tmp_path: Path) -> None:
    """A write that the system cuts off in the middle leaves the file of before, and nothing beside it."""
    path = tmp_path / "report"
    path.write_text("of yesterday")
    script = (
        "import resource, sys\nfrom pathlib import Path\nfrom bnverify.errors import BadInput\n"
        "from bnverify.files import write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
        "try:\n    write_whole(Path(sys.argv[1]), 'x' * 100_000, '--json')\nexcept BadInput as error:\n    print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], env=environment(), capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == f"--json {path}: not written: File too large\n"
    assert path.read_text() == "of yesterday"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


@OPTIONS
def test_bad_input_leaves_the_old_report(cli: Cli, layers: Path, option: str) -> None:
    """Whatever is refused, the report of before stays as it was."""
    (layers / "report").write_text("of yesterday")
    for arguments in (("--suite", "smok"), ("--case", "foo"), ("--layer", "mylayers:number"), ("--known", "missing")):
        assert_refused(cli("run", option, "report", *arguments))
        assert (layers / "report").read_text() == "of yesterday"


def test_one_file_for_two_reports(cli: Cli, layers: Path) -> None:
    """--json and --junit into one file are refused: one would be lost."""
    assert_refused(cli("run", "--case", SMALL, "--json", "report", "--junit", "report"), "--junit")
    assert not (layers / "report").exists()


def test_a_report_replaces_what_was_there(cli: Cli, layers: Path) -> None:
    """A report takes the place of the one before, longer or not."""
    (layers / "report.json").write_text("x" * 1_000_000)
    assert cli("run", "--case", SMALL, "--json", "report.json").code == 0
    assert json.loads((layers / "report.json").read_text())["ok"] is True


def test_a_report_through_a_link(tmp_path: Path) -> None:
    """A link to a file is written through, and stays a link (so that /dev/stdout stays what it is)."""
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", "new", "--json")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_a_report_to_a_redirected_standard_output(tmp_path: Path) -> None:
    """A name of standard output (a link as /dev/stdout is) is not replaced where standard output is a file."""
    name = tmp_path / "stdout"  # as /dev/stdout, which is not risked here
    name.symlink_to("/proc/self/fd/1")
    script = "from pathlib import Path\nfrom bnverify.files import write_whole\nwrite_whole(Path('stdout'), '{}', '--json')\n"
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment(), stdout=out, check=True, timeout=60)
    assert name.is_symlink()
    assert (tmp_path / "out").read_text() == "{}"


def test_a_report_into_a_pipe(tmp_path: Path) -> None:
    """A report to a device or pipe is written into it, and the pipe stays what it is."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [sys.executable, "-c", f"print(open({str(pipe)!r}).read(), end='')"], stdout=subprocess.PIPE
    ) as reader:
        write_whole(pipe, "the report", "--json")
        out, _ = reader.communicate(timeout=60)
    assert out == b"the report"
    assert pipe.is_fifo()


def unprivileged(*arguments: str, cwd: Path) -> Ended:
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_PRIVILEGE, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if ran.returncode == 77:
        pytest.skip("this root may not give up CAP_DAC_OVERRIDE, so that no folder is read-only to it")
    return Ended(ran.returncode, ran.stdout, ran.stderr)


@OPTIONS
@pytest.mark.skipif(sys.platform != "linux", reason="root loses its privilege in Linux' way")
def test_report_in_a_read_only_folder(tmp_path: Path, option: str) -> None:
    """A report into a read-only folder, or over a read-only file, is refused before anything is run."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "report").write_text("of yesterday")
    (folder / "report").chmod(0o444)
    folder.chmod(0o555)
    for name in ("folder/new", "folder/report"):
        ended = unprivileged("-m", "bnverify", "run", "--suite", "smoke", option, name, cwd=tmp_path)
        assert_refused(ended)
        assert ended.err == f"bnverify: {option} {name}: no permission to write\n"
    assert [path.name for path in folder.iterdir()] == ["report"]
    assert (folder / "report").read_text() == "of yesterday"


@pytest.mark.skipif(sys.platform != "linux", reason="root loses its privilege in Linux' way")
@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o555, 0o644), (0o555, 0o444), (0o755, 0o444), (0o755, 0o644)])
def test_what_is_accepted_can_be_written(tmp_path: Path, folder_mode: int, file_mode: int) -> None:
    """A path that is accepted before the run can be written after it: no run of minutes ends without its report."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "report").write_text("old")
    (folder / "report").chmod(file_mode)
    folder.chmod(folder_mode)
    script = (
        "import sys\nfrom pathlib import Path\nfrom bnverify.errors import BadInput\nfrom bnverify.files import *\n"
        "path = Path(sys.argv[1])\n"
        "try:\n    check_writable(path, '--json')\nexcept BadInput:\n    print('refused')\n"
        "else:\n    write_whole(path, 'new', '--json')\n    print('written')\n"
    )
    ended = unprivileged("-c", script, str(folder / "report"), cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert (ended.out, (folder / "report").read_text()) in {("refused\n", "old"), ("written\n", "new")}


def test_check_writable_writes_nothing(tmp_path: Path) -> None:
    """Looking whether a file can be written neither makes it nor changes it."""
    check_writable(tmp_path / "new", "--json")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BadInput, match=r"--json .*: is a folder, not a file"):
        check_writable(tmp_path, "--json")


# --- Ctrl-C


def interrupted(folder: Path, *arguments: str) -> Ended:
    """A real process that gets SIGINT once the file `reached` is there."""
    with subprocess.Popen(
        [sys.executable, "-m", "bnverify", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  a CI service may start us with it ignored
    ) as process:
        until = time.monotonic() + 60
        while not (folder / "reached").exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    return Ended(process.returncode, out, err)


def test_ctrl_c_in_mid_run(tmp_path: Path) -> None:
    """Ctrl-C ends a run with the verdicts so far, marked INCOMPLETE, in the reports, too, and with exit code 130."""
    (tmp_path / "mylayers.py").write_text(LAYERS)
    (tmp_path / "slow.py").write_text(
        "import time\nfrom pathlib import Path\nfrom mylayers import EpsilonOutside\n"
        "class Slow(EpsilonOutside):\n"
        "    calls = 0\n"
        "    def call(self, inputs, training=None, mask=None):\n"
        "        Slow.calls += 1\n"
        "        if Slow.calls == 5:\n"  # the first call of the third case
        "            Path('reached').touch()\n"
        "            time.sleep(60)\n"
        "        return super().call(inputs, training=training)\n"
    )
    ids = ["shape:2x2/steps:TI", "shape:3x2/steps:TI", "shape:4x2/steps:TI"]
    options = [word for id_ in ids for word in ("--case", id_)]
    ended = interrupted(tmp_path, "run", "--layer", "slow:Slow", *options, "--json", "r.json", "--junit", "r.xml")
    assert (ended.code, ended.err) == (130, "")
    assert ended.last == "DEVIATES, INCOMPLETE: 66 checks of 14 clauses in 2 cases; 2 wrong"
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["ok"], report["complete"]) == (False, False)
    assert [(v["case"], v["status"]) for v in report["verdicts"]] == [(ids[0], "wrong"), (ids[1], "wrong")]
    junit = ET.parse(tmp_path / "r.xml")
    assert [case.get("name") for case in junit.iter("testcase")] == ids[:2]


def test_ctrl_c_before_any_verdict(tmp_path: Path) -> None:
    """Ctrl-C while a module is imported ends with one line that says so, and exit code 130."""
    (tmp_path / "slow.py").write_text("import time\nfrom pathlib import Path\nPath('reached').touch()\ntime.sleep(60)\n")
    ended = interrupted(tmp_path, "run", "--layer", "slow:Slow", "--json", "r.json")
    assert (ended.code, ended.out, ended.err.lstrip("\n")) == (130, "", "bnverify: interrupted before any verdict\n")
    assert not (tmp_path / "r.json").exists()
