"""Open rows: the environment of a row with a worker that keeps running for further questions."""

from __future__ import annotations

import atexit
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from bnverify.errors import BadInput
from bnverify.matrix.environments import make_environment
from bnverify.matrix.rows import Row, find_matrix, load_matrix, select_rows
from bnverify.targets.isolated import FOREIGN, PATIENCE, Isolated, WorkerLost
from bnverify.values import Failure

_OPEN: dict[str, Isolated] = {}


def open_row(name: str) -> Isolated:
    """The Keras of a row of the version matrix as a target. This process starts one worker per row and ends it at exit.

    Raises NoInterpreter if this machine lacks the row's Python, and BadInput if the name is unknown or nothing can be installed
    or started.
    """
    if name not in _OPEN:
        row = _row(name)
        try:
            _OPEN[name] = Isolated(make_environment(row), row.module, row.variables, alone=True)
        except WorkerLost as error:
            raise BadInput(f"row {name}: no worker starts: {error}") from None
        atexit.register(_OPEN[name].close)
    return _OPEN[name]


def refused_by(target: Isolated, arguments: Mapping[str, Any], shape: tuple[int, ...] = (4, 3)) -> Failure | None:
    """The exception of a Keras for a layer with these arguments, built for `shape`; None if the Keras accepts them."""
    asked: dict[str, Any] = {
        "layer": dict(arguments),
        "policy": "float32",
        "shape": shape,
        "dtype": "float32",
        "weights": None,
        "steps": [],
    }
    return target.ask(asked).failure


def run_code(name: str, code: str) -> str:
    """What Python code prints in the environment of a row. It reaches functions of an old Keras that no worker calls.

    Raises NoInterpreter and BadInput like `open_row`, and BadInput with the last line of the error if the code fails.
    """
    row = _row(name)
    variables = {k: v for k, v in os.environ.items() if k not in FOREIGN}
    ran = subprocess.run(
        [make_environment(row), "-c", code],
        env={**variables, **row.variables, "PYTHONNOUSERSITE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"])[-1]
        raise BadInput(f"row {name}: the code fails: {last}")
    return ran.stdout


def _row(name: str) -> Row:
    (row,) = select_rows(load_matrix(find_matrix()).rows, (name,))
    return row
