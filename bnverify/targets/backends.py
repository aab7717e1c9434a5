"""The backends of Keras 3, with the facts about each."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from bnverify.errors import BadInput, did_you_mean


@dataclass(frozen=True)
class Facts:
    """What a backend can do.

    words: its name as its makers write it.
    packages: what pip installs for it beside keras; each is imported by the same name.
    distributions: the names under which its main package may be installed.
    trains: whether it runs calls with training=True.
    fits: whether fit and train_on_batch run.
    differentiates: whether it has automatic differentiation.
    exports: whether model.export writes a SavedModel.
    compiles: whether XLA compiles its calls.
    runs_tf_function: whether tf.function runs.
    mirrors: whether MirroredStrategy and synchronized=True work.
    distributes: whether keras.distribution works.
    casts_directly: whether it casts float64 to a half format in one step; the others cast to float32 first.
    """

    words: str
    packages: tuple[str, ...]
    distributions: tuple[str, ...]
    trains: bool = True
    fits: bool = True
    differentiates: bool = True
    exports: bool = False
    compiles: bool = False
    runs_tf_function: bool = False
    mirrors: bool = False
    distributes: bool = False
    casts_directly: bool = False


class Backend(enum.Enum):
    """A backend, by the name that Keras gives it."""

    TENSORFLOW = "tensorflow"
    JAX = "jax"
    TORCH = "torch"
    NUMPY = "numpy"
    OPENVINO = "openvino"

    @property
    def facts(self) -> Facts:
        return _FACTS[self]

    @property
    def lacks(self) -> Mapping[str, str]:
        """By need (see `cases.askable.needs`), why this backend does not have it."""
        facts, name = self.facts, self.facts.words
        found = {
            "mode:function": (facts.runs_tf_function, "tf.function runs on TensorFlow only"),
            "mode:xla": (facts.compiles, "XLA compiles calls on TensorFlow and JAX only"),
            "mirrored": (facts.mirrors, "MirroredStrategy runs on TensorFlow only"),
            "synchronized": (facts.mirrors, "synchronized=True works on TensorFlow only"),
            "parallel": (facts.distributes, "keras.distribution runs on JAX only"),
            "fit": (facts.fits, f"Keras' {name} backend has no fit()"),
            "training": (facts.trains, f"Keras' {name} backend does inference only"),
            "gradients": (facts.differentiates, f"Keras' {name} backend has no automatic differentiation"),
            "file:export": (facts.exports, f"Keras' {name} backend does not export a SavedModel by itself"),
        }
        return {need: why for need, (has, why) in found.items() if not has}


_FACTS = {
    Backend.TENSORFLOW: Facts(
        "TensorFlow",
        ("tensorflow",),
        ("tensorflow", "tensorflow-cpu", "tf-nightly", "tf-nightly-cpu", "tensorflow-macos", "tensorflow-intel"),
        exports=True,
        compiles=True,
        runs_tf_function=True,
        mirrors=True,
    ),
    Backend.JAX: Facts(
        "JAX",
        ("jax",),
        ("jax", "jax-nightly"),
        exports=True,  # the backend can export if TensorFlow is installed beside it
        compiles=True,
        distributes=True,
    ),
    Backend.TORCH: Facts("PyTorch", ("torch",), ("torch",)),
    Backend.NUMPY: Facts("NumPy", ("numpy", "jax", "scipy"), ("numpy",), fits=False, differentiates=False, casts_directly=True),
    Backend.OPENVINO: Facts("OpenVINO", ("openvino",), ("openvino", "openvino-nightly"), trains=False, differentiates=False),
}
BACKENDS = tuple(backend.value for backend in Backend)


def backend_named(name: str) -> Backend | None:
    """The backend of that name, or None if Keras 3 has no such backend."""
    return Backend(name) if name in BACKENDS else None


def check_backend(name: str) -> None:
    """Raises BadInput for an unknown backend."""
    if name not in BACKENDS:
        raise BadInput(f"--backend {name!r} is unknown", allowed=BACKENDS, hint=did_you_mean(name, BACKENDS))
