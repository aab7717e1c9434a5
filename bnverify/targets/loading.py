"""Open the target that a user names: the installed Keras, or the user's own layer. Every failure is one clear line."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bnverify.errors import BadInput, shortened
from bnverify.targets.backends import Backend, check_backend
from bnverify.targets.function_targets import check_target, is_function_target
from bnverify.targets.installed import check_installed, is_installed
from bnverify.targets.isolated import Isolated, WorkerLost
from bnverify.targets.target import InProcess
from bnverify.targets.worker.functions import ON_TENSORFLOW, NoFunction


def open_target(layer: Callable[..., Any] | None = None, name: str = "", module: str = "keras", backend: str = "") -> InProcess:
    """The target in this process: Keras' own layer, a function target, or `layer`; of `module`, on `backend` if one is given.

    Raises BadInput if Keras cannot be imported or `layer` gives no Keras layer.
    """
    if backend:
        choose_backend(backend)
    keras = "keras" if is_function_target(module) else module
    check_installed(keras)
    try:
        with quiet_import():
            target = InProcess(layer, name or _name(layer), module)
    except NoFunction as error:
        raise BadInput(f"--target {module}: {error}") from None
    except (Exception, SystemExit) as error:
        raise BadInput(f"{keras} is installed but cannot be imported: {type(error).__name__}: {_one_line(error)}") from None
    if layer is not None:
        _probe(layer, target)
    return target


def open_targets(
    layer: Callable[..., Any] | None, name: str, module: str, backends: Sequence[str]
) -> Iterator[InProcess | Isolated]:
    """The targets to test: one in this process, or, for several backends, one process for each.

    Raises BadInput for what `open_target` refuses, for a module that is not Keras, and for a layer on several backends.
    """
    check_target(module)
    if layer is not None and is_function_target(module):
        raise BadInput(f"--layer {name} and --target {module} are two targets", allowed="one of them")
    for backend in backends:
        check_backend(backend)
        if len(backends) > 1:
            check_backend_installed(backend)
    anywhere = module == "keras" or (is_function_target(module) and module not in ON_TENSORFLOW)
    if not anywhere and (others := [backend for backend in backends if backend != "tensorflow"]):
        raise BadInput(f"--backend {others[0]}: {module} runs on tensorflow only", allowed="--target keras")
    if len(backends) < 2:
        yield open_target(layer, name, module, backends[0] if backends else "")
        return
    if layer is not None:
        raise BadInput(
            f"--layer {name}: a layer is tested in this process, which can use one backend only", allowed="one --backend"
        )
    for backend in dict.fromkeys(backends):
        try:
            target = Isolated(module=module, env={"KERAS_BACKEND": backend})
        except WorkerLost as error:
            raise BadInput(f"--backend {backend}: {_one_line(error)}") from None
        with target:
            yield target


def check_backend_installed(backend: str) -> None:
    """Raises BadInput if a backend is not installed."""
    facts = Backend(backend).facts
    if not is_installed(Backend(backend)):
        raise BadInput(f"--backend {backend}: {facts.words} is not installed; type: pip install {' '.join(facts.packages)}")


def choose_backend(backend: str) -> None:
    """Sets the backend that Keras uses when it is imported. Raises BadInput for an unknown one, or if Keras already has
    another.
    """
    check_backend(backend)
    keras = sys.modules.get("keras")
    if keras is not None and (has := keras.backend.backend()) != backend:
        raise BadInput(
            f"--backend {backend}: Keras already runs on {has} in this process, and one process can use one backend only"
        )
    if keras is None:
        check_backend_installed(backend)
    os.environ["KERAS_BACKEND"] = backend


def load_held(path: str, name: str) -> Any:
    """The layer of that name in a Keras model file. Raises BadInput if there is none."""
    if not os.path.isfile(path):
        raise BadInput(f"--model {path}: no such file")
    target = open_target()
    try:
        with quiet_import():
            layers = target.load_layers(path)
    except Exception as error:
        raise BadInput(f"--model {path}: Keras cannot load it: {type(error).__name__}: {_one_line(error)}") from None
    if name not in layers:
        own = ", ".join(each for each, layer in layers.items() if target.is_batch_normalization(layer))
        raise BadInput(f"--layer {name!r}: the model has no layer of that name; its batch normalizations: {own or 'none'}")
    return layers[name]


def load_layer(path: str) -> Callable[..., Any]:
    """The class or factory that `module:Name` names. Modules of the current folder are found too."""
    path = " ".join(path.split())
    module_name, colon, attribute = path.partition(":")
    if not module_name or not colon or not attribute:
        raise BadInput(f"--layer {path!r} is not module:Class, such as mypackage.layers:MyBatchNormalization")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        with quiet_import():
            found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise BadInput(
            f"--layer {path}: {module_name} cannot be imported: {type(error).__name__}: {_one_line(error)}"
        ) from None
    for part in attribute.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise BadInput(f"--layer {path}: {module_name} has no {attribute}")
    if not callable(found):
        raise BadInput(
            f"--layer {path}: {attribute} is a value of type {type(found).__name__}, not a layer class or a factory of layers"
        )
    return found


def _probe(layer: Callable[..., Any], target: InProcess) -> None:
    """Makes one layer, so that a broken factory is one line of bad input and not 400 crashed cases."""
    name = target.environment.target
    if not callable(layer) or target.is_layer(layer):
        raise BadInput(
            f"layer {name}: got {type(layer).__name__} {layer!r:.80}", allowed="a layer class, or a factory of layers"
        )
    try:
        made = layer()
    except (Exception, SystemExit) as error:
        raise BadInput(f"layer {name}: its constructor raises {type(error).__name__}: {_one_line(error)}") from None
    if not target.is_layer(made):
        raise BadInput(f"layer {name}: calling it gives {type(made).__name__}, not a keras.layers.Layer")


def _name(layer: Callable[..., Any] | None) -> str:
    if layer is None:
        return ""
    return f"{getattr(layer, '__module__', '?')}:{getattr(layer, '__qualname__', type(layer).__name__)}"


def _one_line(error: BaseException) -> str:
    return shortened(" ".join(str(error).split()), 300)


@contextmanager
def quiet_import() -> Iterator[None]:
    """Hides what frameworks write to standard error during their import. An import that fails still raises."""
    if sys.stderr is None:  # standard error may be closed
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        try:
            saved = os.dup(2)
        except OSError:  # standard error may be closed
            yield
            return
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
