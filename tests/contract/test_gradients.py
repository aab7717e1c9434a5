"""Gradients: the closed form against derivatives taken without it, and the bounds against TensorFlow's in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnverify.bounds.compare import compare, weight_numbers
from bnverify.bounds.derive import inverse_error, moments_error, summation_error
from bnverify.bounds.gradients import Gradient
from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.cases.ids import parse
from bnverify.contract.evidence import Expectation, expect
from bnverify.reference.machine import Call, trace_case
from bnverify.values import Grade

C = np.clongdouble
STEP = 1e-30  # of the complex step, which subtracts nothing
TURN = 1e-6  # of the central difference of first derivatives, which errs by about TURN^2


def whole(case: Case, mask: np.ndarray) -> np.ndarray:
    """The mask in the rank of x, True where a value counts."""
    return (mask if mask.ndim == len(case.shape) else mask[..., None]) != 0


def forward(call: Call, case: Case, weights: dict[str, Any], x: Any, mask: Any) -> Callable[..., Any]:
    """y of x, gamma and beta, as the textbooks have it; r and d of renorm are constants taken of `x`."""
    axes = tuple(axis for axis in range(len(case.shape)) if axis != case.kept[0])
    shape = [size if axis == case.kept[0] else 1 for axis, size in enumerate(case.shape)]
    moving = {name: np.asarray(value, np.longdouble).reshape(shape) for name, value in weights.items()}
    epsilon = np.longdouble(case.config.epsilon)

    def moments(x: Any) -> tuple[Any, Any]:
        if call.step.training and not call.before.frozen:
            n = np.sum(mask, axes, keepdims=True)
            mean = np.sum(np.where(mask, x, 0), axes, keepdims=True) / n
            return mean, np.sum(np.where(mask, (x - mean) * (x - mean), 0), axes, keepdims=True) / n
        return moving["moving_mean"], moving["moving_variance"]

    r, d = 1.0, 0.0
    if case.config.renorm and call.step.training and not call.before.frozen:
        mean, variance = moments(x.astype(np.longdouble))
        limits = {"rmin": 0.0, "rmax": np.inf, "dmax": np.inf, **dict(case.config.renorm_clipping)}
        r = np.clip(np.sqrt(variance + epsilon) / moving["renorm_stddev"], limits["rmin"], limits["rmax"])
        d = np.clip((mean - moving["renorm_mean"]) / moving["renorm_stddev"], -limits["dmax"], limits["dmax"])

    def y(x: Any, gamma: Any, beta: Any) -> Any:
        mean, variance = moments(x)
        return ((x - mean) / np.sqrt(variance + epsilon) * r + d) * gamma + beta

    return y


def derivatives(call: Call, case: Case, inputs: Inputs) -> dict[str, np.ndarray]:
    """The gradients of sum(y*dy) by complex steps, one value at a time, and that of dL/dx in the direction given."""
    given = inputs.at(call.index)
    x, dy, direction = given["x"], given["upstream"], given["direction"]
    assert x is not None
    assert dy is not None
    ones = np.ones(case.channels_shape)
    weights = {"gamma": ones, "beta": 0 * ones, **(inputs.weights or {})}
    shape = [size if axis == case.kept[0] else 1 for axis, size in enumerate(case.shape)]
    arguments = [x.astype(C), weights["gamma"].astype(C).reshape(shape), weights["beta"].astype(C).reshape(shape)]
    mask = np.ones(case.shape, bool) if given["mask"] is None else np.broadcast_to(whole(case, given["mask"]), case.shape)

    def gradient(place: int, x: Any) -> np.ndarray:
        y = forward(call, case, weights, x.real, mask)
        now = [x, *arguments[1:]]
        found = np.zeros(now[place].shape, np.longdouble)
        for index in np.ndindex(found.shape):
            stepped = [value.copy() for value in now]
            stepped[place][index] += 1j * STEP
            found[index] = np.sum(y(*stepped) * dy).imag / STEP
        return found

    found = {name: gradient(place, arguments[0]) for place, name in enumerate(("x", "gamma", "beta"))}
    if direction is not None and call.step.training:
        ends = [gradient(0, arguments[0] + sign * TURN * direction.astype(C)) for sign in (1, -1)]
        found["second"] = (ends[0] - ends[1]) / (2 * TURN)
    return found


FIRST = (
    "shape:6x3/gradients:1/steps:T",
    "shape:6x3/gradients:1/steps:I",
    "shape:6x3/gradients:1/steps:N",
    "shape:6x3/gradients:1/steps:FTUT",
    "shape:6x3/fill:tiny/epsilon:1e-07/gradients:1/steps:T",
    "shape:6x3/fill:offset/gradients:1/steps:T",
    "shape:6x3/fill:constant/gradients:1/steps:T",
    "shape:6x1/gradients:1/steps:TI",
    "shape:1x4/gradients:1/steps:TI",
    "shape:2x3x2x2/axis:1/gradients:1/steps:TI",
    "shape:3x2x2/axis:0/gradients:1/steps:TI",
    "shape:6x3/center:False/gradients:1/steps:TI",
    "shape:6x3/scale:False/gradients:1/steps:TI",
    "shape:6x3/weights:initial/gradients:1/steps:T",
    "shape:4x5x3/mask:random/gradients:1/steps:TI",
    "shape:4x5x3/mask:padding/gradients:1/steps:TFTUT",
    "shape:4x5x3/mask:one/gradients:1/steps:T",
    "shape:4x5x3/mask:full/gradients:1/steps:T",
    "shape:4x5x3/mask:int32/gradients:1/steps:T",
    "shape:4x5x3/mask:broadcast/gradients:1/steps:T",
    "shape:4x5x3/mask:whole/gradients:1/steps:T",
    "shape:4x3x2x3/axis:1/mask:random/gradients:1/steps:T",
    "shape:3x2x3/axis:0/mask:random/gradients:1/steps:T",
    "shape:6x3/renorm:True/gradients:1/steps:TI",
    "shape:6x3/renorm:True/renorm_clipping:rmax1.1+rmin0.9+dmax0.1/gradients:1/steps:T",
    "shape:6x3/renorm:True/scale:False/gradients:1/steps:T",
    "shape:6x3/renorm:True/center:False/gradients:1/steps:T",
    "shape:2x3x4/axis:1/renorm:True/gradients:1/steps:T",
    "shape:4x5x3/renorm:True/mask:random/gradients:1/steps:T",
)
SECOND = (
    "shape:6x3/gradients:2/steps:T",
    "shape:6x1/gradients:2/steps:T",
    "shape:1x4/gradients:2/steps:T",
    "shape:2x3x2x2/axis:1/gradients:2/steps:T",
    "shape:3x2x2/axis:0/gradients:2/steps:T",
    "shape:6x3/scale:False/gradients:2/steps:T",
    "shape:6x3/fill:offset/gradients:2/steps:T",
    "shape:6x3/epsilon:1.0/gradients:2/steps:T",
    "shape:4x5x3/mask:random/gradients:2/steps:T",
    "shape:4x5x3/mask:one/gradients:2/steps:T",
    "shape:4x3x2x3/axis:1/mask:random/gradients:2/steps:T",
)


@pytest.mark.parametrize("id_", [*FIRST, *SECOND])
def test_the_closed_form_is_the_derivative(id_: str) -> None:
    """dL/dx, dL/dgamma, dL/dbeta and the second derivative are those of the formula differentiated number by number."""
    case = parse(id_)
    inputs = make_inputs(case)
    moving = dict(inputs.weights or {})
    for call in trace_case(case, inputs):
        state = {name: value.reshape(case.channels_shape) for name, value in call.before.weights.items()}
        expected = derivatives(call, case, Inputs({**moving, **state}, *(getattr(inputs, n) for n in PER_STEP)))
        actual = call.gradients()
        assert set(actual) == set(expected)
        for name, value in expected.items():
            limit = 1e-9 if name == "second" else 1e-13
            scale = np.abs(value).max() + np.abs(inputs.upstream[call.index]).max()  # type: ignore[arg-type]
            assert actual[name].shape == value.shape
            assert np.abs(actual[name] - value).max() <= limit * scale, name


PER_STEP = ("batches", "masks", "upstream", "direction")


def test_derivatives_tell_a_mean_that_is_a_constant() -> None:
    """The check above can fail: gradients that take mean and variance for constants are off by more than a percent."""
    case = parse("shape:6x3/gradients:1/steps:T")
    inputs = make_inputs(case)
    (call,) = trace_case(case, inputs)
    found = derivatives(call, case, inputs)["x"]
    assert call.backward is not None
    constant = call.backward.gamma * call.backward.inverse * call.backward.dy
    assert np.abs(constant - found).max() > 0.01 * np.abs(found).max()


def test_sums_that_are_zero() -> None:
    """A shift or a factor changes no y: dL/dx sums up to 0, alone and (but for epsilon) times x-mean."""
    case = parse("shape:40x3/epsilon:1e-12/gradients:1/steps:T")
    (call,) = trace_case(case, make_inputs(case))
    dx = call.gradients()["x"]
    assert np.abs(dx.sum(axis=0)).max() < 1e-13 * np.abs(dx).sum()
    assert np.abs((dx * (call.x - call.mean)).sum(axis=0)).max() < 1e-9 * np.abs(dx).sum()


def test_a_single_value_has_no_gradient_in_training() -> None:
    """n = 1: y is beta whatever x is, so that dL/dx and its derivative are 0, under a mask of one position as well."""
    case = parse("shape:1x4/gradients:2/steps:T")
    (call,) = trace_case(case, make_inputs(case))
    assert np.abs(call.gradients()["x"]).max() == 0
    assert np.abs(call.gradients()["second"]).max() == 0
    case = parse("shape:5x4x3/mask:one/gradients:1/steps:T")
    (call,) = trace_case(case, make_inputs(case))
    only = np.where(call.mask, call.gradients()["x"], 0.0)
    others = sum(np.where(call.mask, 0.0, call.gradients()["x"]).sum(axis=(0, 1)))
    np.testing.assert_allclose(only.sum(), -others, rtol=1e-12)


# --- bounds


def taped(tf: Any, case: Case, inputs: Inputs, folded: bool) -> dict[str, np.ndarray]:
    """TensorFlow's gradients of one call in float32, of y = (x-mean)*inverse*gamma + beta or of x*s + (beta - mean*s)."""
    axes = [axis for axis in range(len(case.shape)) if axis != case.kept[0]]
    shape = [size if axis == case.kept[0] else 1 for axis, size in enumerate(case.shape)]
    given = inputs.at(0)
    w = {name: tf.constant(value.reshape(shape), tf.float32) for name, value in (inputs.weights or {}).items()}
    x, dy, direction = (None if given[k] is None else tf.constant(given[k], tf.float32) for k in ("x", "upstream", "direction"))
    mask = tf.ones(case.shape, bool) if given["mask"] is None else tf.broadcast_to(whole(case, given["mask"]), case.shape)

    def y() -> Any:
        mean, variance = w["moving_mean"], w["moving_variance"]
        if case.steps[0].training:
            n = tf.reduce_sum(tf.cast(mask, tf.float32), axes, keepdims=True)
            mean = tf.reduce_sum(tf.where(mask, x, 0.0), axes, keepdims=True) / n
            variance = tf.reduce_sum(tf.where(mask, tf.square(x - mean), 0.0), axes, keepdims=True) / n
        inverse = 1.0 / tf.sqrt(variance + np.float32(case.config.epsilon))
        gamma, beta = w["gamma"], w["beta"]
        if case.config.renorm and case.steps[0].training:
            stddev = tf.sqrt(variance + np.float32(case.config.epsilon))
            r = tf.stop_gradient(stddev / w["renorm_stddev"])
            d = tf.stop_gradient((mean - w["renorm_mean"]) / w["renorm_stddev"])
            gamma, beta = gamma * r, gamma * d + beta
        if folded:
            scale = inverse * gamma
            return x * scale + (beta - mean * scale)
        return (x - mean) * inverse * gamma + beta

    watched = [x, w["gamma"], w["beta"]]
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(watched)
            out = y()
        found = tape.gradient(out, watched, output_gradients=dy)
    gradients = dict(zip(("x", "gamma", "beta"), found, strict=True))
    if direction is not None and case.steps[0].training:
        gradients["second"] = outer.gradient(gradients["x"], x, output_gradients=direction)
    return {name: gradient.numpy() for name, gradient in gradients.items()}


