"""Eras: what a range of Keras versions promises. A difference between versions is a record here, not a branch in code.

`rules` holds the promises of an era that read differently from today's clause; `formulas` and the flags are what follows from
them for the numbers. What a backend cannot do in any era is beside them, in `LIMITS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from bnverify.cases.case import Case, Step
from bnverify.cases.misuse import MISUSES, NO_MISUSE
from bnverify.cases.modes import TRAINERS, replicas, spreads
from bnverify.errors import BadInput
from bnverify.numeric.precision import FORMATS, INTEGERS, POLICIES, Precision, precision
from bnverify.reference.formulas import KERAS, Formulas, mean_of_replicas, penalizes_always
from bnverify.values import Environment

OLDEST = "2.1.0"


@dataclass(frozen=True)
class Era:
    """What the releases of `modules` in the range `keras` document.

    rules: by clause key, the promise where it is not today's. half_weights: whether a 16-bit policy stores weights in
    16 bits. direct_casts: whether the backend casts float64 to a half format at once. slices: whether TimeDistributed calls
    its layer for each slice, not once for all of them.
    policies: the dtype policies that can be asked for. lacks: by what a case may ask for ("several axes", "integers",
    "policy", "mask", "renorm", "mode NAME", "file:NAME", "fit", "mirrored", "parallel", "synchronized", "network",
    "gradients of other dtypes", or a misuse by its name), why it cannot be asked of this era. later: the same for what some
    releases of the era do have: which do not, as a version range, and why.
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

    def formats(self, case: Case) -> Precision:
        """The formats that a case goes through in this era."""
        today = replace(precision(case.policy, case.dtype), direct=self.direct_casts)
        if self.half_weights or today.variable.bits >= FORMATS["float32"].bits:
            return today
        return replace(today, variable=FORMATS["float32"])

    def apply(self, formulas: Formulas) -> Formulas:
        """A set of formulas, a hypothesis say, with this era's own wherever it has today's."""
        own = {f.name: getattr(self.formulas, f.name) for f in fields(Formulas)}
        return replace(formulas, **{k: v for k, v in own.items() if getattr(formulas, k) is getattr(KERAS, k)})


_FLOAT32_WEIGHTS = "every weight has the policy's variable dtype, but float32 under 16-bit policies"
_PARAMETERS_ONLY = "trainable=False freezes gamma and beta alone: training=True still normalizes with the batch"
_PENALTY_STAYS = "layer.losses sum up to those of gamma_regularizer and beta_regularizer, frozen or not"
_GRAPH_LACKS = {
    "several axes": "multi-backend Keras takes one integer as axis",
    "policy": "multi-backend Keras has no dtype policies, only the global floatx",
    "mask": "the layer takes no mask before Keras 2.12",
    "renorm": "multi-backend Keras has no batch renormalization",
    "network": "networks are watched from Keras 2.4 on",
    "gradients of other dtypes": "multi-backend Keras is fed with values of floatx, whatever their dtype was",
    "mode positional": "the layer of multi-backend Keras takes keyword arguments alone",
    "mode evaluate": "what evaluate computes cannot be seen: it runs no update that could keep it",
    "mode shared": "nothing orders the updates of two inputs in a graph: each may read what was there before the other",
    "mode function": "multi-backend Keras computes in graphs of its own, not in tf.function",
    "mode xla": "multi-backend Keras has no jit_compile",
    "mode stateless": "stateless_call is of Keras 3",
    "mode parent": "layers of multi-backend Keras hand no `training` on",
    "mode subclassed": "models of multi-backend Keras take no `training`",
    "mode pinned": "models of multi-backend Keras take no `training`",
    "mirrored": "multi-backend Keras has no replicas",
    "parallel": "keras.distribution is of Keras 3",
    "synchronized": "the layer takes no `synchronized` before Keras 2.12",
    "file:keras": "before Keras 2.12 .keras is another suffix of HDF5",
    "file:weights.h5": "before Keras 2.12 .weights.h5 is another suffix of HDF5",
    "file:savedmodel": "multi-backend Keras writes HDF5 alone",
    "file:export": "there is no model.export() before Keras 2.12",
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
            "frozen-updates-nothing": "trainable=False freezes gamma and beta alone: training=True still moves the statistics",
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
            "replicas-read": "get_weights() gives the mean of what the replicas hold (aggregation MEAN, ON_READ)",
            "regularizer-losses": _PENALTY_STAYS,
        },
        formulas=replace(KERAS, replicas_read=mean_of_replicas, penalizes=penalizes_always),
        half_weights=False,
        lacks={
            "integers": "Keras 2 converts no integer inputs, and promises nothing about them",
            "mode stateless": "stateless_call is of Keras 3",
            "parallel": "keras.distribution is of Keras 3",
            "axis-list": "a list of axes is no mistake in Keras 2",
        },
        later={
            "synchronized": ("<2.12", "the layer takes no `synchronized` before Keras 2.12"),
            "mask": ("<2.12", "the layer takes no mask before Keras 2.12"),
            "fit of bfloat16": ("<2.14", "fit takes NumPy arrays, which hold no bfloat16 before Keras 2.14"),
            "mode xla": ("<2.5", "tf.function has jit_compile from TensorFlow 2.5 on"),
            "file:keras": ("<2.12", "before Keras 2.12 .keras is another suffix of HDF5"),
            "file:weights.h5": ("<2.12", "before Keras 2.12 .weights.h5 is another suffix of HDF5"),
            "file:export": ("<2.12", "there is no model.export() before Keras 2.12"),
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
            "several axes": "Keras 3 takes one integer as axis; tf.keras 2 took a list",
            "file:savedmodel": "Keras 3 neither writes nor loads models in the SavedModel format",
        },
        later={
            "renorm": ("<3.14", "Keras 3 has batch renormalization from 3.14 on"),
            "file:pickle": ("<3.3", "Keras 3 pickles models from 3.3 on"),
        },
    ),
)

