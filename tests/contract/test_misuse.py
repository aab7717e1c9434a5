"""Misuse: every mistake is made, refused by a careful layer, and each way of answering it wrongly is noticed."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from bnverify.cases import askable
from bnverify.cases.behaviour import misuse
from bnverify.cases.case import Case
from bnverify.cases.ids import parse
from bnverify.cases.misuse import MISUSES, Misuse
from bnverify.cases.suites import suite
from bnverify.contract import CLAUSES, OF_MISUSE
from bnverify.contract.misuse import objection
from bnverify.errors import BadInput
from bnverify.running.run import run
from bnverify.targets.function_targets import function_lacks
from bnverify.targets.mutants import EQUIVALENT, MUTANTS
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.targets.target import InProcess, request
from bnverify.targets.worker import wire
from bnverify.targets.worker.recording import one_line
from bnverify.values import Failure, Mismatch, Observation, Status
from bnverify.verdicts import known
from bnverify.verdicts.ask import not_here
from bnverify.verdicts.pipeline import verify
from bnverify.views.case_view import case_lines

CASES = {name: parse(misuse(name)) for name in MISUSES}
BatchNormalization = keras.layers.BatchNormalization


def number(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, (str, bool)) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low} to {high}, got {value!r}")


class Careful(BatchNormalization):  # type: ignore[misc]
    """Refuses every mistake of the catalogue as it must be."""

    def __init__(self, axis: Any = -1, **given: Any) -> None:
        if isinstance(axis, (bool, str)) or not hasattr(axis, "__index__"):
            raise TypeError(f"axis must be an integer, got {axis!r}")
        number("momentum", given.get("momentum", 0.99), 0, 1)
        number("epsilon", given.get("epsilon", 0.001), 0, math.inf)
        number("renorm_momentum", given.get("renorm_momentum", 0.99), 0, 1)
        clipping = given.get("renorm_clipping", {})
        if not isinstance(clipping, dict):
            raise TypeError(f"renorm_clipping must be a dictionary, got {clipping!r}")
        for name, value in clipping.items():
            if name in ("rmax", "rmin", "dmax"):
                number(name, value, 0, math.inf)
        if clipping.get("rmax", math.inf) < clipping.get("rmin", 0):
            raise ValueError(f"rmax is below rmin in {clipping}")
        super().__init__(axis=axis, **given)

    def build(self, shape: Any) -> None:
        if not -len(shape) <= self.axis < len(shape):
            raise ValueError(f"axis {self.axis} is none of the shape {shape}")
        super().build(shape)

    def __call__(self, inputs: Any, *, mask: Any = None, **given: Any) -> Any:
        if mask is not None and getattr(mask, "dtype", None) is None:
            raise TypeError(f"mask must be a tensor, got {mask!r}")
        if mask is not None and mask.dtype.name != "bool":
            raise TypeError(f"mask must be of booleans, got {mask.dtype}: str")
        if mask is not None and tuple(mask.shape) != tuple(inputs.shape[:-1]):
            raise ValueError(f"mask must have the shape of the inputs without the last axis, got {tuple(mask.shape)}")
        return super().__call__(inputs, mask=mask, **given)


class Indifferent(BatchNormalization):  # type: ignore[misc]
    """Takes anything, and does nothing."""

    def __init__(self, **given: Any) -> None:
        super().__init__()

    def build(self, shape: Any) -> None:
        super().build((4, 3))

    def __call__(self, inputs: Any, **given: Any) -> Any:
        return inputs


def failing(layer: Any, case: Case) -> Mismatch | None:
    """What is wrong with a layer's answer in a case of misuse."""
    verdict = verify(case, InProcess(layer, "layer"), 0).verdict
    (check,) = verdict.checks
    assert check.clause == MISUSES[case.misuse].clause
    assert verdict.status is check.status is (Status.WRONG if check.mismatch else Status.CONFORMS)
    return check.mismatch


# --- the catalogue


def test_every_mistake_has_a_clause_and_every_clause_a_mistake() -> None:
    """The catalogue and the clauses name each other, and only clauses about mistakes do."""
    assert {mistake.clause for mistake in MISUSES.values()} == {clause.key for clause in OF_MISUSE}
    assert {clause.key for clause in CLAUSES if clause.key.startswith("refuses-")} == {clause.key for clause in OF_MISUSE}
    assert all(clause.source.count("http") for clause in OF_MISUSE)


