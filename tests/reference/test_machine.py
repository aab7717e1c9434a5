"""The reference against exact rational arithmetic, published vectors, and its own plain text."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support import exact

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.cases.ids import parse
from bnverify.cases.layer_config import LayerConfig
from bnverify.cases.steps import Step
from bnverify.reference.machine import trace_case

CASES = (
    "shape:6x5/steps:T2I",
    "shape:3x4x2/axis:0/steps:TI",
    "shape:2x3x4x3/axis:1/fill:offset/steps:TIT",
    "shape:2x3x4x3/axis:-2/fill:tiny/steps:TI",
    "shape:5x2/fill:constant/steps:TI",
    "shape:5x2/momentum:0.5/epsilon:1e-12/steps:T3I",
    "shape:4x3/center:False/scale:False/steps:TI",
    "shape:1x3/steps:TI",
    "shape:6x3/policy:float64/dtype:float64/steps:T2I",
    "shape:2x3x5/axis:1/policy:float64/dtype:float64/fill:offset/steps:TI",
)


def relative_error(actual: object, expected: Fraction, scale: Fraction) -> float:
    numerator, denominator = np.longdouble(actual).as_integer_ratio()  # type: ignore[attr-defined]
    return float(abs(Fraction(numerator, denominator) - expected) / scale)


@pytest.mark.parametrize("id_", CASES)
def test_reference_agrees_with_rational_arithmetic(id_: str) -> None:
    """Every output and moving statistic of a trace is right to a few unit roundoffs of the reference's own type."""
    case = parse(id_)
    inputs = make_inputs(case)
    assert inputs.weights is not None
    wide = np.longdouble if case.policy == "float64" else np.float64
    limit = 64 * float(np.finfo(wide).eps)
    axis, epsilon, momentum = case.kept[0], case.config.epsilon, case.config.momentum
    ones = np.ones(case.shape[axis])
    gamma, beta = inputs.weights.get("gamma", ones), inputs.weights.get("beta", 0 * ones)
    moving = {
        c: (Fraction(float(inputs.weights["moving_mean"][c])), Fraction(float(inputs.weights["moving_variance"][c])))
        for c in range(case.shape[axis])
    }
    calls = trace_case(case, inputs)
    assert len(calls) == len(case.steps)
    for call, batch in zip(calls, inputs.batches, strict=True):
        assert batch is not None
        own = {c: exact.moments(values) for c, values in exact.channels(batch, axis).items()}
        statistics = own if call.step is Step.TRAIN else moving
        expected = exact.normalize(batch, axis, statistics, epsilon, gamma, beta)
        y = call.y()
        assert y.dtype == wide
        largest = max(abs(v) for v in expected.flat) + max(abs(Fraction(float(v))) for v in batch.flat) * Fraction(
            float(np.abs(call.inverse * call.gamma).max())
        )
        assert max(relative_error(a, e, largest) for a, e in zip(y.flat, expected.flat, strict=True)) <= limit
        if call.step is Step.TRAIN:
            moving = {
                c: (exact.update(moving[c][0], own[c][0], momentum), exact.update(moving[c][1], own[c][1], momentum))
                for c in own
            }
        for part, name in enumerate(("moving_mean", "moving_variance")):
            after = call.after.weights[name].ravel()
            for c, value in moving.items():
                scale = max(abs(value[part]), abs(own[c][part]), Fraction(1, 1000))
                assert relative_error(after[c], value[part], scale) <= limit


def test_rational_arithmetic_notices_the_unbiased_variance() -> None:
    """The check above can fail: n-1 in the divisor is far outside its limit."""
    values = [Fraction(v) for v in (1, 2, 4)]
    mean, variance = exact.moments(values)
    assert (mean, variance) == (Fraction(7, 3), Fraction(14, 9))
    unbiased = variance * 3 / 2
    assert relative_error(float(unbiased), variance, variance) > 0.4


def onnx_vectors() -> list[Path]:
    data = Path(onnx.__file__).parent / "backend" / "test" / "data" / "node"
    return sorted(data.glob("test_batchnorm_*"))


def test_onnx_ships_training_and_inference_vectors() -> None:
    """The vectors that the next test runs over exist: two of inference, two of training."""
    assert [path.name for path in onnx_vectors()] == [
        "test_batchnorm_epsilon",
        "test_batchnorm_epsilon_training_mode",
        "test_batchnorm_example",
        "test_batchnorm_example_training_mode",
    ]


@pytest.mark.parametrize("path", onnx_vectors(), ids=lambda path: path.name)
def test_reference_agrees_with_onnx_vectors(path: Path) -> None:
    """ONNX's published BatchNormalization vectors (channels first, float32) come out to float32's rounding."""
    (node,) = onnx.load(path / "model.onnx").graph.node
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    files = path / "test_data_set_0"

    def tensors(kind: str) -> list[np.ndarray]:
        read = (onnx.load_tensor(file) for file in sorted(files.glob(f"{kind}_*.pb")))
        return [numpy_helper.to_array(tensor) for tensor in read]

    x, gamma, beta, mean, variance = tensors("input")
    training = bool(attributes.get("training_mode", 0))
    config = LayerConfig(axis=1, momentum=attributes.get("momentum", 0.9), epsilon=attributes.get("epsilon", 1e-5))
    case = Case(shape=x.shape, steps=(Step.TRAIN if training else Step.INFER,), config=config)
    weights = {"gamma": gamma, "beta": beta, "moving_mean": mean, "moving_variance": variance}
    (call,) = trace_case(case, Inputs({k: v.astype(np.float64) for k, v in weights.items()}, (x,)))
    expected = tensors("output")
    assert len(expected) == (3 if training else 1)
    np.testing.assert_allclose(call.y(), expected[0], rtol=2e-6, atol=2e-6)
    if training:
        np.testing.assert_allclose(call.after.weights["moving_mean"].ravel(), expected[1], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(call.after.weights["moving_variance"].ravel(), expected[2], rtol=1e-6)


def test_a_frozen_layer_infers_and_stays_as_it_is() -> None:
    """`freeze` is a state of the machine: training calls then use and keep the moving statistics, until `unfreeze`."""
    case = parse("shape:4x3/steps:TFTUT")
    first, frozen, thawed = trace_case(case, make_inputs(case))
    assert first.batch is not None
    assert frozen.batch is None
    assert frozen.after is frozen.before
    assert frozen.mean is first.after.weights["moving_mean"]
    assert thawed.batch is not None
    assert thawed.mean is thawed.batch.mean
