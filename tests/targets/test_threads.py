"""One thread: real processes with faults planted in them; each one that is no lack of the environment is an error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli

from bnverify.cases.ids import parse
from bnverify.targets.target import InProcess
from bnverify.values import Status
from bnverify.verdicts.pipeline import verify

CASE = "shape:37x4/law:threads/steps:TI"
PLANTED = """
import os

if os.environ.get("OMP_NUM_THREADS") == "1":
    import keras

    def call(self, inputs, training=None, mask=None):
        if training is False:
            {fault}
        return inputs

    keras.layers.BatchNormalization.call = call
"""
AT_START = """
import os

if os.environ.get("OMP_NUM_THREADS") == "1":
    {fault}
"""


def plant(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Lets processes that are started from now on run `code` first."""
    (folder / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "stage", "says"),
    [
        (PLANTED.format(fault="raise ValueError('two threads, please')"), "step 1", "ValueError: two threads, please"),
        (PLANTED.format(fault="os.kill(os.getpid(), 9)"), "step 1", "ended by signal 9"),
        (AT_START.format(fault="os._exit(4)"), "start", "ended with exit code 4"),
        (AT_START.format(fault="os.write(1, b'noise')"), "start", "cannot be read"),
        (AT_START.format(fault="import sys; sys.modules['keras'] = None"), "start", "does not start: ModuleNotFoundError"),
    ],
    ids=["raises", "killed", "dies-at-start", "noise", "no-keras"],
)
def test_a_failure_with_one_thread_alone_is_wrong(
    keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, stage: str, says: str
) -> None:
    """A layer that fails with one thread, and a process that dies, are not taken for something that was not tested."""
    plant(tmp_path, monkeypatch, code)
    found = verify(parse(CASE), InProcess(), 0).verdict
    assert found.status is Status.WRONG
    check = found.failures[0]
    assert (check.clause, check.quantity, check.status) == ("thread-counts", stage, Status.WRONG)
    assert check.mismatch is not None
    assert check.mismatch.expected == "no exception"
    assert says in check.mismatch.actual


@pytest.mark.slow
def test_after_a_process_that_died_another_one_is_asked(keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = InProcess()
    with monkeypatch.context() as patch:
        plant(tmp_path, patch, AT_START.format(fault="os._exit(4)"))
        assert verify(parse(CASE), target, 0).verdict.status is Status.WRONG
    assert verify(parse(CASE), target, 0).verdict.status is Status.CONFORMS


def test_the_command_reports_a_process_that_dies(keras: Any, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, monkeypatch, AT_START.format(fault="os._exit(4)"))
    ended = cli("run", "--case", CASE)
    assert (ended.code, ended.err) == (1, "")
    assert "any number of threads" in ended.out
    assert "ended with exit code 4" in ended.out


@pytest.mark.parametrize(
    ("case", "clause"),
    [("shape:37x4/law:repeat/steps:TI", "repeatable"), ("shape:6x4/mode:function/steps:TI", "ways-agree")],
)
def test_a_second_observation_that_raises_is_wrong(keras: Any, case: str, clause: str) -> None:
    """A layer that can be made once only, or that cannot be called as it is, does not pass for one that agrees."""
    made: list[object] = []

    def once(**arguments: Any) -> Any:
        made.append(None)
        if len(made) > 1:
            raise RuntimeError("one is enough")
        return keras.layers.BatchNormalization(**arguments)

    verdict = verify(parse(case), InProcess(once, "once"), 0).verdict
    (check,) = [check for check in verdict.checks if check.clause == clause and check.status is Status.WRONG]
    assert check.mismatch is not None
    assert (check.mismatch.expected, check.mismatch.actual) == ("no exception", "RuntimeError: one is enough")
