"""The worker: by path, in another process, it observes what it observes here, bit for bit; its messages survive any content."""

from __future__ import annotations

import ast
import io
import json
import math
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import environment
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bnverify.cases.case import parse
from bnverify.cases.fills import make_inputs
from bnverify.model import Observation
from bnverify.targets import target as targets
from bnverify.targets import worker
from bnverify.targets.target import InProcess, Subprocess

CASES = (
    "shape:4x3/steps:TIN",
    "shape:4x3/policy:bfloat16/dtype:bfloat16/steps:T2I",
    "shape:4x3/policy:mixed_float16/dtype:float16/steps:TI",
    "shape:4x3/policy:float64/dtype:float64/steps:TI",
    "shape:4x3/dtype:int32/steps:TI",
    "shape:2x3x4/axis:1/weights:initial/steps:TIFTUT",
    "shape:4x3/fill:nonfinite/steps:TI",
    "shape:4x3/center:False/scale:False/steps:T",
    "shape:3x4x5/axis:1+2/steps:TI",  # raises: Keras 3 takes one integer as axis
)
FAILING = CASES[-1]

FAKE_KERAS = '''
"""Stands for Keras where the process is tested, not the layer."""

import os
import numpy as np

print("a framework that prints when it is imported")
__version__ = "3.99.0"


class backend:
    @staticmethod
    def backend():
        print("and when it is used")
        return "numpy"


class mixed_precision:
    class dtype_policy:
        name = "float32"


class layers:
    class BatchNormalization:
        def __init__(self, **arguments):
            print("and when a layer is made")
            if arguments.get("momentum") == 0.5:
                os._exit(4)
            raise ValueError("made of %s" % sorted(arguments.items()))
'''


@pytest.fixture(scope="module")
def here(keras: Any) -> InProcess:
    assert keras.__version__
    return InProcess()


@pytest.fixture(scope="module")
def there() -> Iterator[Subprocess]:
    with Subprocess(env=environment()) as found:
        yield found


@pytest.fixture
def fake(tmp_path: Path) -> dict[str, str]:
    """The environment of a worker to which a package of this name is Keras."""
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "__init__.py").write_text(FAKE_KERAS)
    return {"PYTHONPATH": str(tmp_path)}


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


@pytest.mark.parametrize("id_", CASES)
def test_the_same_there_as_here(here: InProcess, there: Subprocess, id_: str) -> None:
    """The worker as a subprocess, started by path, observes a case as it does in this process, bit for bit."""
    case = parse(id_)
    inputs = make_inputs(case, 1)
    seen = there.observe(case, inputs)
    assert bits(seen) == bits(here.observe(case, inputs))
    assert (seen.failure is not None) is (id_ == FAILING)
    if id_ != FAILING:
        assert len(seen.steps) == len(case.steps)


def test_the_environment_there(here: InProcess, there: Subprocess) -> None:
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


def test_prints_of_the_framework_stay_out_of_the_answers(fake: dict[str, str]) -> None:
    """What Keras prints to standard output while it is imported or makes a layer does not end up in the answers."""
    with Subprocess(env=fake) as found:
        assert (found.environment.keras, found.environment.backend) == ("3.99.0", "numpy")
        for momentum in ("0.25", "0.75"):
            case = parse(f"shape:2x2/momentum:{momentum}/steps:T")
            failure = found.observe(case, make_inputs(case)).failure
            assert failure is not None
            assert (failure.stage, failure.type, failure.text) == (
                "constructor",
                "ValueError",
                f"made of [('momentum', {momentum})]",
            )


def test_the_policy_is_passed_only_where_it_is_no_default(fake: dict[str, str]) -> None:
    """The constructor gets `dtype` only where a case asks for another policy than Keras' default."""
    with Subprocess(env=fake) as found:
        texts = []
        for policy in ("float32", "float64"):
            case = parse(f"shape:2x2/policy:{policy}/center:False/steps:T")
            failure = found.observe(case, make_inputs(case)).failure
            texts.append(failure.text if failure else "")
    assert texts == ["made of [('center', False)]", "made of [('center', False), ('dtype', 'float64')]"]


def test_a_worker_ends_with_its_input(fake: dict[str, str]) -> None:
    """The worker ends with exit code 0 when its standard input ends, and needs nothing of bnverify."""
    ran = subprocess.run(
        [sys.executable, str(targets.WORKER)],
        env={**environment(), **fake},  # without the path to bnverify
        input=b"",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0
    stream = io.BytesIO(ran.stdout)
    assert worker.unpack(stream)["keras"] == "3.99.0"
    assert worker.unpack(stream) is None
    assert b"a framework that prints" in ran.stderr


def test_a_worker_that_gets_half_a_request(fake: dict[str, str]) -> None:
    """A request that is cut off ends the worker with an error, not with an answer."""
    case = parse("shape:2x2/momentum:0.25/steps:T")
    whole = worker.pack(targets.request(case, make_inputs(case)))
    ran = subprocess.run(
        [sys.executable, str(targets.WORKER)],
        env={**environment(), **fake},
        input=whole + whole[:-1],
        capture_output=True,
        timeout=60,
        check=False,
    )
    stream = io.BytesIO(ran.stdout)
    assert worker.unpack(stream)["keras"] == "3.99.0"
    assert worker.unpack(stream)["failure"]["type"] == "ValueError"
    assert worker.unpack(stream) is None
    assert ran.returncode == 1
    assert b"message cut off" in ran.stderr


def test_a_worker_that_dies(fake: dict[str, str]) -> None:
    """A worker that dies over a case raises EOFError with its exit code here."""
    case = parse("shape:2x2/momentum:0.5/steps:T")
    with Subprocess(env=fake) as found, pytest.raises(EOFError, match="exit code 4"):
        found.observe(case, make_inputs(case))


def test_a_worker_without_keras(tmp_path: Path) -> None:
    """A Python without Keras raises EOFError with the exit code, and leaves no open pipe behind (that would warn)."""
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "__init__.py").write_text("raise ImportError('no backend')")
    with pytest.raises(EOFError, match="exit code 1"):
        Subprocess(env={"PYTHONPATH": str(tmp_path)})


