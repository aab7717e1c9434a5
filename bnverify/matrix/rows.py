"""Rows: the environments of the matrix as data, read from a TOML file, and selecting some of them.

The file holds `[[row]]` tables, one for each environment, and `[[pins]]` tables, which say what a Keras release is run with.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from bnverify.errors import BadInput
from bnverify.storage.tables import TableRecord, parse_tables, read_text
from bnverify.targets.backends import BACKENDS
from bnverify.targets.worker.frameworks import MODULES

ROW_FIELDS = ("name", "module", "keras", "backend", "python", "packages", "env")
PIN_FIELDS = ("module", "keras", "python", *BACKENDS)
NAME = re.compile(r"\w[\w.+-]{0,79}")


@dataclass(frozen=True)
class Row:
    """One environment of the matrix.

    name: what files and reports call it; module: which Keras, by the name it is imported as; keras: its version, empty where
    `packages` alone say it; python: as 3.11; packages: what is installed, as pip takes it, paths made absolute; env:
    environment variables as NAME=VALUE; where: file and line.
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
    """What the releases of `module` in the range `keras` are run with: a Python, and packages by backend."""

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
        """The row for a release that need not be in the file. Raises BadInput where no pins cover it."""
        return _completed(Row(f"{module}-{version}-{backend}", module, version, backend, "", ()), self.pins, str(self.path))


def find_matrix(hint: str = "; --file names another") -> Path:
    """The matrix file: ci/matrix.toml in this folder or one above it, or the one that was installed with bnverify."""
    here = Path.cwd()
    installed = Path(sys.prefix) / "share" / "bnverify" / "matrix.toml"
    for path in (*(folder / "ci" / "matrix.toml" for folder in (here, *here.parents)), installed):
        if path.is_file():
            return path
    raise BadInput(f"no matrix file: there is no ci/matrix.toml in {here} or above{hint}")


def load_matrix(path: Path) -> Matrix:
    """The rows of a file. Raises BadInput with file, line and field."""
    tables = parse_tables(read_text(path, "--file"), str(path), ("row", "pins"))
    pins = tuple(map(_pins, tables["pins"]))
    rows: dict[str, Row] = {}
    for record in tables["row"]:
        row = _row(record, pins, path.resolve().parent)
        if row.name in rows:
            raise record.fail("name", f"{row.name!r} is the name of the row at {rows[row.name].where}, too")
        rows[row.name] = row
    if not rows:
        raise BadInput(f"{path}: has no [[row]] table")
    return Matrix(path, tuple(rows.values()), pins)


def _pins(record: TableRecord) -> Pins:
    record.check(PIN_FIELDS, ("keras", "python"))
    try:
        releases = SpecifierSet(record.text("keras"), prereleases=True)
    except InvalidSpecifier:
        raise record.fail("keras", f"{record.text('keras')!r} is no version range; allowed: as >=3.0,<3.5") from None
    packages = {backend: record.texts(backend, '["jax==0.10.2"]') for backend in BACKENDS if backend in record.values}
    return Pins(_one_of(record, "module", tuple(MODULES), "keras"), releases, _python(record), packages)


def _row(record: TableRecord, pins: Sequence[Pins], folder: Path) -> Row:
    record.check(ROW_FIELDS, ())
    version = record.text("keras")
    if version:
        try:
            Version(version)
        except InvalidVersion:
            raise record.fail("keras", f"{version!r} is no version; allowed: as 3.15.1") from None
    given = record.texts("packages", '["keras==3.15.1"]')
    if not all(package.strip() and package.isprintable() and not package.startswith("-") for package in given):
        raise record.fail("packages", f"must be packages as pip takes them, one line each and no options, is {list(given)!r}")
    packages = tuple(_absolute(package, folder) for package in given)
    if not version and not packages:
        raise record.fail("keras", "missing, and no packages; allowed: a version as 3.15.1, or a list of packages")
    module, backend = _one_of(record, "module", tuple(MODULES), "keras"), _one_of(record, "backend", BACKENDS, "tensorflow")
    name = record.text("name") or (f"{module}-{version}-{backend}" if version else "")
    if not NAME.fullmatch(name):
        raise record.fail("name", f"{name!r} is no name; allowed: 1 to 80 letters, digits and . _ + -")
    env = record.texts("env", '["JAX_ENABLE_X64=1"]')
    if not all(re.fullmatch(r"\w+=[^\0\n]*", item) for item in env):
        raise record.fail("env", f'must be texts NAME=VALUE, as ["JAX_ENABLE_X64=1"], is {list(env)!r}')
    python = _python(record) if "python" in record.values else ""
    row = Row(name, module, version, backend, python, packages, env, record.place())
    return replace(row, python=python or "3.11") if packages else _completed(row, pins, record.place("keras"))


def _completed(row: Row, pins: Sequence[Pins], where: str) -> Row:
    """The row with the Python and the packages that the first pins covering its release name."""
    for pin in pins:
        if pin.module == row.module and pin.keras.contains(row.keras) and row.backend in pin.packages:
            own = [] if row.module == "tf.keras" else [f"{row.module}=={row.keras}"]
            return replace(row, python=row.python or pin.python, packages=(*own, *pin.packages[row.backend]))
    raise BadInput(f"{where}: no [[pins]] table says what {row.module} {row.keras} is run with on {row.backend}")


def _one_of(record: TableRecord, field: str, allowed: Sequence[str], default: str) -> str:
    value = record.text(field, default)
    if value not in allowed:
        raise record.fail(field, f"{value!r} is unknown; allowed: {', '.join(allowed)}")
    return value


def _python(record: TableRecord) -> str:
    value = record.text("python")
    if not re.fullmatch(r"3\.\d{1,2}", value):
        raise record.fail("python", f"{value!r} is no Python; allowed: as 3.11")
    return value


def _absolute(package: str, folder: Path) -> str:
    """A wheel or a source tree by its absolute path; anything else as it is."""
    local = package.startswith((".", "/", "~")) or package.endswith((".whl", ".tar.gz"))
    return str((folder / Path(package).expanduser()).resolve()) if local and "://" not in package else package


def select_rows(
    rows: Sequence[Row], names: Sequence[str] = (), only: str = "", backends: Sequence[str] = ()
) -> tuple[Row, ...]:
    """The rows of these names (all where there are none) that fit `only`, as keras>=3.8 or python<3.8, and a backend.

    Raises BadInput for an unknown name, a malformed condition, and where no row is left.
    """
    known = {row.name: row for row in rows}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise BadInput(f"row {name!r} is unknown{hint}; `bnverify matrix --list` shows the rows")
    for backend in backends:
        if backend not in BACKENDS:
            raise BadInput(f"--backend {backend!r} is unknown; allowed: {', '.join(BACKENDS)}")
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
        raise BadInput(f"--only {only!r} is no condition; allowed: as keras>=3.8, tf_keras==2.21.0 or python<3.8")
    return bool(fields.get(name)) and asked.specifier.contains(fields[name], prereleases=True)
