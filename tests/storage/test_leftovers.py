"""Leftovers: a temporary name says whose it is, and only what an ended process of this machine left is left over."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import environment

from bnverify.storage.leftovers import is_left_over, name_prefix
from bnverify.storage.writing import write_whole


def ended_process() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    return process.pid


def test_the_name_says_host_and_process() -> None:
    """The prefix of a temporary name has the machine and the number of the process."""
    assert name_prefix(".x.") == f".x.{platform.node()}-{os.getpid()}-"


@pytest.mark.parametrize(
    ("name", "left"),
    [
        (".x.{host}-{ended}-abc", True),
        (".x.{host}-{own}-abc", False),
        (".x.{host}-1-abc", False),  # of another user, mostly
        (".x.elsewhere-{ended}-abc", False),
        (".y.{host}-{ended}-abc", False),
        (".x.abcdef", False),
        (".x.{host}-x-abc", False),
        (".x.{host}-{ended}", False),
        (".x.{host}-99999999999999999999999-abc", True),
    ],
)
def test_what_is_left_over(name: str, left: bool) -> None:
    """A name of an ended process of this machine is left over; any other name is not."""
    text = name.format(host=platform.node(), own=os.getpid(), ended=ended_process())
    assert is_left_over(text, ".x.") == left


def test_a_host_with_hyphens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a machine may have hyphens and numbers in it."""
    monkeypatch.setattr(platform, "node", lambda: "runner-7-of-9")
    assert is_left_over(f".x.runner-7-of-9-{ended_process()}-abc", ".x.")
    assert not is_left_over(f"{name_prefix('.x.')}abc", ".x.")


def test_the_next_report_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    """A process that is killed before its report has its name leaves a temporary file, which the next report removes."""
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom bnverify.storage.writing import write_whole\n"
        "os.replace = lambda old, new: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_whole(Path(sys.argv[1]), 'new', '--json')\n"
    )
    report = tmp_path / "report"
    report.write_text("old")
    ran = subprocess.run([sys.executable, "-c", code, str(report)], env=environment(), check=False)
    assert ran.returncode == -signal.SIGKILL
    (left,) = set(tmp_path.iterdir()) - {report}
    assert left.read_text() == "new"
    others = [tmp_path / f".bnverify.elsewhere-{ended_process()}-abc", tmp_path / f"{name_prefix('.bnverify.')}abc"]
    for other in others:
        other.write_text("another's")
    write_whole(tmp_path / "another", "text", "--junit")
    assert report.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == sorted([report, tmp_path / "another", *others])