# --- messages


names = st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=20)
arrays = hnp.arrays(
    dtype=st.sampled_from([np.dtype(t) for t in ("<f2", "<f4", "<f8", ">f4", "i1", "u1", "<i2", "<i4", "<i8", "?")]),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
documents = st.recursive(
    scalars | arrays,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4).filter(lambda d: set(d) != {"array"}),
    max_leaves=12,
)


def alike(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and bits(a) == bits(b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b


@settings(deadline=None, max_examples=100)
@given(st.lists(documents, max_size=3))
@example([{"y": np.float32([-0.0, np.nan, np.inf])}])
def test_messages_come_back(sent: list[Any]) -> None:
    """Documents of texts, numbers, lists, tables and arrays come back as they went, one after the other, and then None.

    A table whose only key is "array" means an array (see the worker's docstring) and is left out.
    """
    stream = io.BytesIO(b"".join(map(worker.pack, sent)))
    assert all(alike(document, worker.unpack(stream)) for document in sent)
    assert worker.unpack(stream) is None


@settings(deadline=None, max_examples=50)
@given(hnp.arrays(np.dtype("<f4"), hnp.array_shapes(max_dims=3, max_side=4)))
def test_views_travel_as_what_they_show(array: np.ndarray[Any, Any]) -> None:
    """Arrays that are not contiguous come back with the values that they show."""
    for view in (array.T, array[..., ::-1], np.broadcast_to(array, (2, *array.shape))):
        back = worker.unpack(io.BytesIO(worker.pack({"view": view})))["view"]
        assert bits(back) == bits(np.ascontiguousarray(view).reshape(view.shape))


def test_a_message_is_as_described() -> None:
    """A message is a line with two lengths, a JSON document of the first and the arrays' bytes of the second."""
    packed = worker.pack({"x": np.float32([1.0, 2.0]), "n": 3})
    line, rest = packed.split(b"\n", 1)
    text, data = (int(n) for n in line.split())
    assert len(rest) == text + data
    assert json.loads(rest[:text]) == {"x": {"array": [0, "<f4", [2]]}, "n": 3}
    assert rest[text:] == b"\x00\x00\x80\x3f\x00\x00\x00\x40"


def test_every_cut_is_noticed() -> None:
    """A message that is cut off anywhere raises ValueError; only the empty stream is an end."""
    packed = worker.pack({"x": np.arange(5.0), "text": "…", "more": [1, None, "2"]})
    assert worker.unpack(io.BytesIO(b"")) is None
    for length in range(1, len(packed)):
        with pytest.raises(ValueError, match=r"message cut off|no message"):
            worker.unpack(io.BytesIO(packed[:length]))


@pytest.mark.parametrize(
    "noise", [b"\n", b"hello\n", b"1\n", b"1 2 3\n", b"1.5 2\n", b"Using TensorFlow backend.\n", b"-5 -5\n", b"2 -1\n{}"]
)
def test_noise_is_no_message(noise: bytes) -> None:
    """A stream that does not start with two lengths raises ValueError that says so."""
    with pytest.raises(ValueError, match="no message"):
        worker.unpack(io.BytesIO(noise))


# --- old Pythons


def test_the_worker_is_python_3_6_syntax() -> None:
    """worker.py parses under the grammar of Python 3.6."""
    tree = ast.parse(targets.WORKER.read_text(encoding="utf-8"), feature_version=(3, 6))
    assert any(isinstance(node, ast.FunctionDef) and node.name == "unpack" for node in tree.body)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"importlib", "json", "os", "platform", "re", "sys", "warnings", "numpy"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]


def python36() -> str | None:
    """An interpreter of Python 3.6 that starts: on PATH, or one that pyenv has and does not show."""
    found = [shutil.which("python3.6"), *map(str, Path.home().glob(".pyenv/versions/3.6.*/bin/python3.6"))]
    for python in filter(None, found):
        if subprocess.run([python, "-c", "pass"], capture_output=True, check=False, timeout=60).returncode == 0:
            return python
    return None


def test_the_worker_compiles_under_python_3_6(tmp_path: Path) -> None:
    """A real Python 3.6 compiles worker.py."""
    python = python36()
    if python is None:
        pytest.skip("no python3.6 that starts was found on PATH")
    copy = shutil.copy(targets.WORKER, tmp_path)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run([python, "-m", "py_compile", copy], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [path.suffix for path in (tmp_path / "__pycache__").iterdir()] == [".pyc"]
    py_compile.compile(copy, doraise=True)
