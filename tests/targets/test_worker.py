"""The worker: by path, in another process, it observes what it observes here, bit for bit, and runs on old Pythons."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import environment

from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.targets.isolated import WORKER, Isolated
from bnverify.targets.target import InProcess
from bnverify.values import Observation

CASES = (
    "shape:4x3/steps:TIN",
    "shape:4x3/policy:bfloat16/dtype:bfloat16/steps:T2I",
    "shape:4x3/policy:mixed_float16/dtype:float16/steps:TI",
    "shape:4x3/policy:float64/dtype:float64/steps:TI",
    "shape:4x3/dtype:int32/steps:TI",
    "shape:2x3x4/axis:1/weights:initial/steps:TIFTUT",
    "shape:4x3/fill:nonfinite/steps:TI",
    "shape:4x3/center:False/scale:False/steps:T",
    "shape:3x4x5/axis:1+2/steps:TI",  # raises: Keras 3 allows one integer as axis, not a list
)
FAILING = CASES[-1]


@pytest.fixture(scope="module")
def here(keras: Any) -> InProcess:
    assert keras.__version__
    return InProcess()


@pytest.fixture(scope="module")
def there() -> Iterator[Isolated]:
    with Isolated(env=environment()) as found:
        yield found


def bits(value: Any) -> Any:
    """The value with arrays as their type, shape and bytes, so that -0.0, NaN and their likes are told apart."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(item) for item in value]
    if isinstance(value, Observation):
        config = {name: item for name, item in (value.config or {}).items() if name != "name"}  # Keras counts names up
        steps = [(step.weights, step.trainable, step.y, step.y_dtype) for step in value.steps]
        return bits([repr(value.weights), value.initial, config, steps, repr(value.failure)])
    return value


# --- the same in another process


@pytest.mark.slow
@pytest.mark.parametrize("id_", CASES)
def test_the_same_there_as_here(here: InProcess, there: Isolated, id_: str) -> None:
    """The worker as a subprocess, started by path, observes a case as it does in this process, bit for bit."""
    case = parse(id_)
    inputs = make_inputs(case, 1)
    seen = there.observe(case, inputs)
    assert bits(seen) == bits(here.observe(case, inputs))
    assert (seen.failure is not None) is (id_ == FAILING)
    if id_ != FAILING:
        assert len(seen.steps) == len(case.steps)


def test_the_environment_there(here: InProcess, there: Isolated) -> None:
    """The subprocess runs the same Keras on the same backend as this process, and says so."""
    assert there.environment == here.environment


def test_what_is_observed(here: InProcess) -> None:
    """An observation holds the form of bfloat16, int32 and a frozen layer: dtypes, trainable weights, no y without a call."""

    def seen(id_: str) -> Observation:
        case = parse(id_)
        return here.observe(case, make_inputs(case, 1))

    half = seen("shape:4x3/policy:bfloat16/dtype:bfloat16/steps:T2I")
    assert {weight.dtype for weight in half.weights} == {"bfloat16"}
    y = half.steps[0].y
    assert y is not None
    assert (half.steps[0].y_dtype, y.dtype, y.shape) == ("bfloat16", np.float32, (4, 3))
    assert not np.any(y.view(np.uint32) & 0xFFFF)  # float32 that holds bfloat16
    assert seen("shape:4x3/dtype:int32/steps:TI").steps[0].y_dtype == "float32"
    frozen = seen("shape:2x3x4/axis:1/weights:initial/steps:TIFTUT")
    assert [step.y is None for step in frozen.steps] == [False, False, True, False, True, False]
    assert [step.trainable for step in frozen.steps] == [("gamma", "beta")] * 2 + [()] * 2 + [("gamma", "beta")] * 2
    assert [weight.name for weight in frozen.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    failure = seen(FAILING).failure
    assert failure is not None
    assert (failure.stage, failure.type) == ("constructor", "TypeError")
    assert "\n" not in failure.text


# --- old Pythons


FILES = sorted(WORKER.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_worker_is_python_3_6_syntax(path: Path) -> None:
    """Each file of the worker parses under the grammar of Python 3.6 and imports only the standard library and NumPy."""
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))
    standard = {
        "contextlib",
        "random",
        "threading",
        "time",
        "importlib",
        "inspect",
        "io",
        "json",
        "os",
        "logging",
        "pickle",
        "tempfile",
        "platform",
        "re",
        "shutil",
        "subprocess",
        "sys",
        "warnings",
    }
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= standard | {"numpy"}
    own = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert own <= {path.stem for path in FILES} | {"worker", None}


def python36() -> str | None:
    """An interpreter of Python 3.6 that starts: on PATH, or one that pyenv has and does not show."""
    found = [shutil.which("python3.6"), *map(str, Path.home().glob(".pyenv/versions/3.6.*/bin/python3.6"))]
    for python in filter(None, found):
        if subprocess.run([python, "-c", "pass"], capture_output=True, check=False, timeout=60).returncode == 0:
            return python
    return None


def test_the_worker_compiles_under_python_3_6(tmp_path: Path) -> None:
    """A real Python 3.6 compiles the worker."""
    python = python36()
    if python is None:
        pytest.skip("no python3.6 that starts was found on PATH")
    copy = shutil.copytree(WORKER, tmp_path / "worker", ignore=shutil.ignore_patterns("__pycache__"))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-m", "compileall", "-q", str(copy)]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(list((copy / "__pycache__").iterdir())) == len(FILES)
