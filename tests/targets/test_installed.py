"""What is installed is found without importing it, and each thing that is missing has its own line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bnverify.errors import BadInput
from bnverify.targets import installed
from bnverify.targets.backends import Backend

EXTRAS = "type: pip install 'bnverify[tensorflow]' (or jax, torch, openvino in place of tensorflow)"


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> set[str]:
    """The modules that look installed; none is imported, and Keras has no settings."""
    found: set[str] = set()
    monkeypatch.setattr(installed, "_is_there", found.__contains__)
    monkeypatch.setattr(installed, "_version", lambda *names: "1.2.3" if names[0] in found else "")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    for name in ("keras", "tf_keras", "tensorflow"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return found


@pytest.mark.parametrize(
    ("module", "modules", "backend", "said"),
    [
        ("keras", "", "", f"keras is not installed; {EXTRAS}"),
        ("keras", "torch", "", f"keras is not installed; found torch 1.2.3; {EXTRAS}"),
        (
            "keras",
            "keras",
            "",
            f"keras 1.2.3 is set to the tensorflow backend, which is not installed; no backend is installed; {EXTRAS}",
        ),
        (
            "keras",
            "keras torch jax",
            "",
            "keras 1.2.3 is set to the tensorflow backend, which is not installed; found jax 1.2.3, torch 1.2.3; "
            "type: bnverify run --backend jax, or set KERAS_BACKEND=jax",
        ),
        (
            "keras",
            "keras tensorflow",
            "torch",
            "keras 1.2.3 is set to the torch backend, which is not installed; found tensorflow 1.2.3; "
            "type: bnverify run --backend tensorflow, or set KERAS_BACKEND=tensorflow",
        ),
        ("tf_keras", "tensorflow", "", "tf_keras is not installed; found tensorflow 1.2.3; type: pip install tf_keras"),
        (
            "tf_keras",
            "tf_keras jax",
            "",
            "tf_keras needs TensorFlow, which is not installed; found jax 1.2.3; type: pip install tensorflow",
        ),
        ("tf.keras", "", "", "tf.keras needs TensorFlow, which is not installed; type: pip install tensorflow"),
    ],
)
def test_what_is_missing(
    there: set[str], monkeypatch: pytest.MonkeyPatch, module: str, modules: str, backend: str, said: str
) -> None:
    """The line says what is missing, what was found, and what to type."""
    there.update(modules.split())
    if backend:
        monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(BadInput) as refused:
        installed.check_installed(module)
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("module", "modules"),
    [("keras", "keras tensorflow"), ("tf_keras", "tf_keras tensorflow"), ("tf.keras", "tensorflow")],
)
def test_what_is_enough(there: set[str], module: str, modules: str) -> None:
    """A Keras with the backend that it is set to is not refused."""
    there.update(modules.split())
    installed.check_installed(module)


def test_the_chosen_backend(there: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """KERAS_BACKEND comes first, then keras.json, then tensorflow; a broken file counts as none."""
    assert there == set()
    assert installed.chosen_backend() == "tensorflow"
    (tmp_path / "keras.json").write_text("{")
    assert installed.chosen_backend() == "tensorflow"
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    assert installed.chosen_backend() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert installed.chosen_backend() == "torch"


def test_numpy_needs_more_than_numpy(there: set[str]) -> None:
    """Keras' NumPy backend imports JAX and SciPy."""
    there.update({"numpy", "scipy"})
    assert not installed.is_installed(Backend.NUMPY)
    there.add("jax")
    assert installed.is_installed(Backend.NUMPY)
