"""What environments are made with: which interpreter, which uv, what uv is told and what it says."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bnverify.errors import BadInput
from bnverify.matrix.environments import NoInterpreter, cache_folder, find_python, find_uv, installer_environment, reason

RIGHT = "#!/bin/sh\nprintf 3.4\n"  # what an interpreter of Python 3.4 answers when it is asked for its version


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """What one test finds must not be what the next one gets."""
    forget()
    yield
    forget()


def forget() -> None:
    for function in (find_python, find_uv, installer_environment):
        function.cache_clear()


def program(path: Path, script: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return str(path)


# --- interpreters


def test_this_interpreter() -> None:
    """A row with the Python that runs bnverify takes that one, wherever it lies."""
    assert find_python(f"{sys.version_info[0]}.{sys.version_info[1]}") == sys.executable


def test_another_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first interpreter of the version on the PATH is taken, else one that pyenv keeps beside its shims."""
    kept = program(tmp_path / "pyenv" / "versions" / "3.4.10" / "bin" / "python3.4", RIGHT)
    monkeypatch.setenv("PATH", f"{tmp_path}/nowhere::{tmp_path}/a:{tmp_path}/b")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert find_python("3.4") == kept
    forget()
    program(tmp_path / "b" / "python3.4", RIGHT)
    first = program(tmp_path / "a" / "python3.4", RIGHT)
    assert find_python("3.4") == first


BROKEN = {
    "a shim of a version that is not chosen": "#!/bin/sh\necho 'pyenv: python3.4: command not found' >&2\nexit 127\n",
    "another version": "#!/bin/sh\nprintf 3.5\n",
    "one that says the version and fails": "#!/bin/sh\nprintf 3.4\nexit 1\n",
    "one that may not be executed": RIGHT,
    "no program": "\x7fELF nothing",
    "no interpreter to run it": "#!/nowhere/sh\n",
}


@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN)
def test_a_broken_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """An interpreter that does not start is passed over; where there is no other, there is none."""
    Path(program(tmp_path / "a" / "python3.4", script)).chmod(0o644 if script == RIGHT else 0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/a:{tmp_path}/b")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    with pytest.raises(NoInterpreter, match=r"^no working python3\.4 was found on the PATH$"):
        find_python("3.4")
    right = program(tmp_path / "b" / "python3.4", RIGHT)
    assert find_python("3.4") == right


# --- uv


def test_uv_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without uv there is one line that says how to install it; one on the PATH is as good as the package."""
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput) as refused:
        find_uv()
    assert str(refused.value) == "uv, which makes the environments, is not installed; pip install 'bnverify[matrix]'"
    own = program(tmp_path / "uv", "#!/bin/sh\n")
    assert find_uv() == own


SETTINGS = (  # a setting of pip, its value, and what uv is told
    ("PIP_FIND_LINKS", "/w1  /w2", "UV_FIND_LINKS", "/w1,/w2"),
    ("PIP_INDEX_URL", "https://i.example/simple", "UV_DEFAULT_INDEX", "https://i.example/simple"),
    ("PIP_EXTRA_INDEX_URL", "https://a.example file:///b https://c.example", "UV_INDEX", "https://a.example https://c.example"),
    ("PIP_CERT", "/c.pem", "SSL_CERT_FILE", "/c.pem"),
)


@pytest.fixture
def settings_of_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of this machine, and all of SETTINGS."""
    for name in os.environ:
        if name.startswith(("PIP_", "UV_", "SSL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name, value, _, _ in SETTINGS:
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("settings_of_pip")
def test_settings_of_pip_reach_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pip looks for packages, uv looks, too; what belongs to this process alone stays here."""
    monkeypatch.setenv("VIRTUAL_ENV", "/v")
    monkeypatch.setenv("PYTHONPATH", "/p")
    found = installer_environment()
    assert [found[name] for _, _, name, _ in SETTINGS] == [value for _, _, _, value in SETTINGS]
    assert found["UV_PYTHON_DOWNLOADS"] == "never"
    assert not {"VIRTUAL_ENV", "PYTHONPATH"} & set(found)


@pytest.mark.parametrize("own", [name for _, _, name, _ in SETTINGS])
@pytest.mark.usefixtures("settings_of_pip")
def test_settings_of_uv_go_before(monkeypatch: pytest.MonkeyPatch, own: str) -> None:
    """What uv has been told itself is not overruled by what pip has."""
    monkeypatch.setenv(own, "its own")
    assert installer_environment()[own] == "its own"


def test_settings_of_a_file_of_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings in pip's configuration file count as those in variables do, lists over several lines included."""
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_DEFAULT_INDEX", "UV_INDEX"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pip.conf").write_text(
        "[global]\nextra-index-url =\n  https://a.example\n  https://b.example\nindex-url = https://i.example\n"
        "[install]\nfind-links =\n  /w1\n  /w2\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    found = installer_environment()
    assert (found["UV_DEFAULT_INDEX"], found["UV_INDEX"]) == ("https://i.example", "https://a.example https://b.example")
    assert found["UV_FIND_LINKS"] == "/w1,/w2"


UNSOLVED = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because keras==9.9 was not found in the cache and you require keras==9.9, we can
      conclude that your requirements are unsatisfiable.

      hint: Packages were unavailable because the network was disabled.
"""
REASONS = {
    UNSOLVED: "No solution found when resolving dependencies: Because keras==9.9 was not found in the cache and you require "
    "keras==9.9, we can conclude that your requirements are unsatisfiable.",
    "warning: slow\nerror: Failed to fetch: `x`\n  Caused by: timed out\n": "Failed to fetch: `x` Caused by: timed out",
    "error: Failed to parse: `x @`\n  cause: Trailing `@`\nx @\n  ^\n": "Failed to parse: `x @` Trailing `@` x @ ^",
    "error: " + "x" * 500: "x" * 400,
    "warning: slow\n": "uv failed without a message",
    "": "uv failed without a message",
}


@pytest.mark.parametrize("text", REASONS, ids=range(len(REASONS)))
def test_reason(text: str) -> None:
    """What uv says over several lines, with signs and hints, is one line of bounded length that says why."""
    assert reason(text) == REASONS[text]


# --- where environments are kept


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({}, "/home/me/.cache/bnverify"),
        ({"XDG_CACHE_HOME": "/caches"}, "/caches/bnverify"),
        ({"XDG_CACHE_HOME": "/caches", "BNVERIFY_CACHE": "/mine"}, "/mine"),
    ],
)
def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str) -> None:
    """The cache is where BNVERIFY_CACHE says, else in the folder for caches, else in that of the home folder."""
    for name in ("XDG_CACHE_HOME", "BNVERIFY_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)
