"""Rows: the environments of the matrix as data, read from a TOML file and selected.

The file has `[[row]]` tables, one for each environment, and `[[pins]]` tables with the packages that a Keras release runs with.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from bnverify.errors import BadInput, did_you_mean
from bnverify.storage.tables import Table, read_tables, read_text
from bnverify.targets.backends import BACKENDS, check_backend
from bnverify.targets.worker.frameworks import MODULES

NAME = re.compile(r"\w[\w.+-]{0,79}")


@dataclass(frozen=True)
class RowTable:
    """A `[[row]]` table as it is in a file."""

    name: str = ""
    module: str = "keras"
    keras: str = ""
    backend: str = "tensorflow"
    python: str = ""
    packages: tuple[str, ...] = ()
    env: tuple[str, ...] = ()


PinsTable: Any = make_dataclass(  # a `[[pins]]` table as it is in a file: packages by backend
    "PinsTable",
    [("keras", str), ("python", str), ("module", str, "keras"), *((name, tuple[str, ...], ()) for name in BACKENDS)],
    frozen=True,
)


@dataclass(frozen=True)
class Row:
    """One environment of the matrix.

    name: for files and reports. module: which Keras, by its import name. keras: its version; empty if only `packages` gives it.
    python: such as 3.11. packages: to install, in pip's form, with absolute paths. env: environment variables as NAME=VALUE.
    where: file and line.
    """

    name: str
    module: str
    keras: str
    backend: str
    python: str
    packages: tuple[str, ...]
    env: tuple[str, ...] = ()
    where: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of its worker."""
        return {"KERAS_BACKEND": self.backend, **dict(item.split("=", 1) for item in self.env)}


@dataclass(frozen=True)
class Pins:
    """What the releases of `module` in the range `keras` run with: a Python, and packages by backend."""

    module: str
    keras: SpecifierSet
    python: str
    packages: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Matrix:
    """A file of rows, in its order."""

    path: Path
    rows: tuple[Row, ...]
    pins: tuple[Pins, ...]

    def release(self, version: str, backend: str, module: str = "keras") -> Row:
        """The row for a release, which need not be in the file. Raises BadInput if no pins cover it."""
        return _completed(Row(f"{module}-{version}-{backend}", module, version, backend, "", ()), self.pins, str(self.path))


def find_matrix() -> Path:
    """The matrix file: ci/matrix.toml in this folder or, within a git working tree, in one above it; or else the shipped one.

    The file decides what is installed and run, so it is never taken from a folder of another user, such as /tmp.
    """
    here = Path.cwd()
    folders = [here, *here.parents]
    tree = next((n for n, folder in enumerate(folders) if (folder / ".git").exists()), 0)
    for own in (folder / "ci" / "matrix.toml" for folder in folders[: tree + 1]):
        if own.is_file() and own.stat().st_uid in (os.getuid(), 0):
            return own
    return Path(str(resources.files("bnverify.matrix") / "matrix.toml"))


def load_matrix(path: Path) -> Matrix:
    """The rows of a file. Raises BadInput with file, line and field."""
    tables = read_tables(read_text(path, "--file"), str(path), {"row": RowTable, "pins": PinsTable})
    pins = tuple(map(_pins, tables["pins"]))
    rows: dict[str, Row] = {}
    for table in tables["row"]:
        row = _row(table, pins, path.resolve().parent)
        if row.name in rows:
            raise table.fail("name", f"{row.name!r} is already the name of the row at {rows[row.name].where}")
        rows[row.name] = row
    if not rows:
        raise BadInput(f"{path}: has no [[row]] table")
    return Matrix(path, tuple(rows.values()), pins)


def _pins(table: Table[Any]) -> Pins:
    given = table.values
    try:
        releases = SpecifierSet(given.keras, prereleases=True)
    except InvalidSpecifier:
        raise table.fail("keras", got=given.keras, allowed="a version range as >=3.0,<3.5") from None
    _check(table, "module", given.module, tuple(MODULES))
    _check_python(table, given.python)
    packages = {backend: getattr(given, backend) for backend in BACKENDS if backend in table.given}
    return Pins(given.module, releases, given.python, packages)


