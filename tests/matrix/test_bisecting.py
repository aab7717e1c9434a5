"""Bisecting: the release in which a case changed is found, with few releases tried, and the framework is told from Keras."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.cli import ROOT, Cli, assert_refused, environment

from bnverify.cases.ids import parse
from bnverify.errors import BadInput
from bnverify.matrix import bisecting
from bnverify.matrix.environments import NotInstallable
from bnverify.matrix.records import Record, record_of
from bnverify.matrix.rows import Row, load_matrix
from bnverify.matrix.runs import Job
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.running.run import run
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Interface
from bnverify.views.diff_text import found_lines

CASE = parse("shape:4x3/steps:TI")
KNOWN = ("3.6.0", "3.7.0", "3.8.0", "3.9.0", "3.9.1", "3.9.2", "3.10.0", "3.11.0", "3.11.1", "3.11.2", "3.11.3", "3.12.0")
MATRIX = load_matrix(ROOT / "ci" / "matrix.toml")

Faulty = Callable[[Row], bool]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Callable[[Faulty, tuple[str, ...]], list[str]]:
    """Replaces environments: rows that `faulty` selects swap momentum, those of `broken` releases cannot be installed."""

    def install(faulty: Faulty, broken: tuple[str, ...] = ()) -> list[str]:
        tried: list[str] = []

        def make(row: Row) -> str:
            if row.keras in broken:
                raise NotInstallable("no wheel")
            return row.keras

        def run_row(row: Row, python: str, job: Job) -> Record:
            tried.append(row.name)
            target = ReferenceTarget(HYPOTHESIS_BY_KEY["momentum-swapped"].formulas) if faulty(row) else ReferenceTarget()
            return record_of(row.name, run(job.cases, target, seed=job.seed), Interface())

        monkeypatch.setattr(bisecting, "make_environment", make)
        monkeypatch.setattr(bisecting, "run_row", run_row)
        return tried

    return install


def since(release: str) -> Faulty:
    return lambda row: KNOWN.index(row.keras) >= KNOWN.index(release)


@pytest.mark.parametrize("release", KNOWN[1:])
def test_the_release_is_found(world: Callable[..., list[str]], release: str) -> None:
    """Whichever release brought the change is named, with the one before it, after at most log2(n)+3 runs."""
    tried = world(since(release))
    found = bisecting.find_release(CASE, MATRIX, KNOWN, "tensorflow")
    assert (found.last_good, found.first_bad) == (KNOWN[KNOWN.index(release) - 1], release)
    assert found.framework == ""
    assert len(tried) <= 7
    assert any("moving mean" in change.text for change in found.changes)


def test_bisecting_backwards(world: Callable[..., list[str]]) -> None:
    """The good release may be the newer one: then the change is the one that mended the case."""
    world(lambda row: KNOWN.index(row.keras) < KNOWN.index("3.9.1"))
    found = bisecting.find_release(CASE, MATRIX, tuple(reversed(KNOWN)), "tensorflow")
    assert (found.last_good, found.first_bad) == ("3.9.1", "3.9.0")


def test_a_release_that_cannot_be_installed_is_told(world: Callable[..., list[str]]) -> None:
    """Releases without an environment are stepped around, and named where they lie between the two."""
    world(since("3.9.1"), ("3.9.1", "3.10.0"))
    found = bisecting.find_release(CASE, MATRIX, KNOWN, "tensorflow")
    assert (found.last_good, found.first_bad) == ("3.9.0", "3.9.2")
    assert found.untried == (("3.9.1", "no wheel"),)
    assert "  not tried: 3.9.1: no wheel" in found_lines(found, "keras", CASE.id)


def test_the_framework_is_told_from_keras(world: Callable[..., list[str]]) -> None:
    """Where the older Keras changes, too, once it has the newer one's TensorFlow, TensorFlow is named."""
    world(lambda row: "tensorflow-cpu==2.20.0" in row.packages)
    found = bisecting.find_release(CASE, MATRIX, KNOWN, "tensorflow")
    assert (found.last_good, found.first_bad) == ("3.10.0", "3.11.0")
    assert found.framework == "tensorflow-cpu==2.20.0"
    assert found_lines(found, "keras", CASE.id)[0] == (
        f"the result of {CASE.id} changed with tensorflow-cpu==2.20.0, also under keras 3.10.0; "
        "the last release with the old result is keras 3.10.0"
    )


