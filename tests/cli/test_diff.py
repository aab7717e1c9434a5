"""The diff command: changes in words, which records it takes, and its exit codes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli, assert_refused
from support.recorded import DECLARED, FINE, ID, LARGER, SMALL, case, record

from bnverify.matrix.difference import Change, Kind, difference
from bnverify.matrix.records import Record, record_as_text
from bnverify.values import Status
from bnverify.views.diff_text import change_line, diff_lines

# --- in words


def later(**changes: Any) -> Record:
    environment = replace(SMALL.environment, keras="3.9.2", backend="torch", backend_version="2.13.0", **changes)
    return replace(record({ID: case(Status.WRONG, "no epsilon"), LARGER: FINE}), name="later", environment=environment)


def test_a_difference_as_a_whole() -> None:
    """A difference reads as release notes: versions, changes under headings with how to see them, and a count."""
    old = record({ID: FINE, LARGER: case(Status.WRONG)}, interface=DECLARED)
    new = replace(later(), interface=replace(DECLARED, call=(*DECLARED.call, "mask")))
    assert "\n".join(diff_lines(old, new, difference(old, new))) == (
        "mine → later\n"
        "keras 3.8.0 → 3.9.2, jax 0.4.38 → torch 2.13.0\n"
        "\n"
        "arguments and weights\n"
        "  · call argument mask is new\n"
        "\n"
        "numbers\n"
        "  - 1 case: conforms before, now wrong (no epsilon): output in training (1); in it y is 1.25, expected 1.5\n"
        "      bnverify matrix later --case shape:4x3/steps:T\n"
        "  + 1 case: wrong before, now conforms: output in training (1)\n"
        "      bnverify matrix later --case shape:5x3/steps:T\n"
        "\n"
        "1 regression, 1 improvement, 1 change in 2 cases that both records have"
    )


def test_no_difference_as_a_whole() -> None:
    """Where nothing has changed, that is said."""
    lines = diff_lines(record(), record(), ())
    assert lines == ["mine → mine", "the same versions", "", "no change in 1 case that both records have"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (Change(Kind.CLAUSE, "worse", True, ID), "regression: worse (shape:4x3/steps:T)"),
        (Change(Kind.ERROR, "better", False, ID), "improvement: better (shape:4x3/steps:T)"),
        (Change(Kind.PROMISE, "other"), "change: other"),
    ],
)
def test_change_line(change: Change, line: str) -> None:
    """A change on one line says whether it is for the worse, what it is and a case that shows it."""
    assert change_line(change) == line


# --- on the command line


@pytest.fixture
def records(folder: Path) -> Path:
    """Records of before and after in the current folder, and as baselines beside a file of rows."""
    (folder / "baselines").mkdir()
    for name, one in {"keras-3.8.0-jax": record({ID: FINE, LARGER: FINE}), "keras-3.9.2-torch": later()}.items():
        (folder / "baselines" / f"{name}.json").write_text(record_as_text(one))
    (folder / "a.json").write_text(record_as_text(record({ID: FINE, LARGER: FINE})))
    (folder / "b.json").write_text(record_as_text(later()))
    (folder / "rows.toml").write_text("")
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "last"),
    [
        ("a.json b.json", 1, "1 regression in 2 cases that both records have"),
        ("b.json a.json", 0, "1 improvement in 2 cases that both records have"),
        ("a.json a.json", 0, "no change in 2 cases that both records have"),
        ("--file rows.toml keras-3.8.0-jax keras-3.9.2-torch", 1, "1 regression in 2 cases that both records have"),
        ("--file rows.toml --backend torch 3.9.2 keras-3.8.0-jax", 0, "1 improvement in 2 cases that both records have"),
        ("--file rows.toml --backend torch a.json 3.9.2", 1, "1 regression in 2 cases that both records have"),
    ],
)
@pytest.mark.usefixtures("records")
def test_exit_codes(cli: Cli, arguments: str, code: int, last: str) -> None:
    """diff ends with 1 where something is worse, with 0 where not; it takes files, names and versions."""
    ended = cli("diff", *arguments.split())
    assert (ended.code, ended.err, ended.last) == (code, "", last)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("missing.json a.json", "diff missing.json: No such file or directory"),
        (
            "--file rows.toml a.json keras-3.8.1-jax",
            "'keras-3.8.1-jax' is not a record: there is no such file, and no environment with that name or version "
            "in {0}/baselines; near it: keras-3.8.0-jax, keras-3.9.2-torch",
        ),
        (
            "--file rows.toml 3.9.2 a.json",
            "'3.9.2' is not a record: there is no such file, and no environment with that name or version "
            "in {0}/baselines; near it: keras-3.9.2-torch, keras-3.8.0-jax",
        ),
    ],
)
def test_unknown_records(cli: Cli, records: Path, arguments: str, message: str) -> None:
    """A name that is no record is refused in one line with the records that are near it."""
    ended = cli("diff", *arguments.split())
    assert_refused(ended)
    assert ended.err == f"bnverify: {message.format(records)}\n"
