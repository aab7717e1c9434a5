"""Environments: one virtual environment for each set of packages, made by uv and kept in the cache, by content."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bnverify.errors import BadInput
from bnverify.matrix.in_use import MADE, hold
from bnverify.matrix.rows import Row
from bnverify.storage.leftovers import is_left_over, name_prefix

INSTALLING = 1800.0  # seconds that installing one environment may take
MAKING = ".making-"  # the start of the name of an environment that is being made
REMOVING = ".removing-"  # the same for one that is being removed
CACHE = "BNVERIFY_CACHE"  # environment variable that sets another cache folder


class NoInterpreter(BadInput):
    """This machine does not have the Python version of a row."""


class NotInstallable(BadInput):
    """The packages of a row cannot be installed. The text says why, on one line."""


def cache_folder() -> Path:
    """The folder for environments and finished rows."""
    if given := os.environ.get(CACHE):
        return Path(given)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "bnverify"
    try:
        return Path.home() / ".cache" / "bnverify"
    except RuntimeError:  # no HOME, and a user without an entry in the system's list
        raise BadInput("this user has no home folder for the cache", hint=f"set {CACHE} to a folder") from None


@lru_cache
def find_python(version: str) -> str:
    """An interpreter of Python `version` that starts: this one, one on the PATH, or one of pyenv.

    Raises NoInterpreter. Nothing is downloaded.
    """
    if version == ".".join(map(str, sys.version_info[:2])):
        return sys.executable
    places = os.environ.get("PATH", "").split(os.pathsep)
    candidates = [Path(place) / f"python{version}" for place in places if place]
    root = Path(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"))
    candidates += sorted(root.glob(f"versions/{version}.*/bin/python{version}"))
    code = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            with suppress(OSError):  # a file of another executable format
                ran = subprocess.run([str(candidate), "-c", code], capture_output=True, text=True, check=False)
                if ran.returncode == 0 and ran.stdout == version:
                    return str(candidate)
    raise NoInterpreter(f"no working python{version} was found on the PATH")


@lru_cache
def find_uv() -> str:
    """The uv program. Raises BadInput if it is not installed."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise BadInput("uv, which makes the environments, is not installed; pip install 'bnverify[matrix]'")
    return found


@lru_cache
def installer_environment() -> Mapping[str, str]:
    """This process's environment, with pip's settings translated for uv, which ignores them, unless uv has its own."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    settings = dict(re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", listed.stdout, re.MULTILINE))
    settings = {
        name: " ".join(value.replace("\\n", " ").split()) for name, value in settings.items()
    }  # lists with one item per line
    for name in ("find-links", "index-url", "extra-index-url", "cert"):
        settings[name] = os.environ.get(f"PIP_{name.upper().replace('-', '_')}", settings.get(name, ""))
    said = {
        "UV_FIND_LINKS": ",".join(settings["find-links"].split()),
        "UV_DEFAULT_INDEX": settings["index-url"],
        "UV_INDEX": " ".join(index for index in settings["extra-index-url"].split() if not index.startswith("file:")),
        "SSL_CERT_FILE": settings["cert"],
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
    }
    passed = {name: value for name, value in said.items() if value and name not in os.environ}
    kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    return {**kept, **passed}


def fingerprint(row: Row) -> str:
    """The content of a row's environment as a short text. Rows with the same text share it."""
    contents = [_content(path) for path in filter(None, map(local_path, sorted(row.packages)))]
    made_of = json.dumps([row.python, os.path.realpath(find_python(row.python)), sorted(row.packages), contents])
    return hashlib.sha256(made_of.encode()).hexdigest()[:20]


def local_path(package: str) -> Path | None:
    """The wheel or source tree that a package is installed from, by path or by file: address; None for other packages."""
    if "file://" in package:
        return Path(unquote(urlsplit("file://" + package.split("file://", 1)[1]).path))
    return Path(package) if Path(package).is_absolute() else None


def _content(path: Path) -> str:
    """The content of a wheel or of a source tree, without hidden folders."""
    if not path.exists():
        raise NotInstallable(f"{path}: no such file or folder")
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    digest = hashlib.sha256()
    for file in files:
        inside = file.relative_to(path)
        if not any(part.startswith(".") or part == "__pycache__" for part in inside.parts):
            digest.update(str(inside).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def make_environment(row: Row, newer_than: float = 0.0, tell: Callable[[str], None] = lambda text: None) -> str:
    """The interpreter of the row's environment, which this process then holds (see in_use).

    The environment is made unless one exists that was made after the time `newer_than`. Raises NoInterpreter, NotInstallable
    with uv's reason on one line, and BadInput if uv is missing.
    """
    python, uv = find_python(row.python), find_uv()
    home = cache_folder() / "environments" / fingerprint(row)
    interpreter = home / "bin" / "python"

    def is_made() -> bool:
        made = home / MADE
        return made.is_file() and interpreter.exists() and made.stat().st_mtime >= newer_than

    if is_made() and hold(home):
        return str(interpreter)
    tell("installing")
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        _sweep(home.parent)
        making = Path(tempfile.mkdtemp(prefix=name_prefix(MAKING), dir=home.parent))
    except OSError as error:
        raise NotInstallable(f"the cache folder {home.parent}: {error.strerror or error}") from None
    try:
        _uv([uv, "venv", "--quiet", "--no-project", "--python", python, "--clear", str(making)])
        _uv([uv, "pip", "install", "--quiet", "--python", str(making / "bin" / "python"), *row.packages])
        (making / MADE).write_text(json.dumps({"python": python, "packages": row.packages}), encoding="utf-8")
        if not (is_made() and hold(home)):  # otherwise another process was faster and may be using it
            hold(making)
            if home.is_dir():
                shutil.rmtree(set_aside(home), ignore_errors=True)
            making.rename(home)
    except OSError as error:
        if not hold(home):  # otherwise another process was faster
            raise NotInstallable(f"{home}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return str(interpreter)


def set_aside(home: Path) -> Path:
    """Gives a folder a name under which nobody uses it, before it is removed: a process may be killed while it removes it."""
    away = Path(tempfile.mkdtemp(prefix=name_prefix(REMOVING), dir=home.parent))
    try:
        return home.rename(away)
    except BaseException:
        away.rmdir()
        raise


def _sweep(folder: Path) -> None:
    """Removes what killed processes of this machine left half made or half removed, about a gigabyte each."""
    for start in (MAKING, REMOVING):
        for left in folder.glob(f"{start}*"):
            if is_left_over(left.name, start):
                shutil.rmtree(left, ignore_errors=True)


def _uv(command: list[str]) -> None:
    try:
        ran = subprocess.run(
            [*command, "--color", "never"],
            env=installer_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALLING,
        )
    except subprocess.TimeoutExpired:
        raise NotInstallable(f"uv did not end within {INSTALLING:g} s") from None
    if ran.returncode:
        raise NotInstallable(reason(ran.stderr))


def reason(text: str) -> str:
    """uv's error message, on one line."""
    lines = [re.sub(r"^(error:|[\s×│├╰─▶→]|cause:)+", "", line).strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("hint:", "warning:"))]
    return " ".join(" ".join(lines).split())[:400] or "uv failed without a message"
