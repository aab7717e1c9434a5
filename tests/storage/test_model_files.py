"""Model files: what runs code, leads elsewhere or fills the memory is refused before Keras loads it, on every Keras."""

from __future__ import annotations

import base64
import io
import json
import marshal
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.cli import Cli, assert_refused

from bnverify.errors import BadInput
from bnverify.storage.model_files import read_model_config

BN = {
    "class_name": "BatchNormalization",
    "module": "keras.layers",
    "config": {"name": "bn", "axis": -1},
    "registered_name": None,
}
MARSHALLED = base64.b64encode(marshal.dumps(compile("open('/tmp/ran', 'w')", "x", "exec"))).decode()


def model(*layers: dict[str, Any]) -> dict[str, Any]:
    named = {"name": "model", "layers": [BN, *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": named, "registered_name": None}


def layer(kind: str, module: Any = "keras.layers", registered: Any = None, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": {"name": "odd", **config}, "registered_name": registered}


def keras_file(path: Path, config: Any, **members: bytes) -> Path:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["layers/batch_normalization/vars/0"] = np.ones(3)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        archive.writestr("model.weights.h5", weights.getvalue())
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def h5_file(path: Path, config: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        file["model_weights/bn/gamma"] = np.ones(3)
    return path


FUNCTION = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}
CLEAN = {
    "plain": model(),
    "Keras 2": {
        "class_name": "Functional",
        "config": {"layers": [{"class_name": "BatchNormalization", "config": {"axis": [1]}}]},
    },
    "with initializers": model(layer("Dense", kernel_initializer=layer("GlorotUniform", "keras.initializers"))),
    "with an activation": model(layer("Dense", activation=FUNCTION)),
    "modules of 2.12": model(layer("Functional", "keras.engine.functional"), layer("Dense", "keras.src.layers.core.dense")),
    "an operation": model(layer("Add", "keras.src.ops.numpy", "Add")),
    "a loss": model(layer("Dense", loss={**FUNCTION, "module": "keras.losses", "registered_name": "relu"})),
    "nested": model(model(model(BN))),
    "TimeDistributed": model(layer("TimeDistributed", layer=layer("Dense"))),
}
HOSTILE = {
    "Lambda": (model(layer("Lambda")), "layer 'odd' is a Lambda, which runs code from the file"),
    "nested Lambda": (model(model(model(layer("Lambda")))), "layer 'odd' is a Lambda"),
    "wrapped Lambda": (model(layer("TimeDistributed", layer=layer("Lambda"))), "is a Lambda"),
    "Lambda of Keras 2": (
        {"class_name": "Sequential", "config": [{"class_name": "Lambda", "config": {"name": "odd", "function": [MARSHALLED]}}]},
        "layer 'odd' is a Lambda",
    ),
    "marshalled activation": (
        model(layer("Dense", activation={"class_name": "__lambda__", "config": {"value": MARSHALLED}})),
        "holds a pickled function",
    ),
    "function type": (model(layer("Dense", function_type="lambda", function=[MARSHALLED])), "holds a pickled function"),
    "TFOpLambda": (model(layer("TFOpLambda", function="io.write_file")), "is a TFOpLambda"),
    "TorchModuleWrapper": (model(layer("TorchModuleWrapper", module=MARSHALLED)), "is a TorchModuleWrapper"),
    "TFSMLayer": (model(layer("TFSMLayer", filepath="/etc")), "is a TFSMLayer"),
    "JaxLayer": (model(layer("JaxLayer")), "is a JaxLayer"),
    "os.system": (model(layer("system", "os")), "needs os.system, which is not part of Keras"),
    "a module beside keras": (model(layer("X", "keras_evil")), "needs keras_evil.X"),
    "a module that looks like keras": (model(layer("X", "kerasx.layers")), "needs kerasx.layers.X"),
    "keras.utils": (model(layer("get_file", "keras.utils")), "needs keras.utils.get_file"),
    "keras.src.utils": (model(layer("get_file", "keras.src.utils.file_utils")), "needs keras.src.utils.file_utils.get_file"),
    "keras.saving": (model(layer("load_model", "keras.saving")), "needs keras.saving.load_model"),
    "an activation of os": (
        model(layer("Dense", activation={**FUNCTION, "module": "os", "config": "system"})),
        "needs os.system",
    ),
    "eval": (model(layer("Dense", activation={**FUNCTION, "config": "eval"})), "calls Python's eval"),
    "a name with a dot": (model(layer("X.Lambda", "keras")), "needs keras.X.Lambda, which is not part of Keras"),
    "a class of keras.utils": (model(layer("Progbar", "keras.src.utils")), "needs keras.src.utils.Progbar"),
    "a function of keras.models": (
        model(layer("Dense", activation={**FUNCTION, "module": "keras.models", "config": "load_model"})),
        "needs keras.models.load_model",
    ),
    "a function of keras": (
        model(layer("Dense", activation={**FUNCTION, "module": "keras", "config": "utils"})),
        "needs keras.utils",
    ),
    "another registered name": (model(layer("Dense", registered="Lambda")), "needs the registered class 'Lambda'"),
    "a graph operation": (model(layer("TensorFlowOpLayer")), "is a TensorFlowOpLayer, which runs code"),
    "a module that is no text": (model(layer("X", ["os"])), "which is not part of Keras"),
    "registered": (model(layer("Mine", registered="mine>Mine")), "needs the registered class 'mine>Mine'"),
    "an own class": (model(layer("Mine", "mypackage.layers")), "needs mypackage.layers.Mine"),
    "an initializer": (model(layer("Dense", kernel_initializer=layer("run", "subprocess"))), "needs subprocess.run"),
    "deep": ("[" * 100_000, "is damaged: RecursionError"),
    "no JSON": ("{", "is damaged: JSONDecodeError"),
    "empty": ("", "is damaged: JSONDecodeError"),
}


@pytest.mark.parametrize("make", [keras_file, h5_file])
@pytest.mark.parametrize("config", CLEAN.values(), ids=CLEAN)
def test_a_clean_file(tmp_path: Path, make: Callable[[Path, Any], Path], config: Any) -> None:
    """What Keras' own layers need passes."""
    read_model_config(make(tmp_path / "model", config), "--model")


@pytest.mark.parametrize("make", [keras_file, h5_file])
@pytest.mark.parametrize(("config", "said"), HOSTILE.values(), ids=HOSTILE)
def test_code_is_refused(tmp_path: Path, make: Callable[[Path, Any], Path], config: Any, said: str) -> None:
    """The line names the file, the layer and what it holds."""
    with pytest.raises(BadInput) as refused:
        read_model_config(make(tmp_path / "model", config), "--model")
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"--model {tmp_path}/model: ")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_both(tmp_path: Path) -> None:
    """An archive behind an HDF5 file: Keras may read either, so both are checked."""
    path = h5_file(tmp_path / "both.h5", model())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", json.dumps(model(layer("Lambda"))))
    with pytest.raises(BadInput, match="is a Lambda"):
        read_model_config(path, "--model")
    other = keras_file(tmp_path / "clean.zip", model()).read_bytes()
    hostile = h5_file(tmp_path / "hostile.h5", model(layer("Lambda"))).read_bytes()
    (tmp_path / "other.h5").write_bytes(hostile + other)
    with pytest.raises(BadInput, match="is a Lambda"):
        read_model_config(tmp_path / "other.h5", "--model")


@pytest.mark.parametrize("name", ["../../etc/x", "/etc/x", "a/../../x", "..\\x"])
def test_a_member_that_leads_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="leads out of the archive"):
        read_model_config(keras_file(tmp_path / "model.keras", model(), **{name: b"x"}), "--model")


def test_bombs(tmp_path: Path) -> None:
    """A small file whose values would fill the memory is refused before they are read."""
    path = tmp_path / "model.keras"
    keras_file(path, model())
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("assets/zeros", "w", force_zip64=True) as member,
    ):
        for _ in range(400):
            member.write(bytes(1 << 20))
    with pytest.raises(BadInput, match="unpacks to 41943"):
        read_model_config(path, "--model")
    path = h5_file(tmp_path / "model.h5", model())
    with h5py.File(path, "a") as file:
        file.create_dataset("huge", shape=(1 << 40,), dtype="f4", chunks=(1 << 20,), compression="gzip")
    with pytest.raises(BadInput, match="unpacks to 4398046"):
        read_model_config(path, "--model")


