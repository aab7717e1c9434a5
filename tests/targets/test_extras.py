"""Installing bnverify leaves the user's Keras and backend alone; three real environments, made by uv."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from support.cli import ROOT

from bnverify.matrix.environments import find_python, find_uv, installer_environment

ENVIRONMENTS = {  # what is there before bnverify, its Python, and how `bnverify run --suite smoke` must end and begin
    "an old Keras on tensorflow-cpu": (
        ("keras==3.3.3", "tensorflow-cpu==2.16.2", "setuptools<81"),
        "3.11",
        (),
        0,
        "Keras 3.3.3 · tensorflow 2.16.2 on CPU",
    ),
    "PyTorch alone": (
        ("keras==3.15.1", "torch==2.13.0"),
        "3.11",
        ("--backend", "torch"),
        0,
        "Keras 3.15.1 · torch 2.13.0",
    ),
    "nothing": ((), "3.11", (), 2, "bnverify: keras is not installed; type: pip install 'bnverify[tensorflow]' (or jax, "),
}
FRAMEWORKS = ("keras", "tensorflow", "tensorflow-cpu", "torch", "jax", "numpy", "openvino", "tf-keras")


def uv(*arguments: object) -> str:
    ran = subprocess.run(
        [find_uv(), *map(str, arguments)], env=installer_environment(), capture_output=True, text=True, check=False, timeout=600
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def versions(python: Path) -> dict[str, str]:
    """The frameworks that are installed, with their versions."""
    found = {one["name"]: one["version"] for one in json.loads(uv("pip", "list", "--format", "json", "--python", python))}
    return {name: version for name, version in found.items() if name in FRAMEWORKS}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bnverify as pip would build it from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--out-dir", folder, ROOT)
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_users_environment_is_left_alone(name: str, tmp_path: Path, wheel: Path) -> None:
    """No framework changes its version when bnverify is installed, and the smoke suite runs on what is there."""
    packages, version, options, code, begins = ENVIRONMENTS[name]
    uv("venv", "--python", find_python(version), tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    if packages:
        uv("pip", "install", "--python", python, *packages)
    before = versions(python)
    uv("pip", "install", "--python", python, wheel)
    after = versions(python)
    assert {framework: after[framework] for framework in before} == before
    assert set(after) - set(before) <= {"numpy"}
    ran = subprocess.run(
        [str(python), "-m", "bnverify", "run", "--suite", "smoke", *options],
        cwd=tmp_path,
        env={name: value for name, value in installer_environment().items() if name != "KERAS_BACKEND"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert (ran.stdout + ran.stderr).startswith(begins), ran.stdout + ran.stderr
    assert ran.returncode == code, ran.stdout + ran.stderr


@pytest.mark.slow
@pytest.mark.network
def test_a_backend_that_is_there_but_not_chosen(tmp_path: Path, wheel: Path) -> None:
    """One line says which backend Keras is set to, which one was found, and what to type."""
    packages, version, *_ = ENVIRONMENTS["PyTorch alone"]
    uv("venv", "--python", find_python(version), tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    uv("pip", "install", "--python", python, *packages, wheel)
    ran = subprocess.run(
        [str(python), "-m", "bnverify", "run"],
        env={"PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    said = r"bnverify: keras 3\.15\.1 is set to the tensorflow backend, which is not installed; found torch 2\.13\.0\S*; "
    assert re.fullmatch(said + "type: bnverify run --backend torch, or set KERAS_BACKEND=torch\n", ran.stderr), ran.stderr
    assert (ran.returncode, ran.stdout) == (2, "")