def grade(gradient: Gradient, actual: np.ndarray) -> Grade:
    return compare(actual.reshape(gradient.value.shape), weight_numbers(gradient.value, gradient.bound, gradient.format)).grade


def expected(id_: str, seed: int = 0) -> tuple[Case, Inputs, Expectation]:
    case = parse(id_)
    inputs = make_inputs(case, seed)
    return case, inputs, expect(case, inputs)


@pytest.mark.parametrize("folded", [False, True], ids=["x-mean first", "folded"])
@pytest.mark.parametrize("fill", ["normal", "offset", "tiny", "constant", "spike"])
@pytest.mark.parametrize(
    "layer",
    [
        "shape:29x4/fill:{}/gradients:2/steps:T",
        "shape:29x4/fill:{}/gradients:1/steps:I",
        "shape:2500x2/fill:{}/gradients:2/steps:T",
        "shape:2x3x5x4/axis:1/epsilon:1e-05/fill:{}/gradients:2/steps:T",
        "shape:1x4/fill:{}/gradients:2/steps:T",
        "shape:5x4x3/mask:random/fill:{}/gradients:2/steps:T",
        "shape:9x4/renorm:True/fill:{}/gradients:1/steps:T",
    ],
)
def test_float32_gradients_are_within_their_bounds(keras: Any, layer: str, fill: str, folded: bool) -> None:
    """Automatic differentiation in float32, of both orders of evaluation, is explained by sums in any order, for any seed."""
    import tensorflow as tf

    for seed in range(5):
        case, inputs, expectation = expected(layer.format(fill), seed)
        actual = taped(tf, case, inputs, folded)
        for name, gradient in expectation.bounds[0].gradients.items():
            assert grade(gradient, actual[name]) <= Grade.SEQUENTIAL, (name, seed)


