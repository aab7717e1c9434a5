"""Regressions: each id is canonical, stands once, and still asks what its cause says."""

from __future__ import annotations

import pytest

from bnverify.cases.ids import parse
from bnverify.cases.posted import POSTED
from bnverify.cases.regressions import REGRESSIONS
from bnverify.cases.steps import Step


@pytest.mark.parametrize("id_", [id_ for id_, _ in REGRESSIONS])
def test_an_id_is_written_as_reports_write_it(id_: str) -> None:
    """So that a search for the id finds it."""
    assert parse(id_).id == id_


def test_no_case_stands_twice() -> None:
    """Neither an id nor a cause."""
    assert len({id_ for id_, _ in REGRESSIONS}) == len({cause for _, cause in REGRESSIONS}) == len(REGRESSIONS)


def test_every_posted_question_is_asked() -> None:
    """Each question with numbers has its case."""
    assert {parse(id_).posted for id_, _ in REGRESSIONS} - {""} == set(POSTED)


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ("a batch of one", "shape", (1, 5)),
        ("momentum 0 keeps nothing", "config.momentum", 0.0),
        ("unless statistics are computed in float32", "policy", "mixed_float16"),
        ("a constant comes out unchanged", "fill", "constant"),
        ("fused kernel", "config.axis", 1),
        ("if the variance is small, epsilon matters", "fill", "tiny"),
    ],
)
def test_a_cause_speaks_of_its_own_case(words: str, field: str, value: object) -> None:
    """The case whose cause has these words has the setting that they name."""
    (case,) = [parse(id_) for id_, cause in REGRESSIONS if words in cause]
    found = case.config if field.startswith("config.") else case
    assert getattr(found, field.removeprefix("config.")) == value


def test_a_freeze_before_tensorflow_2_is_asked_with_a_training_call() -> None:
    """Only a call with training=True of a frozen layer shows what the cause says."""
    (case,) = [parse(id_) for id_, cause in REGRESSIONS if "froze gamma and beta only" in cause]
    assert case.steps[:2] == (Step.FREEZE, Step.TRAIN)
