"""What is installed: which Keras and which backends an import would find. Nothing is imported."""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from bnverify.errors import BadInput
from bnverify.targets.backends import BACKENDS, Backend, backend_named

EXTRAS = "pip install 'bnverify[tensorflow]' (or jax, torch, openvino in place of tensorflow)"


def check_installed(module: str) -> None:
    """Raises BadInput if a Keras, or the backend that it would use, is not installed. The message says what to type.

    module: "keras", "tf_keras" or "tf.keras". A module that is already imported is not checked.
    """
    if module in sys.modules or (module == "tf.keras" and "tensorflow" in sys.modules):
        return
    if module == "keras":
        _check_keras()
    elif module == "tf_keras" and not _is_there("tf_keras"):
        raise BadInput(f"tf_keras is not installed{_found()}; type: pip install tf_keras")
    elif not _is_there("tensorflow"):
        raise BadInput(f"{module} needs TensorFlow, which is not installed{_found()}; type: pip install tensorflow")


def _check_keras() -> None:
    if not _is_there("keras"):
        raise BadInput(f"keras is not installed{_found()}; type: {EXTRAS}")
    name = chosen_backend()
    backend = backend_named(name)
    if backend is None or is_installed(backend):
        return  # Keras itself refuses an unknown backend
    keras = f"keras {_version('keras')} is set to the {name} backend, which is not installed".replace("keras  ", "keras ")
    others = [other.value for other in Backend if other is not Backend.NUMPY and is_installed(other)]
    if others:
        raise BadInput(f"{keras}{_found()}; type: bnverify run --backend {others[0]}, or set KERAS_BACKEND={others[0]}")
    raise BadInput(f"{keras}; no backend is installed; type: {EXTRAS}")


def chosen_backend() -> str:
    """The backend that Keras 3 will use: KERAS_BACKEND, or else keras.json, or else tensorflow."""
    if name := os.environ.get("KERAS_BACKEND"):
        return name
    try:
        home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        settings = json.loads((home / "keras.json").read_text(encoding="utf-8"))
        return str(settings.get("backend", BACKENDS[0]))
    except (
        OSError,
        RuntimeError,
        ValueError,
        AttributeError,
    ):  # the file does not exist, there is no home folder, or the text is not JSON of Keras
        return BACKENDS[0]


def is_installed(backend: Backend) -> bool:
    """Whether an import would find every module that the backend needs."""
    return all(map(_is_there, backend.facts.packages))


def _found() -> str:
    """The installed backends as text; empty if there is none."""
    there = [backend for backend in Backend if backend is not Backend.NUMPY and is_installed(backend)]
    named = [f"{backend.value} {_version(*backend.facts.distributions)}".strip() for backend in there]
    return f"; found {', '.join(named)}" if named else ""


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(*distributions: str) -> str:
    """The version of the first of these distributions that is installed; empty if none is."""
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""
