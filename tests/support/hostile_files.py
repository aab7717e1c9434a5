"""Hostile model files: each tries to run code, which would write a marker file. Needs NumPy and h5py only.

`python hostile_files.py FOLDER` makes the files, lets the installed Keras load each one, and prints what ran as JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # an old Keras runs this file as a script

from support.hostile import (
    BAIT,
    OTHER,
    Config,
    Payload,
    described,
    function,
    layers,
    models,
    of_keras_2,
    sequential,
    without_modules,
)

MARKER = "BNVERIFY_HOSTILE_MARKER"  # environment variable with the marker that the bait writes


def keras_file(path: Path, config: Any, weights: bytes | None = b"", **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.8.0"}')
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        if weights is not None:
            archive.writestr("model.weights.h5", weights or _weights())
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _weights() -> bytes:
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        for at in range(4):
            file[f"layers/batch_normalization/vars/{at}"] = np.ones(2, "float32")
    return held.getvalue()


def h5_file(path: Path, config: Any, training: Any = None) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        file.attrs["keras_version"], file.attrs["backend"] = "2.15.0", "tensorflow"
        if training is not None:
            file.attrs["training_config"] = json.dumps(training)
        names = [f"bn/{name}:0" for name in ("gamma", "beta", "moving_mean", "moving_variance")]
        for name in names:
            file[f"model_weights/bn/{name}"] = np.ones(2, "float32")
        file["model_weights/bn"].attrs["weight_names"] = [name.encode() for name in names]
        file["model_weights"].attrs["layer_names"] = [b"bn"]
    return path


Make = Callable[[Path, Payload], object]


def odd_files() -> dict[str, Make]:
    """Tricks of the file itself. The names end with the suffix of the file."""
    return {
        "duplicate keys.keras": lambda path, p: keras_file(path, _twice(p, hidden_first=False)),
        "duplicate keys, hidden first.keras": lambda path, p: keras_file(path, _twice(p, hidden_first=True)),
        "duplicate keys.h5": lambda path, p: h5_file(path, _twice(p, hidden_first=False)),
        "escaped name.h5": lambda path, p: h5_file(path, _escaped(sequential(p.old_lambda()))),
        "escaped name.keras": lambda path, p: keras_file(path, _escaped(sequential(p.lambda_layer()))),
        "byte order mark.keras": lambda path, p: keras_file(path, "\ufeff" + json.dumps(sequential(p.lambda_layer()))),
        "UTF-16.h5": _utf_16,
        "two configurations.keras": _two_members,
        "config in capitals.keras": _member_in_capitals,
        "archive in an archive.keras": lambda path, p: keras_file(
            path, sequential(), **{"assets/model.keras": _bytes(keras_file, path, sequential(p.lambda_layer()))}
        ),
        "pickle in the assets.keras": lambda path, p: keras_file(path, sequential(), **{"assets/x.pkl": _pickle(p)}),
        "weights that are a pickle.keras": lambda path, p: keras_file(path, sequential(), _pickle(p)),
        "weights with a configuration.keras": lambda path, p: keras_file(
            path, sequential(), _bytes(h5_file, path, sequential(p.old_lambda()))
        ),
        "weights in .npz.keras": lambda path, p: keras_file(path, sequential(), None, **{"model.weights.npz": _npz(p)}),
        "weights in .npz, Keras 2.keras": lambda path, p: keras_file(
            path, of_keras_2(sequential()), None, **{"model.weights.npz": _npz(p)}
        ),
        "really HDF5.keras": lambda path, p: h5_file(path, without_modules(sequential(p.old_lambda()))),
        "really an archive.h5": lambda path, p: keras_file(path, sequential(p.lambda_layer())),
        "HDF5 before an archive.keras": lambda path, p: path.write_bytes(
            _bytes(h5_file, path, sequential(p.old_lambda())) + _bytes(keras_file, path, sequential())
        ),
        "an archive behind HDF5.h5": lambda path, p: path.write_bytes(
            _bytes(h5_file, path, sequential()) + _bytes(keras_file, path, sequential(p.lambda_layer()))
        ),
        "HDF5 behind an archive.keras": _behind,
        "configuration as a dataset.h5": _dataset,
        "configuration as bytes.h5": lambda path, p: _attribute(path, np.bytes_(json.dumps(sequential(p.old_lambda())))),
        "configuration as a list.h5": lambda path, p: _attribute(path, [json.dumps(sequential(p.old_lambda()))]),
        "no configuration.h5": lambda path, p: _attribute(path, None),
        "training configuration.h5": lambda path, p: h5_file(
            path, without_modules(sequential()), {"loss": function(BAIT, "loss"), "optimizer_config": p.old_lambda()}
        ),
        "link to another file.h5": _linked,
        "link within the file.h5": _linked_within,
        "pickle.h5": lambda path, p: path.write_bytes(_pickle(p)),
        "pickle.keras": lambda path, p: path.write_bytes(_pickle(p)),
        "folder.keras": _folder,
        "saved model.keras": _saved_model,
    }


def _twice(payload: Payload, *, hidden_first: bool) -> str:
    clean, hostile = (json.dumps(sequential(*extra)) for extra in ((), (payload.lambda_layer(),)))
    inner = (hostile, clean) if hidden_first else (clean, hostile)
    parts = [text[1:-1] for text in inner]
    return "{" + ", ".join(parts) + "}"


def _escaped(config: Config) -> str:
    return json.dumps(config).replace("Lambda", "\\u004c\\u0061mbda")


def _bytes(make: Callable[..., Any], path: Path, config: Config) -> bytes:
    part = path.with_name(path.name + ".part")
    make(part, config)
    data = part.read_bytes()
    part.unlink()
    return data


def _utf_16(path: Path, payload: Payload) -> None:
    _attribute(path, np.void(json.dumps(sequential(payload.old_lambda())).encode("utf-16")))


def _attribute(path: Path, value: Any) -> None:
    h5_file(path, sequential())
    with h5py.File(path, "a") as file:
        del file.attrs["model_config"]
        if value is not None:
            file.attrs["model_config"] = value


def _two_members(path: Path, payload: Payload) -> None:
    keras_file(path, sequential(payload.lambda_layer()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("config.json", json.dumps(sequential()))


def _member_in_capitals(path: Path, payload: Payload) -> None:
    keras_file(path, sequential())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("CONFIG.JSON", json.dumps(sequential(payload.lambda_layer())))


def _behind(path: Path, payload: Payload) -> None:
    """An archive at the front, and HDF5 at an offset where its signature is looked for."""
    front = _bytes(keras_file, path, sequential())
    user_block = 1 << max(9, len(front).bit_length())
    with h5py.File(path, "w", userblock_size=user_block) as file:
        file.attrs["model_config"] = json.dumps(sequential(payload.old_lambda()))
    with path.open("r+b") as file:
        file.write(front)


def _dataset(path: Path, payload: Payload) -> None:
    _attribute(path, None)
    with h5py.File(path, "a") as file:
        file["model_config"] = json.dumps(sequential(payload.old_lambda()))


def _linked(path: Path, payload: Payload) -> None:
    other = path.with_name("linked.other")
    h5_file(other, sequential(payload.old_lambda()))
    h5_file(path, sequential())
    with h5py.File(path, "a") as file:
        del file["model_weights"]
        file["model_weights"] = h5py.ExternalLink(str(other), "/model_weights")


def _linked_within(path: Path, payload: Payload) -> None:
    h5_file(path, sequential(payload.old_lambda()))
    with h5py.File(path, "a") as file:
        file["again"] = h5py.SoftLink("/model_weights")


def _folder(path: Path, payload: Payload) -> None:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(sequential(payload.lambda_layer())), encoding="utf-8")
    (path / "metadata.json").write_text("{}", encoding="utf-8")


def _saved_model(path: Path, payload: Payload) -> None:
    path.mkdir()
    (path / "saved_model.pb").write_bytes(_pickle(payload))
    (path / "keras_metadata.pb").write_bytes(json.dumps(sequential(payload.old_lambda())).encode())


class _Touches:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def _pickle(payload: Payload) -> bytes:
    return pickle.dumps(_Touches(payload.marker))


def _npz(payload: Payload) -> bytes:
    held = io.BytesIO()
    np.savez(held, **{"layers/batch_normalization": np.array([_Touches(payload.marker)], object)})
    return held.getvalue()


def pickled_arrays(folder: Path) -> dict[Path, Path]:
    """Writes files of arrays with pickled objects into a folder; the marker of each file."""
    (folder / "ran").mkdir(parents=True)
    files = {folder / name: folder / "ran" / name for name in ("objects.npy", "fields.npy", "pickle.npy", "objects.npz")}
    for path, marker in files.items():
        held = np.array([_Touches(marker)], object)
        if path.name == "objects.npz":
            np.savez(path, gamma=held)
        elif path.name == "pickle.npy":
            path.write_bytes(_pickle(Payload(marker)))
        else:
            kind = [("a", "f4"), ("b", object)] if path.name == "fields.npy" else object
            np.save(path, np.array([(1.0, held[0])] if path.name == "fields.npy" else held, dtype=kind), allow_pickle=True)
    return files


def hostile_files(folder: Path) -> dict[Path, Path]:
    """Writes every hostile file into a folder, with the module that some of them import; the marker of each file."""
    (folder / "ran").mkdir(parents=True)
    code = f"import os\nopen(os.environ[{MARKER!r}], 'w').close()\n"
    (folder / f"{BAIT}.py").write_text(code, encoding="utf-8")
    h5_file(folder / OTHER, sequential(described("Layer", BAIT, {"name": "odd"})))
    made = {}
    for name, make in {**_files_of(layers, sequential), **_files_of(models, lambda config: config), **odd_files()}.items():
        path = folder / name
        made[path] = folder / "ran" / name.replace(" ", "_")
        make(path, Payload(made[path]))
    return made


def _files_of(tricks: Callable[[Payload], Iterator[tuple[str, Config]]], model: Callable[[Config], Config]) -> dict[str, Make]:
    """Files for each trick: .keras and .h5, with and without modules, for Keras 3 and Keras 2."""

    def maker(name: str, write: Callable[[Path, Config], object], change: Callable[[Any], Any] = lambda config: config) -> Make:
        return lambda path, payload: write(path, change(model(dict(tricks(payload))[name])))

    found = {}
    for name, _ in tricks(Payload(Path("x"))):
        found[f"{name}.keras"] = maker(name, keras_file)
        found[f"{name}.h5"] = maker(name, h5_file)
        found[f"{name}, no modules.h5"] = maker(name, h5_file, without_modules)
        found[f"{name}, Keras 2.keras"] = maker(name, keras_file, of_keras_2)
        found[f"{name}, Keras 2.h5"] = maker(name, h5_file, lambda config: of_keras_2(without_modules(config)))
    return found


def ran(files: dict[Path, Path], load: Callable[[Path], object]) -> list[str]:
    """The names of the files whose code runs when they are loaded."""
    found = []
    for path, marker in files.items():
        os.environ[MARKER] = str(marker)
        sys.modules.pop(BAIT, None)
        with contextlib.suppress(Exception, SystemExit):
            load(path)
        if marker.exists():
            marker.unlink()
            found.append(path.name)
    os.environ.pop(MARKER, None)
    return found


def load_and_call(path: Path) -> None:
    """What a user of plain Keras does."""
    import keras

    keras.models.load_model(path if path.suffix == ".keras" else str(path))(np.ones((2, 2), "float32"))


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    made = hostile_files(Path(sys.argv[1]).resolve())
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        found = ran(made, load_and_call)
    print(json.dumps(found))
