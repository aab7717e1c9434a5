"""The ids of cases about numbers: each part of the suites has every combination that its docstring promises."""

from __future__ import annotations

import itertools

import pytest

from bnverify.cases import generators
from bnverify.cases.case import Case
from bnverify.cases.fields import FILLS, LAWS, MASKS, WEIGHTS
from bnverify.cases.ids import parse
from bnverify.cases.layer_config import CONSTRAINTS, REGULARIZERS
from bnverify.cases.steps import Step
from bnverify.numeric.precision import FORMATS, INTEGERS, POLICIES


@pytest.fixture(scope="module")
def default() -> tuple[Case, ...]:
    """The cases that `default` adds to `smoke`."""
    return tuple(map(parse, generators.default()))


def test_an_id_is_written_as_it_is_read() -> None:
    """No id of a generator has a default, another order of fields, or another spelling, apart from fields set to a default."""
    for part in (generators.smoke, generators.default):
        for id_ in part():
            fields = dict(field.partition(":")[::2] for field in id_.split("/"))
            assert fields.items() >= dict(f.partition(":")[::2] for f in parse(id_).id.split("/")).items(), id_


def test_smoke_has_one_of_everything() -> None:
    """Every fill, policy, initial weights, gradients of both orders, and every law but those of repetition and threads."""
    found = tuple(map(parse, generators.smoke()))
    assert {case.fill for case in found} == set(FILLS)
    assert {case.policy for case in found} == set(POLICIES)
    assert {case.weights for case in found} == set(WEIGHTS)
    assert {case.mask for case in found} == {"", *MASKS[:-1]}
    assert {case.gradients for case in found} == {0, 1, 2}
    assert {case.law for case in found} == {"", *LAWS} - {"repeat", "threads"}
    assert {(len(case.shape), case.kept) for case in found if case.fill == "normal"} >= {
        (2, (1,)),
        (3, (0,)),
        (4, (1,)),
        (4, (2,)),
        (5, (1,)),
    }


def test_every_policy_meets_every_fill_and_every_dtype(default: tuple[Case, ...]) -> None:
    """All half and double policies with all fills in their usual dtype; with all input dtypes."""
    fills = {(case.policy, case.fill) for case in default if case.dtype in case.policy}
    assert fills >= set(itertools.product(set(POLICIES) - {"float32"}, FILLS))
    dtypes = {(case.policy, case.dtype) for case in default}
    assert dtypes >= set(itertools.product(POLICIES, (*FORMATS, *INTEGERS)))


def test_momenta_and_epsilons_go_to_their_limits(default: tuple[Case, ...]) -> None:
    """Each epsilon meets data whose variance is far above it, far below it, and 0."""
    assert {case.config.momentum for case in default} >= {0.0, 0.1, 0.5, 0.9, 0.999, 0.9999, 1.0}
    epsilons = {(case.config.epsilon, case.fill) for case in default if case.shape == (23, 4)}
    assert epsilons == set(itertools.product((1e-12, 1e-9, 1e-7, 1e-5, 1e-2, 1.0), ("normal", "tiny", "constant", "exact")))


def test_regularizers_and_constraints_meet(default: tuple[Case, ...]) -> None:
    """Each of gamma with each of beta, constraints with a step of the optimizer that they apply to."""
    configs = [(case.config, case.steps) for case in default]
    assert {(c.gamma_regularizer, c.beta_regularizer) for c, _ in configs} >= set(
        itertools.product(REGULARIZERS[1:], REGULARIZERS[1:])
    )
    constrained = {(c.gamma_constraint, c.beta_constraint) for c, steps in configs if steps[-1] is Step.OPTIMIZE}
    assert constrained >= set(itertools.product(CONSTRAINTS[1:], CONSTRAINTS[1:]))


def test_masks_meet_every_rank_and_gradients(default: tuple[Case, ...]) -> None:
    """Every kind of mask in ranks 2 to 5; both orders of gradients; every special fill."""
    masked = [case for case in default if case.mask]
    assert {(len(case.shape), case.mask) for case in masked} >= set(itertools.product((2, 3, 4, 5), MASKS[:-1]))
    assert {case.gradients for case in masked} == {0, 1, 2}
    assert {case.fill for case in masked} == set(FILLS)
    assert MASKS[-1] in {case.mask for case in masked}


def test_laws_meet_ranks_policies_and_fills(default: tuple[Case, ...]) -> None:
    """Each law of a training call in ranks 2, 3 and 5, in float64 and both kinds of half precision."""
    lawful = [case for case in default if case.law]
    laws = {*generators.TRAINING_LAWS, "renorm"}
    assert {(len(case.shape), case.law) for case in lawful} >= set(itertools.product((2, 3, 5), laws))
    assert {(case.policy, case.law) for case in lawful} >= set(itertools.product(("float64", "mixed_float16", "float16"), laws))


def test_every_shape_is_asked_in_inference_alone(default: tuple[Case, ...]) -> None:
    """Backends without training still get every axis of ranks 2 to 6, every policy and every input dtype."""
    infers = [case for case in default if all(step in (Step.INFER, Step.NOT_GIVEN) for step in case.steps)]
    assert {(len(case.shape), case.config.axis) for case in infers} >= {
        (rank, axis) for rank in range(2, 7) for axis in range(rank)
    }
    assert {case.policy for case in infers} == set(POLICIES)
    assert {case.dtype for case in infers} == {*FORMATS, *INTEGERS}


def test_full_has_large_inputs_and_long_traces() -> None:
    """262,144 values per channel with every fill, and 10,000 training calls."""
    found = tuple(map(parse, generators.full()))
    assert {case.fill for case in found if case.shape == (262144, 3)} == set(FILLS)
    assert {case.policy for case in found if len(case.steps) == 10_001} == {"float32", "float16"}
