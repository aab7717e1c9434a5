"""What a layer changes in its process is put back after each case, whether the layer raises or not."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.frameworks import Framework

from bnverify.targets.worker.training import set_policy
from bnverify.targets.worker.unchanged import unchanged


def state() -> tuple[object, ...]:
    return (
        os.getcwd(),
        dict(os.environ),
        sys.stdin,
        sys.stdout,
        sys.stderr,
        np.geterr(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # type: ignore[index]
    )


CHANGES: dict[str, Callable[[Path, Framework], object]] = {
    "folder": lambda folder, _: os.chdir(folder),
    "new variable": lambda folder, _: os.environ.update(BNVERIFY_NEW="1"),
    "changed variable": lambda folder, _: os.environ.update(BNVERIFY_OLD="2"),
    "removed variable": lambda folder, _: os.environ.pop("BNVERIFY_OLD"),
    "NumPy's errors": lambda folder, _: np.seterr(all="raise"),
    "NumPy's random state": lambda folder, _: np.random.seed(7),
    "Python's random state": lambda folder, _: random.seed(7),
    "input": lambda folder, _: setattr(sys, "stdin", None),
    "output": lambda folder, _: setattr(sys, "stdout", sys.stderr),
    "policy": lambda folder, framework: set_policy(framework, "mixed_float16"),
    "policy and floatx": lambda folder, framework: set_policy(framework, "float64"),
}


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_put_back(name: str, raises: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of change, and also where the case raises; what it raises passes through."""
    monkeypatch.setenv("BNVERIFY_OLD", "1")
    framework, before = Framework(), state()
    try:
        with unchanged(framework):
            CHANGES[name](tmp_path, framework)
            if name.startswith("policy"):
                assert framework.policy != "float32"
            else:
                assert state() != before
            if raises:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert raises
    assert state() == before
    assert (framework.policy, framework.floatx) == ("float32", "float32")


def test_a_closed_output_is_open_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that closes standard output and its descriptor: later texts go where they went before."""
    before = os.dup(1)
    target = (tmp_path / "out").open("w")
    os.dup2(target.fileno(), 1)
    stream = open(1, "w", closefd=False)  # noqa: SIM115, the case closes it
    monkeypatch.setattr(sys, "stdout", stream)
    try:
        with unchanged(Framework()):
            stream.close()
            os.close(1)
        sys.stdout.write("still here")
        sys.stdout.flush()
        assert (tmp_path / "out").read_text() == "still here"
    finally:
        os.dup2(before, 1)
        os.close(before)
        target.close()


def test_descriptors_are_not_used_up() -> None:
    """Each case leaves as many open files as it found."""
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with unchanged(Framework()):
            pass
    assert sorted(os.listdir("/proc/self/fd")) == before
