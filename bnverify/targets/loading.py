"""Open the target that a user names: the installed Keras, or the user's own layer. Every failure is one clear line."""

from __future__ import annotations

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
from bnverify.targets.isolated import PATIENCE, Isolated, WorkerLost
from bnverify.targets.target import InProcess
from bnverify.targets.worker.functions import ON_TENSORFLOW, NoFunction
from bnverify.targets.worker.layers import BadLayer, probe


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
        try:
            probe(layer, target.environment.target, target.layers)  # type: ignore[no-untyped-call]
        except BadLayer as error:
            raise BadInput(str(error)) from None
    return target


def open_targets(
    layer: str, module: str, backends: Sequence[str], patience: float = PATIENCE
) -> Iterator[InProcess | Isolated]:
    """The targets to test: Keras' own layer in this process; a user's layer, or each of several backends, in its own process.

    layer: module:Name of a layer or factory, or empty. A user's layer may end its process, never return, or change what other
    code relies on; in a process of its own that costs one case. patience: seconds that one case of it may take.

    Raises BadInput for what `open_target` refuses, for a module that is not Keras, and for a layer that cannot be loaded.
    """
    check_target(module)
    if layer and is_function_target(module):
        raise BadInput(f"--layer {layer} and --target {module} are two targets", allowed="one of them")
    for backend in backends:
        check_backend(backend)
        if len(backends) > 1 or layer:
            check_backend_installed(backend)
    anywhere = module == "keras" or (is_function_target(module) and module not in ON_TENSORFLOW)
    if not anywhere and (others := [backend for backend in backends if backend != "tensorflow"]):
        raise BadInput(f"--backend {others[0]}: {module} runs on tensorflow only", allowed="--target keras")
    if not layer and len(backends) < 2:
        yield open_target(module=module, backend=backends[0] if backends else "")
        return
    if not backends:
        check_installed(module)
    for backend in dict.fromkeys(backends or [""]):
        env = {"KERAS_BACKEND": backend} if backend else {}
        try:
            target = Isolated(module=module, env=env, patience=patience, layer=" ".join(layer.split()))
        except WorkerLost as error:
            raise BadInput(f"--backend {backend}: {_one_line(error)}" if backend else f"{module}: {_one_line(error)}") from None
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
    """The layer of that name in a Keras model file. Raises BadInput if there is none.

    Keras loads the whole file, and runs code that is in it.
    """
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
