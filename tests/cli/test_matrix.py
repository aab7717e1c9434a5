"""The matrix end to end, on real Keras of ten years: environments are made by uv, so this needs the package index."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.cli import ROOT, Ended, environment

from bnverify.matrix.difference import difference, regressions
from bnverify.matrix.environments import NoInterpreter, find_python
from bnverify.matrix.record_files import load_record
from bnverify.matrix.rows import load_matrix

pytestmark = [pytest.mark.slow, pytest.mark.network]

NEWEST = ("keras-3.15.1-tensorflow", "keras-3.15.1-jax", "keras-3.15.1-numpy")
OLD = ("keras-2.15.0-tensorflow", "keras-2.1.2-tensorflow")
BASELINES = ROOT / "ci" / "baselines"


def available(name: str) -> bool:
    """Whether the interpreter of a row is on this machine."""
    row = next(row for row in load_matrix(ROOT / "ci" / "matrix.toml").rows if row.name == name)
    try:
        return bool(find_python(row.python))
    except NoInterpreter:
        return False


@dataclass(frozen=True)
class Ran:
    """A finished matrix: how it ended, the folder of its records and reports, and its seconds."""

    ended: Ended
    folder: Path
    seconds: float


class Matrix:
    """Runs `bnverify matrix` with a cache of the session's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = environment({"BNVERIFY_CACHE": os.environ.get("BNVERIFY_TEST_CACHE", str(folder / "cache"))})

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "bnverify", "matrix", *arguments]

    def run(self, *arguments: str) -> Ran:
        """Runs it to its end."""
        started = time.perf_counter()
        done = subprocess.run(
            self.command(*arguments), cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=1200, check=False
        )
        return Ran(Ended(done.returncode, done.stdout, done.stderr), self.folder, time.perf_counter() - started)


@pytest.fixture(scope="session")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return Matrix(tmp_path_factory.mktemp("matrix"))


@pytest.fixture(scope="session")
def first(matrix: Matrix) -> Ran:
    """The newest Keras on three backends and two old ones, against the committed baselines."""
    (matrix.folder / "records").mkdir()
    reports = [f"--{kind}={matrix.folder / f'chart.{kind}'}" for kind in ("markdown", "html", "junit")]
    rows = (*NEWEST, *OLD)
    return matrix.run(
        *rows, "--suite", "smoke", "--records", str(matrix.folder / "records"), "--baseline", str(BASELINES), *reports
    )


@pytest.mark.parametrize("name", [*NEWEST, *OLD])
def test_no_regression_from_the_committed_baseline(first: Ran, name: str) -> None:
    """A row comes out as its committed record says; one whose interpreter is missing here says so."""
    if not available(name):
        assert re.search(rf"{name}: skipped: no working python3\.\d+ was found on the PATH", first.ended.err)
        pytest.skip(f"{name}: its interpreter is not on this machine")
    assert first.ended.code == 0, first.ended.out + first.ended.err
    assert f"against the baseline: {name}: regression" not in first.ended.out
    record = load_record(first.folder / "records" / f"{name}.json", "test")
    assert record.ok
    known = load_record(BASELINES / f"{name}.json", "test")
    assert set(record.cases) <= set(known.cases)
    assert regressions(difference(known, record)) == ()


def test_a_second_run_takes_the_rows_from_the_cache(first: Ran, matrix: Matrix) -> None:
    """Nothing has changed, so nothing is run again, in a fraction of the time; --force runs a row again."""
    names = [name for name in (*NEWEST, *OLD) if available(name)]
    again = matrix.run(*names, "--suite", "smoke")
    assert again.ended.err.count("(unchanged)") == len(names)
    assert again.seconds < first.seconds / 2
    other = matrix.run("keras-3.15.1-numpy", "-k", "shape:6x5", "--suite", "smoke")
    assert "(unchanged)" not in other.ended.err


def test_reports(first: Ran) -> None:
    """Markdown, HTML and JUnit are written and name every row."""
    for kind in ("markdown", "html", "junit"):
        text = (first.folder / f"chart.{kind}").read_text(encoding="utf-8")
        assert all(name in text for name in (*NEWEST, *OLD)), kind


