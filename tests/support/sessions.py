"""Sessions of pytest in a process of their own, and how their tests came out."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.cli import environment


@dataclass(frozen=True)
class Outcome:
    """How one test ended: passed, failed, error or skipped (with the kind that pytest says), and the text."""

    status: str
    message: str = ""
    text: str = ""


@dataclass(frozen=True)
class Session:
    """A pytest run: exit code, what it printed, and the outcome of each test by its name."""

    code: int
    printed: str
    tests: Mapping[str, Outcome]


def run_pytest(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Session:
    """A real pytest in a folder without configuration."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        f"--rootdir={folder}",
        *arguments,
        "--junit-xml=junit.xml",
    ]
    ran = subprocess.run(command, cwd=folder, env=environment(env), capture_output=True, text=True, timeout=300, check=False)
    tests = {}
    if (folder / "junit.xml").exists():
        for case in ET.parse(folder / "junit.xml").iter("testcase"):
            child = next((c for c in case if c.tag in ("failure", "error", "skipped")), None)
            name = str(case.get("name"))
            assert name not in tests
            tests[name] = (
                Outcome("passed")
                if child is None
                else Outcome(
                    {"failure": "failed"}.get(child.tag, str(child.get("type") or child.tag)),
                    str(child.get("message")),
                    str(child.text),
                )
            )
    return Session(ran.returncode, ran.stdout + ran.stderr, tests)
