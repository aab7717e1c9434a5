"""Layers that end their process, never return, or change what other code relies on: each gets a clear verdict."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.cli import Cli, assert_refused

SMALL = "shape:4x3/steps:TI"
SOURCE = '''
import os, random, signal, sys, threading
import keras
import numpy as np

BN = keras.layers.BatchNormalization


def before(action):
    """A layer that does something in each call and is right otherwise."""

    class Layer(BN):
        def call(self, inputs, training=None, mask=None):
            action()
            return super().call(inputs, training=training, mask=mask)

    return Layer


def instead(answer):
    """A layer whose calls return something else."""

    class Layer(BN):
        def call(self, inputs, training=None, mask=None):
            return answer(inputs)

    return Layer


def constructing(action):
    class Layer(BN):
        def __init__(self, **arguments):
            action()
            super().__init__(**arguments)

    return Layer


def raising(error):
    def action():
        raise error

    return before(action)


class Own(BaseException):
    pass


def kill(number):
    return lambda: os.kill(os.getpid(), number)


def recursion(x):
    return recursion(x)


def write_ten_megabytes():
    print("x" * 5_000_000)
    os.write(1, b"y" * 5_000_000)
    os.write(2, b"z" * 100_000)


def set_environment():
    os.environ.clear()
    os.environ["KERAS_BACKEND"] = "odd"


def delete_streams():
    vars(sys).pop("stdout", None)
    vars(sys).pop("stderr", None)


def hang():
    threading.Event().wait(1000)  # for what never happens


def close_streams():
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()


def fork():
    if os.fork() == 0:
        hang()


class HiddenWeights(BN):
    @property
    def trainable_weights(self):
        raise RuntimeError("no \\x1b[31mweights\\n::error::forged")


class ExitInConfig(BN):
    def get_config(self):
        os._exit(0)


class ExitInBuild(BN):
    def build(self, shape):
        os._exit(0)


ExitInCall = before(lambda: os._exit(0))
ExitOneInCall = before(lambda: os._exit(1))
ExitInConstructor = constructing(lambda: os._exit(0))
SysExit = before(lambda: sys.exit(0))
SysExitInConstructor = constructing(lambda: sys.exit(0))
Segfault = before(kill(signal.SIGSEGV))
Abort = before(os.abort)
Killed = before(kill(signal.SIGKILL))
Terminated = before(kill(signal.SIGTERM))
Interrupted = before(kill(signal.SIGINT))
Hangs = before(hang)
HangsInConstructor = constructing(hang)
CloseDescriptors = before(lambda: os.closerange(0, 100))
RaisesBase = raising(Own("odd"))
RaisesInterrupt = raising(KeyboardInterrupt())
RaisesExit = raising(GeneratorExit())
RaisesMemory = raising(MemoryError())
RaisesStop = raising(StopIteration("odd"))
Recursion = instead(recursion)
Nothing = instead(lambda x: None)
AList = instead(lambda x: [1, 2])
AText = instead(lambda x: "y")
AnArrayOfTexts = instead(lambda x: np.array(["y"]))
AnObject = instead(lambda x: np.array([object()]))
Complex = instead(lambda x: np.asarray(x).astype("complex64"))
OtherShape = instead(lambda x: keras.ops.zeros((1,)))

Threads = before(lambda: threading.Thread(target=hang).start())
Forks = before(fork)
Folder = before(lambda: os.chdir("/"))
ClosesStreams = before(close_streams)
DeletesStreams = before(delete_streams)
Prints = before(write_ten_megabytes)
ErrorState = before(lambda: np.seterr(all="raise"))
RandomState = before(lambda: (np.random.seed(0), random.seed(0)))
Environment = before(set_environment)
Policy = before(lambda: keras.mixed_precision.set_dtype_policy("mixed_float16"))
Excepthook = before(lambda: setattr(sys, "excepthook", None))
Stops = before(lambda: signal.alarm(0))
'''
FAILS = {  # and what the report says of it
    "ExitInCall": "ended with exit code 0",
    "SysExit": "SystemExit",
    "ExitOneInCall": "ended with exit code 1",
    "RaisesBase": "Own: odd",
    "ExitInConstructor": "ended with exit code 0",
    "RaisesInterrupt": "KeyboardInterrupt",
    "ExitInConfig": "ended with exit code 0",
    "RaisesExit": "GeneratorExit",
    "ExitInBuild": "ended with exit code 0",
    "RaisesMemory": "MemoryError",
    "Segfault": "SIGSEGV",
    "RaisesStop": "odd",
    "Abort": "SIGABRT",
    "Recursion": "RecursionError",
    "Killed": "SIGKILL",
    "Nothing": "the call returned NoneType, not a tensor",
    "Terminated": "SIGTERM",
    "Interrupted": "KeyboardInterrupt",
    "AList": "the call returned list, not a tensor",
    "Hangs": "no answer within 3 s",
    "AText": "the call returned str, not a tensor",
    "HangsInConstructor": "no answer within 3 s",
    "AnArrayOfTexts": "Invalid dtype: str32",
    "CloseDescriptors": "ended",
    "AnObject": "Invalid dtype: object",
    "SysExitInConstructor": "SystemExit",
    "Complex": "complex64",
    "OtherShape": "shape",
    "HiddenWeights": "forged",
}
CONFORMS = (
    "Threads",
    "Forks",
    "Folder",
    "ClosesStreams",
    "DeletesStreams",
    "Prints",
    "ErrorState",
    "RandomState",
    "Environment",
    "Policy",
    "Excepthook",
    "Stops",
)
NAMES = [*FAILS, *CONFORMS]
pytestmark = pytest.mark.slow


@pytest.fixture
def hostile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the layers. `by_momentum` makes another of them for each momentum, so that one run tries all."""
    monkeypatch.setenv("KERAS_BACKEND", "numpy")  # starts fastest, and each layer that dies needs a new process
    names = {(1 + number) / 100: name for number, name in enumerate(NAMES)}
    choice = f"\n\ndef by_momentum(momentum=0.99, **arguments):\n    name = {names!r}.get(momentum)\n"
    choice += "    return (globals()[name] if name else BN)(momentum=momentum, **arguments)\n"
    (folder / "hostile.py").write_text(SOURCE + choice)
    return folder