def test_an_interrupted_matrix_keeps_what_is_finished(first: Ran, matrix: Matrix) -> None:
    """Ctrl-C ends the matrix with 130 and no orphans; the finished row is not run again."""
    assert first.ended.code in (0, 1)
    rows = ("keras-3.15.1-numpy", "keras-3.15.1-jax")
    arguments = (*rows, "--suite", "smoke", "--seed", "5", "--jobs", "1")
    with subprocess.Popen(
        matrix.command(*arguments),
        cwd=ROOT,
        env=matrix.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  a CI service may start us with it ignored
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("[1/2] keras-3.15.1-numpy: ")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert "keras-3.15.1-numpy" in out
    assert out.rstrip().endswith("interrupted; not finished: keras-3.15.1-jax")
    again = matrix.run(*arguments)
    assert "keras-3.15.1-numpy" in again.ended.err
    assert again.ended.err.count("(unchanged)") == 1


def test_pins_that_do_not_resolve_are_a_row_that_says_so(first: Ran, matrix: Matrix) -> None:
    """A row that cannot be installed is one line and exit code 2; the other row is run all the same."""
    assert first.folder.is_dir()
    file = matrix.folder / "rows.toml"
    file.write_text(
        '[[row]]\nname = "never"\npackages = ["keras==3.15.1", "keras==3.14.0"]\n\n'
        '[[row]]\nname = "good"\nbackend = "numpy"\npackages = ["keras==3.15.1", "jax==0.10.2", "scipy==1.17.1"]\n'
    )
    ran = matrix.run("--file", str(file), "--suite", "smoke", "-k", "shape:6x5")
    assert ran.ended.code == 2
    (line,) = [line for line in ran.ended.err.splitlines() if "never" in line]
    assert "never: not run: cannot be installed: " in line
    assert "keras==3.14.0" in line
    assert re.search(r"good: \d+ conforms", ran.ended.err)
    assert "Traceback" not in ran.ended.err


def test_a_source_tree_is_a_row(first: Ran, matrix: Matrix) -> None:
    """Whoever changes Keras can test the branch: a broken copy of Keras' layer, as a wheel of its own, is found out."""
    python = next(Path(matrix.env["BNVERIFY_CACHE"]).glob("environments/*/lib/python3.11/site-packages/jax")).parents[3]
    assert first.folder.is_dir()
    source = next(python.glob("lib/python3.11/site-packages/keras"))
    tree = matrix.folder / "branch"
    shutil.copytree(source, tree / "keras", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "keras"\nversion = "3.15.1"\ndependencies = ["absl-py", "numpy", "rich", "namex", "h5py", "optree", '
        '"ml-dtypes", "packaging"]\n[tool.setuptools.packages.find]\ninclude = ["keras*"]\n'
    )
    layer = tree / "keras" / "src" / "layers" / "normalization" / "batch_normalization.py"
    text = layer.read_text()
    assert text.count("(1.0 - self.momentum)") > 1
    layer.write_text(text.replace("variance * (1.0 - self.momentum)", "variance * (1.01 - self.momentum)"))
    file = matrix.folder / "branch.toml"
    file.write_text('[[row]]\nname = "my-branch"\nbackend = "numpy"\npackages = ["./branch", "jax==0.10.2", "scipy==1.17.1"]\n')
    ran = matrix.run("--file", str(file), "--suite", "smoke", "-k", "shape:8x3 or shape:4x3")
    assert ran.ended.code == 1, ran.ended.out + ran.ended.err
    assert "my-branch: wrong: " in ran.ended.out
    assert "moving variance" in ran.ended.out


@pytest.fixture(scope="session")
def two_backends(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """`bnverify run` on two backends at once."""
    command = [sys.executable, "-m", "bnverify", "run", "--suite", "smoke", "--backend", "jax", "--backend", "numpy"]
    folder = tmp_path_factory.mktemp("backends")
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def test_run_on_two_backends(two_backends: Ended) -> None:
    """Each backend has its own process and its own report, and both conform."""
    assert two_backends.code == 0, two_backends.out + two_backends.err
    assert re.search(r"^Keras \S+ · jax ", two_backends.out, re.MULTILINE)
    assert re.search(r"^Keras \S+ · numpy ", two_backends.out, re.MULTILINE)
    assert two_backends.out.count("\nCONFORMS: ") == 2


def test_run_on_one_other_backend(tmp_path: Path) -> None:
    """One backend is run in this process; its record says which, and is a baseline for the next run."""
    command = [sys.executable, "-m", "bnverify", "run", "--suite", "smoke", "--backend", "numpy"]
    for extra in (["--record", "mine.json"], ["--baseline", "mine.json"]):
        done = subprocess.run(
            [*command, *extra], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing has changed" in done.stdout
    assert json.loads((tmp_path / "mine.json").read_text())["environment"]["backend"] == "numpy"
