"""A batch normalization in a model file: what is read is what Keras wrote, in each format, on each Keras."""

from __future__ import annotations

import io
import json
import warnings
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.hostile import sequential, without_modules
from support.hostile_files import h5_file, keras_file

from bnverify.errors import BadInput
from bnverify.explaining.model_layer import read_layer
from bnverify.matrix.environments import NoInterpreter
from bnverify.matrix.open_rows import run_code

# Makes a model with batch normalizations in nested models and in a wrapper, and writes their weights beside it.
MAKE = """
import json, sys, warnings
import numpy as np
import keras
warnings.simplefilter("ignore")
L = keras.layers
start = keras.Input((4, 3))
inner = keras.Sequential([L.Dense(3), L.BatchNormalization(name="b"), L.BatchNormalization(axis=1, scale=False, name="b2")])
x = L.BatchNormalization(name="a", epsilon=0.5)(start)
x = inner(L.Dense(3)(x))
other = keras.Input((4, 3))
x = keras.Model(other, L.Dense(3)(L.BatchNormalization(name="deep")(other)))(x)
x = L.TimeDistributed(L.BatchNormalization(name="c"))(x)
x = L.BatchNormalization(name="frozen", center=False, trainable=False)(x)
y = L.BatchNormalization(name="second")(L.Dense(3)(start))
model = keras.Model(start, L.Add()([x, L.Dense(3)(y)]))
rng = np.random.default_rng(0)
for weight in model.weights:
    weight.assign(rng.random(weight.shape))
held = {}
for layer in model._flatten_layers(include_self=False):
    if isinstance(layer, L.BatchNormalization):
        names = [weight.name.split("/")[-1].split(":")[0] for weight in layer.weights]
        held[layer.name] = {name: np.asarray(weight).tolist() for name, weight in zip(names, layer.weights)}
for file in FILES:
    model.save(file)
print(json.dumps(held))
"""
NAMES = {"a", "b", "b2", "deep", "c", "frozen", "second"}


def assert_read(path: Path, held: dict[str, Any]) -> None:
    """Every layer is read with its own arguments, and weights equal to those that Keras held."""
    assert set(held) == NAMES
    for name, weights in held.items():
        layer = read_layer(str(path), name)
        assert {each: values.tolist() for each, values in layer.weights.items()} == weights
        assert layer.arguments["epsilon"] == (0.5 if name == "a" else 0.001)
        assert layer.arguments["trainable"] is (name != "frozen")
    assert list(read_layer(str(path), "b2").weights) == ["beta", "moving_mean", "moving_variance"]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_what_keras_wrote(tmp_path: Path, keras: Any, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    with warnings.catch_warnings():
        exec(MAKE, {"FILES": [str(path)]})
    assert_read(path, json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert read_layer(str(path), "c").rank == 2


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(
    ("row", "suffixes"),
    [
        ("keras-3.12.4-tensorflow", (".keras", ".h5")),
        ("keras-3.8.0-tensorflow", (".keras", ".h5")),
        ("keras-3.0.0-tensorflow", (".keras",)),  # it cannot save this model as .h5
        ("keras-2.15.0-tensorflow", (".keras", ".h5")),
        ("keras-2.12.0-tensorflow", (".keras", ".h5")),
        ("keras-2.4.3-tensorflow", (".h5",)),
    ],
)
def test_what_an_older_keras_wrote(tmp_path: Path, row: str, suffixes: tuple[str, ...]) -> None:
    files = [tmp_path / f"model{suffix}" for suffix in suffixes]
    try:
        out = run_code(row, f"FILES = {list(map(str, files))!r}\n{MAKE}")
    except NoInterpreter as missing:
        pytest.skip(str(missing))
    for path in files:
        assert_read(path, json.loads(out.splitlines()[-1]))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_half_precision(tmp_path: Path, keras: Any, suffix: str) -> None:
    """bfloat16 is stored in two bytes, which HDF5 has no format for."""
    for policy in ("bfloat16", "float16"):
        model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(name="bn", dtype=policy)])
        model.get_layer("bn").moving_mean.assign([1.5, -2.0, 0.25])
        path = tmp_path / f"{policy}{suffix}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save(path)
        layer = read_layer(str(path), "bn")
        assert layer.weights["moving_mean"].tolist() == [1.5, -2.0, 0.25]
        assert layer.weights["gamma"].tolist() == [1.0, 1.0, 1.0]


