"""Running a row: its environment is its own and what the row says, and what went wrong in passing is not kept."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest
from support.fake_keras import FAKE_KERAS

from bnverify.cases.ids import parse
from bnverify.matrix import runs
from bnverify.matrix.rows import Row
from bnverify.matrix.runs import Job, RowOutcome, run_rows
from bnverify.values import Status

ROW = Row("fake", "keras", "3.99.0", "numpy", "3.11", ("fake",))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Row:
    """A row whose environment is this interpreter with a fake Keras, and a cache of its own."""
    (tmp_path / "site" / "keras").mkdir(parents=True)
    (tmp_path / "site" / "keras" / "__init__.py").write_text(FAKE_KERAS)
    monkeypatch.setenv("BNVERIFY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(runs, "make_environment", lambda row, newer_than, tell: sys.executable)
    return dataclasses.replace(ROW, env=(f"PYTHONPATH={tmp_path / 'site'}",))


def outcome(row: Row, *ids: str, **options: object) -> RowOutcome:
    job = Job(tuple(map(parse, ids)), "some cases", whole=False, **options)  # type: ignore[arg-type]
    (found,) = run_rows([row], job, 1)
    return found


FINE, KILLED, HANGS = (f"shape:2x2/momentum:{momentum}/steps:T" for momentum in ("0.9", "0.1", "0.4"))


def test_a_row_is_kept(fake: Row) -> None:
    """What has run is taken from the cache the next time, unless it is forced."""
    assert not outcome(fake, FINE).cached
    assert outcome(fake, FINE).cached
    assert not outcome(fake, FINE, force=True).cached


@pytest.mark.slow
@pytest.mark.parametrize("id_", [KILLED, HANGS])
def test_a_row_whose_worker_died_is_run_again(fake: Row, id_: str) -> None:
    """A crash or a time-out may have been passing: it is shown, as that and nothing else, and not kept."""
    for _ in range(2):
        found = outcome(fake, id_, FINE, patience=2.0)
        assert found.record is not None
        assert found.record.cases[id_].status == Status.CRASHED
        assert set(found.record.cases[id_].checks) == {"returns"}
        assert (found.cached, found.note) == (False, "not cached, because a worker crashed")


def test_a_row_that_cannot_be_kept_is_shown(fake: Row, tmp_path: Path) -> None:
    """Where the cache cannot be written the outcome has its record, and says why it is not kept."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "records").write_text("no folder")
    found = outcome(fake, FINE)
    assert found.record is not None
    assert found.note.startswith("not kept: ")


@pytest.mark.slow
def test_what_leaks_from_outside(fake: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's PYTHONPATH does not reach the environment of a row, which would find another Keras there."""
    (tmp_path / "other" / "keras").mkdir(parents=True)
    (tmp_path / "other" / "keras" / "__init__.py").write_text(FAKE_KERAS.replace("3.99.0", "3.98.0"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "other"), os.environ.get("PYTHONPATH", "")]))
    found = outcome(dataclasses.replace(fake, env=(), keras=""), FINE)
    assert found.record is None or found.record.environment.keras != "3.98.0"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"keras": "3.15.1"}, "the row says keras 3.15.1, its environment has 3.99.0"),
        ({"backend": "jax"}, "the row says backend jax, its environment has numpy"),
    ],
)
def test_an_environment_that_is_not_what_the_row_says(fake: Row, change: dict[str, str], problem: str) -> None:
    """Another Keras or another backend than the row's is a problem, not a result."""
    found = outcome(dataclasses.replace(fake, **change), FINE)
    assert found.record is None
    assert found.problem == f"no worker starts: {problem}"


def test_an_error_in_one_row_leaves_the_others(fake: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens in a row, a fault of bnverify's own too, is that row's problem."""
    real = runs.run_row

    def broken(row: Row, *rest: object) -> object:
        if row.name == "broken":
            raise ZeroDivisionError("of our own")
        return real(row, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "run_row", broken)
    rows = [dataclasses.replace(fake, name="broken"), fake]
    found = {o.row.name: o for o in run_rows(rows, Job((parse(FINE),), "one case", whole=False), 2)}
    assert found["broken"].problem == "internal error: ZeroDivisionError('of our own')"
    assert found["fake"].record is not None
