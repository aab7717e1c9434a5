"""Ctrl-C: the verdicts so far are told, and nothing is half-written."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from support.cli import Ended, environment
from support.layers import LAYERS


def interrupted(folder: Path, *arguments: str) -> Ended:
    """A real process that gets SIGINT once it has written to the pipe `reached`."""
    os.mkfifo(folder / "reached")
    reached = os.open(folder / "reached", os.O_RDWR)
    with subprocess.Popen(
        [sys.executable, "-m", "bnverify", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  a CI service may start us with it ignored
    ) as process:
        ended = os.pidfd_open(process.pid)  # readable once the process has ended
        select.select([reached, ended], [], [], 60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    os.close(reached)
    os.close(ended)
    return Ended(process.returncode, out, err)


@pytest.mark.slow
def test_ctrl_c_in_mid_run(tmp_path: Path) -> None:
    """Ctrl-C ends a run with the verdicts so far, marked INCOMPLETE, in the reports, too, and with exit code 130."""
    (tmp_path / "mylayers.py").write_text(LAYERS)
    (tmp_path / "slow.py").write_text(
        "import threading\nfrom pathlib import Path\nfrom mylayers import EpsilonOutside\n"
        "class Slow(EpsilonOutside):\n"
        "    calls = 0\n"
        "    def call(self, inputs, training=None, mask=None):\n"
        "        Slow.calls += 1\n"
        "        if Slow.calls == 5:\n"  # the first call of the third case
        "            Path('reached').write_text('x')\n"
        "            threading.Event().wait(60)\n"
        "        return super().call(inputs, training=training)\n"
    )
    ids = ["shape:2x2/steps:TI", "shape:3x2/steps:TI", "shape:4x2/steps:TI"]
    options = [word for id_ in ids for word in ("--case", id_)]
    ended = interrupted(tmp_path, "run", "--layer", "slow:Slow", *options, "--json", "r.json", "--junit", "r.xml")
    assert (ended.code, ended.err) == (130, "")
    assert ended.last == "DEVIATES, INCOMPLETE: 66 checks of 14 clauses in 2 cases; 2 wrong"
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["ok"], report["complete"]) == (False, False)
    assert [(v["case"], v["status"]) for v in report["verdicts"]] == [(ids[0], "wrong"), (ids[1], "wrong")]
    junit = ET.parse(tmp_path / "r.xml")
    assert [case.get("name") for case in junit.iter("testcase")] == ids[:2]


def test_ctrl_c_before_any_verdict(tmp_path: Path) -> None:
    """Ctrl-C while a module is imported ends with one line that says so, and exit code 130."""
    (tmp_path / "slow.py").write_text(
        "import threading\nfrom pathlib import Path\nPath('reached').write_text('x')\nthreading.Event().wait(60)\n"
    )
    ended = interrupted(tmp_path, "run", "--layer", "slow:Slow", "--json", "r.json")
    assert (ended.code, ended.out, ended.err.lstrip("\n")) == (130, "", "bnverify: interrupted\n")
    assert not (tmp_path / "r.json").exists()