@pytest.mark.parametrize("steps", ["T", "I"])
@pytest.mark.parametrize("layer", ["shape:29x4", "shape:2x3x5x4/axis:1", "shape:5x4x3/mask:random"])
@pytest.mark.parametrize("name", ["x", "gamma", "beta", "second"])
def test_a_small_change_is_outside_the_bounds(layer: str, steps: str, name: str) -> None:
    """On normal data a gradient that is multiplied by 1 + 1e-4 is wrong under every grade, whichever it is."""
    if name == "second" and steps == "I":
        return
    _, _, expectation = expected(f"{layer}/gradients:2/steps:{steps}")
    gradient = expectation.bounds[0].gradients[name]
    assert grade(gradient, gradient.value.astype(np.float32)) is Grade.BLOCKED
    assert grade(gradient, (gradient.value * (1 + 1e-4)).astype(np.float32)) is Grade.NONE


@pytest.mark.parametrize("rows", [30, 300, 3000, 30000])
def test_bounds_of_sums_are_not_much_larger_than_those_of_the_sums_alone(rows: int) -> None:
    """dL/dbeta has the bound of its one sum; dL/dgamma that of its sum and of the mean, another sum, with their roundings."""
    _, inputs, expectation = expected(f"shape:{rows}x3/gradients:1/steps:T")
    (call,), (bounds,) = expectation.calls, expectation.bounds
    dy = np.abs(inputs.upstream[0])  # type: ignore[arg-type]
    u = expectation.formats.arithmetic.unit_roundoff
    g = summation_error(rows, u)
    of_beta = g * dy.sum(axis=0)[..., None]
    terms = (dy * (np.abs(call.x) + np.abs(call.mean)) * call.inverse).sum(axis=0)
    for name, alone, most in (("beta", of_beta, 1.0), ("gamma", g * terms[..., None], 2.0)):
        bound = bounds.gradients[name].bound.reshape(3, 3).T
        roundings = 20 * u * terms[..., None]
        assert np.all(alone <= bound)
        assert np.all(bound <= most * alone + roundings)


