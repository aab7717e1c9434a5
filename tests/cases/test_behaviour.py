"""The ids of cases about behaviour: every mode, file format, initializer, network and mistake is asked."""

from __future__ import annotations

import itertools

from bnverify.cases import behaviour
from bnverify.cases.file_formats import FILES
from bnverify.cases.ids import parse
from bnverify.cases.misuse import MISUSES
from bnverify.cases.modes import LAYOUTS, MODES
from bnverify.cases.networks import NETWORKS
from bnverify.cases.steps import Step

DEFAULT = tuple(map(parse, behaviour.default_behaviour()))
FULL = (*DEFAULT, *map(parse, behaviour.full_behaviour()))


def test_each_mistake_is_asked_once() -> None:
    """In the shape that it needs, and with its steps."""
    assert [case.misuse for case in DEFAULT if case.misuse] == list(MISUSES)
    assert behaviour.misuse("rank-more") == "shape:4x5/misuse:rank-more/steps:I"
    assert behaviour.misuse("keyword") == "shape:4x3/misuse:keyword/steps:I"
    assert behaviour.misuse("mask-batch") == "shape:1x4x3/misuse:mask-batch/steps:TI"


def test_every_mode_is_asked() -> None:
    """All but one_thread, which law:threads asks for; every number of replicas in the full suite."""
    assert {case.mode for case in FULL} == set(MODES) - {"one_thread"}
    assert "threads" in {case.law for case in FULL}


def test_modes_that_call_are_asked_under_a_mask_and_frozen() -> None:
    """Each with images, a mask, and a trace in which the layer freezes and thaws."""
    for mode in behaviour.CALLING:
        own = [case for case in DEFAULT if case.mode == mode]
        assert any(case.mask for case in own), mode
        assert any(len(case.shape) == 4 for case in own), mode
        assert any({Step.FREEZE, Step.UNFREEZE} <= set(case.steps) for case in own), mode


def test_every_format_is_asked_with_training_after_loading() -> None:
    """But export, which infers only; every format that holds a configuration meets every configuration in the full suite."""
    trained = {case.file for case in DEFAULT if case.file and Step.TRAIN in case.steps[case.steps.index(Step.SAVE) :]}
    assert trained == set(FILES) - {"export"}
    assert {case.file for case in DEFAULT} == {"", *FILES}
    saved = {
        (case.file, case.config, case.policy) for case in FULL if case.mode == "call" and case.file in behaviour.WHOLE_FILES
    }
    asked = {(case.config, case.policy) for case in map(parse, (f"shape:{c}/steps:T" for c in behaviour.CONFIGURATIONS))}
    assert saved >= {(name, config, policy) for name, (config, policy) in itertools.product(behaviour.WHOLE_FILES, asked)}


def test_every_initializer_of_every_weight_is_asked() -> None:
    """zeros, ones, and both random ones, for gamma, beta, and the two statistics."""
    found = {
        (name, getattr(case.config, f"{name}_initializer"))
        for case in DEFAULT
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    kinds = ("zeros", "ones", "random_normal", "random_uniform")
    assert found >= set(itertools.product(("gamma", "beta", "moving_mean", "moving_variance"), kinds))


def test_small_networks_are_in_the_default_suite_and_large_ones_in_the_full() -> None:
    """Models of keras.applications take too long for every run."""
    assert {case.network for case in DEFAULT} - {""} == set(NETWORKS) - set(behaviour.APPLICATIONS)
    assert {case.network for case in FULL} - {""} == set(NETWORKS)


def test_replicas_get_unequal_shards() -> None:
    """Seven samples over two, three and four replicas, synchronized or not; a whole batch cannot be cut unequally."""
    mirrored = {(case.how.replicas, case.config.synchronized) for case in FULL if case.how.replicas > 1 and case.shape[0] == 7}
    assert mirrored == set(itertools.product((2, 3, 4), (True, False)))
    assert {case.shape[0] % case.how.replicas for case in FULL if case.how.one_computation} == {0}


def test_every_layout_but_the_plain_one_is_asked_in_more_than_one_mode() -> None:
    """A model may copy its inputs, a plain call may not."""
    for layout in set(LAYOUTS) - {"plain"}:
        assert {case.mode for case in DEFAULT if case.layout == layout} >= {"call", "fit"}
