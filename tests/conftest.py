"""Fixtures: the command line in this process, a folder of layer modules, and one import of Keras for all tests."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli, Ended, environment
from support.layers import LAYERS

from bnverify.cli.main import main
from bnverify.targets.worker.devices import offer_devices

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller's environment says of colours must not change what the tests see."""
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras, imported once in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module("keras")
    offer_devices(module.backend.backend())  # before any test computes: the first one to come decides for the process
    return module


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs `bnverify ARGUMENTS` in this process."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["bnverify", *map(str, arguments)])
        code: Any = 0
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            try:
                main()
            except SystemExit as end:
                code = end.code
        return Ended(code or 0, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, from which modules can be imported while the test runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def layers(folder: Path, keras: Any) -> Path:
    """The current folder, with a module `mylayers` of layers in it, and Keras imported."""
    (folder / "mylayers.py").write_text(LAYERS)
    return folder


@pytest.fixture
def shell(tmp_path: Path) -> Cli:
    """Runs a real `python -m bnverify ARGUMENTS`, where a process boundary is what is tested."""

    def run(*arguments: object, env: Mapping[str, str] | None = None, command: tuple[str, ...] = ()) -> Ended:
        ran = subprocess.run(
            command or (sys.executable, "-m", "bnverify", *map(str, arguments)),
            cwd=tmp_path,
            env=environment(env),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=120,
            check=False,
        )
        return Ended(ran.returncode, ran.stdout, ran.stderr)

    return run
