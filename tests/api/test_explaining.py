"""Explain: one's own numbers step by step beside real Keras, the layer left as it was, a line for what does not fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import bnverify
from bnverify.errors import BadInput
from bnverify.values import Status

X = np.array([[1.0, 2.0, -1.0], [5.0, 4.0, 0.0], [3.0, 9.0, 4.0]], np.float32)


def built(shape: tuple[int | None, ...] = (None, 3), **arguments: Any) -> Any:
    layer = keras.layers.BatchNormalization(**arguments)
    layer.build(shape)
    return layer


def trained(**arguments: Any) -> Any:
    layer = built(**arguments)
    values = {
        "gamma": [2.0, 0.5, -1.0],
        "beta": [0.25, -1.0, 3.0],
        "moving_mean": [1.0, -2.0, 0.5],
        "moving_variance": [4.0, 0.25, 9.0],
    }
    layer.set_weights([np.array(values[w.name]) for w in layer.weights])
    return layer


def test_each_step_of_a_training_call() -> None:
    """Mean, variance, deviation, x̂, y and the moving statistics are NumPy's, and the layer's own beside them."""
    e = bnverify.explain(trained(), X, training=True)
    mean, variance = X.mean(0), X.var(0)
    hat = (X - mean) / np.sqrt(variance + 1e-3)
    wanted = {
        "mean": mean,
        "variance": variance,
        "variance + epsilon": variance + 1e-3,
        "deviation": np.sqrt(variance + 1e-3),
        "x̂": hat,
        "y": np.array([2.0, 0.5, -1.0]) * hat + np.array([0.25, -1.0, 3.0]),
        "moving_mean": 0.99 * np.array([1.0, -2.0, 0.5]) + 0.01 * mean,
        "moving_variance": 0.99 * np.array([4.0, 0.25, 9.0]) + 0.01 * variance,
    }
    assert [q.name for q in e.explanation.quantities] == list(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(e[name].reference, value, rtol=1e-6, err_msg=name)
        if name != "variance + epsilon":
            own, margin = e[name].layer, e[name].margin
            assert own is not None
            assert margin is not None
            np.testing.assert_allclose(own, value, rtol=1e-5, err_msg=name)
            assert 0 <= margin <= 1
    assert e["variance + epsilon"].layer is None
    assert e.ok
    assert (e.explanation.source, e.explanation.why) == ("batch", "training=True, and the layer is trainable")


@pytest.mark.parametrize(
    ("trainable", "training", "source", "why"),
    [
        (True, True, "batch", "training=True, and the layer is trainable"),
        (False, True, "moving", "training=True, but the layer is frozen (trainable=False)"),
        (True, False, "moving", "training=False"),
        (True, None, "moving", "training is not given, so the call is inference"),
    ],
)
def test_which_statistics_and_why(trainable: bool, training: bool | None, source: str, why: str) -> None:
    """The training argument, whether the layer is frozen, or that nothing was given."""
    layer = trained()
    layer.trainable = trainable
    e = bnverify.explain(layer, X, training=training)
    assert (e.explanation.source, e.explanation.why) == (source, why)
    names = [q.name for q in e.explanation.quantities]
    assert ("moving_mean" in names) == (source == "batch")
    if source == "moving":
        np.testing.assert_array_equal(e["mean"].layer, [1.0, -2.0, 0.5])
    assert layer.trainable is trainable


def test_the_layer_is_left_as_it_was() -> None:
    """Weights bit for bit, momentum and trainable, whatever was called, even where the call raised."""
    layer = trained(momentum=0.75)
    layer.trainable = False
    before = layer.get_weights()
    bnverify.explain(layer, X, training=True)
    bnverify.trace(layer, [X, X])
    layer.trainable = True
    bnverify.explain(layer, X, training=True, expected=X)
    bnverify.trace(layer, [X, X])
    with pytest.raises(BadInput):
        bnverify.explain(layer, X[:, :2], training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))
    assert (layer.momentum, layer.trainable) == (0.75, True)


@pytest.mark.slow
def test_axes_are_named() -> None:
    """Which are kept, which reduced, and over how many values."""
    x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    e = bnverify.explain({"axis": 1}, x, training=True)
    assert "axis=1: axis 1 is kept (3 channels), 0, 2, 3 reduced; n is 40 values" in str(e)
    np.testing.assert_allclose(e["mean"].reference, x.mean((0, 2, 3)))
    e = bnverify.explain({"axis": [1, 3]}, x, training=True, row="keras-2.15.0-tensorflow")
    assert "axis=[1, 3]: axis 1, 3 is kept (15 channels), 0, 2 reduced; n is 8 values" in str(e)
    np.testing.assert_allclose(e["mean"].layer.ravel(), x.mean((0, 2)).ravel(), rtol=1e-6)


def test_a_mask_and_its_counts() -> None:
    """Statistics are those of what counts; the number of values is that."""
    x = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    mask = np.arange(20).reshape(4, 5) % 3 > 0
    e = bnverify.explain(built((None, 5, 3)), x, training=True, mask=mask)
    np.testing.assert_allclose(e["mean"].reference, x[mask].astype(float).mean(0))
    assert e["mean"].formula == "sum(x) / n of the unmasked values"
    assert "n is 13 values" in str(e)
    assert e.ok


def test_renorm_shows_r_and_d() -> None:
    """Batch renormalization has two steps more."""
    e = bnverify.explain(built(renorm=True), X, training=True)
    assert e.ok
    np.testing.assert_allclose(e["r, batch renormalization"].reference, np.sqrt(X.var(0) + 1e-3))
    np.testing.assert_allclose(e["d, batch renormalization"].reference, X.mean(0))


class EpsilonOutside(keras.layers.BatchNormalization):
    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        x = keras.ops.convert_to_tensor(inputs)
        mean, variance = keras.ops.mean(x, 0), keras.ops.var(x, 0)
        return (x - mean) / (keras.ops.sqrt(variance) + self.epsilon) * self.gamma + self.beta


class Stranger(keras.layers.Layer):
    """A layer of somebody's own that calls its momentum otherwise in memory."""

    def __init__(self, axis: int = -1, momentum: float = 0.9, epsilon: float = 1e-3, **options: Any) -> None:
        super().__init__(**options)
        self.given = {"axis": axis, "momentum": momentum, "epsilon": epsilon}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.given}

    def build(self, shape: Any) -> None:
        for name, start in (("gamma", "ones"), ("beta", "zeros"), ("moving_mean", "zeros"), ("moving_variance", "ones")):
            setattr(
                self,
                name,
                self.add_weight(name=name, shape=(shape[-1],), initializer=start, trainable=name in ("gamma", "beta")),
            )

    def call(self, x: Any, training: bool = False) -> Any:
        mean, variance = (keras.ops.mean(x, 0), keras.ops.var(x, 0)) if training else (self.moving_mean, self.moving_variance)
        if training:
            keep = self.given["momentum"]
            self.moving_mean.assign(self.moving_mean * keep + mean * (1 - keep))
            self.moving_variance.assign(self.moving_variance * keep + variance * (1 - keep))
        return (x - mean) / keras.ops.sqrt(variance + self.given["epsilon"]) * self.gamma + self.beta


