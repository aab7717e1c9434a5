"""Ctrl-C: the verdicts so far are shown, nothing is half-written, and the message says which files are written."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli, Ended, environment
from support.fake_keras import FAKE_KERAS
from support.layers import LAYERS

from bnverify.matrix import runs
from bnverify.views import terminal


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
    """Ctrl-C while a module is imported ends with one line that says so and that no file is written, and exit code 130."""
    (tmp_path / "slow.py").write_text(
        "import threading\nfrom pathlib import Path\nPath('reached').write_text('x')\nthreading.Event().wait(60)\n"
    )
    ended = interrupted(tmp_path, "run", "--layer", "slow:Slow", "--json", "r.json")
    assert (ended.code, ended.out, ended.err.lstrip("\n")) == (130, "", "bnverify: interrupted; not written: --json r.json\n")
    assert not (tmp_path / "r.json").exists()


@pytest.fixture(autouse=True)
def ctrl_c_interrupts() -> Iterator[None]:
    """A CI service may start the tests with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


REPORTS = {"--json": "r.json", "--junit": "r.xml", "--record": "k.json"}


def interrupting(function: Callable[..., Any], call: int, after: bool) -> Callable[..., Any]:
    """The function, with Ctrl-C before or after its work in a call, counted from 1."""
    calls = 0

    def wrapped(*arguments: Any, **given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and not after:
            signal.raise_signal(signal.SIGINT)
        result = function(*arguments, **given)
        if calls == call and after:
            signal.raise_signal(signal.SIGINT)
        return result

    return wrapped


@pytest.mark.parametrize(("call", "after", "written"), [(1, False, 0), (1, True, 1), (2, False, 1), (2, True, 2), (3, True, 3)])
def test_ctrl_c_while_reports_are_written(
    cli: Cli, layers: Path, monkeypatch: pytest.MonkeyPatch, call: int, after: bool, written: int
) -> None:
    """The message names exactly the files that are new; the others are the old ones whole, and nothing lies beside them."""
    for name in REPORTS.values():
        (layers / name).write_text("of yesterday")
    monkeypatch.setattr(os, "replace", interrupting(os.replace, call, after))
    ended = cli("run", "--case", "shape:2x2/steps:TI", *[word for option in REPORTS.items() for word in option])
    new = [path.name for path in layers.iterdir() if path.name in REPORTS.values() and path.read_text() != "of yesterday"]
    names = [f"{option} {name}" for option, name in REPORTS.items()]
    assert sorted(new) == sorted(list(REPORTS.values())[:written])
    parts = ["interrupted"]
    parts += [f"written: {', '.join(names[:written])}"] if written else []
    parts += [f"not written: {', '.join(names[written:])}"] if written < 3 else []
    assert (ended.code, ended.err) == (130, f"bnverify: {'; '.join(parts)}\n")
    assert sorted(path.name for path in layers.iterdir() if path.is_file()) == sorted(["mylayers.py", *REPORTS.values()])


@pytest.mark.parametrize("after", [False, True])
def test_ctrl_c_while_the_text_is_printed(cli: Cli, layers: Path, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    """The message says that no file is written, and does not say that there was no verdict."""
    monkeypatch.setattr(terminal, "show", interrupting(terminal.show, 1, after))
    ended = cli("run", "--case", "shape:2x2/steps:TI", "--json", "r.json", "--junit", "r.xml")
    assert (ended.code, ended.err) == (130, "bnverify: interrupted; not written: --json r.json, --junit r.xml\n")
    assert ("\nCONFORMS: " in ended.out) is after
    assert [path.name for path in layers.iterdir() if path.is_file()] == ["mylayers.py"]


@pytest.mark.usefixtures("layers")
def test_ctrl_c_without_reports(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that writes no file names none."""
    monkeypatch.setattr(terminal, "show", interrupting(terminal.show, 1, after=True))
    ended = cli("run", "--case", "shape:2x2/steps:TI")
    assert (ended.code, ended.err) == (130, "bnverify: interrupted\n")


@pytest.fixture
def two_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with rows.toml of two rows, whose environment is this interpreter with a fake Keras."""
    (folder / "site" / "keras").mkdir(parents=True)
    (folder / "site" / "keras" / "__init__.py").write_text(FAKE_KERAS)
    (folder / "records").mkdir()
    path = f"PYTHONPATH={folder / 'site'}"
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    (folder / "rows.toml").write_text(
        "".join(
            f'[[row]]\nname = "{name}"\nbackend = "numpy"\npython = "{here}"\npackages = ["fake"]\nenv = ["{path}"]\n'
            for name in ("first", "second")
        )
    )
    monkeypatch.setenv("BNVERIFY_CACHE", str(folder / "cache"))
    monkeypatch.setattr(runs, "make_environment", lambda row, newer_than, tell: sys.executable)
    return folder


MATRIX = ("matrix", "--file", "rows.toml", "--case", "shape:2x2/momentum:0.9/steps:T", "--jobs", "1")


def test_ctrl_c_while_a_record_is_written(cli: Cli, two_rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that has ended is reported, and its record is written after all."""
    monkeypatch.setattr(os, "replace", interrupting(os.replace, 4, after=False))  # each row: into the cache, then the record
    ended = cli(*MATRIX, "--records", "records", "--markdown", "chart.md")
    assert (ended.code, ended.last) == (130, "interrupted after the last row")
    assert sorted(path.name for path in (two_rows / "records").iterdir()) == ["first.json", "second.json"]
    assert (two_rows / "chart.md").exists()


def test_ctrl_c_while_a_matrix_writes_reports(cli: Cli, two_rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the records and the reports that are written, and those that are not."""
    monkeypatch.setattr(os, "replace", interrupting(os.replace, 6, after=False))
    ended = cli(*MATRIX, "--records", "records", "--markdown", "chart.md", "--junit", "chart.xml")
    written = "--records records/first.json, --records records/second.json, --markdown chart.md"
    assert ended.code == 130
    assert ended.err.splitlines()[-1] == f"bnverify: interrupted; written: {written}; not written: --junit chart.xml"
    assert not (two_rows / "chart.xml").exists()
