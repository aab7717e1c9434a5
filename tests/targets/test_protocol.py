"""The docstring of the worker is the whole protocol: every field that travels is in it, and every field in it travels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.cases.modes import MODES
from bnverify.matrix import exchange
from bnverify.targets import worker
from bnverify.targets.existing_layer import ExistingLayer
from bnverify.targets.target import InProcess, request
from bnverify.targets.worker.observing import Worker

SECTIONS = {
    "request": "Request:",
    "call": "Step that calls:",
    "trainable": "Step that freezes:",
    "file": "Step that saves:",
    "answer": "Answer:",
    "weight": "Weight:",
    "step": "Answer to a step:",
    "inner": "Inner call:",
    "failure": "Failure:",
    "environment": "Environment:",
    "interface": "Interface:",
}
CASES = (
    "shape:4x3/gradients:2/steps:TI",
    "shape:4x3/gamma_regularizer:l2/gradients:1/steps:TO",
    "shape:4x3/steps:FTUT",
    "shape:4x3/file:keras/steps:TSI",
    "shape:4x3/gamma_initializer:random_normal/steps:T",
    "shape:4x3/misuse:keyword/steps:I",
    "shape:5x4x3/mask:random/steps:T",
    "shape:7x4/mode:mirrored2/steps:TI",
    "shape:8x64/network:no-bias/steps:T",
    "shape:4x3/weights:initial/mode:unbuilt/steps:FTUT",
)


def documented(section: str) -> tuple[set[str], set[str]]:
    """The fields that a section must have, and those that it may have."""
    text = (worker.__doc__ or "").split(f"\n{SECTIONS[section]}\n\n")[1]
    lines = re.match(r"((    .*\n)+)", text)
    assert lines is not None
    found = re.findall(r"^    (\w+)(\??):", lines.group(1), re.MULTILINE)
    return {name for name, optional in found if not optional}, {name for name, optional in found if optional}


def check(section: str, documents: Iterable[Mapping[str, Any]]) -> None:
    """Every document has the required fields and no unknown one; each documented field is in some document."""
    documents = list(documents)
    required, optional = documented(section)
    seen = {name for document in documents for name in document}
    assert seen <= required | optional, section
    assert [required - set(document) for document in documents if not required <= set(document)] == [], section
    assert required | optional <= seen, section


def requests() -> list[dict[str, Any]]:
    """What bnverify asks, over all kinds of cases."""
    cases = [parse(id_) for id_ in CASES]
    return [request(case, make_inputs(case)) for case in cases]


class Recording:
    """A target that keeps what it is asked, in place of the worker of an existing layer or of a row."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def observe(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(asked)
        return {"weights": [], "initial": {}, "made": None, "config": None, "steps": [], "failure": None}


def further_requests(keras: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is asked of an existing layer, and of a row that saves and one that loads."""
    layer = keras.layers.BatchNormalization()
    layer.build((None, 3))
    held, recording = ExistingLayer(layer), Recording()
    monkeypatch.setattr(held, "_worker", recording)
    case = parse("shape:4x3/momentum:0.5/steps:T")
    held.observe(case, make_inputs(case))

    class Row:
        environment = InProcess().environment

        def ask(self, asked: dict[str, Any]) -> Any:
            recording.asked.append(asked)
            from bnverify.targets.target import observation

            return observation(Worker().observe(asked))

    saved = exchange.save(next(exchange.cases()), Row())  # type: ignore[arg-type]
    exchange.load_and_judge(saved, Row())  # type: ignore[arg-type]
    return recording.asked


def test_requests(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests, and each kind of step, have the documented fields."""
    asked = [*requests(), *further_requests(keras, monkeypatch)]
    check("request", asked)
    steps = [step for one in asked for step in one["steps"]]
    for kind in ("call", "trainable", "file"):
        check(kind, [step for step in steps if step["do"] == kind])
    assert {step["do"] for step in steps} == {"call", "trainable", "file"}


def test_answers(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of the worker in this process have the documented fields."""
    assert keras
    asking = Worker()
    answers = [asking.observe(one) for one in requests()]
    answers += [asking.observe(one) for one in further_requests(keras, monkeypatch) if one.get("mode") != "existing"]
    check("answer", answers)
    check("weight", [weight for answer in answers for weight in answer["weights"]])
    check("failure", [answer["failure"] for answer in answers if answer["failure"]])
    inner = [call for answer in answers for call in answer.get("inner", ())]
    check("inner", inner)
    check("step", [step for answer in answers for step in (*answer["steps"], *(call["after"] for call in inner))])


def test_where_it_runs(keras: Any) -> None:
    """The first message has the documented fields; a function target names itself."""
    assert keras
    said = [Worker().environment(), Worker("keras.ops.moments").environment()]
    check("environment", said)
    check("interface", [Worker().interface()])


def test_every_mode_can_be_requested() -> None:
    """The worker has a caller for every mode, and none for anything else but existing layers."""
    from bnverify.targets.worker.registry import CALLERS

    assert set(CALLERS) == set(MODES) - {"one_thread"} | {"existing"}
