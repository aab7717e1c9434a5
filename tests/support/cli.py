"""Running the command line in tests: how a command ended, and the environment of a child process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import bnverify

PACKAGE = Path(bnverify.__file__).parents[1]  # the folder that bnverify was imported from, installed or not
ROOT = Path(__file__).parents[2]  # the repository


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line of standard output."""
        return self.out.rstrip("\n").rsplit("\n", 1)[-1]


Cli = Callable[..., Ended]


def assert_refused(ended: Ended, *parts: str) -> None:
    """Bad input: nothing on standard output, one line on standard error that holds the parts, exit code 2."""
    assert ended.err.count("\n") == 1, ended.err
    assert ended.err.startswith("bnverify: ")
    for part in parts:
        assert part in ended.err
    assert (ended.code, ended.out) == (2, "")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child process: this bnverify comes first, after what `extra` puts before it."""
    extra = dict(extra or {})
    path = [extra.pop("PYTHONPATH", ""), str(PACKAGE), os.environ.get("PYTHONPATH", "")]
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return {**kept, **extra, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def without(folder: Path, package: str) -> dict[str, str]:
    """Writes into `folder` what makes `package` look uninstalled; the environment of a process in which it is."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    return {"PYTHONPATH": str(folder)}
