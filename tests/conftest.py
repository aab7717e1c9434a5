"""Fixtures: the command line in this process, a folder of layer modules, and one import of Keras for all tests."""

from __future__ import annotations

import importlib
import io
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import bnverify
from bnverify.cli.main import main
from bnverify.targets.worker.devices import offer_devices

pytest_plugins = ["pytester"]

PACKAGE = Path(bnverify.__file__).parents[1]  # the folder that bnverify was imported from, installed or not
ROOT = Path(__file__).parents[1]  # the repository

LAYERS = '''
"""Layers, right and wrong, that the tests name as module:Name."""

import keras
from keras import ops


class Right(keras.layers.BatchNormalization):
    """A correct subclass."""


def factory(**arguments):
    return keras.layers.BatchNormalization(**arguments)


class Outer:
    class Inner(keras.layers.BatchNormalization):
        pass


class Textbook(keras.layers.BatchNormalization):
    """Written out, so that subclasses can change one thing."""

    def call(self, inputs, training=None, mask=None):
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        kept = self.axis % len(x.shape)
        axes = [axis for axis in range(len(x.shape)) if axis != kept]
        shape = [-1 if axis == kept else 1 for axis in range(len(x.shape))]
        if training and self.trainable:
            mean, variance = self.moments(x, axes)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + batch * (1 - self.momentum))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        y = (x - ops.reshape(mean, shape)) * ops.reshape(self.inverse(variance), shape)
        y = y * ops.reshape(self.gamma, shape) if self.scale else y
        return y + ops.reshape(self.beta, shape) if self.center else y

    def moments(self, x, axes):
        mean = ops.mean(x, axis=axes, keepdims=True)
        return ops.reshape(mean, (-1,)), ops.mean(ops.square(x - mean), axis=axes)

    def inverse(self, variance):
        return 1 / ops.sqrt(variance + self.epsilon)


class EpsilonOutside(Textbook):
    def inverse(self, variance):
        return 1 / (ops.sqrt(variance) + self.epsilon)


class OnePass(Textbook):
    def moments(self, x, axes):
        mean = ops.mean(x, axis=axes)
        return mean, ops.mean(ops.square(x), axis=axes) - ops.square(mean)


class Running(Textbook):
    """Sums in one running total."""

    def moments(self, x, axes):
        rows = ops.convert_to_numpy(x)
        mean = rows.cumsum(axis=0, dtype=rows.dtype)[-1] / len(rows)
        squares = ((rows - mean) ** 2).cumsum(axis=0, dtype=rows.dtype)[-1] / len(rows)
        return ops.convert_to_tensor(mean), ops.convert_to_tensor(squares)


class NoCenter(keras.layers.BatchNormalization):
    def __init__(self, axis=-1, momentum=0.99, epsilon=1e-3, scale=True, dtype=None):
        super().__init__(axis=axis, momentum=momentum, epsilon=epsilon, scale=scale, dtype=dtype)


class NoDtype(keras.layers.BatchNormalization):
    def __init__(self, axis=-1, momentum=0.99, epsilon=1e-3, center=True, scale=True):
        super().__init__(axis=axis, momentum=momentum, epsilon=epsilon, center=center, scale=scale)


class PickyCenter(keras.layers.BatchNormalization):
    def __init__(self, center=True, **arguments):
        if not center:
            raise ValueError("center must be True")
        super().__init__(**arguments)


class RaisesInConstructor(keras.layers.BatchNormalization):
    def __init__(self, **arguments):
        raise RuntimeError("no licence\\nfor this layer")


class RaisesInCall(keras.layers.BatchNormalization):
    text = "out of order"

    def call(self, inputs, training=None, mask=None):
        raise ValueError(self.text)


class RaisesInterrupt(keras.layers.BatchNormalization):
    """As if Ctrl-C were pressed in the third call."""

    calls = 0

    def call(self, inputs, training=None, mask=None):
        RaisesInterrupt.calls += 1
        if RaisesInterrupt.calls == 3:
            raise KeyboardInterrupt
        return super().call(inputs, training=training)


class NotALayer:
    def __init__(self, **arguments):
        pass


instance = keras.layers.BatchNormalization()
number = 3
'''


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line of standard output."""
        return self.out.rstrip("\n").rsplit("\n", 1)[-1]


Cli = Callable[..., Ended]


def assert_refused(ended: Ended, *parts: str) -> None:
    """Bad input: nothing on standard output, one line on standard error that holds the parts, exit code 2."""
    assert ended.err.count("\n") == 1, ended.err
    assert ended.err.startswith("bnverify: ")
    for part in parts:
        assert part in ended.err
    assert (ended.code, ended.out) == (2, "")


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


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child process: this bnverify comes first, after what `extra` puts before it."""
    extra = dict(extra or {})
    path = [extra.pop("PYTHONPATH", ""), str(PACKAGE), os.environ.get("PYTHONPATH", "")]
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return {**kept, **extra, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def without(folder: Path, package: str) -> dict[str, str]:
    """Writes into `folder` what makes `package` look uninstalled; the environment of a process in which it is."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    return {"PYTHONPATH": str(folder)}