def test_every_layer_gets_its_verdict(cli: Cli, hostile: Path) -> None:
    """One run over all layers: each case that kills or harms its process costs that case only, and the report is whole."""
    before = os.getcwd(), dict(os.environ)
    ids = [f"shape:4x3/momentum:{(1 + number) / 100}/steps:TI" for number in range(len(NAMES))]
    cases = [word for id_ in ids for word in ("--case", id_)]
    ended = cli("run", "--layer", "hostile:by_momentum", "--patience", "3", *cases, "--json", "report.json")
    report = json.loads((hostile / "report.json").read_text())
    assert (ended.code, report["complete"]) == (1, True)
    verdicts = {verdict["case"]: verdict for verdict in report["verdicts"]}
    assert list(verdicts) == ids
    for name, id_ in zip(NAMES, ids, strict=True):
        verdict = verdicts[id_]
        failing = json.dumps([check for check in verdict["checks"] if check["status"] != "conforms"])
        if name in FAILS:
            assert verdict["status"] in ("crashed", "wrong"), name
            assert FAILS[name] in failing, (name, failing)
        else:
            assert verdict["status"] == "conforms", (name, failing)
    assert "\x1b[31mweights" not in ended.out
    assert "\n::error::" not in ended.out
    assert (os.getcwd(), dict(os.environ)) == before


def test_a_layer_that_always_dies_is_given_up(cli: Cli, hostile: Path) -> None:
    """After five cases in a row the rest is not tried, and the report says so; the run is complete and fails."""
    ids = [f"shape:{n}x3/steps:T" for n in range(2, 10)]
    cases = [word for id_ in ids for word in ("--case", id_)]
    ended = cli("run", "--layer", "hostile:ExitInCall", *cases, "--json", "report.json", "-v")
    assert ended.code == 1
    found = [verdict["status"] for verdict in json.loads((hostile / "report.json").read_text())["verdicts"]]
    assert found == ["crashed"] * 5 + ["unsupported"] * 3
    assert "not tried: in 5 cases in a row the layer ended its process" in ended.out


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os\nos._exit(0)\n", "its module ends the process: the worker ended with exit code 0"),
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
            "its module ends the process: the worker was ended by SIGSEGV",
        ),
        ("raise KeyboardInterrupt\n", "odd cannot be imported: KeyboardInterrupt"),
        ("class E(BaseException): pass\nraise E('x')\n", "odd cannot be imported: E: x"),
    ],
)
def test_a_module_that_cannot_be_imported(cli: Cli, hostile: Path, source: str, said: str) -> None:
    """The user gets one line and exit code 2."""
    (hostile / "odd.py").write_text(source)
    assert_refused(cli("run", "--layer", "odd:X", "--case", SMALL), f"--layer odd:X: {said}")