def test_ends_that_do_not_differ(world: Callable[..., list[str]]) -> None:
    """Where the case comes out alike at both ends there is nothing to find."""
    world(lambda row: False)
    with pytest.raises(BadInput, match=r"gives the same result in 3\.6\.0 and 3\.12\.0: conforms"):
        bisecting.find_release(CASE, MATRIX, KNOWN, "tensorflow")


def test_an_end_that_cannot_be_run(world: Callable[..., list[str]]) -> None:
    """An end without an environment is refused with the reason."""
    world(since("3.9.1"), ("3.12.0",))
    with pytest.raises(BadInput, match=r"keras 3\.12\.0 cannot be run: no wheel"):
        bisecting.find_release(CASE, MATRIX, KNOWN, "tensorflow")


@pytest.mark.parametrize(
    ("good", "bad", "problem"),
    [
        ("3.6.0", "3.6.0", "are the same release"),
        ("3.6", "3.12.0", "--good 3.6: no such release; there are 3.6.0"),
        ("new", "3.12.0", "--good 'new' is not a version; allowed: a version such as 3.8.0"),
        ("3.6.0", "4.0.0", "--bad 4.0.0: no such release"),
    ],
)
def test_wrong_ends(good: str, bad: str, problem: str) -> None:
    """Ends that are no two releases are refused."""
    with pytest.raises(BadInput, match=problem.replace(".", r"\.")):
        bisecting.between(KNOWN, good, bad)


def test_candidates_in_order() -> None:
    """The releases from good to bad, in that direction."""
    assert bisecting.between(KNOWN, "3.8.0", "3.9.2") == ("3.8.0", "3.9.0", "3.9.1", "3.9.2")
    assert bisecting.between(KNOWN, "3.9.2", "3.8.0") == ("3.9.2", "3.9.1", "3.9.0", "3.8.0")


def test_pins_are_needed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that no pins cover is refused before anything is installed."""
    monkeypatch.setattr(bisecting, "releases", lambda module: ("1.2.2", "3.15.1"))
    monkeypatch.chdir(ROOT)
    assert_refused(cli("bisect", CASE.id, "--good", "1.2.2", "--bad", "3.15.1"), "no [[pins]] table", "keras 1.2.2")


def test_no_index(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a package index there is one line."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert_refused(cli("bisect", CASE.id, "--good", "3.8.0", "--bad", "3.15.1"), "the releases of keras cannot be listed")


@pytest.mark.slow
@pytest.mark.network
def test_a_real_change_is_found(tmp_path: Path) -> None:
    """On real Keras: a float64 layer computes in float32 on NumPy since 3.12.0 (this makes environments)."""
    case = "shape:8x3/policy:float64/dtype:float64/fill:exact/steps:T"
    command = [sys.executable, "-m", "bnverify", "bisect", case, "--good", "3.11.2", "--bad", "3.12.1", "--backend", "numpy"]
    env = environment({"BNVERIFY_CACHE": os.environ.get("BNVERIFY_TEST_CACHE", str(tmp_path))})
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        f"the result of {case} changed with keras 3.12.0; the last release with the old result is keras 3.11.3\n"
    )
    assert "rounding to float32, not to float64" in done.stdout or "known deviation" in done.stdout


def test_rows_made_for_bisecting_keep_their_pins() -> None:
    """The row of a release that is in no row of the file has the pins of its range."""
    row = MATRIX.release("3.9.1", "tensorflow")
    assert row == replace(
        row, name="keras-3.9.1-tensorflow", packages=("keras==3.9.1", "tensorflow-cpu==2.19.1"), python="3.11"
    )
