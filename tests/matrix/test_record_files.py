"""Record files: a record reads back, an incomplete one is refused, and the texts in it are harmless."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.recorded import SMALL, TEXT

from bnverify.errors import BadInput
from bnverify.matrix.record_files import load_record, record_in
from bnverify.values import Grade, Status


def test_a_record_in_a_text() -> None:
    """Every field, but for the machine that it was made on."""
    found = record_in(TEXT)
    assert found == replace(SMALL, environment=replace(SMALL.environment, device="", cpu=""))
    assert found.cases["shape:3x2/steps:T"].checks["training-output"].grade is Grade.NONE
    assert found.clauses["returns"].checks == {Status.CONFORMS: 2, Status.CRASHED: 1}


def changed(change: Callable[[Any], object]) -> str:
    document = json.loads(TEXT)
    change(document)
    return json.dumps(document)


def test_an_incomplete_record_is_refused(tmp_path: Path) -> None:
    """A run that ended early has no baseline."""
    path = tmp_path / "r.json"
    path.write_text(changed(lambda d: d.update(complete=False)))
    with pytest.raises(BadInput) as caught:
        load_record(path, "--baseline")
    why = "the record is incomplete, because its run ended before its last case; allowed: the record of a whole run"
    assert str(caught.value) == f"--baseline {path}: {why}"
    path.write_text(TEXT)
    assert load_record(path, "--baseline").name == "mine"


def test_texts_are_harmless() -> None:
    """Control characters of a record from anywhere become escapes, in keys, too."""
    found = record_in(changed(lambda d: (d.update(name="a\x1b[2Jb"), d["interface"]["arguments"].update({"x\x07": "1"}))))
    assert found.name == "a\\x1b[2Jb"
    assert "x\\x07" in found.interface.arguments


def check(**changes: Any) -> Callable[[Any], object]:
    return lambda d: d["cases"]["shape:3x2/steps:T"]["checks"]["training-output"].update(changes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(era="Keras 9"), "field era: 'Keras 9' is unknown"),
        (lambda d: d["clauses"].update(nothing={"checks": {"wrong": 1}}), "field clauses: 'nothing' is not a clause"),
        (lambda d: d["cases"].update(x=0.5), "field cases: 'x' is not a case id"),
        (lambda d: d["cases"].update({"shape:4x3/steps:T": -1}), r"field cases\['shape:4x3/steps:T'\]: Expected"),
        (check(status="conforms"), "status: only checks that do not conform are written"),
        (check(reason="1"), "reason: '1' is not a number in reasons"),
        (check(grade="best"), "grade: Invalid enum value 'best'"),
        (
            lambda d: d["cases"]["shape:3x2/steps:T"].update(status="conforms"),
            "status: a case that conforms is written as its margin",
        ),
        (
            lambda d: d["cases"]["shape:3x2/steps:T"]["checks"].update(x={"status": "wrong", "quantity": "y"}),
            "'x' is not a clause",
        ),
        (lambda d: d.update(more=1), "Object contains unknown field `more`"),
        (lambda d: d["environment"].update(module="theano"), "field environment.module: Invalid enum value 'theano'"),
    ],
)
def test_the_field_at_fault_is_named(change: Callable[[Any], object], says: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(ValueError, match=says):
        record_in(changed(change))


def test_reasons_are_written_once() -> None:
    """A check has the number of its text."""
    found = record_in(
        changed(lambda d: (d.update(reasons={"1": "as recorded"}), check(status="known deviation", reason="1")(d)))
    )
    assert found.cases["shape:3x2/steps:T"].checks["training-output"].reason == "as recorded"
