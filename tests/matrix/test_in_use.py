"""Environments in use: who holds one, and that a process that waits for a removed one holds nothing."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import environment

from bnverify.matrix import in_use
from bnverify.matrix.in_use import MADE, hold, use_of

USED = "a running process uses it"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An environment, as far as locks go."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / MADE).write_text("{}")
    return tmp_path / "home"


def test_what_is_held_is_in_use(home: Path) -> None:
    """An environment is in use from the first time that it is held, however often that is, and holding it costs one file."""
    with use_of(home) as user:
        assert user == ""
    assert [hold(home), hold(home)] == [True, True]
    assert len(in_use._HELD) == 1
    with use_of(home) as user:
        assert user == USED


def test_a_lock_ends_with_its_process(home: Path) -> None:
    """What an ended process held is free, even if it was killed."""
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom bnverify.matrix.in_use import hold\n"
        "assert hold(Path(sys.argv[1]))\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(home)], env=environment(), check=False)
    assert ended.returncode == -9
    with use_of(home) as user:
        assert user == ""


def test_what_is_missing_cannot_be_held(home: Path) -> None:
    """An environment that is gone cannot be held, and is not free either."""
    (home / MADE).unlink()
    assert not hold(home)
    with use_of(home) as user:
        assert user == "No such file or directory"


@pytest.mark.parametrize("again", [False, True])
def test_an_environment_that_is_removed_meanwhile(home: Path, monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    """A process that waits for the lock while the environment is removed, or made again, does not hold the new one."""

    def replaced(descriptor: int, operation: int) -> None:
        (home / MADE).rename(home / "old")
        if again:
            (home / MADE).write_text("{}")

    monkeypatch.setattr(fcntl, "flock", replaced)
    assert not hold(home)


def test_a_file_system_without_locks(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files cannot be locked environments can be used, and none of them counts as free."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert hold(home)
    with use_of(home) as user:
        assert user == "No locks available"


def test_descriptors_are_closed(home: Path) -> None:
    """Only the one descriptor that holds an environment stays open."""
    hold(home)
    before = os.listdir("/proc/self/fd")
    hold(home)
    with use_of(home):
        pass
    assert os.listdir("/proc/self/fd") == before
