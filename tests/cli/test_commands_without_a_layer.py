"""The commands that run no layer of yours: list, show, contract, selftest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import Cli, assert_refused, without

from bnverify.cases.case import Case
from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.cases.suites import select, suite
from bnverify.contract import CLAUSES
from bnverify.contract.eras import ERAS
from bnverify.running.run import run as verify
from bnverify.targets.loading import open_target
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.verdicts.tally import by_clause

SMALL = "shape:2x2/steps:TI"


def report(folder: Path, name: str = "report.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_text())
    return found


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
            rf"{number:>2}  {re.escape(clause.title)}  \[{clause.key}\]  ([\d ]+ checks|checks of real layers only)", first
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


@pytest.mark.slow
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
    assert {case.mode for case in left if not case.file and not case.network and case.how.replicas == 1} == set(UNSEEN)


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


@pytest.mark.slow
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


@pytest.mark.slow
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