def _row(table: Table[RowTable], pins: Sequence[Pins], folder: Path) -> Row:
    given = table.values
    if given.keras:
        try:
            Version(given.keras)
        except InvalidVersion:
            raise table.fail("keras", got=given.keras, allowed="a version such as 3.15.1") from None
    if not all(package.strip() and package.isprintable() and not package.startswith("-") for package in given.packages):
        raise table.fail(
            "packages", got=list(given.packages), allowed="requirements in pip's form, one line each, without options"
        )
    packages = tuple(_absolute(package, folder) for package in given.packages)
    if not given.keras and not packages:
        raise table.fail(
            "keras", "neither keras nor packages is given", allowed="a version such as 3.15.1, or a list of packages"
        )
    _check(table, "module", given.module, tuple(MODULES))
    _check(table, "backend", given.backend, BACKENDS)
    name = given.name or (f"{given.module}-{given.keras}-{given.backend}" if given.keras else "")
    if not NAME.fullmatch(name):
        raise table.fail("name", got=name, allowed="1 to 80 letters, digits and . _ + -")
    if not all(re.fullmatch(r"\w+=[^\0\n]*", item) for item in given.env):
        raise table.fail("env", got=list(given.env), allowed='texts NAME=VALUE, such as ["JAX_ENABLE_X64=1"]')
    if "python" in table.given:
        _check_python(table, given.python)
    row = Row(name, given.module, given.keras, given.backend, given.python, packages, given.env, table.place)
    return replace(row, python=given.python or "3.11") if packages else _completed(row, pins, table.place_of("keras"))


def _completed(row: Row, pins: Sequence[Pins], where: str) -> Row:
    """The row with the Python and the packages of the first pins that cover its release."""
    for pin in pins:
        if pin.module == row.module and pin.keras.contains(row.keras) and row.backend in pin.packages:
            own = [] if row.module == "tf.keras" else [f"{row.module}=={row.keras}"]
            return replace(row, python=row.python or pin.python, packages=(*own, *pin.packages[row.backend]))
    raise BadInput(f"{where}: no [[pins]] table says what {row.module} {row.keras} runs with on {row.backend}")


def _check(table: Table[Any], field: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise table.fail(field, got=value, allowed=allowed)


def _check_python(table: Table[Any], value: str) -> None:
    if not re.fullmatch(r"3\.\d{1,2}", value):
        raise table.fail("python", got=value, allowed="a Python as 3.11")


def _absolute(package: str, folder: Path) -> str:
    """A wheel or a source tree with its absolute path; other packages unchanged."""
    local = package.startswith((".", "/", "~")) or package.endswith((".whl", ".tar.gz"))
    return str((folder / Path(package).expanduser()).resolve()) if local and "://" not in package else package


def select_rows(
    rows: Sequence[Row], names: Sequence[str] = (), only: str = "", backends: Sequence[str] = ()
) -> tuple[Row, ...]:
    """The rows of these names (all if none are named) that fit `only`, such as keras>=3.8 or python<3.8, and a backend.

    Raises BadInput for an unknown name, a malformed condition, and if no row is left.
    """
    known = {row.name: row for row in rows}
    for name in names:
        if name not in known:
            near = did_you_mean(name, known, cutoff=0.4)
            hint = "`bnverify matrix --list` shows the rows"
            raise BadInput(f"row {name!r} is unknown", hint=f"{near}; {hint}" if near else hint)
    for backend in backends:
        check_backend(backend)
    chosen = [known[name] for name in dict.fromkeys(names)] if names else list(rows)
    chosen = [row for row in chosen if row.backend in backends] if backends else chosen
    chosen = [row for row in chosen if _fits(row, only)] if only else chosen
    if not chosen:
        asked = " and ".join(filter(None, (f"--only {only!r}" if only else "", *(f"--backend {b}" for b in backends))))
        raise BadInput(f"{asked} selects no row; `bnverify matrix --list` shows the rows")
    return tuple(chosen)


def _fits(row: Row, only: str) -> bool:
    try:
        asked = Requirement(only.replace("tf.keras", "tf-dot-keras"))
    except InvalidRequirement:
        asked = Requirement("nothing")
    fields = {**{module: row.keras for module in MODULES if module == row.module}, "python": row.python}
    name = asked.name.replace("tf-dot-keras", "tf.keras")
    if name not in (*MODULES, "python") or not asked.specifier or asked.extras or asked.marker:
        raise BadInput(
            f"--only {only!r} is not a condition", allowed="conditions such as keras>=3.8, tf_keras==2.21.0 or python<3.8"
        )
    return bool(fields.get(name)) and asked.specifier.contains(fields[name], prereleases=True)
