"""`bnverify explain`: numbers in JSON and in files, a layer's arguments, weights and model, and a line for each mistake."""

from __future__ import annotations

import json
import re
import shlex
import warnings
from pathlib import Path

import numpy as np
import pytest
from support.cli import ROOT, Cli, assert_refused
from support.hostile import sequential
from support.hostile_files import keras_file

import bnverify

SCALE_ALONE = '{"gamma": [0.80644524], "moving_mean": [0.05885344], "moving_variance": [0.91000736]}'


def test_a_call_is_explained(cli: Cli) -> None:
    """The same text as from Python; exit code 0, as the layer conforms."""
    ended = cli("explain", "[[1, 2], [5, 4]]", "--training", "true")
    assert ended.code == 0
    said = str(bnverify.explain({}, [[1, 2], [5, 4]], training=True))
    assert ended.out.split() == said.split()


def test_every_way_to_say_numbers(cli: Cli, tmp_path: Path) -> None:
    """JSON on the line and in a file, .npy, .csv and .txt give the same."""
    x = np.array([[1.5, 2.0], [5.0, -4.0]])
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    (tmp_path / "x.json").write_text(json.dumps(x.tolist()))
    np.savetxt(tmp_path / "x.csv", x, delimiter=",")
    np.savetxt(tmp_path / "x.txt", x)
    said = {
        cli("explain", given).out for given in (json.dumps(x.tolist()), *(str(tmp_path / f"x.{s}") for s in ("npy", "json")))
    }
    assert len(said) == 1
    tables = {cli("explain", str(tmp_path / f"x.{suffix}")).out.split("axes", 1)[1] for suffix in ("npy", "csv", "txt")}
    assert len(tables) == 1  # text files hold float64


def test_arguments_and_weights(cli: Cli, tmp_path: Path) -> None:
    """As fields of an id, as JSON, as what get_config() or a model file holds; weights as JSON and .npz."""
    import keras

    layer = keras.layers.BatchNormalization(center=False, epsilon=0.01, name="b")
    layer.build((None, 2, 1))
    (tmp_path / "layer.json").write_text(json.dumps(layer.get_config()))
    (tmp_path / "whole.json").write_text(
        json.dumps({"class_name": "BatchNormalization", "config": {"center": False, "epsilon": 0.01}})
    )
    weights = {name: np.array(value) for name, value in json.loads(SCALE_ALONE).items()}
    np.savez(tmp_path / "weights.npz", **weights)
    configs = (
        "center:False/epsilon:0.01",
        '{"center": false, "epsilon": 0.01}',
        f"{tmp_path}/layer.json",
        f"{tmp_path}/whole.json",
    )
    said = set()
    for config in configs:
        for given in (SCALE_ALONE, f"{tmp_path}/weights.npz"):
            ended = cli("explain", "[[[1], [5]]]", "--config", config, "--weights", given)
            assert ended.code == 0
            said.add(ended.out)
    assert len(said) == 1
    assert "epsilon = 0.01 is added" in said.pop()


def test_a_layer_out_of_a_model(cli: Cli, tmp_path: Path) -> None:
    """By its name, also inside a nested model; its weights are the file's."""
    import keras

    warnings.simplefilter("ignore")  # pytest puts the filters back
    inner = keras.Sequential([keras.layers.Input((3,)), keras.layers.BatchNormalization(name="inner")])
    model = keras.Sequential([keras.layers.Input((3,)), inner, keras.layers.Dense(2, name="d")])
    model.get_layer(inner.name).get_layer("inner").moving_mean.assign([1.0, 2.0, 3.0])
    model.save(tmp_path / "m.keras")
    ended = cli("explain", "[[1, 2, 3], [4, 5, 6]]", "--model", f"{tmp_path}/m.keras", "--layer", "inner")
    assert ended.code == 0
    assert re.search(r"^mean +the layer's moving_mean +1 2 3 ", ended.out, re.MULTILINE)
    assert ended.out.startswith("inner · Keras ")
    other = cli("explain", "[[[1, 2, 3]]]", "--model", f"{tmp_path}/m.keras", "--layer", "inner")
    assert_refused(other, "x: got 3 axes; allowed: 2, because layer inner was built for 2")
    for name, line in (
        ("outer", "its batch normalizations: inner"),
        ("d", "--layer 'd': is of the class Dense, not BatchNormalization"),
    ):
        assert_refused(cli("explain", "[[1, 2, 3]]", "--model", f"{tmp_path}/m.keras", "--layer", name), line)


def test_what_was_expected(cli: Cli) -> None:
    """The question of 2019, answered on the command line."""
    ended = cli("explain", "[[[1], [5]]]", "--config", "center:False", "--weights", SCALE_ALONE, "--expected", "[[[-1], [1]]]")
    assert ended.code == 0
    line = "expected y: exactly these numbers result if the batch statistics normalize (as in training) and "
    assert line + "epsilon is left out and gamma is not applied" in " ".join(ended.out.split())
    ended = cli("explain", "[[1, 2], [5, 4]]", "--training", "true", "--expected", '{"mean": [1.5, 4.5]}')
    assert "expected mean: exactly these numbers result if the statistics are computed over axis 1, " in ended.out