def test_every_mistake_is_in_the_default_suite_and_some_in_smoke() -> None:
    """Each is asked once, alone; their ids parse back."""
    assert {case.misuse for case in suite("default")} - {""} == set(MISUSES)
    assert 4 <= len([case for case in suite("smoke") if case.misuse]) <= 10
    assert all(parse(case.id) == case for case in CASES.values())


@pytest.mark.parametrize("name", MISUSES)
def test_show_explains_a_mistake(name: str) -> None:
    """What is done, and how it must be answered."""
    text = "\n".join(case_lines(CASES[name], 0))
    mistake = MISUSES[name]
    assert text.startswith(f"{CASES[name].id}\n  mistake   {mistake.words}\n  layer     BatchNormalization(")
    assert mistake.wanted in text
    assert all(f"{argument}={value!r}" in text for argument, value in mistake.layer.items())


def test_show_tells_the_stages_of_a_mistake() -> None:
    """The whole text of one."""
    assert list(case_lines(CASES["undefined-inner"], 0)) == [
        "shape:2x3x5x4/misuse:undefined-inner/steps:I",
        "  mistake   built for (2, None, 5, 4): the number of channels is undefined",
        "  layer     BatchNormalization(axis=1)",
        "  build     for an input of shape (2, None, 5, 4)",
        "  step 0    call with training=False, input of shape (2, 3, 5, 4)",
        "  promised  building for an input whose size along `axis` is None raises ValueError or TypeError; the message "
        "names the axis and shows the given shape",
        "  answer    ValueError or TypeError that names axis and shows None, raised by the constructor, by build() "
        "or by a call",
        "            it is named by one of axis, dim, shape, channel",
        "            what was got is shown by one of None, undefined",
    ]
    assert "step 0    call with training=True, input of shape (5, 4, 3) and mask True" in "\n".join(
        case_lines(CASES["mask-bool"], 0)
    )


@pytest.mark.parametrize(
    ("id_", "told"),
    [
        ("shape:4x5/misuse:channels-other/steps:I", "misuse:channels-other needs shape:4x3; got shape:4x5"),
        ("shape:4x3/axis:0/misuse:keyword/steps:I", "misuse:keyword cannot be combined with axis:0"),
        ("shape:4x3/renorm:True/misuse:clipping-order/steps:T", "misuse:clipping-order cannot be combined with renorm:True"),
        ("shape:5x4x3/mask:random/misuse:mask-size/steps:T", "misuse:mask-size cannot be combined with mask:random"),
        ("shape:4x3/gradients:1/misuse:keyword/steps:T", "misuse:keyword cannot be combined with gradients:1"),
        ("shape:4x3/law:shift/misuse:keyword/steps:T", "misuse:keyword cannot be combined with law:shift"),
        ("shape:4x3/misuse:clipping-unknwn/steps:T", "did you mean misuse:clipping-unknown?"),
    ],
)
def test_a_mistake_is_made_alone(id_: str, told: str) -> None:
    """What would make it another mistake, or none, is refused in one line."""
    with pytest.raises(BadInput, match=told.replace("?", r"\?")):
        parse(id_)


# --- layers


@pytest.mark.parametrize("name", MISUSES)
def test_a_careful_layer_conforms(name: str) -> None:
    """Every mistake can be refused as it must be: by a real layer, and by the reference."""
    assert failing(Careful, CASES[name]) is None
    assert verify(CASES[name], ReferenceTarget(), 0).verdict.status is Status.CONFORMS


@pytest.mark.parametrize("name", MISUSES)
def test_silence_is_noticed(name: str) -> None:
    """A layer that takes everything fails in every case."""
    mismatch = failing(Indifferent, CASES[name])
    assert mismatch is not None
    assert mismatch.expected == MISUSES[name].wanted
    assert mismatch.actual.startswith("no exception")


def test_silence_tells_what_became_of_the_mistake() -> None:
    """Keras makes an axis of True, and of 1.5; what was called comes out in the wrong shape."""
    (bool_, fraction) = (failing(BatchNormalization, CASES[name]) for name in ("axis-bool", "axis-fraction"))
    assert bool_ == Mismatch("ValueError or TypeError that names axis and shows True", "no exception; axis became 1")
    assert fraction == Mismatch("ValueError or TypeError that names axis and shows 1.5", "no exception; axis became 1")
    rank = failing(Indifferent, CASES["rank-more"])
    assert rank == Mismatch("ValueError or TypeError that names shape and shows 3", "no exception; y of shape (4, 7, 5)")