@pytest.mark.parametrize("signs", [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1)])
def test_errors_of_mean_and_inverse_deviation_carry_over(signs: tuple[int, int]) -> None:
    """Statistics that are off by almost their own bounds, and nothing else, give gradients within the bounds of gradients."""
    case, _, expectation = expected("shape:3000x3/gradients:2/steps:T")
    (call,), (bounds,) = expectation.calls, expectation.bounds
    assert call.batch is not None
    assert call.backward is not None
    arithmetic = expectation.formats.arithmetic
    own = moments_error(call.batch, arithmetic, (False, False))
    of_inverse = inverse_error(call, own["moving_variance"], case.config.epsilon, arithmetic.unit_roundoff)
    off = replace(
        call.backward,
        inverse=call.inverse + signs[0] * 0.99 * of_inverse[Grade.SEQUENTIAL],
        d=call.backward.d + signs[1] * 0.99 * own["moving_mean"][Grade.SEQUENTIAL],
    )
    found = replace(call, backward=off).gradients()
    margins = {}
    for name, gradient in bounds.gradients.items():
        margins[name] = float((np.abs(found[name] - gradient.value) / gradient.bound[Grade.SEQUENTIAL]).max())
    assert max(margins.values()) <= 1.0
    assert margins["gamma"] > 0.01


@pytest.mark.parametrize("policy", ["mixed_float16/dtype:float16", "bfloat16/dtype:bfloat16", "float64/dtype:float64"])
def test_gradients_are_bounded_in_the_format_that_they_are_stored_in(policy: str) -> None:
    """Rounding to the format of x, or of the variables, is allowed for; four times that is not, where sums are exact."""
    _, _, expectation = expected(f"shape:6x3/policy:{policy}/gradients:1/steps:I")
    for gradient in expectation.bounds[0].gradients.values():
        once = gradient.format.round(gradient.value)
        assert grade(gradient, once) is Grade.BLOCKED
    dx = expectation.bounds[0].gradients["x"]
    off = dx.value * (1 + 8 * dx.format.unit_roundoff + 40 * expectation.formats.arithmetic.unit_roundoff)
    assert grade(dx, dx.format.round(off)) is Grade.NONE
