"""A clause: a rule of the contract with its source and its check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.contract.evidence import Evidence
from bnverify.values import Check

KERAS_DOC = "keras.layers.BatchNormalization, https://keras.io/api/layers/normalization_layers/batch_normalization/"
KERAS_LAYER_DOC = "keras.layers.Layer, https://keras.io/api/layers/base_layer/"
KERAS_DTYPE_DOC = "keras.dtype_policies.DTypePolicy, https://keras.io/api/mixed_precision/policy/"
PAPER = "Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167"


@dataclass(frozen=True)
class Clause:
    """One numbered rule of the Keras BatchNormalization contract.

    key: short name for command lines and data files. rule: the promise, in words and as a formula. source: the document that
    promises it. check: yields one Check for each place where the evidence can test the rule. companion: for a rule that
    compares two observations, the case and inputs of the second one; it returns None for a case that has no second observation.
    """

    key: str
    title: str
    rule: str
    source: str
    check: Callable[[Evidence], Iterator[Check]]
    companion: Callable[[Case, Inputs], tuple[Case, Inputs] | None] | None = None
