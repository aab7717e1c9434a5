"""Code in the configuration of a model: find what Keras would run or import if it made the model.

Releases of Keras differ in what they run; this refuses what any of them would. Classes and functions must be of the parts of
Keras that models are made of.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bnverify.errors import BadInput, shortened

# Layers that run code, or load another file, when they are made from a configuration or called.
CODE_LAYERS = {
    "ClassMethod",
    "FlaxLayer",
    "InstanceMethod",
    "InstanceProperty",
    "JaxLayer",
    "Lambda",
    "SlicingOpLambda",
    "TFOpLambda",
    "TFSMLayer",
    "TensorFlowOpLayer",
    "TorchModuleWrapper",
}
MARSHALLED = {"__lambda__"}
# What a configuration describes besides classes, whose names begin with a capital letter.
PLAIN_KINDS = {
    "__bytes__",
    "__ellipsis__",
    "__keras_tensor__",
    "__numpy__",
    "__slice__",
    "__tensor__",
    "__tuple__",
    "__typespec__",
}
ROOTS = (("tensorflow", "python", "keras"), ("tensorflow", "keras"), ("tf_keras",), ("keras",))
INNER = {"api", "src"}  # folders of Keras that repeat its public modules
CALLED = {"activations", "constraints", "initializers", "losses", "metrics", "ops", "regularizers"}
BUILT = CALLED | {
    "distribution",
    "dtype_policies",
    "engine",
    "layers",
    "legacy",
    "mixed_precision",
    "models",
    "optimizers",
    "quantizers",
    "random",
    "trainers",
}
TRUST = "--trust-code runs it"


def check_no_code(config: Any, what: Path | str, option: str) -> None:
    """Raises BadInput for a configuration from which Keras would run or import code that is not its own."""
    for owner, part in _described(config):
        problem = _problem(part)
        if problem:
            raise BadInput(f"{option} {what}: layer {shortened(owner)!r} {problem}", hint=TRUST)


def _problem(part: dict[str, Any]) -> str:
    """What is wrong with one described object; empty if Keras makes it from its own classes and functions."""
    kind, config = str(part.get("class_name")), part.get("config")
    if kind in CODE_LAYERS:
        return f"is a {kind}, which runs code from the file"
    if kind in MARSHALLED or "function_type" in part:
        return "holds a pickled function"
    module, registered = part.get("module"), part.get("registered_name")
    name = config if kind == "function" else kind
    if not _is_name(name, kind) or not _is_of_keras(module, kind):
        return f"needs {shortened(f'{module}.{name}')}, which is not part of Keras"
    if registered not in (None, kind, name):
        return f"needs the registered class {shortened(repr(registered))}, which is not part of Keras"
    if module == "builtins" and hasattr(builtins, str(name)):
        return f"calls Python's {name}"
    return ""


def _is_name(name: object, kind: str) -> bool:
    """Whether a function, or a class, of Keras may have this name. Keras also follows names with dots."""
    if not isinstance(name, str) or not name.isidentifier():
        return False
    return kind == "function" or name in PLAIN_KINDS or name[0].isupper()


def _is_of_keras(module: object, kind: str) -> bool:
    """Whether a module has what models are made of. Keras gives "builtins" as the module of some of its own functions."""
    if module is None or (kind == "function" and module == "builtins"):
        return True
    if not isinstance(module, str):
        return False
    parts = tuple(module.split("."))
    root = next((root for root in ROOTS if parts[: len(root)] == root), None)
    if root is None:
        return False
    rest = [part for part in parts[len(root) :] if part not in INNER]
    if kind == "function":
        return bool(rest) and rest[0] in CALLED
    return not rest or rest[0] in BUILT


def _described(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object that a configuration describes, with the name of the layer that it belongs to."""
    waiting = [(value, "")]
    while waiting:
        value, owner = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                inner = value.get("config")
                named = inner.get("name") if isinstance(inner, dict) else None
                owner = str(named or value.get("name") or owner or value["class_name"])
                yield owner, value
            elif "function_type" in value:
                yield owner, value
            waiting += [(part, owner) for part in value.values() if isinstance(part, (dict, list))]
        elif isinstance(value, list):
            waiting += [(part, owner) for part in value if isinstance(part, (dict, list))]
