"""Layers and environments that cannot be used: one clear line on standard error, exit code 2, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import Cli, assert_refused, without

SMALL = "shape:2x2/steps:TI"


# --- layers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("mylayers", "--layer 'mylayers' is not module:Class, such as mypackage.layers:MyBatchNormalization"),
        (":Right", "--layer ':Right' is not module:Class, such as mypackage.layers:MyBatchNormalization"),
        ("mylayers:", "--layer 'mylayers:' is not module:Class, such as mypackage.layers:MyBatchNormalization"),
        ("nowhere:Right", "--layer nowhere:Right: nowhere cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("mylayers.sub:X", "--layer mylayers.sub:X: mylayers.sub cannot be imported: ModuleNotFoundError: No module named "),
        ("broken:X", "--layer broken:X: broken cannot be imported: SyntaxError: "),
        ("raising:X", "--layer raising:X: raising cannot be imported: ZeroDivisionError: division by zero"),
        ("mylayers:Rihgt", "--layer mylayers:Rihgt: mylayers has no Rihgt"),
        ("mylayers:Outer.Other", "--layer mylayers:Outer.Other: mylayers has no Outer.Other"),
        ("mylayers:number", "--layer mylayers:number: number is a value of type int, not a layer class or a factory of layers"),
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


@pytest.mark.slow
@pytest.mark.parametrize("code", ["sys.exit(0)", "sys.exit()", "raise SystemExit('usage: train.py')"])
def test_layer_in_a_script_that_exits(cli: Cli, layers: Path, code: str) -> None:
    """A module that ends the process while it is imported tested nothing: it is refused, and no exit code 0."""
    (layers / "script.py").write_text(f"import sys\nfrom mylayers import Right\n{code}\n")
    assert_refused(cli("run", "--case", SMALL, "--layer", "script:Right"), "script cannot be imported")


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
    assert_refused(cli("run", "--case", SMALL, "--layer", "no\nwhere:Right"), "cannot be imported")


# --- the environment


MISSING = {
    "keras": "bnverify: keras is not installed; found tensorflow ",
    "tensorflow": "is set to the tensorflow backend, which is not installed; found jax ",
}


@pytest.mark.parametrize("package", MISSING)
@pytest.mark.parametrize("command", ["run --suite smoke --json report.json", "selftest"])
def test_missing_package(shell: Cli, tmp_path: Path, package: str, command: str) -> None:
    """Without Keras, or without its backend, one line says what is missing, what was found, and what to type."""
    ended = shell(*command.split(), env=without(tmp_path / "blocked", package))
    assert_refused(ended, MISSING[package], "; type: ")
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