def test_two_layers_of_one_name(tmp_path: Path) -> None:
    """Which one is meant is not known; a layer that two models share is one layer."""
    bn = sequential()["config"]["layers"][1]
    changed = {**bn, "config": {**bn["config"], "epsilon": 0.25}}
    path = keras_file(tmp_path / "model.keras", sequential(changed), two_layers())
    with pytest.raises(BadInput, match="--layer 'bn': the model has 2 different layers of that name"):
        read_layer(str(path), "bn")
    again = {**bn, "inbound_nodes": [1]}
    path = keras_file(tmp_path / "shared.keras", sequential(sequential(again)))
    assert read_layer(str(path), "bn").weights["gamma"].tolist() == [1.0, 1.0]


def two_layers() -> bytes:
    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        for name in ("batch_normalization", "batch_normalization_1"):
            for at in range(4):
                file[f"layers/{name}/vars/{at}"] = np.ones(2, "float32")
    return data.getvalue()


def test_weights_of_another_name(tmp_path: Path) -> None:
    """Numbers alone do not decide: a file that names its layers must name this one."""
    data = io.BytesIO(two_layers())
    with h5py.File(data, "a") as file:
        file["layers/batch_normalization/vars"].attrs["name"] = "other"
    path = keras_file(tmp_path / "model.keras", sequential(), data.getvalue())
    with pytest.raises(BadInput, match="its weights of layer 'bn' are not where Keras' own layers have them; --trust-code"):
        read_layer(str(path), "bn")


def chunked(file: Any, name: str) -> None:
    """A block of 1 MiB that unpacks to 64 MiB."""
    values = file.create_dataset(name, shape=(2,), maxshape=(None,), chunks=(1 << 18,), dtype="f4", compression="gzip")
    values.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 26)))


UNFIT = {
    "compressed": (chunked, "is compressed, or stored in parts or in another file"),
    "texts": (lambda file, name: file.create_dataset(name, data=np.array([b"a", b"b"])), "holds |S1, not numbers"),
    "too many": (
        lambda file, name: file.create_dataset(name, shape=((1 << 23) + 1,), dtype="f4"),
        "has 8388609 values; allowed: 8388608",
    ),
    "a group": (lambda file, name: file.create_group(name), "its weights of layer 'bn' are not where"),
    "missing": (lambda file, name: None, "its weights of layer 'bn' are not where"),
    "a soft link": (
        lambda file, name: file.__setitem__(name, h5py.SoftLink("/model_weights/bn/bn/beta:0")),
        "its weights of layer 'bn' are not where",
    ),
}


@pytest.mark.parametrize(("make", "said"), UNFIT.values(), ids=UNFIT)
def test_unfit_weights(tmp_path: Path, make: Any, said: str) -> None:
    """Only plain numbers are read."""
    path = h5_file(tmp_path / "model.h5", without_modules(sequential()))
    assert read_layer(str(path), "bn").weights["gamma"].tolist() == [1.0, 1.0]
    with h5py.File(path, "a") as file:
        del file["model_weights/bn/bn/gamma:0"]
        make(file, "model_weights/bn/bn/gamma:0")
    with pytest.raises(BadInput) as refused:
        read_layer(str(path), "bn")
    assert said in str(refused.value)
    assert "--trust-code lets Keras load the whole file" in str(refused.value)


def test_layers_that_are_not_there(tmp_path: Path) -> None:
    """A name that the model lacks, a layer of another class, no model, and no file."""
    path = str(keras_file(tmp_path / "model.keras", sequential()))
    for name, said in {
        "b": "the model has no layer of that name; its batch normalizations: bn",
        "start": "is of the class InputLayer, not BatchNormalization",
    }.items():
        with pytest.raises(BadInput, match=f"--layer '{name}': {said}"):
            read_layer(path, name)
    for name, config in {"list": [1, {"class_name": "Dense"}], "number": 1, "layers": {"config": {"layers": {"a": 1}}}}.items():
        with pytest.raises(BadInput, match="its batch normalizations: none"):
            read_layer(str(keras_file(tmp_path / f"{name}.keras", config)), "bn")
    with pytest.raises(BadInput, match="no such file"):
        read_layer(str(tmp_path), "bn")
