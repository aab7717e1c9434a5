"""Eras: each release is judged by what it promised, and what an era cannot express is unsupported with its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bnverify.cases.ids import parse
from bnverify.contract import BY_KEY
from bnverify.contract.eras import ERAS, era_of
from bnverify.errors import BadInput
from bnverify.reference.formulas import KERAS
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY as HYPOTHESES
from bnverify.running.run import run
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Environment, Status
from bnverify.verdicts.ask import not_here

TODAY = ReferenceTarget().environment


def environment(keras: str, module: str = "keras", backend: str = "tensorflow", float64: bool = True) -> Environment:
    return replace(TODAY, keras=keras, module=module, backend=backend, float64=float64)


@pytest.mark.parametrize(
    ("module", "keras", "name"),
    [
        ("keras", "2.1.2", "multi-backend Keras before 2.1.3"),
        ("keras", "2.1.3", "multi-backend Keras"),
        ("keras", "2.3.1", "multi-backend Keras"),
        ("keras", "2.4.3", "Keras 2 in TensorFlow 2"),
        ("tf.keras", "2.4.0", "Keras 2 in TensorFlow 2"),
        ("tf_keras", "2.21.0", "Keras 2 in TensorFlow 2"),
        ("keras", "2.15.0", "Keras 2 in TensorFlow 2"),
        ("keras", "3.0.0", "Keras 3"),
        ("keras", "3.16.0.dev2026", "Keras 3"),
    ],
)
def test_a_release_belongs_to_an_era(module: str, keras: str, name: str) -> None:
    """Releases, development versions included, belong to the era of their package and version."""
    assert era_of(environment(keras, module)).name == name


@pytest.mark.parametrize(("module", "keras"), [("keras", "2.0.9"), ("tf.keras", "2.2.4-tf"), ("tf.keras", "2.3.0-tf")])
def test_a_release_before_all_eras(module: str, keras: str) -> None:
    """What is too old is refused by name and version."""
    with pytest.raises(BadInput, match=f"{module} {keras} is too old"):
        era_of(environment(keras, module))


@pytest.mark.parametrize(
    ("id_", "where", "reason"),
    [
        ("shape:3x4x5/axis:1+2/steps:T", environment("3.15.1"), "Keras 3 allows one integer as axis, not a list"),
        ("shape:3x4x5/axis:1+2/steps:T", environment("2.15.0"), ""),
        ("shape:3x4x5/axis:1+2/steps:T", environment("2.3.1"), "multi-backend Keras allows one integer as axis, not a list"),
        ("shape:4x3/dtype:int32/steps:T", environment("2.15.0"), "Keras 2 does not convert integer inputs"),
        ("shape:4x3/dtype:int32/steps:T", environment("2.3.1"), ""),
        ("shape:4x3/policy:mixed_float16/steps:T", environment("2.3.1"), "no dtype policies"),
        ("shape:4x3/policy:float64/steps:T", environment("2.3.1"), ""),
        ("shape:4x3/steps:TI", environment("3.15.1", backend="openvino"), "OpenVINO backend does inference only"),
        ("shape:4x3/steps:IN", environment("3.15.1", backend="openvino"), ""),
        ("shape:4x3/policy:float64/steps:I", environment("3.15.1", backend="jax", float64=False), "jax_enable_x64 is off"),
        ("shape:4x3/dtype:float64/steps:I", environment("3.15.1", backend="jax", float64=False), ""),
    ],
)
def test_what_cannot_be_asked(id_: str, where: Environment, reason: str) -> None:
    """A case that an era or its backend cannot express has that era's reason; all others have none."""
    found = not_here(parse(id_), where)
    assert reason in found
    assert bool(found) is bool(reason)


def test_weights_are_float32_under_16_bit_policies_in_keras_2() -> None:
    """Keras 2 promises float32 weights under float16, Keras 3 float16."""
    case = parse("shape:4x3/policy:float16/steps:T")
    assert era_of(environment("2.15.0")).formats(case).variable.name == "float32"
    assert era_of(environment("3.15.1")).formats(case).variable.name == "float16"


@pytest.mark.parametrize(
    ("keras", "key"), [("2.1.2", "freeze-parameters-only"), ("2.3.1", "frozen-normalizes-with-batch"), ("3.15.1", "")]
)
def test_a_change_of_promise_is_no_fault(keras: str, key: str) -> None:
    """What trainable=False did in an era conforms there, and deviates in every other one."""

    class There(ReferenceTarget):
        def __init__(self, formulas_of: str) -> None:
            super().__init__(HYPOTHESES[formulas_of].formulas if formulas_of else KERAS)
            self.environment = environment(keras)

    case = parse("shape:6x3/steps:TFTIUT")
    for other in ("freeze-parameters-only", "frozen-normalizes-with-batch", ""):
        (verdict,) = run([case], There(other)).verdicts
        assert any(check.status is Status.WRONG for check in verdict.checks) is (other != key), other


def test_every_rule_of_an_era_is_a_clause() -> None:
    """Promises that read differently name a clause, and read differently from it."""
    for era in ERAS:
        for key, rule in era.rules.items():
            assert rule != BY_KEY[key].rule
    assert len({era.name for era in ERAS}) == len(ERAS)


def test_an_era_applies_its_formulas_to_hypotheses() -> None:
    """A hypothesis in an old era keeps its own fault, and has the era's formulas otherwise."""
    era = era_of(environment("2.1.2"))
    found = era.apply(HYPOTHESES["epsilon-outside"].formulas)
    assert found.inverse_deviation is HYPOTHESES["epsilon-outside"].formulas.inverse_deviation
    assert found.updates(True, True) is True
    assert KERAS.updates(True, True) is False
