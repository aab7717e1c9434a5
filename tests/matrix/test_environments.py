"""Environments: when one is found again, when it is made anew, and that what fails leaves none."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bnverify.errors import BadInput
from bnverify.matrix import environments, in_use
from bnverify.matrix.environments import (
    NotInstallable,
    find_python,
    find_uv,
    fingerprint,
    installer_environment,
    make_environment,
)
from bnverify.matrix.rows import Row

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """What one test finds must not be what the next one gets."""
    remembering = (find_python, find_uv, installer_environment)
    for function in remembering:
        function.cache_clear()
    yield
    for function in remembering:
        function.cache_clear()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of environments, not there yet, and a uv that asks no index."""
    monkeypatch.setenv("BNVERIFY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return tmp_path / "cache" / "environments"


def row(*packages: object, name: str = "row", python: str = HERE, backend: str = "jax") -> Row:
    return Row(name, "keras", "", backend, python, tuple(map(str, packages)))


def wheel(folder: Path, text: str = "number = 1\n") -> Path:
    """A wheel of one module, as an installer takes it, without the time of day."""
    path, inside = folder / "tiny-1.0-py3-none-any.whl", "tiny-1.0.dist-info"
    files = {
        "tiny.py": text,
        f"{inside}/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        f"{inside}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{inside}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return path


def tree(folder: Path, name: str, text: str) -> Path:
    """A source tree with this file in it."""
    path = folder / "tree" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return folder / "tree"


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)


# --- fingerprints


def test_what_shares_an_environment(tmp_path: Path) -> None:
    """The same packages in any order under any name, and trees that differ in hidden files alone, are one environment."""
    local, source = wheel(tmp_path), tree(tmp_path, "keras/a.py", "1")
    one = fingerprint(row(local, source, "jax==0.10.2", "scipy"))
    for name in (".git/HEAD", ".hidden", "keras/.cache/a.py", "keras/__pycache__/a.pyc"):
        tree(tmp_path, name, "2")
    assert fingerprint(row(source, local, "scipy", "jax==0.10.2", name="other", backend="numpy")) == one


CHANGES: dict[str, Callable[[Path], object]] = {
    "another wheel": lambda folder: wheel(folder, "number = 2\n"),
    "another file": lambda folder: tree(folder, "keras/a.py", "2"),
    "a file more": lambda folder: tree(folder, "keras/b.py", ""),
    "another name of a file": lambda folder: (folder / "tree" / "keras" / "a.py").rename(folder / "tree" / "keras" / "b.py"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_content_makes_another_environment(tmp_path: Path, change: Callable[[Path], object]) -> None:
    """Other content of a wheel or of a source tree is another environment."""
    both = row(wheel(tmp_path), tree(tmp_path, "keras/a.py", "1"))
    before = fingerprint(both)
    change(tmp_path)
    assert fingerprint(both) != before


def test_content_belongs_to_its_package(tmp_path: Path) -> None:
    """Two source trees that exchange their content are another environment."""
    trees = [tree(tmp_path / name, "a.py", name) for name in ("1", "2")]
    before = fingerprint(row(*trees))
    for place, text in zip(trees, ("2", "1"), strict=True):
        (place / "a.py").write_text(text)
    assert fingerprint(row(*trees)) != before


def test_packages_make_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other packages, and another Python, are another environment."""
    program(tmp_path / "python3.4", "#!/bin/sh\nprintf 3.4\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    made = [row("x", "y"), row("x"), row("x", "y==1"), row("x y"), row("x", "y", python="3.4")]
    assert len({fingerprint(one) for one in made}) == 5


# --- making


def number_in(python: str) -> str:
    code = "import tiny; print(tiny.number)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout


def test_an_environment(cache: Path, tmp_path: Path) -> None:
    """An environment is made once and found again, unless it is asked for anew, or its packages have changed."""
    told: list[str] = []
    python = make_environment(row(wheel(tmp_path)), tell=told.append)
    (home,) = cache.iterdir()
    made = (home / "made.json").stat().st_mtime_ns
    assert (python, number_in(python), told) == (f"{home}/bin/python", "1\n", ["installing"])
    assert make_environment(row(wheel(tmp_path), name="again"), tell=told.append) == python
    assert ((home / "made.json").stat().st_mtime_ns, told) == (made, ["installing"])
    assert make_environment(row(wheel(tmp_path)), newer_than=time.time(), tell=told.append) == python
    assert (home / "made.json").stat().st_mtime_ns > made
    other = make_environment(row(wheel(tmp_path, "number = 2\n")), tell=told.append)
    assert (number_in(other), number_in(python), told) == ("2\n", "1\n", ["installing"] * 3)


@pytest.fixture
def quick_uv(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """A uv that makes an empty environment; what stands in the list happens, once, while it installs."""
    happens: list[Callable[[], object]] = []

    def uv(command: list[str]) -> None:
        if "venv" in command:
            program(Path(command[-1]) / "bin" / "python", "")
        elif happens:
            happens.pop()()

    monkeypatch.setattr(environments, "_uv", uv)
    return happens


def test_two_rows_that_share_an_environment(cache: Path, quick_uv: list[Callable[[], object]]) -> None:
    """An environment that another row, or process, made meanwhile is used: it is not replaced under who runs in it."""
    inodes = []
    quick_uv.append(lambda: inodes.append(Path(make_environment(row("x", name="faster"))).stat().st_ino))
    assert [Path(make_environment(row("x"))).stat().st_ino] == inodes
    assert len(list(cache.iterdir())) == 1


def test_an_environment_whose_interpreter_is_gone(cache: Path, quick_uv: list[Callable[[], object]]) -> None:
    """An environment that points to an interpreter that was removed is made anew."""
    python = Path(make_environment(row("x")))
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert make_environment(row("x")) == str(python)
    assert (python.is_symlink(), python.exists(), len(list(cache.iterdir())), quick_uv) == (False, True, 1, [])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), NotInstallable("no"), RuntimeError("unforeseen")], ids=repr)
def test_an_interrupted_making(cache: Path, quick_uv: list[Callable[[], object]], error: BaseException) -> None:
    """Whatever ends the making of an environment leaves nothing that the next run would take for one."""

    def fail() -> None:
        raise error

    quick_uv.append(fail)
    with pytest.raises(type(error)):
        make_environment(row("x"))
    assert list(cache.iterdir()) == []
    assert Path(make_environment(row("x"))).exists()


@pytest.mark.parametrize(
    ("package", "part"),
    [
        ("nosuchpackage-bnverify==9.9", "Because nosuchpackage-bnverify was not found"),
        ("nosuchpackage-bnverify ==", "Failed to parse: `nosuchpackage-bnverify ==`"),
        ("{}/tree", "/tree` does not appear to be a Python project"),
        ("{}/missing.whl", "/missing.whl: no such file or folder"),
    ],
)
def test_what_cannot_be_installed(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, part: str
) -> None:
    """Packages that do not resolve are one line with uv's reason, without colours, and leave no environment."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    tree(tmp_path, "a.py", "")
    with pytest.raises(NotInstallable) as refused:
        make_environment(row(package.format(tmp_path)))
    assert part in str(refused.value)
    assert str(refused.value).isprintable()
    assert not cache.exists() or list(cache.iterdir()) == []


def test_uv_that_hangs(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that does not end is ended."""
    program(tmp_path / "uv.sh", "#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(environments, "INSTALLING", 0.2)
    monkeypatch.setattr(environments, "find_uv", lambda: str(tmp_path / "uv.sh"))
    with pytest.raises(NotInstallable, match=r"^uv did not end within 0\.2 s$"):
        make_environment(row("x"))
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("inside", ["", "/below"])
def test_a_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str) -> None:
    """Where a file lies in the place of the cache folder, one line names the folder and says why."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BNVERIFY_CACHE", f"{tmp_path}/file{inside}")
    with pytest.raises(BadInput) as refused:
        make_environment(row("x"))
    assert str(refused.value) == f"the cache folder {tmp_path}/file{inside}/environments: Not a directory"


def test_without_uv_nothing_is_made(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where uv is missing, making an environment is refused before anything is written."""
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match=r"^uv, which makes the environments, is not installed; pip install"):
        make_environment(row("x"))
    assert not cache.exists()


def test_leftovers_of_killed_processes(tmp_path: Path) -> None:
    """What a killed process of this machine was making is removed; what may still be made stays."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        ended.wait()
    names = {
        "dead": f".making-{platform.node()}-{ended.pid}-abc",
        "alive": f".making-{platform.node()}-{os.getpid()}-abc",
        "elsewhere": f".making-other-machine-{ended.pid}-abc",
        "unknown": ".making-abcdef",
        "made": "0123456789abcdef",
    }
    for name in names.values():
        (tmp_path / name / "bin").mkdir(parents=True)
    environments._sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(names.values()) - {names["dead"]}


@pytest.mark.parametrize("found_again", [False, True])
def test_an_environment_is_in_use(cache: Path, quick_uv: list[Callable[[], object]], found_again: bool) -> None:
    """An environment that was made, or found again, is in use until the process ends."""
    assert quick_uv == []
    home = Path(make_environment(row("x"))).parents[1]
    if found_again:
        os.close(in_use._HELD.popitem()[1])
        make_environment(row("x"))
    assert len(in_use._HELD) == 1
    with in_use.use_of(home) as user:
        assert user == "a running process uses it"
    assert list(cache.iterdir()) == [home]


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home folder must name the cache; the message says how."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    for name in ("XDG_CACHE_HOME", environments.CACHE):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadInput, match="no home folder for the cache; set BNVERIFY_CACHE to a folder"):
        environments.cache_folder()
    monkeypatch.setenv(environments.CACHE, "/somewhere")
    assert environments.cache_folder() == Path("/somewhere")
