"""Code in the environment of a row: what it prints, and one clear line where it fails."""

from __future__ import annotations

import sys

import pytest

from bnverify.errors import BadInput
from bnverify.matrix import open_rows as opening
from bnverify.matrix.open_rows import run_code

ROW = "keras-2.15.0-tensorflow"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """This interpreter stands for the row's, and a process that has imported TensorFlow 2 for this one."""
    monkeypatch.setattr(opening, "make_environment", lambda row: sys.executable)
    monkeypatch.setenv("TF2_BEHAVIOR", "1")


def test_code_runs_with_the_variables_of_its_row() -> None:
    """The row's backend is there, and nothing that belongs to this process."""
    code = "import os; print(os.environ['KERAS_BACKEND'], os.environ.get('TF2_BEHAVIOR'))"
    assert run_code(ROW, code) == "tensorflow None\n"


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        (ROW, "1 / 0", f"row {ROW}: the code fails: ZeroDivisionError: division by zero"),
        (ROW, "import os; os._exit(3)", f"row {ROW}: the code fails: exit code 3"),
        ("keras-2.15", "", "keras-2.15"),
    ],
)
def test_code_that_fails(name: str, code: str, message: str) -> None:
    """A row that is unknown, an exception, and an end without a word."""
    with pytest.raises(BadInput, match=message):
        run_code(name, code)