@pytest.mark.parametrize("mutant", [mutant for mutant in MUTANTS if mutant.group == "misuse"], ids=lambda mutant: mutant.key)
def test_smoke_catches_the_mutants_by_their_answers(mutant: Any) -> None:
    """Each in a case of misuse in which Keras conforms; the other cases of misuse that smoke has do not fail, but for twins."""
    caught = [case for case in suite("smoke") if case.misuse and failing(mutant.layer, case)]
    assert caught
    assert len(caught) <= 2
    assert all(failing(BatchNormalization, case) is None for case in caught)


@pytest.mark.slow
def test_no_other_layer_is_caught_by_how_it_answers_mistakes() -> None:
    """Mutants of other groups, and layers that compute the same in other ways, refuse as Keras does: their own fault tells."""
    cases = [case for case in suite("smoke") if case.misuse]
    others = [mutant for mutant in (*MUTANTS, *EQUIVALENT) if mutant.group != "misuse"]
    assert [(mutant.key, case.id) for mutant in others for case in cases if failing(mutant.layer, case)] == []


def test_keras_conforms_but_for_what_is_recorded() -> None:
    """All mistakes, on Keras as it is here: nothing fails, and no record is stale."""
    target = InProcess()
    strict = [d for d in known.shipped() if any(clause.startswith("refuses-") for clause in d.clauses)]
    results = run(tuple(CASES.values()), target, strict=strict)
    assert [v.case.id for v in results.verdicts if v.status not in (Status.CONFORMS, Status.KNOWN)] == []
    assert results.stale == ()
    assert results.statuses[Status.CONFORMS] >= 15


# --- answers


def answer(mistake: Misuse, text: str, type_: str = "ValueError", kinds: tuple[str, ...] = ()) -> str:
    return objection(mistake, Observation(failure=Failure("build", type_, text, kinds)))


DMAX, FRACTION, RANGE = MISUSES["clipping-dmax"], MISUSES["axis-fraction"], MISUSES["axis-range"]


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (DMAX, "dmax should be non-negative in the `renorm_clipping` argument. Received: dmax=-1.5."),
        (DMAX, "renorm_clipping={'dmax': -1.5}"),
        (FRACTION, "Expected `axis` to be an integer. Received: axis=1.5 (of type <class 'float'>)"),
        (FRACTION, "Axis: float"),
        (RANGE, "axis 2 is out of bounds for array of dimension 2"),
        (MISUSES["axis-digits"], "axis must be int, not str"),
        (MISUSES["mask-size"], "{{function_node __wrapped__}} the mask's shape (5,7) does not fit"),
        (MISUSES["momentum-nan"], "Momentum is NaN"),
    ],
)
def test_any_reasonable_wording_is_right(mistake: Misuse, text: str) -> None:
    """The message must name what is wrong and show it, in whatever words."""
    assert answer(mistake, text) == ""


@pytest.mark.parametrize(
    ("mistake", "text", "type_", "told"),
    [
        (
            DMAX,
            "the `renorm_clipping` argument: dmax={dmax}",
            "ValueError",
            "the placeholder {dmax} is not filled in, the message does not show -1.5",
        ),
        (DMAX, "dmax={self.dmax!r}, -1.5", "ValueError", "the placeholder {self.dmax!r} is not filled in"),
        (DMAX, "dmax={dmax[0]:.3f}, -1.5", "ValueError", "the placeholder {dmax[0]:.3f} is not filled in"),
        (FRACTION, "1.5 is no integer", "TypeError", "the message does not name axis"),
        (FRACTION, "axis must be an integer", "TypeError", "the message does not show 1.5"),
        (FRACTION, "axis is 1.57", "TypeError", "the message does not show 1.5"),
        (FRACTION, "axis 1.5", "AttributeError", "AttributeError is not one of ValueError, TypeError"),
        (RANGE, "tuple index out of range", "IndexError", "the message does not name axis, the message does not show 2"),
        (RANGE, "axis 2", "TypeError", "TypeError is not one of ValueError, IndexError"),
    ],
)
def test_each_fault_of_an_answer_is_told(mistake: Misuse, text: str, type_: str, told: str) -> None:
    """Another type, the argument not named, the value not shown, braces that a forgotten f left."""
    assert answer(mistake, text, type_) == f"{type_}: {text} (in build); {told}"