@pytest.mark.slow
def test_a_mask_and_another_keras(cli: Cli, tmp_path: Path) -> None:
    """A mask on the line, and the layer made in an environment of the matrix."""
    ended = cli("explain", "[[[1, 2], [3, 4]]]", "--mask", "[[true, false]]", "--training", "true")
    assert "n is 1 value\n" in ended.out
    ended = cli("explain", "[[1, 2], [3, 4]]", "--row", "keras-2.15.0-tensorflow")
    assert "Keras 2.15.0" in ended.out
    path = keras_file(tmp_path / "model.keras", sequential())
    ended = cli("explain", "[[1, 2], [3, 4]]", "--model", path, "--layer", "bn", "--row", "keras-2.15.0-tensorflow")
    assert ended.out.startswith("bn · Keras 2.15.0 ")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x.npy", "X x.npy: No such file or directory"),
        ("'[1, 2'", "X '[1, 2': is not JSON: "),
        (
            "foo.dat",
            "X 'foo.dat': is neither JSON nor a readable file; allowed: numbers as [[1, 2], [5, 4]], or a .npy",
        ),
        ("broken.npy", "X broken.npy: cannot be read: "),
        ("broken.npz", "X broken.npz: cannot be read: "),
        ("empty.csv", "x: got shape "),
        ("'[[1, 2]]' --weights array.npz", "--weights 'array.npz': has no named values; allowed: "),
        ("'[[1, 2]]' --config '{\"dtype\": [1]}'", "dtype: got [1]; allowed: float32, "),
        (f"'[[1, {'9' * 5000}]]'", "is not JSON: Exceeds the limit"),
        ("words.csv", "X words.csv: cannot be read: "),
        ("good.npz", "X 'good.npz': has named values; allowed: numbers as "),
        ("objects.npy", "X objects.npy: cannot be read: "),
        (".", "X '.': is neither JSON nor a readable file"),
        ("folder.npy", "X folder.npy: Is a directory"),
        ("'[[1, \"a\"]]'", "x: got <U21 of shape (1, 2); allowed: numbers of "),
        ("'[1, [2]]'", "x: is not an array: "),
        ("'[1, 2]'", "x: got shape (2,); allowed: two axes or more"),
        ("'[[1, 2]]' --config axs:1", "--config 'axs:1': 'axs:1' is not field:value with a field of axis, momentum, "),
        ("'[[1, 2]]' --config axis:5", "axis: got 5; allowed for x of shape (1, 2): -2 to 1"),
        ("'[[1, 2]]' --config '{\"axis\": \"a\"}'", "axis: got 'a'; allowed: an integer, or a list of different integers"),
        ("'[[1, 2]]' --config list.json", "--config 'list.json': has no layer config; allowed: axis:1/epsilon:1e-05, "),
        (
            "'[[1, 2]]' --config dense.json",
            "--config 'dense.json': is the config of 'Dense'; allowed: the config of a BatchNormalization",
        ),
        ("'[[1, 2]]' --config no.json", "--config no.json: No such file or directory"),
        ("'[[1, 2]]' --weights '[1]'", "--weights '[1]': has no named values; allowed: "),
        ("'[[1, 2]]' --weights '{\"gama\": 1}'", "weight 'gama' is not a weight of this layer; allowed: gamma, beta, "),
        ("'[[1, 2]]' --weights '{\"gamma\": [1, 2, 3]}'", "gamma of shape (3,) does not fit x: x has 2 channels along axis -1"),
        ("'[[1, 2]]' --model m.keras", "--model and --layer must be given together"),
        ("'[[1, 2]]' --model no.keras --layer b", "--model no.keras: no such file"),
        ("'[[1, 2]]' --model list.json --layer b", "--model list.json: is neither a .keras archive nor an HDF5 file"),
        (
            "'[[1, 2]]' --model m.keras --layer b --config axis:1",
            "--config cannot be used with --model: the layer keeps the arguments and weights of its model",
        ),
        (
            "'[[1, 2]]' --model m.keras --layer b --row keras-2.15.0-tensorflow --trust-code",
            "--trust-code cannot be used with --row: the Keras of this process loads the model",
        ),
        ("'[[1, 2]]' --backend foo", "--backend 'foo' is unknown; allowed: tensorflow, jax, torch, numpy, openvino"),
        ("'[[1, 2]]' --row keras-9", "row 'keras-9' is unknown"),
        (
            "'[[1, 2]]' --row keras-2.15.0-tensorflow --backend jax",
            "--backend cannot be used with --row: the row has its own backend",
        ),
        ("'[[1, 2]]' --expected '[1]'", "expected y: got shape (1,); allowed: the shape of x, (1, 2)"),
        ("'[[1, 2]]' --mask '[1, 1]'", "mask: got shape (2,); allowed for x of shape (1, 2): (1,)"),
        ("'[[1, 2]]' --training maybe", "'maybe' is not one of 'true', 'false'"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, says: str) -> None:
    """What was got, what is allowed and where; exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.npy").write_bytes(b"nothing")
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    (tmp_path / "empty.csv").touch()
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.ones(3))
    (tmp_path / "words.csv").write_text("one,two\n")
    (tmp_path / "folder.npy").mkdir()
    np.savez(tmp_path / "good.npz", x=np.ones((2, 2)))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "dense.json").write_text('{"class_name": "Dense", "config": {"units": 3}}')
    if "--row" in line:
        monkeypatch.chdir(ROOT)
    assert_refused(cli("explain", *shlex.split(line)), says)
