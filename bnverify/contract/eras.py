"""Eras: what a range of Keras versions promises. A difference between versions is a record here, not a branch in code.

`rules` holds the promises of an era whose wording differs from today's clause. `formulas` and the flags hold what these
promises mean for the numbers. What a backend cannot do in any era is in `targets.backends`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from bnverify.cases.case import Case
from bnverify.errors import BadInput
from bnverify.numeric.precision import FORMATS, POLICIES, Precision, precision
from bnverify.reference.formulas import KERAS, Formulas, mean_of_replicas, penalizes_always
from bnverify.targets.backends import backend_named
from bnverify.values import Environment

OLDEST = "2.1.0"


@dataclass(frozen=True)
class Promise:
    """What a layer must compute: the formulas, and the formats that the numbers of a case are rounded to."""

    formulas: Formulas
    formats: Callable[[Case], Precision]


@dataclass(frozen=True)
class Era:
    """What the releases of `modules` in the version range `keras` document.

    rules: by clause key, a promise that differs from today's. half_weights: whether a 16-bit policy stores weights in 16 bits.
    direct_casts: whether the backend casts float64 to a half format in one step. slices: whether TimeDistributed calls its
    layer once per slice; otherwise it calls it once for all slices. policies: the dtype policies that can be tested; every
    other policy is missing for the reason `lacks["policy"]`. lacks: by need (see `cases.askable.needs`), why no release of the
    era has it. later: by need, a version range of releases that do not have it yet, and why.
    """

    name: str
    modules: tuple[str, ...]
    keras: str
    source: str
    rules: Mapping[str, str] = field(default_factory=dict)
    formulas: Formulas = KERAS
    half_weights: bool = True
    direct_casts: bool = False
    slices: bool = True
    policies: tuple[str, ...] = tuple(POLICIES)
    lacks: Mapping[str, str] = field(default_factory=dict)
    later: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def promise(self) -> Promise:
        """What a layer of this era must compute."""
        return Promise(self.formulas, self.formats)

    def formats(self, case: Case) -> Precision:
        """The formats that the numbers of a case are rounded to in this era."""
        today = replace(precision(case.policy, case.dtype), direct=self.direct_casts)
        if self.half_weights or today.variable.bits >= FORMATS["float32"].bits:
            return today
        return replace(today, variable=FORMATS["float32"])

    def apply(self, formulas: Formulas) -> Formulas:
        """`formulas` (of a hypothesis, for example), with this era's formula wherever `formulas` has today's."""
        own = {f.name: getattr(self.formulas, f.name) for f in fields(Formulas)}
        return replace(formulas, **{k: v for k, v in own.items() if getattr(formulas, k) is getattr(KERAS, k)})


_FLOAT32_WEIGHTS = "every weight has the policy's variable dtype; under 16-bit policies it is float32"
_PARAMETERS_ONLY = "trainable=False freezes gamma and beta only: training=True still normalizes with the batch"
_PENALTY_STAYS = (
    "the sum of layer.losses is the sum of gamma_regularizer and beta_regularizer, whether the layer is frozen or not"
)
_GRAPH_LACKS = {
    "several axes": "multi-backend Keras allows one integer as axis, not a list",
    "policy": "multi-backend Keras has no dtype policies, only the global floatx",
    "a mask": "the layer has no `mask` before Keras 2.12",
    "renorm": "multi-backend Keras has no batch renormalization",
    "a network": "networks can be observed from Keras 2.4",
    "gradients of another dtype": "multi-backend Keras converts every input to floatx",
    "mode:positional": "the layer of multi-backend Keras takes keyword arguments only",
    "mode:evaluate": "what evaluate computes cannot be observed: it runs no update that could store it",
    "mode:shared": "the order of two updates in a graph is undefined: each may read the value from before the other",
    "mode:function": "multi-backend Keras computes in its own graphs, not in tf.function",
    "mode:xla": "multi-backend Keras has no jit_compile",
    "mode:stateless": "stateless_call needs Keras 3",
    "mode:parent": "layers of multi-backend Keras do not pass `training` on",
    "mode:subclassed": "models of multi-backend Keras have no `training` argument",
    "mode:pinned": "models of multi-backend Keras have no `training` argument",
    "mirrored": "multi-backend Keras has no replicas",
    "parallel": "keras.distribution needs Keras 3",
    "synchronized": "the layer has no `synchronized` before Keras 2.12",
    "file:keras": "before Keras 2.12, .keras files are HDF5 files",
    "file:weights.h5": "before Keras 2.12, .weights.h5 files are in the old HDF5 format",
    "file:savedmodel": "multi-backend Keras writes HDF5 only",
    "file:export": "model.export() needs Keras 2.12",
}
_GRAPH_LATER = {"file:pickle": ("<2.2.3", "models cannot be pickled before Keras 2.2.3")}

ERAS = (
    Era(
        "multi-backend Keras before 2.1.3",
        modules=("keras",),
        keras="<2.1.3",
        source="https://github.com/keras-team/keras/blob/2.1.2/keras/layers/normalization.py",
        rules={
            "frozen-output": _PARAMETERS_ONLY,
            "frozen-updates-nothing": "trainable=False freezes gamma and beta only: training=True still moves the statistics",
            "regularizer-losses": _PENALTY_STAYS,
        },
        formulas=replace(
            KERAS,
            normalizes_with_batch=lambda training, frozen: bool(training),
            updates=lambda training, frozen: bool(training),
            penalizes=penalizes_always,
        ),
        policies=("float32", "float64"),
        lacks=_GRAPH_LACKS,
        later=_GRAPH_LATER,
    ),
    Era(
        "multi-backend Keras",
        modules=("keras",),
        keras=">=2.1.3,<2.4",
        source="https://github.com/keras-team/keras/releases/tag/2.1.3: “trainable” set to False stops the updates of a layer",
        rules={"frozen-output": _PARAMETERS_ONLY, "regularizer-losses": _PENALTY_STAYS},
        formulas=replace(KERAS, normalizes_with_batch=lambda training, frozen: bool(training), penalizes=penalizes_always),
        policies=("float32", "float64"),
        lacks=_GRAPH_LACKS,
        later=_GRAPH_LATER,
    ),
    Era(
        "Keras 2 in TensorFlow 2",
        modules=("keras", "tf.keras", "tf_keras"),
        keras=">=2.4,<3",
        source="https://github.com/keras-team/tf-keras/blob/v2.15.0/tf_keras/layers/normalization/batch_normalization.py",
        rules={
            "weight-dtypes": _FLOAT32_WEIGHTS,
            "replicas-read": "get_weights() gives the mean of the replicas' values (aggregation MEAN, ON_READ)",
            "regularizer-losses": _PENALTY_STAYS,
        },
        formulas=replace(KERAS, replicas_read=mean_of_replicas, penalizes=penalizes_always),
        half_weights=False,
        lacks={
            "integer inputs": "Keras 2 does not convert integer inputs and does not document them",
            "mode:stateless": "stateless_call needs Keras 3",
            "parallel": "keras.distribution needs Keras 3",
            "misuse:axis-list": "a list of axes is allowed in Keras 2",
        },
        later={
            "synchronized": ("<2.12", "the layer has no `synchronized` before Keras 2.12"),
            "a mask": ("<2.12", "the layer has no `mask` before Keras 2.12"),
            "fit of bfloat16": ("<2.14", "fit takes NumPy arrays, which cannot hold bfloat16 before Keras 2.14"),
            "mode:xla": ("<2.5", "jit_compile needs TensorFlow 2.5"),
            "file:keras": ("<2.12", "before Keras 2.12, .keras files are HDF5 files"),
            "file:weights.h5": ("<2.12", "before Keras 2.12, .weights.h5 files are in the old HDF5 format"),
            "file:export": ("<2.12", "model.export() needs Keras 2.12"),
            "file:pickle": ("<2.7", "models cannot be pickled before Keras 2.7"),
        },
        slices=False,
    ),
    Era(
        "Keras 3",
        modules=("keras", "tf.keras"),
        keras=">=3.0",
        source="https://keras.io/api/layers/normalization_layers/batch_normalization/",
        lacks={
            "several axes": "Keras 3 allows one integer as axis, not a list as tf.keras 2 does",
            "file:savedmodel": "Keras 3 cannot save or load models in the SavedModel format",
        },
        later={
            "renorm": ("<3.14", "batch renormalization needs Keras 3.14"),
            "file:pickle": ("<3.3", "models can be pickled from Keras 3.3"),
        },
    ),
)


def keras_version(text: str) -> Version:
    """A version from Keras' version text, such as 3.15.1 or TensorFlow 1's 2.2.4-tf. Raises BadInput for any other text."""
    try:
        return Version(text.replace("-tf", "+tf"))
    except InvalidVersion:
        raise BadInput(f"Keras gives {text!r} as its version", allowed="a version such as 3.15.1") from None


def _within(version: str, versions: str) -> bool:
    return SpecifierSet(versions, prereleases=True).contains(keras_version(version))


def era_of(environment: Environment) -> Era:
    """The era of a target's Keras version and backend. Raises BadInput for a Keras older than every era."""
    version, backend = keras_version(environment.keras), backend_named(environment.backend)
    for era in ERAS:
        if environment.module in era.modules and SpecifierSet(era.keras, prereleases=True).contains(version):
            if version < Version(OLDEST):
                break
            return replace(era, direct_casts=backend is not None and backend.facts.casts_directly)
    what = f"{environment.module} {environment.keras}"
    raise BadInput(f"{what} is too old: bnverify verifies Keras {OLDEST} and newer, tf.keras 2.4 and newer")


def environment_lacks(era: Era, environment: Environment) -> dict[str, str]:
    """By need (see `cases.askable.needs`), why this era, on this backend, does not have it."""
    backend = backend_named(environment.backend)
    later = {need: why for need, (keras, why) in era.later.items() if _within(environment.keras, keras)}
    policies = {f"policy:{name}": era.lacks["policy"] for name in POLICIES if name not in era.policies}
    return {**(backend.lacks if backend else {}), **era.lacks, **later, **policies, **_no_float64(environment)}


def _no_float64(environment: Environment) -> dict[str, str]:
    """The same for a backend that computes in float32 even if asked for float64."""
    if environment.float64:
        return {}
    name = environment.backend
    return {
        "a float64 policy": f"{name} computes in float32 here: jax_enable_x64 is off",
        "gradients of float64": f"{name} has no float64 arrays here, so no float64 gradients: jax_enable_x64 is off",
    }
