"""Steps: which of them call the layer, and with which `training`."""

from __future__ import annotations

import numpy as np
import pytest

from bnverify.cases.steps import RATE, Step
from bnverify.numeric.precision import FORMATS


def test_the_training_argument_of_each_call() -> None:
    """T and O train, I infers, N leaves the argument out; F, U and S call nothing."""
    assert {step.value: step.training for step in Step if step.is_call} == {"T": True, "O": True, "I": False, "N": None}
    assert [step.value for step in Step if not step.is_call] == ["F", "U", "S"]


def test_a_step_without_a_call_has_no_training_argument() -> None:
    """To ask for it is a mistake of the caller, and is no None, which means a call without the argument."""
    with pytest.raises(KeyError):
        _ = Step.FREEZE.training


def test_the_learning_rate_is_exact_in_every_format() -> None:
    """No format rounds it, so an optimizer step needs no bound for it."""
    assert [float(format_.round(np.array(RATE))) for format_ in FORMATS.values()] == [0.125] * 4


def test_each_step_has_words_of_its_own() -> None:
    """Reports tell the steps apart."""
    assert len({step.words for step in Step}) == len(Step)
    assert Step.FREEZE.words == "set trainable=False"
