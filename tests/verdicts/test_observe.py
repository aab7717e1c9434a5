"""Observe: the case, the second calls that laws need, and whether a refusal means that the target cannot be tested."""

from __future__ import annotations

import pytest
from support.targets import Changed, raises

from bnverify.cases.case import Case
from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.values import Failure, Observation
from bnverify.verdicts.observe import observe, refusal

RENORM = parse("shape:4x3/momentum:0.5/renorm:True/steps:T")


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (None, ""),
        (Failure("step 1", "NotHere", "PyTorch has no XLA"), "PyTorch has no XLA"),
        (
            Failure("constructor", "TypeError", "__init__() got an unexpected keyword argument 'renorm'"),
            "the layer's constructor has no argument `renorm`",
        ),
        (
            Failure(
                "constructor", "ValueError", "Unrecognized keyword arguments passed to BatchNormalization: {'renorm': True}"
            ),
            "the layer's constructor has no argument `renorm`",
        ),
        (
            Failure("constructor", "TypeError", "('Keyword argument not understood:', 'momentum')"),
            "the layer's constructor has no argument `momentum`",
        ),
        (
            Failure("constructor", "TypeError", "got an unexpected keyword argument 'dtype'"),
            "the layer's constructor has no argument `dtype`",
        ),
        (Failure("constructor", "TypeError", "got an unexpected keyword argument 'axis'"), ""),  # the case does not set it
        (Failure("constructor", "ValueError", "'renorm' must be False"), ""),  # a value is refused, not the argument
        (Failure("constructor", "KeyError", "unexpected keyword argument 'renorm'"), ""),
        (Failure("build", "TypeError", "got an unexpected keyword argument 'renorm'"), ""),
        (Failure("step 0", "TypeError", "call() got an unexpected keyword argument 'mask'"), ""),  # no mask was given
    ],
)
def test_what_a_refusal_means(failure: Failure | None, reason: str) -> None:
    """An unknown argument that the case sets, or an environment that lacks something; anything else is a crash."""
    assert refusal(failure, RENORM) == reason


def test_a_layer_without_a_mask_cannot_be_tested_with_one() -> None:
    """In a case with a mask, and in a mistake with one."""
    failure = Failure("step 0", "TypeError", "call() got an unexpected keyword argument 'mask'")
    for id_ in ("shape:5x4x3/mask:one/steps:T", "shape:5x4x3/misuse:mask-size/steps:TI"):
        assert refusal(failure, parse(id_)) == "the layer's call has no argument `mask`"


def companions(id_: str, target: Changed) -> tuple[set[str], str]:
    case = parse(id_)
    observed, reason = observe(case, make_inputs(case), target)
    return set(observed.companions), reason


def test_the_second_call_of_a_law_is_made() -> None:
    """The case first, then one call for each clause that compares two."""
    target = Changed()
    assert companions("shape:4x3/law:shift/steps:T", target) == ({"shift-invariance"}, "")
    assert target.asked == ["shape:4x3/law:shift/steps:T", "shape:4x3/steps:T"]
    assert companions("shape:4x3/steps:T", Changed()) == (set(), "")


def test_a_case_that_cannot_be_tested_is_not_observed_again() -> None:
    """The reason, and one observation."""
    target = Changed(raises("step 0", "NotHere", "no such mode"))
    assert companions("shape:4x3/law:shift/steps:T", target) == (set(), "no such mode")
    assert len(target.asked) == 1


def test_an_argument_that_only_the_second_call_needs() -> None:
    """law:renorm compares with renorm=True, which this layer does not have: the case cannot be tested."""

    def change(case: Case, o: Observation) -> Observation:
        failure = Failure("constructor", "TypeError", "got an unexpected keyword argument 'renorm'")
        return Observation(failure=failure) if case.config.renorm else o

    assert companions("shape:4x3/law:renorm/steps:T", Changed(change)) == (
        set(),
        "the layer's constructor has no argument `renorm`",
    )


def test_a_second_call_that_is_not_possible_here_is_left_to_its_clause() -> None:
    """NotHere in the second call only is kept, so that the clause can say so."""

    def change(case: Case, o: Observation) -> Observation:
        return o if case.law else Observation(failure=Failure("start", "NotHere", "no other process"))

    assert companions("shape:4x3/law:shift/steps:T", Changed(change)) == ({"shift-invariance"}, "")
