"""A worker that dies, hangs or talks nonsense costs its own case: real processes, really killed."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import environment
from support.fake_keras import FAKE_KERAS

from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.running.run import run
from bnverify.targets.isolated import IN_A_ROW, WORKER, Isolated, WorkerLost
from bnverify.targets.target import request
from bnverify.targets.worker import wire
from bnverify.values import Failure, Observation, Status

FAKE_WORKER = """
import os, sys
sys.path.insert(0, {targets!r})
from worker import wire

out = os.fdopen(1, "wb")
said = dict(module="keras", keras="3.99.0", backend="numpy", backend_version="1", device="CPU", float64=True, numpy="1",
            python="3", cpu="")
out.write(wire.pack({{"environment": said, "interface": {{"arguments": {{}}, "call": []}}}}))
out.flush()
good = {{"weights": [], "initial": {{}}, "config": {{}}, "steps": []}}
good["failure"] = {{"stage": "build", "type": "E", "text": "t"}}
while True:
    request = wire.unpack(sys.stdin.buffer)
    if request is None:
        break
    momentum = request["layer"].get("momentum")
    if momentum == 0.1:
        out.write(b"Segmentation fault (not really)\\n" * 3)
    elif momentum == 0.2:
        out.write(wire.pack(dict(good, failure=None)))
    elif momentum == 0.3:
        out.write(wire.pack({{"weights": []}}))
    elif momentum == 0.4:
        out.write(wire.pack(good)[:-5])
        out.flush()
        out.close()
        break
    elif momentum == 0.5:
        out.write(wire.pack(["a", "list"]))
    else:
        out.write(wire.pack(good))
    out.flush()
"""

ENVIRONMENT_TELLER = """
import os, sys
sys.path.insert(0, {targets!r})
from worker import wire

seen = [name for name in ("TF2_BEHAVIOR", "PYTHONPATH") if name in os.environ]
os.fdopen(1, "wb").write(wire.pack({{"error": "got " + (", ".join(seen) or "none")}}))
"""


@pytest.fixture
def fake(tmp_path: Path) -> dict[str, str]:
    """The environment of a worker to which a package of this name is Keras."""
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "__init__.py").write_text(FAKE_KERAS)
    return {"PYTHONPATH": str(tmp_path)}


@pytest.fixture
def babbler(tmp_path: Path) -> Path:
    """A worker that answers with what is no answer."""
    path = tmp_path / "babbler.py"
    path.write_text(FAKE_WORKER.format(targets=str(WORKER.parent)))
    return path


def observed(target: Isolated, momentum: str) -> Observation:
    case = parse(f"shape:2x2/momentum:{momentum}/steps:T")
    return target.observe(case, make_inputs(case))


def failure(target: Isolated, momentum: str) -> Failure:
    found = observed(target, momentum).failure
    assert found is not None
    return found


def test_prints_of_the_framework_stay_out_of_the_answers(fake: dict[str, str]) -> None:
    """What Keras prints to standard output while it is imported or makes a layer does not end up in the answers."""
    with Isolated(env=fake) as found:
        assert (found.environment.keras, found.environment.backend) == ("3.99.0", "numpy")
        for momentum in ("0.25", "0.75"):
            assert failure(found, momentum) == Failure("constructor", "ValueError", f"made of [('momentum', {momentum})]")


def test_the_policy_is_passed_only_where_it_is_no_default(fake: dict[str, str]) -> None:
    """The constructor gets `dtype` only where a case asks for another policy than Keras' default."""
    with Isolated(env=fake) as found:
        texts = []
        for policy in ("float32", "float64"):
            case = parse(f"shape:2x2/policy:{policy}/momentum:0.25/steps:T")
            seen = found.observe(case, make_inputs(case)).failure
            texts.append(seen.text if seen else "")
    assert texts == ["made of [('momentum', 0.25)]", "made of [('dtype', 'float64'), ('momentum', 0.25)]"]


def test_a_worker_ends_with_its_input(fake: dict[str, str]) -> None:
    """The worker ends with exit code 0 when its standard input ends, and needs nothing of bnverify."""
    ran = subprocess.run(
        [sys.executable, str(WORKER), "keras"],
        env={**environment(), **fake},  # without the path to bnverify
        input=b"",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0
    stream = io.BytesIO(ran.stdout)
    assert wire.unpack(stream)["environment"]["keras"] == "3.99.0"
    assert wire.unpack(stream) is None
    assert b"a framework that prints" in ran.stderr


def test_a_worker_that_gets_half_a_request(fake: dict[str, str]) -> None:
    """A request that is cut off ends the worker with an error, not with an answer; stages are told before an answer."""
    case = parse("shape:2x2/momentum:0.25/steps:T")
    whole = wire.pack(request(case, make_inputs(case)))
    ran = subprocess.run(
        [sys.executable, str(WORKER), "keras"],
        env={**environment(), **fake},
        input=whole + whole[:-1],
        capture_output=True,
        timeout=60,
        check=False,
    )
    stream = io.BytesIO(ran.stdout)
    assert wire.unpack(stream)["environment"]["keras"] == "3.99.0"
    assert wire.unpack(stream) == {"stage": "constructor"}
    assert wire.unpack(stream)["failure"]["type"] == "ValueError"
    assert wire.unpack(stream) is None
    assert ran.returncode == 1
    assert b"message cut off" in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("momentum", "kind", "words"),
    [
        ("0.5", "Crashed", "the worker ended with exit code 4; last output: and when a layer is made about to die"),
        (
            "0.1",
            "Crashed",
            "the worker was ended by SIGKILL (out of memory?); last output: and when a layer is made and when a layer is made",
        ),
        ("0.2", "Crashed", "the worker was ended by SIGABRT"),
        ("0.3", "Crashed", "the worker was ended by SIGSEGV"),
        ("0.4", "TimedOut", "no answer within 2 s; last output: and when a layer is made and when a layer is made"),
        ("0.7", "Crashed", "the worker was ended by SIGKILL"),
    ],
)
def test_a_case_that_ends_its_worker(fake: dict[str, str], momentum: str, kind: str, words: str) -> None:
    """It is observed as crashed or timed out, at its stage, with signal and last output; the next case gets a fresh worker."""
    with Isolated(env=fake, patience=2.0) as found:
        seen = failure(found, momentum)
        assert (seen.stage, seen.type) == ("step 0", kind)
        assert words in seen.text
        assert observed(found, "0.9").failure is None