def test_a_fault_is_named() -> None:
    """A layer of one's own that adds epsilon outside the root, and moves nothing."""
    layer = EpsilonOutside()
    layer.build((None, 3))
    e = bnverify.explain(layer, X / 10, training=True)
    assert not e.ok
    assert e["y"].check is not None
    assert e["y"].check.status is Status.WRONG
    assert "WRONG" in str(e)
    infer = bnverify.explain(layer, X / 10, training=False)
    assert not infer.ok


def test_a_layer_of_ones_own() -> None:
    """What says axis, momentum and epsilon in get_config() and holds moving statistics is a batch normalization."""
    layer = Stranger()
    layer.build((None, 3))
    e = bnverify.explain(layer, X, training=True)
    assert e.ok, str(e)
    assert e["mean"].layer is None  # its momentum cannot be set, and so its mean not be seen
    np.testing.assert_allclose(e["x̂"].layer, (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-3), rtol=1e-5)


class Raising(keras.layers.BatchNormalization):
    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        raise RuntimeError("no such luck")


def test_a_layer_that_raises() -> None:
    """What must come out is still explained; the exception is the conclusion."""
    layer = Raising()
    layer.build((None, 3))
    e = bnverify.explain(layer, X, training=True)
    assert not e.ok
    assert "CRASHED: at step 0 the layer raises RuntimeError: no such luck" in str(e)
    np.testing.assert_allclose(e["mean"].reference, X.mean(0), rtol=1e-6)


@pytest.mark.parametrize(
    ("policy", "dtype"), [("mixed_float16", "float16"), ("float64", "float64"), ("bfloat16", "float32"), ("float32", "int32")]
)
def test_dtypes_and_policies(policy: str, dtype: str) -> None:
    """The layer's own numbers are within the bounds of the formats that they went through."""
    e = bnverify.explain(built(dtype=policy), X.astype(dtype), training=True)
    assert e.ok, str(e)


def test_lists_are_taken_in_the_layers_dtype() -> None:
    """As Keras does; integers in a list are no integer inputs."""
    e = bnverify.explain(built((None, 2)), [[1, 2], [5, 4]], training=True)
    assert e.explanation.case.dtype == "float32"