def test_other_files(tmp_path: Path) -> None:
    """Links and external storage lead to other files."""
    path = h5_file(tmp_path / "linked.h5", model())
    with h5py.File(path, "a") as file:
        file["other"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(BadInput, match="is a link to another file"):
        read_model_config(path, "--model")
    path = h5_file(tmp_path / "external.h5", model())
    with h5py.File(path, "a") as file:
        file.create_dataset("outside", shape=(4,), dtype="u1", external=[("/etc/passwd", 0, 4)])
    with pytest.raises(BadInput, match="is stored in another file"):
        read_model_config(path, "--model")
    path = h5_file(tmp_path / "loop.h5", model())
    with h5py.File(path, "a") as file:
        file["model_weights/again"] = file["/"]
    read_model_config(path, "--model")


@pytest.mark.parametrize(
    "data", [b"", b"x", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(2000), os.urandom(5000)]
)
def test_damaged_files(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.keras").write_bytes(data)
    with pytest.raises(BadInput, match=r"neither a \.keras archive nor|is damaged"):
        read_model_config(tmp_path / "model.keras", "--model")


def test_a_truncated_archive(tmp_path: Path) -> None:
    whole = keras_file(tmp_path / "model.keras", model()).read_bytes()
    for length in range(0, len(whole), 97):
        (tmp_path / "cut.keras").write_bytes(whole[:length])
        with pytest.raises(BadInput):
            read_model_config(tmp_path / "cut.keras", "--model")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_real_models(cli: Cli, folder: Path, suffix: str) -> None:
    """A model with a Lambda is refused and its code does not run; with --trust-code it is loaded; one without is explained."""
    import keras

    warnings.simplefilter("ignore")  # pytest puts the filters back
    trace = folder / "ran"
    layers = [keras.Input((2,)), keras.layers.BatchNormalization(name="bn")]
    keras.Sequential(layers).save(folder / f"clean{suffix}")
    source = f"lambda x: [x, open({str(trace)!r}, 'w').close()][0]"
    keras.Sequential([*layers, keras.layers.Lambda(eval(source), name="lam")]).save(folder / f"lambda{suffix}")
    trace.unlink(missing_ok=True)
    asked = ("explain", "[[1, 2], [3, 4]]", "--layer", "bn", "--model")
    assert cli(*asked, f"clean{suffix}").code == 0
    assert_refused(
        cli(*asked, f"lambda{suffix}"), "layer 'lam' is a Lambda, which runs code from the file; --trust-code runs it"
    )
    assert not trace.exists()
    assert cli(*asked, f"lambda{suffix}", "--trust-code").code == 0
    assert trace.exists()