def test_running_out_of_memory_is_an_exception_of_the_case(fake: dict[str, str]) -> None:
    """Memory that the system refuses is a MemoryError of that case; the worker goes on."""
    with Isolated(env=fake) as found:
        assert failure(found, "0.6").type in ("MemoryError", "_ArrayMemoryError")
        assert observed(found, "0.9").failure is None


@pytest.mark.parametrize(
    ("momentum", "kind", "words"),
    [
        ("0.1", "Garbled", "the worker's answer cannot be read: no message: b'Segmentation fault (not really)"),
        ("0.2", "Incomplete", "the worker answered 0 of 1 steps"),
        ("0.3", "Incomplete", "the worker's answer is incomplete: KeyError('initial')"),
        ("0.4", "Crashed", "the worker ended with exit code 0"),
        ("0.5", "Incomplete", "the worker's answer is incomplete"),
    ],
)
def test_a_worker_that_talks_nonsense(babbler: Path, momentum: str, kind: str, words: str) -> None:
    """Garbage, half an answer and an answer that lacks something cost their own case."""
    with Isolated(worker=babbler) as found:
        seen = failure(found, momentum)
        assert seen.type == kind
        assert words in seen.text
        assert failure(found, "0.9").type == "E"


def test_a_crash_in_the_middle_of_a_run(fake: dict[str, str]) -> None:
    """A run has its verdicts on all other cases, and the case that killed the worker is crashed."""
    cases = [parse(f"shape:2x2/momentum:{m}/steps:T") for m in ("0.9", "0.1", "0.8")]
    with Isolated(env=fake) as found:
        results = run(cases, found)
    assert [verdict.status for verdict in results.verdicts] == [Status.WRONG, Status.CRASHED, Status.WRONG]
    assert "SIGKILL" in results.verdicts[1].failures[0].reason


def test_an_environment_where_every_case_dies_is_given_up(fake: dict[str, str]) -> None:
    """After several crashes in a row the environment is given up, with the last one's words."""
    with Isolated(env=fake) as found:
        for _ in range(IN_A_ROW - 1):
            assert failure(found, "0.5").type == "Crashed"
        with pytest.raises(WorkerLost, match=rf"{IN_A_ROW} cases in a row .* exit code 4"):
            observed(found, "0.5")


def test_a_worker_without_keras(tmp_path: Path) -> None:
    """A Python without Keras raises WorkerLost with the import's own error, and leaves no open pipe behind."""
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "__init__.py").write_text("raise ImportError('no backend')")
    with pytest.raises(WorkerLost, match="ImportError: no backend"):
        Isolated(env={"PYTHONPATH": str(tmp_path)})


def test_an_environment_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process's packages have put into its environment variables does not reach a worker that is to be alone."""
    path = tmp_path / "teller.py"
    path.write_text(ENVIRONMENT_TELLER.format(targets=str(WORKER.parent)))
    for name in ("TF2_BEHAVIOR", "PYTHONPATH"):  # importing TensorFlow 2 sets the first, which makes TensorFlow 1 eager
        monkeypatch.setenv(name, "1")
    with pytest.raises(WorkerLost, match="got none"):
        Isolated(worker=path, alone=True)
    with pytest.raises(WorkerLost, match="got TF2_BEHAVIOR, PYTHONPATH"):
        Isolated(worker=path)


def test_an_interpreter_that_is_none(tmp_path: Path) -> None:
    """What cannot be started raises WorkerLost with the system's reason."""
    with pytest.raises(WorkerLost, match="No such file"):
        Isolated(python=str(tmp_path / "python"))


@pytest.mark.slow
def test_a_worker_ends_with_its_parent(fake: dict[str, str]) -> None:
    """A worker whose parent was killed while a case hangs does not stay behind."""
    source = (
        "import os, sys\n"
        "from bnverify.cases.ids import parse\n"
        "from bnverify.cases.fills import make_inputs\n"
        "from bnverify.targets.isolated import Isolated\n"
        f"found = Isolated(env={fake!r})\n"
        "print(found._process.pid, flush=True)\n"
        "case = parse('shape:2x2/momentum:0.4/steps:T')\n"
        "found.observe(case, make_inputs(case))\n"
    )
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        ended = os.pidfd_open(worker)  # readable once the worker has ended
        parent.kill()
    gone, _, _ = select.select([ended], [], [], 20)
    os.close(ended)
    if not gone:
        os.kill(worker, signal.SIGKILL)
        pytest.fail("the worker is still there")