@pytest.mark.slow
def test_a_known_deviation_is_told() -> None:
    """The fused kernel of Keras 2 moves with n-1; that is known, and said."""
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 2)).astype(np.float32)
    e = bnverify.explain({}, x, training=True, row="keras-2.15.0-tensorflow")
    assert e.ok
    assert e["moving_variance"].check is not None
    assert e["moving_variance"].check.status is Status.KNOWN
    assert "a known deviation of this Keras: " in str(e)


@pytest.mark.slow
@pytest.mark.network
def test_across_eras() -> None:
    """The same call under several Keras; without the interpreter a line says what is missing."""
    rows = ("keras-2.15.0-tensorflow", "keras-3.15.1-tensorflow")
    found = bnverify.explain_across(rows, {}, X, training=True)
    assert list(found) == list(rows)
    for name, e in found.items():
        assert isinstance(e, bnverify.Explained)
        assert f"Keras {name.split('-')[1]}" in str(e)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bnverify.explain(3, X),
            "layer: got int 3; allowed: a built batch normalization layer, or a dict of its arguments",
        ),
        (
            lambda: bnverify.explain(keras.layers.BatchNormalization, X),
            "layer: got the class BatchNormalization, not an instance of it",
        ),
        (
            lambda: bnverify.explain(keras.layers.BatchNormalization(name="b"), X),
            "layer b: the layer is not built and has no weights; call it once",
        ),
        (
            lambda: bnverify.explain(keras.layers.Dense(3, name="d"), X),
            "layer d: got Dense, which has no axis, momentum, epsilon",
        ),
        (
            lambda: bnverify.explain(built((None, 2)), X),
            "gamma of shape (2,) does not fit x: x has 3 channels along axis -1 of its shape (3, 3)",
        ),
        (
            lambda: bnverify.explain(built(), X[0]),
            "x: got shape (3,); allowed: two axes or more; the first one is the batch axis",
        ),
        (lambda: bnverify.explain(built(), X[:0]), "x: got shape (0, 3), which has no values"),
        (lambda: bnverify.explain(built(), "abc"), "x: got <U3 of shape (); allowed: numbers of "),
        (lambda: bnverify.explain(built(), X.astype(complex)), "x: got complex128 of shape (3, 3); allowed: numbers of "),
        (lambda: bnverify.explain(built(), [[1.0], [1.0, 2.0]]), "x: is not an array: "),
        (lambda: bnverify.explain(built(), X, training=1), "training: got 1; allowed: True, False, or None"),
        (
            lambda: bnverify.explain(built(), X, mask=[[1, 0]]),
            "mask: got shape (1, 2); allowed for x of shape (3, 3): (3,), or with size 1",
        ),
        (lambda: bnverify.explain(built(), X, mask=["a"] * 3), "mask: got <U1; allowed: booleans, or numbers 1 and 0"),
        (
            lambda: bnverify.explain(built(), X, expected=X[:2]),
            "expected y: got shape (2, 3); allowed: the shape of x, (3, 3)",
        ),
        (
            lambda: bnverify.explain(built(), X, expected={"z": X}),
            "expected: got 'z'; allowed: an array for y, or a dict of y, mean, ",
        ),
        (lambda: bnverify.explain(built(), X, weights={}), "weights: can be used with a dict of arguments only"),
        (lambda: bnverify.explain(built(), X, row="keras-3.15.1-tensorflow"), "row: can be used with a dict of arguments only"),
        (lambda: bnverify.explain({"axs": 1}, X), "argument 'axs' is unknown; allowed: axis, momentum, epsilon, "),
        (lambda: bnverify.explain({"axis": 2}, X), "axis: got 2; allowed for x of shape (3, 3): -2 to 1"),
        (
            lambda: bnverify.explain({"axis": "last"}, X),
            "axis: got 'last'; allowed: an integer, or a list of different integers",
        ),
        (lambda: bnverify.explain({"epsilon": "x"}, X), "epsilon: got 'x'; allowed: a number"),
        (lambda: bnverify.explain({"center": 3}, X), "center: got 3; allowed: True, False"),
        (lambda: bnverify.explain({"dtype": "int8"}, X), "dtype: got 'int8'; allowed: float32, "),
        (lambda: bnverify.explain({"axis": [0, 1]}, X[None]), "Keras 3 allows one integer as axis, not a list"),
        (
            lambda: bnverify.explain({}, X, weights={"gama": 1}),
            "weight 'gama' is not a weight of this layer; allowed: gamma, beta, ",
        ),
        (lambda: bnverify.explain({}, X, weights={"gamma": [1, 2]}), "gamma of shape (2,) does not fit x"),
        (lambda: bnverify.explain({}, X, weights={"gamma": "x"}), "weight gamma: got 'x'; allowed: numbers"),
        (lambda: bnverify.explain({}, X, row="keras-9"), "row 'keras-9' is unknown"),
        (lambda: bnverify.trace(built(), []), "batches: got none; allowed: one or more"),
        (
            lambda: bnverify.trace(built(), [X, X[:, :2]]),
            "batch 1: got float32 of shape (3, 2), but the first batch is float32 of (3, 3)",
        ),
        (lambda: bnverify.trace(built(), [X], within=0), "within: got 0; allowed: a number of standard deviations above 0"),
        (
            lambda: bnverify.trace(built(), [X], masks=[[1, 1, 1], [1, 1, 1]]),
            "masks: got 2; allowed: 1, one for each batch, or none",
        ),
        (lambda: bnverify.explain({"dtype": [1]}, X), "dtype: got [1]; allowed: float32, "),
        (lambda: bnverify.explain({"dtype": {"config": None}}, X), "dtype: got {'config': None}; allowed: float32, "),
        (lambda: bnverify.explain({"momentum": 10**400}, X), "momentum: got 1000"),
        (lambda: bnverify.explain({"axis": np.float32("inf")}, X), "axis: got "),
        (lambda: bnverify.explain({"virtual_batch_size": 2}, X), "virtual_batch_size: got 2; allowed: None"),
        (lambda: bnverify.explain({}, X, weights=3), "weights: got int; allowed: a dict by gamma, beta, "),
        (lambda: bnverify.explain({}, X, weights={"gamma": None}), "weight gamma: got None; allowed: numbers"),
        (lambda: bnverify.explain({}, X, weights={"gamma": True}), "weight gamma: got True; allowed: numbers"),
        (lambda: bnverify.explain({}, X, weights={"gamma": 10**400}), "weight gamma: got 1000"),
        (lambda: bnverify.explain({}, X, weights={"gamma": 1e300}), "weight gamma: got 1e+300; allowed: up to 3.4"),
        (lambda: bnverify.explain({}, X, mask=[0.5, 1, 0]), "mask: got 0.5; allowed: booleans, or numbers 1 and 0"),
        (
            lambda: bnverify.explain({}, np.ma.masked_less(X, 0)),
            "x: got a masked array; allowed: an array, and a separate mask",
        ),
        (lambda: bnverify.explain({}, X, expected={"mean": None}), "expected mean: got None; allowed: numbers"),
        (
            lambda: bnverify.explain({}, X, expected={"mean": [1, 2]}),
            "expected mean: got 2 values; allowed: 3, one for each channel",
        ),
        (lambda: bnverify.explain({}, X, expected=10**400), "expected y: got 1000"),
        (lambda: bnverify.explain(built(), X[None]), "x: got 3 axes; allowed: 2, because layer "),
        (lambda: bnverify.explain(keras.Sequential([built()]), X), "got a model; allowed: a built batch normalization layer"),
        (lambda: bnverify.explain(keras.layers.TimeDistributed(built()), X), "; the layer that it wraps is its .layer"),
        (lambda: bnverify.explain(keras.layers.LayerNormalization(), X), "got LayerNormalization, which has no momentum"),
        (lambda: bnverify.explain({}, keras.Input((3,))), "x: is not an array: "),
        (lambda: bnverify.trace({}, None), "batches: got None; allowed: a list of arrays"),
        (lambda: bnverify.trace({}, 5), "batches: got 5; allowed: a list of arrays"),
        (lambda: bnverify.trace({}, [X], masks=5), "masks: got 5; allowed: a list of arrays"),
        (lambda: bnverify.explain_across(None, {}, X), "rows: got None; allowed: a list of names"),
        (
            lambda: bnverify.explain_across("keras-2.15.0-tensorflow", {}, X),
            "rows: got 'keras-2.15.0-tensorflow'; allowed: a list",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(call: Any, message: str) -> None:
    """What was got, what is allowed and where; never a traceback from inside."""
    with pytest.raises(BadInput) as error:
        call()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_notebook_view(tmp_path: Path) -> None:
    """A table with every step, escaped, and the plot; no colours but marks."""
    e = bnverify.explain(trained(), X, training=True)
    html = e._repr_html_()
    for quantity in e.explanation.quantities:
        assert f"<td style='text-align:left'>{quantity.name}" in html
    assert "data:image/png;base64," in html
    assert not re.search(r"(?<!-)color:", html)
    figure = e.plot()
    assert [ax.get_title() for ax in figure.axes] == ["x", "x̂", "y"]
    dots = np.sort(np.concatenate([c.get_offsets()[:, 0] for c in figure.axes[2].collections]))
    np.testing.assert_allclose(dots, np.sort(e["y"].layer.ravel()), rtol=1e-6)


def test_text_is_text_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rich would show a table by itself, `print` still gives all of it."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert "sum((x - mean)²) / n" in str(bnverify.explain({}, X, training=True))
    assert "CONFORMS" in bnverify.check_layer(cases=["shape:1x2/steps:T"]).summary()
