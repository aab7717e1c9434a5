"""Bad input: one clear line on standard error, exit code 2, no traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli, assert_refused

from bnverify.cli.main import cli as commands
from bnverify.contract import BY_KEY

SMALL = "shape:2x2/steps:TI"
FIELDS = (
    "shape, axis, momentum, epsilon, center, scale, gamma_initializer, beta_initializer, moving_mean_initializer, "
    "moving_variance_initializer, gamma_regularizer, beta_regularizer, gamma_constraint, beta_constraint, renorm, "
    "renorm_clipping, renorm_momentum, synchronized, trainable, policy, dtype, fill, mask, weights, gradients, law, layout, "
    "mode, file, misuse, network, posted, steps"
)


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
    allowed = "words of case ids joined by and, or, not, ( )"
    assert ended.err == f"bnverify: -k {expression!r} is not an expression; allowed: {allowed}\n"


@pytest.mark.usefixtures("folder")
def test_expression_that_selects_nothing(cli: Cli) -> None:
    """A -k that fits no case is refused before anything is run: nothing tested is never a pass."""
    assert_refused(cli("run", "--suite", "smoke", "-k", "axsi"), "-k 'axsi' selects nothing in the smoke suite")


# --- case ids


LETTERS = "letters T, I, N, F, U, S, each with an optional count, such as T5IFTI; O only at the end"
CLIPPING = "rmax, rmin and dmax, each at most once, rmin <= rmax, joined by +, such as rmax3.0+rmin0.3+dmax5.0"
MALFORMED = (
    ("foo", f"'foo' is not field:value with a field of {FIELDS}"),
    ("shape", f"'shape' is not field:value with a field of {FIELDS}; did you mean shape:…?"),
    ("shapes:2x2/steps:T", f"'shapes:2x2' is not field:value with a field of {FIELDS}; did you mean shape:…?"),
    ("shape:2x2/moment:0.9/steps:T", f"'moment:0.9' is not field:value with a field of {FIELDS}; did you mean momentum:…?"),
    ("shape:2x2//steps:T", f"'' is not field:value with a field of {FIELDS}"),
    ("shape:2x2/steps:T/", f"'' is not field:value with a field of {FIELDS}"),
    ("shape=2x2/steps:T", f"'shape=2x2' is not field:value with a field of {FIELDS}; did you mean shape:…?"),
    ("shape:2x2", "no steps; an id needs shape and steps, such as shape:4x3/steps:TI"),
    ("steps:T", "no shape; an id needs shape and steps, such as shape:4x3/steps:TI"),
    ("shape:2x2/shape:2x2/steps:T", "the field shape is given twice"),
    ("shape:2x2/steps:T/steps:I", "the field steps is given twice"),
    ("shape:4/steps:T", "shape is '4'; allowed: two or more sizes joined by x, such as 4x3"),
    ("shape:/steps:T", "shape is ''; allowed: two or more sizes joined by x, such as 4x3"),
    ("shape:2x0/steps:T", "the kept axis has size 0; only reduced axes may have size 0"),
    ("shape:2x03/steps:T", "shape is '2x03'; allowed: two or more sizes joined by x, such as 4x3"),
    ("shape:-2x2/steps:T", "shape is '-2x2'; allowed: two or more sizes joined by x, such as 4x3"),
    ("shape:2X2/steps:T", "shape is '2X2'; allowed: two or more sizes joined by x, such as 4x3"),
    ("shape:2x2.5/steps:T", "shape is '2x2.5'; allowed: two or more sizes joined by x, such as 4x3"),
    ("shape:2,2/steps:T", "shape is '2,2'; allowed: two or more sizes joined by x, such as 4x3"),
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
    ("shape:2x2/axis:one/steps:T", "axis is 'one'; allowed: an integer, or several joined by +, such as -1 or 1+3"),
    ("shape:2x2/axis:0.5/steps:T", "axis is '0.5'; allowed: an integer, or several joined by +, such as -1 or 1+3"),
    ("shape:2x2/axis:/steps:T", "axis is ''; allowed: an integer, or several joined by +, such as -1 or 1+3"),
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


@pytest.mark.parametrize(("id_", "problem"), MALFORMED, ids=[id_ for id_, _ in MALFORMED])
def test_malformed_case_id(cli: Cli, id_: str, problem: str) -> None:
    """A malformed or impossible case id is quoted with its problem, what is allowed and what is near."""
    for ended in (cli("show", id_), cli("run", "--case", SMALL, "--case", id_)):
        assert_refused(ended)
        assert ended.err == f"bnverify: case id {id_!r}: {problem}\n"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("show", ""), "show"),
        (("run", "--case", ""), "--case"),
        (("run", "--layer", ""), "--layer"),
        (("run", "--layer="), "--layer"),
        (("run", "--backend", ""), "--backend"),
        (("run", "--json", ""), "--json"),
        (("run", "-k", ""), "-k"),
        (("run", "--baseline", "", "--suite", "smoke"), "--baseline"),
        (("explain", "[[1, 2]]", "--model", "", "--layer", ""), "--model"),
        (("explain", "[[1, 2]]", "--row", ""), "--row"),
        (("explain", ""), "explain"),
        (("matrix", "--only", ""), "--only"),
        (("matrix", ""), "matrix"),
        (("diff", "", "keras-3.8.0-jax"), "diff"),
        (("list", "--suite", ""), "--suite"),
        (("contract", "--suite="), "--suite"),
        (("selftest", "-k", ""), "-k"),
        (("files", "--json="), "--json"),
        (("bisect", "shape:4x3/steps:T", "--good", ""), "--good"),
    ],
)
def test_an_empty_value(cli: Cli, words: tuple[str, ...], what: str) -> None:
    """A shell passes an empty text for a variable that is not set. It never means the default."""
    ended = cli(*words)
    assert_refused(ended)
    assert ended.err == f"bnverify: {what}: got ''; allowed: a value that is not empty\n"


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


WHOLE = (("run", "--seed"), ("matrix", "--seed"), ("show", SMALL, "--seed"), ("matrix", "--jobs"), ("files", "--jobs"))
BISECT = ("bisect", SMALL, "--good", "3.8.0", "--bad", "3.15.1", "--seed")


@pytest.mark.parametrize("text", ["1_0", " 1", "1 ", "١", "+1", "-1", "1.0", "1e3", "0x1", "many", "9" * 1001, "²"])
@pytest.mark.parametrize("words", [*WHOLE, BISECT], ids=" ".join)
@pytest.mark.usefixtures("folder")
def test_a_whole_number(cli: Cli, words: tuple[str, ...], text: str) -> None:
    """A number option takes the digits 0 to 9, and none of the other texts that Python takes for a number."""
    ended = cli(*words, text)
    assert_refused(ended, f"allowed: a whole number of {int(words[-1] == '--jobs')} or more")
    assert ended.err.startswith(f"bnverify: {words[-1]}: got '")


def test_no_jobs(cli: Cli) -> None:
    """At least one row runs at a time."""
    ended = cli("matrix", "--jobs", "0")
    assert_refused(ended)
    assert ended.err == "bnverify: --jobs: got '0'; allowed: a whole number of 1 or more\n"


@pytest.mark.parametrize("text", ["1_0", " 1", "١", "nan", "inf", "1e999", "0.01", "-1", "soon"])
@pytest.mark.parametrize("command", ["run", "matrix"])
def test_an_odd_patience(cli: Cli, command: str, text: str) -> None:
    """--patience takes seconds as ids write numbers, and no time that is too short or has no end."""
    ended = cli(command, "--patience", text)
    assert_refused(ended)
    assert ended.err.startswith("bnverify: --patience: got '")
    assert ended.err.endswith("; allowed: 0.1 seconds or more\n")


def test_numbers_that_options_take() -> None:
    """Zeros before a number and an exponent change nothing; a default stays as it is."""
    run, matrix = commands.commands["run"], commands.commands["matrix"]
    given = run.make_context("run", ["--seed", "007", "--patience", "1.5e1"]).params
    assert (given["seed"], given["patience"]) == (7, 15.0)
    given = matrix.make_context("matrix", ["--jobs", "3"]).params
    assert (given["seed"], given["patience"], given["jobs"]) == (0, 120.0, 3)


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
    (record(why="3"), "4: deviation 1, field why: got 3; allowed: a text in quotes\n"),
    (record(case='["policy:float64"]'), "3: deviation 1, field case: got ['policy:float64']; allowed: a text in quotes\n"),
    (
        record(clauses='"moving-mean"'),
        "2: deviation 1, field clauses: got 'moving-mean'; allowed: a list of texts in quotes\n",
    ),
    (record(clauses="[1]"), "2: deviation 1, field clauses: got [1]; allowed: a list of texts in quotes\n"),
    (
        record(clauses='["moving_mean"]'),
        f"2: deviation 1, field clauses: got 'moving_mean'; allowed: {CLAUSE_KEYS}; did you mean moving-mean?\n",
    ),
    (record(keras='"3.0 to 3.5"'), "7: deviation 1, field keras: got '3.0 to 3.5'; allowed: a version range as >=3.0,<3.5\n"),
    (record(evidence='"shape:4x3"'), "6: deviation 1, field evidence: case id 'shape:4x3': no steps; "),
    (
        record(evidence='"shape:4x3/steps:T"'),
        "6: deviation 1, field evidence: the case shape:4x3/steps:T is not selected by case = 'policy:float64'\n",
    ),
    (record(case='"float64"'), f"3: deviation 1, field case: got 'float64'; allowed: field:value with a field of {FIELDS}\n"),
    (
        record(case='"polcy:float64"'),
        f"3: deviation 1, field case: got 'polcy:float64'; allowed: field:value with a field of {FIELDS}\n",
    ),
    (record(backend='"tensorflwo"'), "7: deviation 1, field backend: "),
    (record() + "\n# the next\n" + record(why=None), "9: deviation 2, field why: missing\n"),
    (record() + "\n# the next\n" + record(why="4"), "12: deviation 2, field why: got 4; allowed: a text in quotes\n"),
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
