"""The rows of the matrix: those that ship, those that a user writes, and every way to write them wrong."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version
from support.cli import ROOT, Cli, assert_refused

from bnverify import matrix
from bnverify.errors import BadInput
from bnverify.matrix.rows import Matrix, Row, find_matrix, load_matrix, select_rows


def names(rows: Sequence[Row]) -> str:
    return ", ".join(row.name for row in rows)


SHIPPED = ROOT / "ci" / "matrix.toml"
ROWS = """[[pins]]
keras = ">=3.8"
python = "3.11"
tensorflow = ["tensorflow-cpu==2.21.0"]
jax = ["jax==0.10.2", "scipy"]
[[pins]]
keras = ">=2"
python = "3.7"
tensorflow = ["tensorflow-cpu==1.15.0"]
[[pins]]
module = "tf.keras"
keras = "==2.4.*"
python = "3.8"
tensorflow = ["tensorflow-cpu==2.4.4"]
[[row]]
keras = "3.15.1"
[[row]]
name = "x64"
keras = "3.15.1"
backend = "jax"
env = ["JAX_ENABLE_X64=1", "EMPTY=", "A=b=c"]
[[row]]
keras = "3.7.0"
[[row]]
keras = "3.8.0"
python = "3.12"
[[row]]
module = "tf.keras"
keras = "2.4.0"
[[row]]
name = "mine"
packages = ["../keras", "./here", "keras-4-py3-none-any.whl", "sdist.tar.gz", "/a/../b", "jax==0.10.2"]
[[row]]
name = "main"
backend = "torch"
python = "3.9"
packages = ["https://example.org/keras-4-py3-none-any.whl", "torch @ https://example.org/torch.whl"]
"""
LIST = "; `bnverify matrix --list` shows the rows"


def load(folder: Path, text: str) -> Matrix:
    (folder / "rows.toml").write_text(text)
    return load_matrix(Path("rows.toml"))


@pytest.fixture(scope="module")
def shipped() -> dict[str, Row]:
    return {row.name: row for row in load_matrix(SHIPPED).rows}


@pytest.fixture
def rows(folder: Path) -> dict[str, Row]:
    return {row.name: row for row in load(folder, ROWS).rows}


# --- the rows that ship


DEMANDED = """
keras-3.0.0-tensorflow keras-3.0.5-tensorflow keras-3.1.1-tensorflow keras-3.2.1-tensorflow keras-3.3.3-tensorflow
keras-3.4.1-tensorflow keras-3.5.0-tensorflow keras-3.6.0-tensorflow keras-3.7.0-tensorflow keras-3.8.0-tensorflow
keras-3.9.2-tensorflow keras-3.10.0-tensorflow keras-3.11.3-tensorflow keras-3.12.4-tensorflow keras-3.13.2-tensorflow
keras-3.14.1-tensorflow keras-3.15.1-tensorflow keras-3.15.1-jax keras-3.15.1-torch keras-3.15.1-numpy keras-3.15.1-openvino
keras-2.15.0-tensorflow keras-2.13.1-tensorflow keras-2.12.0-tensorflow keras-2.10.0-tensorflow keras-2.8.0-tensorflow
keras-2.6.0-tensorflow keras-2.4.3-tensorflow keras-2.3.1-tensorflow keras-2.1.2-tensorflow
tf_keras-2.21.0-tensorflow tf_keras-2.15.1-tensorflow
"""


@pytest.mark.parametrize("name", DEMANDED.split())
def test_a_demanded_row_ships(shipped: dict[str, Row], name: str) -> None:
    """The matrix holds this environment, with its own release pinned first and a backend's package beside it."""
    row = shipped[name]
    module, version, backend = name.split("-")
    assert (row.module, row.keras, row.backend) == (module, version, backend)
    assert row.packages[0] == f"{module}=={version}"
    assert {"numpy": "jax"}.get(backend, backend) in "".join(row.packages[1:])


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_older_keras_on_other_backends(shipped: dict[str, Row], backend: str) -> None:
    """JAX and PyTorch are verified with four older minor releases of Keras 3, too."""
    releases = [Version(row.keras) for row in shipped.values() if row.backend == backend and row.keras != "3.15.1"]
    assert len({release.minor for release in releases if release.major == 3}) >= 4


