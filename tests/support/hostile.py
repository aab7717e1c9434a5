"""Configurations of models that try to run code, which would write a marker file. Needs the standard library only."""

from __future__ import annotations

import codecs
import json
import marshal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Config = dict[str, Any]
BAIT = "bait_of_hostile_files"  # a module beside the files; its import writes the marker
OTHER = "other.h5"  # a model beside the files, which imports the bait


def described(kind: str, module: str | None, config: Any, registered: Any = None, **more: Any) -> Config:
    return {"module": module, "class_name": kind, "config": config, "registered_name": registered, **more}


def function(module: str, name: str, registered: Any = "function") -> Config:
    return described("function", module, name, registered)


class Payload:
    """What a file tries to run: it writes the marker of that file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker
        source = f"lambda x, *given: [x, open({str(marker)!r}, 'w').close()][0]"
        self.code = codecs.encode(marshal.dumps(eval(source).__code__), "base64").decode("ascii")
        self.shell = f": > {marker}"
        self.python = f"open({str(marker)!r}, 'w').close()"
        self.marshalled = {"class_name": "__lambda__", "config": {"value": [self.code, None, None]}}
        self.of_layer = {"class_name": "__lambda__", "config": {"code": self.code, "defaults": None, "closure": None}}

    def lambda_layer(self, kind: str = "Lambda", module: str = "keras.layers", registered: Any = None) -> Config:
        given = {"name": "odd", "function": self.of_layer, "arguments": {}}
        return described(kind, module, given, registered)

    def old_lambda(self) -> Config:
        """As Keras 2 writes it."""
        given = {"name": "odd", "function": [self.code, None, None], "function_type": "lambda", "module": "__main__"}
        shape = {"output_shape": None, "output_shape_type": "raw", "output_shape_module": None}
        return {"class_name": "Lambda", "config": {**given, **shape}}


def dense(**given: Any) -> Config:
    return described("Dense", "keras.layers", {"name": "odd", "units": 2, **given})


def wrapped(kind: str, inner: Config) -> Config:
    return described(kind, "keras.layers", {"name": "wrapper", "layer": inner})


def sequential(*layers: Config) -> Config:
    """A model with a batch normalization `bn` and further layers."""
    start, bn = _start(), _bn(name="bn")
    return described("Sequential", "keras", {"name": "model", "layers": [start, bn, *layers]})


def _start() -> Config:
    return described("InputLayer", "keras.layers", {"batch_shape": [None, 2], "dtype": "float32", "name": "start"})


def _bn(**given: Any) -> Config:
    given = {"name": "bn2", "axis": -1, **given}
    return described("BatchNormalization", "keras.layers", given, build_config={"input_shape": [None, 2]})


def called(layer: Config, *arguments: Any, **options: Any) -> Config:
    """A functional model whose configuration calls a "layer" with these constants."""
    history = ["start", 0, 0]
    tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None, 2], "dtype": "float32", "keras_history": history}}
    graph = [
        {**_start(), "name": "start", "inbound_nodes": []},
        {**_bn(name="bn"), "name": "bn", "inbound_nodes": [{"args": [tensor], "kwargs": {}}]},
        {**layer, "name": "odd", "inbound_nodes": [{"args": list(arguments), "kwargs": options}]},
    ]
    return _functional(graph)


def called_in_keras_2(layer: Config, first: Any, **options: Any) -> Config:
    """The same as Keras 2 writes it."""
    graph = [
        {**_start(), "name": "start", "inbound_nodes": []},
        {**_bn(name="bn"), "name": "bn", "inbound_nodes": [[["start", 0, 0, {}]]]},
        {**layer, "name": "odd", "inbound_nodes": [["_CONSTANT_VALUE", -1, first, options]]},
    ]
    return _functional(graph)


def _functional(graph: list[Config]) -> Config:
    ends = {"input_layers": [["start", 0, 0]], "output_layers": [["bn", 0, 0]]}
    return described("Model", "keras", {"name": "model", "trainable": True, "layers": graph, **ends})


def layers(payload: Payload) -> Iterator[tuple[str, Config]]:
    """Code in a layer, by the name of the trick."""
    odd = payload.lambda_layer()
    yield "lambda", odd
    yield "lambda of Keras 2", payload.old_lambda()
    yield "lambda without a module", {"class_name": "Lambda", "config": odd["config"]}
    yield "lambda of keras.src", payload.lambda_layer(module="keras.src.layers.core.lambda_layer", registered="Lambda")
    yield "lambda with a dotted name", payload.lambda_layer("layers.Lambda", "keras")
    yield "lambda by its registered name", payload.lambda_layer("Dense2", "keras.src.layers.core.lambda_layer", "Lambda")
    yield "lambda of tf_keras", payload.lambda_layer(module="tf_keras.layers")
    yield "lambda of another path", payload.lambda_layer(module="keras._tf_keras.keras.layers")
    yield "lambda in capitals", payload.lambda_layer("LAMBDA")
    yield "lambda in full width letters", payload.lambda_layer("\uff2cambda")
    yield "lambda with a space", payload.lambda_layer("Lambda ")
    yield "lambda in a model", sequential(odd)
    yield "lambda in a model in a model", sequential(sequential(odd))
    yield "lambda of Keras 2 in a model", sequential(payload.old_lambda())
    yield "lambda in TimeDistributed", wrapped("TimeDistributed", odd)
    yield "lambda of Keras 2 in TimeDistributed", without_modules(wrapped("TimeDistributed", payload.old_lambda()))
    yield "lambda in Bidirectional", wrapped("Bidirectional", odd)
    yield "lambda as a cell", described("RNN", "keras.layers", {"name": "rnn", "cell": odd})
    yield "lambda of os.system", described("Lambda", "keras.layers", {"name": "odd", "function": function("os", "system")})
    yield "function of a lambda", described("Lambda", "keras.layers", {"name": "odd", "function": payload.marshalled})
    yield "custom layer", described("Layer", BAIT, {"name": "odd"}, "mine>Layer")
    yield "custom layer without a registered name", described("Layer", BAIT, {"name": "odd"})
    yield "a module of bytes", described("Layer", BAIT, {"name": "odd"}, ["Layer"])
    yield "torch module", described("TorchModuleWrapper", "keras.layers", {"name": "odd", "module": payload.code})
    yield "saved model", described("TFSMLayer", "keras.layers", {"name": "odd", "filepath": "saved", "call_endpoint": "serve"})
    yield (
        "saved model by its registered name",
        described("X", "keras.src.export.tfsm_layer", {"filepath": "saved"}, "TFSMLayer"),
    )
    yield "jax layer", described("JaxLayer", "keras.layers", {"name": "odd", "call_fn": payload.marshalled})
    for name, value in _functions(payload):
        yield f"activation: {name}", dense(activation=value)
    yield "initializer", dense(kernel_initializer=payload.marshalled)
    yield "initializer of a module", dense(kernel_initializer=described("Zeros", BAIT, {}))
    yield "regularizer", dense(kernel_regularizer=payload.marshalled)
    yield "regularizer of a module", dense(activity_regularizer=described("L2", BAIT, {}, "mine>L2"))
    yield "constraint", dense(kernel_constraint=payload.marshalled)
    yield "initializer of the layer", _bn(gamma_initializer=payload.marshalled)
    yield "initializer of the layer, of a module", _bn(beta_initializer=described("Zeros", BAIT, {}))
    yield "regularizer of the layer, of a module", _bn(gamma_regularizer=described("L2", BAIT, {}))
    yield "constraint of the layer, of a module", _bn(beta_constraint=described("NonNeg", BAIT, {}))
    yield "dtype of the layer, of a module", _bn(dtype=described("DTypePolicy", BAIT, {"name": "float32"}))
    yield "axis of the layer, of a module", _bn(axis=described("Axis", BAIT, {}))
    yield "type of a tensor", dense(activation={**described("__typespec__", BAIT, []), "spec_name": "Spec"})
    yield "build_config", {**dense(), "build_config": {"input_shape": described("Shape", BAIT, {})}}
    yield "compile_config of a layer", {**dense(), "compile_config": {"loss": function(BAIT, "loss")}}
    yield "standardize", described("TextVectorization", "keras.layers", {"name": "odd", "standardize": payload.marshalled})


def _functions(payload: Payload) -> Iterator[tuple[str, Config]]:
    yield "marshalled", payload.marshalled
    yield "bait", function(BAIT, "relu")
    yield "bait of no type", described("function", BAIT, "relu", None)
    yield "os", function("os", "system")
    yield "eval", function("builtins", "eval")
    yield "eval by its registered name", function("builtins", "relux", "eval")


def of_keras_2(config: Any) -> Any:
    """A configuration whose input layer Keras 2 understands."""
    if isinstance(config, dict):
        return {"batch_input_shape" if name == "batch_shape" else name: of_keras_2(value) for name, value in config.items()}
    return [of_keras_2(value) for value in config] if isinstance(config, list) else config


def without_modules(config: Any) -> Any:
    """A configuration as legacy files have it."""
    if isinstance(config, dict):
        left = {name: without_modules(value) for name, value in config.items() if name not in ("module", "registered_name")}
        return {**left, **({"module": config["module"]} if "function_type" in config else {})}
    return [without_modules(value) for value in config] if isinstance(config, list) else config


def models(payload: Payload) -> Iterator[tuple[str, Config]]:
    """Code that the configuration of a model calls, by the name of the trick."""
    folder = payload.marker.parent
    copied = {"fname": payload.marker.name, "cache_dir": str(folder), "cache_subdir": "."}
    copied["origin"] = f"file://{folder.parent}/{BAIT}.py"
    text = json.dumps(sequential(described("Layer", BAIT, {"name": "odd"})))
    system, opened = function("os", "system"), function("io", "open")
    yield "call of os.system", called(system, payload.shell)
    yield "call of posix.system", called(function("posix", "system", "system"), payload.shell)
    yield "call of subprocess", called(function("subprocess", "getoutput"), payload.shell)
    yield "call of exec", called(function("builtins", "exec"), payload.python)
    yield "call of exec by its registered name", called(function("builtins", "relux", "exec"), payload.python)
    yield "call of open", called(opened, str(payload.marker), "w")
    for name, helper in {
        "get_file": function("keras.utils", "get_file"),
        "get_file with a dotted name": function("keras", "utils.get_file"),
        "get_file of another path": function("keras._tf_keras.keras.utils", "get_file"),
        "get_file of keras.src": function("keras.src.utils.file_utils", "get_file"),
        "get_file by its registered name": function("keras.src.utils.file_utils", "x", "get_file"),
        "get_file of a module that imports it": function("keras.src.applications.imagenet_utils", "x", "get_file"),
    }.items():
        yield f"call of {name}", called(helper, **copied)
    yield "call of a class", called(described("Popen", "subprocess", {}), payload.shell, shell=True)
    yield "call of model_from_json", called(function("keras.models", "model_from_json"), text)
    yield "call of model_from_json in keras.src", called(function("keras.src.models.model", "model_from_json"), text)
    yield "call of load_model", called(function("keras.models", "load_model"), str(folder.parent / OTHER))
    write = {"name": "odd", "function": "io.write_file"}
    yield "write_file of TFOpLambda", called_in_keras_2(_plain("TFOpLambda", write), str(payload.marker), contents="x")
    yield "operation of a graph", called_in_keras_2(_plain("TensorFlowOpLayer", _operation(payload)), [])
    yield "a model of a module", described("Model", BAIT, {"name": "model"}, "mine>Model")
    yield "compiled loss", {**sequential(), "compile_config": {"optimizer": "sgd", "loss": function(BAIT, "loss")}}
    yield "compiled optimizer", {**sequential(), "compile_config": {"optimizer": described("SGD", BAIT, {}), "loss": "mse"}}
    yield "compiled metric", {**sequential(), "compile_config": {"loss": "mse", "metrics": [described("M", BAIT, {}, "m>M")]}}
    yield "deep below a list", {**sequential(), "extra": [[[{"a": [payload.lambda_layer()]}]]]}


def _plain(kind: str, config: Config) -> Config:
    return described(kind, "keras.src.layers.core.tf_op_layer", config)


def _operation(payload: Payload) -> Config:
    """A graph operation that writes a file, with constants as its inputs."""
    node = {"name": "w", "op": "WriteFile", "input": ["filename", "contents"]}
    return {"name": "odd", "node_def": node, "constants": {"0": str(payload.marker), "1": "x"}}