def test_a_derived_type_is_right() -> None:
    """NumPy's AxisError is a ValueError; so is a user's own."""
    assert answer(RANGE, "axis 2", "AxisError", ("ValueError", "IndexError")) == ""

    class Own(ValueError):
        pass

    class Layer(BatchNormalization):  # type: ignore[misc]
        def __init__(self, **given: Any) -> None:
            raise Own(f"axis must not be {given['axis']}")

    assert failing(Layer, CASES["axis-fraction"]) is None


# --- what is asked


def test_the_mistakes_reach_the_layer() -> None:
    """Arguments, shapes and masks of a request, as they arrive at a worker on the other side."""

    def asked(name: str) -> dict[str, Any]:
        message = wire.pack(request(CASES[name], _inputs(CASES[name])))
        found = wire.unpack(io.BytesIO(message))
        assert isinstance(found, dict)
        return found

    assert math.isnan(asked("momentum-nan")["layer"]["momentum"])
    assert asked("axis-bool")["layer"]["axis"] is True
    assert asked("undefined")["shape"] == [4, None]
    assert asked("rank-more")["steps"][0]["x"].shape == (4, 7, 5)
    assert asked("mask-bool")["steps"][0]["mask"] is True
    assert asked("mask-string")["steps"][0]["mask"].tolist() == np.ones((5, 4), "<U1").tolist()
    assert asked("channels-one")["weights"] is None


def _inputs(case: Case) -> Any:
    from bnverify.cases.fills import make_inputs

    return make_inputs(case)


def test_a_layer_without_the_argument_is_not_asked() -> None:
    """Whoever has no renorm cannot be asked about it; whoever knows no `momentun` is right."""

    class Plain(BatchNormalization):  # type: ignore[misc]
        def __init__(self, axis: int = -1, momentum: float = 0.99) -> None:
            super().__init__(axis=axis, momentum=momentum)

    found = {name: verify(CASES[name], InProcess(Plain, "plain"), 0).verdict for name in ("clipping-order", "keyword")}
    assert found["clipping-order"].status is Status.UNSUPPORTED
    assert found["clipping-order"].reason.startswith("the layer's constructor has no argument `renorm`")
    assert found["keyword"].status is Status.CONFORMS


def test_a_layer_that_hands_on_what_it_does_not_know_is_not_asked() -> None:
    """Keras' base class refuses an unknown argument by a ValueError of its own; a law's second call may be what is refused."""

    class OnTheBase(BatchNormalization):  # type: ignore[misc]
        def __init__(self, axis: int = -1, momentum: float = 0.99, **options: Any) -> None:
            if "renorm" in options:
                keras.layers.Layer(**options)
            super().__init__(axis=axis, momentum=momentum, **options)

    ids = (
        "shape:4x3/renorm:True/steps:TI",
        "shape:2x3x5x4/axis:1/law:renorm/steps:T",
        "shape:4x3/misuse:clipping-order/steps:TI",
    )
    found = [verify(parse(id_), InProcess(OnTheBase, "on-the-base"), 0).verdict for id_ in ids]
    assert [verdict.status for verdict in found] == [Status.UNSUPPORTED] * 3
    assert {verdict.reason.split("; ")[0] for verdict in found} == {"the layer's constructor has no argument `renorm`"}


def reasons(module: str, version: str) -> Iterator[str]:
    from dataclasses import replace

    environment = replace(ReferenceTarget().environment, module=module, keras=version)
    for case in CASES.values():
        yield not_here(case, environment)


def test_what_a_version_lacks_is_not_asked() -> None:
    """Masks before 2.12, renorm where there is none, a list of axes where that is no mistake; nothing else."""
    assert set(reasons("keras", "3.15.1")) == {""}
    told = {version: sum(map(bool, reasons("keras", version))) for version in ("3.13.0", "2.12.0", "2.10.0", "2.3.1")}
    renorm = sum("renorm" in mistake.layer for mistake in MISUSES.values())
    masks = sum(mistake.mask is not None for mistake in MISUSES.values())
    assert told == {"3.13.0": renorm, "2.12.0": 1, "2.10.0": 1 + masks, "2.3.1": renorm + masks}
    assert all(askable.missing_need(case, function_lacks("keras.ops.batch_normalization")) for case in CASES.values())


def test_keras_2_wraps_an_exception_in_other_words() -> None:
    """What the layer was called with is no part of the message."""
    text = 'Exception encountered when calling layer "b" (type B).\n\nNo.\n\nCall arguments received by layer "b":\n  • mask=7'
    assert one_line(ValueError(text)) == "No."