def test_shipped_names(shipped: dict[str, Row]) -> None:
    """No two rows share a name, so that each has a record of its own, where files ignore case, too; tf_keras is no keras."""
    assert len({name.lower() for name in shipped}) == len(load_matrix(SHIPPED).rows)
    assert names(select_rows(tuple(shipped.values()), only="tf_keras==2.21.0")) == "tf_keras-2.21.0-tensorflow"


# --- rows of a user


@pytest.mark.parametrize(
    ("name", "python", "packages", "line"),
    [
        ("keras-3.15.1-tensorflow", "3.11", ("keras==3.15.1", "tensorflow-cpu==2.21.0"), 15),
        ("x64", "3.11", ("keras==3.15.1", "jax==0.10.2", "scipy"), 17),
        ("keras-3.7.0-tensorflow", "3.7", ("keras==3.7.0", "tensorflow-cpu==1.15.0"), 22),
        ("keras-3.8.0-tensorflow", "3.12", ("keras==3.8.0", "tensorflow-cpu==2.21.0"), 24),
        ("tf.keras-2.4.0-tensorflow", "3.8", ("tensorflow-cpu==2.4.4",), 27),
        ("main", "3.9", ("https://example.org/keras-4-py3-none-any.whl", "torch @ https://example.org/torch.whl"), 33),
    ],
)
def test_what_a_row_is_run_with(rows: dict[str, Row], name: str, python: str, packages: tuple[str, ...], line: int) -> None:
    """A release is run with the first pins that cover it, but the row's own Python and packages go before; addresses stay."""
    row = rows[name]
    assert (row.python, row.packages, row.where) == (python, packages, f"rows.toml:{line}")