_TF_FUNCTION = "tf.function is TensorFlow's"
_NO_COMPILER = "XLA compiles for TensorFlow and JAX"
_NO_REPLICAS = {
    "mirrored": "MirroredStrategy is TensorFlow's",
    "synchronized": "synchronized=True is TensorFlow's alone",
}
_NO_DISTRIBUTION = {"parallel": "keras.distribution computes on JAX"}
BACKENDS_LACK = {  # by backend, what a case may ask for and why it cannot be asked there
    "tensorflow": _NO_DISTRIBUTION,
    "jax": {"mode function": _TF_FUNCTION, **_NO_REPLICAS},
    "torch": {"mode function": _TF_FUNCTION, "mode xla": _NO_COMPILER, **_NO_REPLICAS, **_NO_DISTRIBUTION},
    "numpy": {
        "mode function": _TF_FUNCTION,
        "mode xla": _NO_COMPILER,
        "fit": "Keras' NumPy backend does not fit",
        **_NO_REPLICAS,
        **_NO_DISTRIBUTION,
    },
    "openvino": {"mode function": _TF_FUNCTION, "mode xla": _NO_COMPILER, **_NO_REPLICAS, **_NO_DISTRIBUTION},
}
LIMITS = {"openvino": "Keras' OpenVINO backend infers only"}  # by backend, why it cannot train
NO_GRADIENTS = {name: f"Keras' {name} backend has no automatic differentiation" for name in ("numpy", "openvino")}

EXPORTERS = ("tensorflow", "jax")  # backends that export a SavedModel, the latter where TensorFlow is installed beside it


def keras_version(text: str) -> Version:
    """A version as Keras gives it; TensorFlow 1 and 2.0 write 2.2.4-tf. Raises BadInput where it is none."""
    try:
        return Version(text.replace("-tf", "+tf"))
    except InvalidVersion:
        raise BadInput(f"Keras gives {text!r} as its version; allowed: a version as 3.15.1") from None


def _within(version: str, versions: str) -> bool:
    return SpecifierSet(versions, prereleases=True).contains(keras_version(version))


def era_of(environment: Environment) -> Era:
    """The era that a target's Keras belongs to, on its backend. Raises BadInput for one that is older than all of them."""
    version = keras_version(environment.keras)
    for era in ERAS:
        if environment.module in era.modules and SpecifierSet(era.keras, prereleases=True).contains(version):
            if version < Version(OLDEST):
                break
            return replace(era, direct_casts=environment.backend == "numpy")
    what = f"{environment.module} {environment.keras}"
    raise BadInput(f"{what} is too old: bnverify verifies Keras {OLDEST} and newer, tf.keras 2.4 and newer")


def unsupported(case: Case, era: Era, environment: Environment) -> str:
    """Why `era`, or its backend, cannot express `case`; empty where it can."""
    return next(_obstacles(case, era, environment), "")


def _obstacles(case: Case, era: Era, environment: Environment) -> Iterator[str]:
    mistake = MISUSES.get(case.misuse, NO_MISUSE)
    asked = {
        case.misuse: case.misuse != "none",
        "several axes": isinstance(case.config.axis, tuple),
        "integers": case.dtype in INTEGERS,
        "policy": case.policy not in era.policies,
        "mask": case.mask != "none" or case.law == "mask" or mistake.mask is not None,
        "renorm": case.config.renorm or case.law == "renorm" or "renorm" in mistake.layer,
        f"mode {case.mode}": case.mode != "call",
        "mirrored": replicas(case.mode) > 1 and not spreads(case.mode),
        "parallel": spreads(case.mode),
        "synchronized": case.config.synchronized,
        "fit of bfloat16": case.mode in TRAINERS and case.dtype == "bfloat16",
        "fit": case.mode in TRAINERS and any(step.is_call and step.training for step in case.steps),
        "network": case.network != "none",
        "gradients of other dtypes": case.gradients > 0 and case.dtype != case.policy,
        f"file:{case.file}": case.file != "none",
    }
    lacks = {
        **BACKENDS_LACK.get(environment.backend, {}),
        **era.lacks,
        **{what: why for what, (keras, why) in era.later.items() if _within(environment.keras, keras)},
    }
    yield from (lacks[what] for what, wanted in asked.items() if wanted and what in lacks)
    if environment.backend in LIMITS and any(step.is_call and step.training for step in case.steps):
        yield LIMITS[environment.backend]
    if case.network != "none" and environment.backend in NO_GRADIENTS and Step.TRAIN in case.steps:
        yield NO_GRADIENTS[environment.backend]
    if case.file == "export" and environment.backend not in EXPORTERS:
        yield f"Keras' {environment.backend} backend exports no SavedModel by itself"
    if case.policy == "float64" and not environment.float64:
        yield f"{environment.backend} computes in float32 here: jax_enable_x64 is off"
    if case.gradients > 0 or Step.OPTIMIZE in case.steps:
        if environment.backend in NO_GRADIENTS:
            yield NO_GRADIENTS[environment.backend]
        if case.dtype in INTEGERS:
            yield "integers have no gradient"
        if case.dtype == "float64" and not environment.float64:
            yield f"{environment.backend} holds no float64 here, and so no gradient in it"
