"""Hostile files: code in a model file runs under plain Keras, and never under bnverify, on any Keras."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import PACKAGE, ROOT, Cli
from support.hostile_files import hostile_files, pickled_arrays, ran

from bnverify.matrix.environments import NoInterpreter, make_environment
from bnverify.matrix.rows import find_matrix, load_matrix, select_rows

ASKED = ("explain", "[[1, 2], [3, 4]]", "--layer", "bn", "--model")
# How many of the files run code when plain Keras loads and calls them. Keras 3.12 and later have been mended.
RAN_UNDER_KERAS = {
    "keras-2.15.0-tensorflow": 10,
    "keras-3.0.0-tensorflow": 61,
    "keras-3.8.0-tensorflow": 81,
    "keras-3.12.4-tensorflow": 0,
}
EXPLAIN_EACH = """
import contextlib, io, json, sys
from pathlib import Path
from support.hostile_files import hostile_files, ran
from bnverify.cli.main import main
folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
codes = []
def explain(path):
    sys.argv = ["bnverify", "explain", "[[1, 2], [3, 4]]", "--layer", "bn", "--model", str(path)]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            codes.append(end.code or 0)
files = hostile_files(folder)
print(json.dumps([len(files), ran(files, explain), len(codes), sorted(set(codes))]))
"""


def test_no_code_runs(cli: Cli, folder: Path) -> None:
    """Each of hundreds of files is refused in one line, or its batch normalization is explained; nothing else happens."""
    files = hostile_files(folder)
    assert len(files) > 300
    ended = {}

    def explain(path: Path) -> None:
        ended[path.name] = cli(*ASKED, path)

    assert ran(files, explain) == []
    assert len(ended) == len(files)
    assert {end.code for end in ended.values()} == {0, 2}
    for name, end in ended.items():
        assert end.err.count("\n") == (end.code == 2), name
        assert bool(end.out) == (end.code == 0), name
    for name in ("lambda.h5", "lambda with a dotted name.keras", "call of exec by its registered name.keras"):
        assert ended[name].code == 2
        assert "--trust-code runs it" in ended[name].err
    assert "model.weights.h5" in ended["weights in .npz.keras"].err


def test_code_that_runs_is_noticed(folder: Path, keras: Any) -> None:
    """The check above can fail: without Keras' safe mode some of the same files run their code."""
    warnings.simplefilter("ignore")  # pytest puts the filters back
    names = ("lambda.keras", "lambda in TimeDistributed.keras", "config in capitals.keras", "pickle in the assets.keras")
    files = {path: marker for path, marker in hostile_files(folder).items() if path.name in names}
    assert len(files) == 4

    def load(path: Path) -> None:
        keras.models.load_model(path, safe_mode=False)(np.ones((2, 2), "float32"))

    assert ran(files, load) == ["lambda.keras"]


@pytest.mark.parametrize("option", ["X", "--weights", "--mask", "--expected"])
def test_pickled_arrays(cli: Cli, folder: Path, option: str) -> None:
    """No file of arrays is unpickled."""
    files = pickled_arrays(folder)
    said = []

    def explain(path: Path) -> None:
        values = ("explain", path) if option == "X" else ("explain", "[[1, 2], [3, 4]]", option, path)
        said.append(cli(*values).err)

    assert ran(files, explain) == []
    assert len(said) == len(files) == 4
    assert all(f"{option} {folder}" in line and line.count("\n") == 1 for line in said)

    def unpickle(path: Path) -> None:
        found = np.load(path, allow_pickle=True)
        _ = [found[name] for name in found] if isinstance(found, np.lib.npyio.NpzFile) else found

    assert len(ran(files, unpickle)) == 4


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(("row", "number"), RAN_UNDER_KERAS.items(), ids=RAN_UNDER_KERAS)
def test_on_an_older_keras(tmp_path: Path, row: str, number: int) -> None:
    """Plain Keras runs the code of this many files; bnverify, on the same Keras, of none."""
    (found,) = select_rows(load_matrix(find_matrix()).rows, (row,))
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    try:
        python = make_environment(replace(found, packages=(*found.packages, *needed)))
    except NoInterpreter as missing:
        pytest.skip(str(missing))
    package = tmp_path / "package"  # bnverify alone: beside it, in site-packages, lies the Keras of these tests
    package.mkdir()
    (package / "bnverify").symlink_to(PACKAGE / "bnverify")
    script = str(ROOT / "tests" / "support" / "hostile_files.py")
    plain = _output(python, package, script, str(tmp_path / "plain"))
    assert len(json.loads(plain)) == number
    made, ran_here, ended, codes = json.loads(_output(python, package, "-c", EXPLAIN_EACH, str(tmp_path / "explained")))
    assert made == ended > 300
    assert (ran_here, codes) == ([], [0, 2])


def _output(python: str, package: Path, *arguments: str) -> str:
    """The last line that a Python program prints, with the bnverify in the folder package and the tests' modules at hand."""
    path = os.pathsep.join((str(package), str(ROOT / "tests")))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KERAS", "TF_"))}
    done = subprocess.run(
        [python, *arguments],
        env={**kept, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]