def test_variables(rows: dict[str, Row]) -> None:
    """A worker gets the row's backend and the row's own variables, values with an equals sign included."""
    assert rows["x64"].variables == {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1", "EMPTY": "", "A": "b=c"}


def test_own_packages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source trees and wheels are relative to the file of rows, wherever the command is started; a requirement stays."""
    (folder / "rows.toml").write_text(ROWS)
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    row = next(row for row in load_matrix(Path("../rows.toml")).rows if row.name == "mine")
    here = folder.resolve()
    local = [here.parent / "keras", here / "here", here / "keras-4-py3-none-any.whl", here / "sdist.tar.gz"]
    assert row.packages == (*map(str, local), "/b", "jax==0.10.2")


@pytest.mark.parametrize(
    ("version", "backend", "module", "packages"),
    [
        ("3.14.0", "jax", "keras", ("keras==3.14.0", "jax==0.10.2")),
        ("3.16.0.dev2026010100", "torch", "keras", ("keras==3.16.0.dev2026010100", "torch==2.13.0")),
        ("2.15.0", "tensorflow", "tf_keras", ("tf_keras==2.15.0", "tensorflow==2.15.1")),
    ],
)
def test_a_release_that_is_no_row(version: str, backend: str, module: str, packages: tuple[str, ...]) -> None:
    """Any release that the pins cover can be run, as bisecting does."""
    row = load_matrix(SHIPPED).release(version, backend, module)
    assert (row.name, row.packages) == (f"{module}-{version}-{backend}", packages)


def test_a_release_without_pins() -> None:
    """A release that nothing covers is refused with the file, its version and backend."""
    with pytest.raises(BadInput, match=r"ci/matrix\.toml: no \[\[pins\]\] table says what keras 3.9.2 runs with on openvino$"):
        load_matrix(SHIPPED).release("3.9.2", "openvino")


# --- selecting


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"names": ["x64", "keras-3.7.0-tensorflow", "x64"]}, "x64, keras-3.7.0-tensorflow"),
        ({"only": "keras>=3.8"}, "keras-3.15.1-tensorflow, x64, keras-3.8.0-tensorflow"),
        ({"only": "keras>=3,<3.8"}, "keras-3.7.0-tensorflow"),
        ({"only": "tf.keras==2.4.0"}, "tf.keras-2.4.0-tensorflow"),
        ({"only": "python<3.8"}, "keras-3.7.0-tensorflow"),
        ({"only": "python>3.8"}, "keras-3.15.1-tensorflow, x64, keras-3.8.0-tensorflow, mine, main"),
        ({"backends": ["torch", "jax"]}, "x64, main"),
        ({"only": "keras>=3.8", "backends": ["jax"]}, "x64"),
        ({"names": ["x64", "mine"], "backends": ["tensorflow"]}, "mine"),
        ({"names": ["x64", "keras-3.7.0-tensorflow"], "only": "keras<3.8"}, "keras-3.7.0-tensorflow"),
    ],
)
def test_selection(rows: dict[str, Row], asked: dict[str, Any], expected: str) -> None:
    """Rows are selected by name, by version, by Python and by backend, and all that is asked must fit."""
    assert names(select_rows(tuple(rows.values()), **asked)) == expected


CONDITION = "is not a condition; allowed: conditions such as keras>=3.8, tf_keras==2.21.0 or python<3.8"
MALFORMED = ["keras", "keras>=x", ">=3.8", "numpy>=1", "keras=>3", "keras 3.8", " ", "keras[x]>=3", "keras>=3; extra=='x'"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"names": ["x64", "keras-3.7.0-tensorlow"]}, "row 'keras-3.7.0-tensorlow' is unknown; did you mean {}?{}"),
        ({"backends": ["cuda"]}, "--backend 'cuda' is unknown; allowed: tensorflow, jax, torch, numpy, openvino"),
        ({"names": ["ÿ"]}, f"row 'ÿ' is unknown{LIST}"),
        ({"only": "keras<3", "backends": ["jax"]}, f"--only 'keras<3' and --backend jax selects no row{LIST}"),
        *(({"only": only}, f"--only {only!r} {CONDITION}") for only in MALFORMED),
    ],
)
def test_bad_selection(rows: dict[str, Row], asked: dict[str, Any], message: str) -> None:
    """What names no row is refused with what was probably meant, or with what is allowed."""
    with pytest.raises(BadInput) as refused:
        select_rows(tuple(rows.values()), **asked)
    assert str(refused.value) == message.format("keras-3.7.0-tensorflow", LIST)


# --- bad files

A = 'name = "a"\npackages = ["x"]\n'
ENV = 'allowed: texts NAME=VALUE, such as ["JAX_ENABLE_X64=1"]'
BACKENDS = "tensorflow, jax, torch, numpy, openvino"
NO_NAME = "allowed: 1 to 80 letters, digits and . _ + -"
ONE_LINE = "allowed: requirements in pip's form, one line each, without options"
BAD = {  # beside each text what is said of it: line, field, what is wrong, what is allowed
    "[[row]\n": "1: not valid TOML: Expected ']]' at the end of an array declaration (at line 1, column 6)",
    f'[[row]]\n{A}env = ["x\n': "4: not valid TOML: Illegal character '\\n' (at line 4, column 10)",
    "\n\na": "3: not valid TOML: Expected '=' after a key in a key/value pair (at end of document)",
    f"[[row]]\n{A}[[rows]]\n": "4: 'rows' is unknown; allowed: [[row]] and [[pins]] tables",
    f"# rows\n[row]\n{A}": "2: 'row' must be written as [[row]] tables",
    f"[[row]]\n{A}gpu = 1\n": "4: row 1, field gpu: unknown; allowed: name, module, keras, backend, python, packages, env",
    f"[[row]]\n{A}[[row]]\n{A}": "5: row 2, field name: 'a' is already the name of the row at rows.toml:1",
    f'[[row]]\n{A}[[row]]\nkeras = "3.x"\n': "5: row 2, field keras: got '3.x'; allowed: a version such as 3.15.1",
    "[[row]]\n": "1: row 1, field keras: neither keras nor packages is given; "
    "allowed: a version such as 3.15.1, or a list of packages",
    '[[row]]\npackages = ["x"]\n': f"1: row 1, field name: got ''; {NO_NAME}",
    '[[row]]\nname = "a/b"\nkeras = "3.8"\n': f"2: row 1, field name: got 'a/b'; {NO_NAME}",
    f'[[row]]\n{A}module = "kers"\n': (
        "4: row 1, field module: got 'kers'; allowed: keras, tf_keras, tf.keras; did you mean keras?"
    ),
    f'[[row]]\n{A}backend = "theano"\n': f"4: row 1, field backend: got 'theano'; allowed: {BACKENDS}",
    f'[[row]]\n{A}python = "3.11.7"\n': "4: row 1, field python: got '3.11.7'; allowed: a Python as 3.11",
    f'[[row]]\n{A}env = ["A B=1"]\n': f"4: row 1, field env: got ['A B=1']; {ENV}",
    f'[[row]]\n{A}env = "X=1"\n': "4: row 1, field env: got 'X=1'; allowed: a list of texts in quotes",
    '[[row]]\npackages = "x"\n': "2: row 1, field packages: got 'x'; allowed: a list of texts in quotes",
    '[[row]]\npackages = [""]\n': f"2: row 1, field packages: got ['']; {ONE_LINE}",
    '[[row]]\npackages = ["./a\\u0000"]\n': f"2: row 1, field packages: got ['./a\\x00']; {ONE_LINE}",
    f'{ROWS}[[row]]\nkeras = "1.2.2"\n': "39: no [[pins]] table says what keras 1.2.2 runs with on tensorflow",
    f'{ROWS}[[row]]\nkeras = "3.7.1"\nbackend = "jax"\n': "39: no [[pins]] table says what keras 3.7.1 runs with on jax",
    '[[pins]]\nkeras = "3.0"\n': "1: pins 1, field python: missing",
    '[[pins]]\nkeras = "3.0"\npython = "3.9"\n': "2: pins 1, field keras: got '3.0'; allowed: a version range as >=3.0,<3.5",
    f"[[pins]]\nmxnet = []\n[[row]]\n{A}": f"2: pins 1, field mxnet: unknown; allowed: keras, python, module, {BACKENDS}",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_bad_file(folder: Path, text: str) -> None:
    """Whatever is wrong in a file of rows is told with file, line, field and what is allowed."""
    with pytest.raises(BadInput) as refused:
        load(folder, text)
    assert str(refused.value) == f"rows.toml:{BAD[text]}"


# --- on the command line


def test_listing(cli: Cli, rows: dict[str, Row]) -> None:
    """--list shows each selected row with its Python, packages and variables, and runs nothing."""
    ended = cli("matrix", "--file", "rows.toml", "--list", "x64", "keras-3.8.0-tensorflow")
    assert (ended.code, ended.err, len(rows)) == (0, "", 7)
    assert ended.out.splitlines() == [
        "x64  Python 3.11  keras==3.15.1 jax==0.10.2 scipy  JAX_ENABLE_X64=1 EMPTY= A=b=c",
        "keras-3.8.0-tensorflow  Python 3.12  keras==3.8.0 tensorflow-cpu==2.21.0",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--file missing.toml", "--file missing.toml: No such file or directory"),
        ("--file .", "--file .: Is a directory"),
        ("--file bad.toml", "bad.toml:2: row 1, field keras: got 1; allowed: a text in quotes"),
        ("--file rows.toml x46", f"row 'x46' is unknown; did you mean x64?{LIST}"),
        ("--file rows.toml --only keras", f"--only 'keras' {CONDITION}"),
    ],
)
@pytest.mark.usefixtures("rows")
def test_refused(cli: Cli, folder: Path, arguments: str, message: str) -> None:
    """Bad rows end the command with one line and exit code 2 before anything is made or run."""
    (folder / "bad.toml").write_text("[[row]]\nkeras = 1\n")
    ended = cli("matrix", *arguments.split())
    assert_refused(ended)
    assert ended.err == f"bnverify: {message.format(folder)}\n"


def test_the_file_that_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are those of ci/matrix.toml here or above, else those that ship with bnverify, with a record of each beside them."""
    own = folder / "ci" / "matrix.toml"
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    shipped = find_matrix()
    assert shipped.parent == Path(matrix.__file__).parent
    names = {row.name for row in load_matrix(shipped).rows}
    assert names == {path.stem for path in (shipped.parent / "baselines").iterdir()}
    own.parent.mkdir()
    own.write_text(ROWS)
    assert find_matrix() == shipped, "a folder above counts within a working tree only"
    (folder / ".git").mkdir()
    assert find_matrix() == own
    os.chown(own, 12345, -1) if os.getuid() == 0 else monkeypatch.setattr("os.getuid", lambda: 12345)
    assert find_matrix() == shipped, "another user's file never counts"
