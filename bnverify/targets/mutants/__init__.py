"""Mutants: real Keras layers with one planted fault each, and equivalent layers without a fault. They test bnverify itself.

One layer per hypothesis of `reference.hypotheses`, and layers with faults that no formula has: precision, weights, arguments,
leaks. An equivalent layer computes the same with other correct arithmetic and must pass. Importing this imports Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from keras import ops

from bnverify.reference import formulas as reference
from bnverify.reference.formulas import KERAS
from bnverify.reference.hypotheses import HYPOTHESES
from bnverify.targets.mutants import mode_layers, replica_layers
from bnverify.targets.mutants.file_layers import FAULTS as FILE_FAULTS
from bnverify.targets.mutants.format_layers import InComputeDtype, InHalf, InSingle, InTenBits, rounded_to
from bnverify.targets.mutants.formula_layers import FormulaLayer, GradientLayer, KerasLayer, formula_layer
from bnverify.targets.mutants.layers import (
    AlwaysBeta,
    Drifting,
    ExtraWeight,
    FirstStepOnly,
    FixedGamma,
    FlatOutput,
    FloatOutput,
    FlowingRenorm,
    KeepsFrozen,
    MaskedInference,
    MaskOfFirstSample,
    MixedChannels,
    MovesBeta,
    NegativeAxisOffByOne,
    OtherRenormMomentum,
    PenalizedFrozen,
    PenalizedNoMore,
    RenamedWeights,
    RoundedGradient,
    SingleWeights,
    SwappedRegularizers,
    SwappedWeights,
    TrainableStatistics,
    UpdatedRenorm,
    WithoutConstraint,
    WithoutGradient,
    WithoutRegularizer,
    WrongAxisForImages,
)
from bnverify.targets.mutants.misuse_layers import MISUSE_MUTANTS
from bnverify.targets.mutants.mutant import Mutant
from bnverify.targets.mutants.network_layers import DropsUpdateBehind, LatestArguments, SharesStatistics


def _relative(change: float) -> Callable[..., Any]:
    return lambda xp, x, mean, inverse, gamma, beta: (x - mean) * (inverse * gamma * (1.0 + change)) + beta


def _one_pass(clamp: bool) -> Callable[..., Any]:
    def moments(xp: Any, x: Any, axes: Any) -> Any:
        mean = xp.mean(x, axis=axes, keepdims=True)
        variance = xp.mean(xp.square(x), axis=axes, keepdims=True) - xp.square(mean)
        return mean, xp.maximum(variance, 0.0) if clamp else variance

    return moments


def _moments_in(dtype: str) -> Callable[..., Any]:
    def moments(xp: Any, x: Any, axes: Any) -> Any:
        mean, variance = KERAS.moments(xp, ops.cast(x, dtype), axes)
        return ops.cast(mean, x.dtype), ops.cast(variance, x.dtype)

    return moments


def _leaking_moments(xp: Any, x: Any, axes: Any) -> Any:
    mean, variance = KERAS.moments(xp, x, axes)
    return mean + xp.sum(mean) * 0.0, variance


def with_defaults(**defaults: Any) -> type:
    """A layer class with other defaults in its constructor."""

    def __init__(self: Any, **kwargs: Any) -> None:
        KerasLayer.__init__(self, **{**defaults, **kwargs})

    return type("OtherDefaults", (KerasLayer,), {"__init__": __init__})


def with_argument(name: str, change: Callable[[float], float]) -> type:
    """A layer class that computes with a changed argument but reports the given one."""

    def call(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        given = getattr(self, name)
        setattr(self, name, change(given))
        y = KerasLayer.call(self, inputs, training=training, mask=mask)
        setattr(self, name, given)
        return y

    return type("ChangedArgument", (KerasLayer,), {"call": call})


def _half(value: float) -> float:
    return float(np.float16(value))


def _moving_rounded(dtype: str) -> dict[str, Any]:
    return {
        "moving_mean": lambda xp, old, new, m: rounded_to(old * m + new * (1 - m), dtype),
        "moving_variance": lambda xp, old, new, m, n, e: rounded_to(old * m + new * (1 - m), dtype),
    }


def _output_rounding(part: str, dtype: str) -> Callable[..., Any]:
    def output(xp: Any, x: Any, mean: Any, inverse: Any, gamma: Any, beta: Any) -> Any:
        parts = {"x": x, "mean": mean, "inverse": inverse}
        parts[part] = rounded_to(parts[part], dtype)
        return (parts["x"] - parts["mean"]) * (parts["inverse"] * gamma) + beta

    return output


OF_KERAS = (
    "second-of-constant-mean",
    "mask-count-epsilon",
    "outer-training-wins",
    "frozen-at-once",
    "settled-by-fit",
    "frozen-for-good",  # the same fault as `keeps-frozen`
)  # Keras itself does this, so it cannot be planted


def gradient_layer(of_x: float, of_gamma: float) -> type:
    """A layer class whose dL/dx and dL/dgamma are multiplied by constants."""

    def gradients(b: Any) -> Any:
        dx, gamma, beta = reference.gradients(b)
        return dx * of_x, gamma * of_gamma, beta

    return type("ScaledGradient", (GradientLayer,), {"formulas": replace(KERAS, gradients=gradients)})


MUTANTS: tuple[Mutant, ...] = (
    *(
        Mutant(h.key, h.cause, "gradient" if h.backward else "formula", type("Mutant", (kind,), {"formulas": h.formulas}))
        for h in HYPOTHESES
        for kind in [GradientLayer if h.backward else FormulaLayer]
        if h.key not in OF_KERAS
    ),
    Mutant("gamma-1e-6", "the scale is multiplied by 1 + 1e-6", "subtle", formula_layer(output=_relative(1e-6))),
    Mutant("epsilon-1e-4", "epsilon is multiplied by 1 + 1e-4", "subtle", with_argument("epsilon", lambda e: e * 1.0001)),
    Mutant("epsilon-half", "epsilon is rounded to float16", "subtle", with_argument("epsilon", _half)),
    Mutant("momentum-1e-5", "momentum is multiplied by 1 - 1e-5", "subtle", with_argument("momentum", lambda m: m * 0.99999)),
    Mutant("momentum-half", "momentum is rounded to float16", "subtle", with_argument("momentum", _half)),
    Mutant("one-pass", "the variance is E[x²]−E[x]²", "stability", formula_layer(moments=_one_pass(False))),
    Mutant("one-pass-clamped", "the variance is max(E[x²]−E[x]², 0)", "stability", formula_layer(moments=_one_pass(True))),
    Mutant("half", "everything is computed in float16", "precision", InHalf),
    Mutant("compute-dtype", "half policies compute statistics in half", "precision", InComputeDtype),
    Mutant("single", "float64 policies compute in float32", "precision", InSingle),
    Mutant("ten-bits", "inputs are rounded to TF32's significand", "precision", InTenBits),
    Mutant("moments-half", "moments are computed in float16", "precision", formula_layer(moments=_moments_in("float16"))),
    Mutant("moments-bfloat16", "moments are computed in bfloat16", "precision", formula_layer(moments=_moments_in("bfloat16"))),
    Mutant(
        "mean-half", "the mean is rounded to float16", "precision", formula_layer(output=_output_rounding("mean", "float16"))
    ),
    Mutant(
        "inverse-half",
        "1/sqrt(…) is rounded to float16",
        "precision",
        formula_layer(output=_output_rounding("inverse", "float16")),
    ),
    Mutant("moving-half", "moving statistics are rounded to float16", "precision", formula_layer(**_moving_rounded("float16"))),
    Mutant("leak", "NaN in one channel reaches the others", "leak", formula_layer(moments=_leaking_moments)),
    Mutant("float-output", "y is float32 under half policies", "form", FloatOutput),
    Mutant("flat-output", "y loses axes of size 1", "form", FlatOutput),
    Mutant("single-weights", "weights are float32 under every policy", "weights", SingleWeights),
    Mutant("renamed-weights", "gamma is called scale", "weights", RenamedWeights),
    Mutant("trainable-statistics", "the moving statistics are trainable", "weights", TrainableStatistics),
    Mutant("fixed-gamma", "gamma is not trainable", "weights", FixedGamma),
    Mutant("extra-weight", "the layer has a weight that Keras' layer does not have", "weights", ExtraWeight),
    Mutant("always-beta", "center=False is ignored", "weights", AlwaysBeta),
    Mutant("swapped-weights", "beta is listed before gamma", "weights", SwappedWeights),
    Mutant("zero-variance", "moving_variance starts at 0", "arguments", with_defaults(moving_variance_initializer="zeros")),
    Mutant("default-momentum", "momentum is 0.9 by default", "arguments", with_defaults(momentum=0.9)),
    Mutant("default-epsilon", "epsilon is 1e-5 by default", "arguments", with_defaults(epsilon=1e-5)),
    Mutant("default-axis", "axis is 1 by default", "arguments", with_defaults(axis=1)),
    Mutant("images-axis", "axis=1 is read as the last axis", "axis", WrongAxisForImages),
    Mutant("negative-axis", "negative axes below -1 are off by one", "axis", NegativeAxisOffByOne),
    Mutant("gradient-1e-4", "dL/dx is multiplied by 1 + 1e-4", "subtle", gradient_layer(1.0001, 1.0)),
    Mutant("gradient-gamma-1e-4", "dL/dgamma is multiplied by 1 + 1e-4", "subtle", gradient_layer(1.0, 1.0001)),
    Mutant("gradient-bfloat16", "gradients are rounded to bfloat16", "precision", RoundedGradient),
    Mutant("no-gradient", "nothing flows back", "gradient", WithoutGradient),
    Mutant("renorm-updated", "renorm corrects with the statistics after this batch", "renorm", UpdatedRenorm),
    Mutant("renorm-flows", "gradients flow through r and d of renorm", "renorm", FlowingRenorm),
    Mutant("renorm-momentum-0.99", "renorm_momentum is always 0.99", "renorm", OtherRenormMomentum),
    Mutant("masked-inference", "under a mask inference normalizes with the batch", "mask", MaskedInference),
    Mutant("mask-of-first", "the first sample's mask is used for all samples", "mask", MaskOfFirstSample),
    Mutant("no-regularizer", "regularizers are ignored", "weights", WithoutRegularizer),
    Mutant("swapped-regularizers", "gamma has beta's regularizer", "weights", SwappedRegularizers),
    Mutant("penalized-frozen", "the losses of regularizers remain when the layer is frozen", "weights", PenalizedFrozen),
    Mutant("penalized-no-more", "a layer that was frozen once has no losses", "weights", PenalizedNoMore),
    Mutant("no-constraint", "constraints are ignored", "weights", WithoutConstraint),
    Mutant(
        "clamped-variance",
        "a negative moving variance is replaced by 0",
        "edges",
        formula_layer(inverse_deviation=lambda xp, v, e: 1 / xp.sqrt(xp.maximum(v, 0.0) + e)),
    ),
    Mutant("drifts", "the moving mean grows by the factor 1 + 1e-6 in every training call", "edges", Drifting),
    Mutant("mixed-channels", "a thousandth of the first channel leaks into the others", "leak", MixedChannels),
    Mutant("keeps-frozen", "the layer stays in inference mode after unfreezing", "modes", KeepsFrozen),
    Mutant("moves-beta", "a training call adds 1e-6 to beta", "modes", MovesBeta),
    Mutant("first-step-only", "the moving statistics are updated only once", "modes", FirstStepOnly),
    *mode_layers.MODE_MUTANTS,
    *replica_layers.REPLICA_MUTANTS,
    *(Mutant(*mutant) for mutant in MISUSE_MUTANTS),
    Mutant(
        "no-update-behind",
        "the moving statistics are not updated if another layer of the class comes before",
        "networks",
        DropsUpdateBehind,
    ),
    Mutant("shared-statistics", "the layer overwrites the statistics of the layer before it", "networks", SharesStatistics),
    Mutant("latest-arguments", "momentum and epsilon are those of the layer that was made last", "networks", LatestArguments),
    *(Mutant(key, fault, "files", layer) for key, fault, layer in FILE_FAULTS),
)


def _folded(xp: Any, x: Any, mean: Any, inverse: Any, gamma: Any, beta: Any) -> Any:
    scale = inverse * gamma
    return x * scale + (beta - mean * scale)


def _one_after_another(xp: Any, x: Any, axes: Any) -> Any:
    """Sums as one running total per channel; in a compiled step, which has no numbers yet, sums as in Keras."""
    if not hasattr(x, "numpy"):
        return KERAS.moments(xp, x, axes)
    kept = next(i for i in range(len(x.shape)) if i not in axes)
    order = (*axes, kept)
    shape = [x.shape[kept] if i == kept else 1 for i in range(len(x.shape))]
    rows = np.asarray(ops.convert_to_numpy(x)).transpose(order).reshape(-1, x.shape[kept])
    mean = np.cumsum(rows, axis=0, dtype=rows.dtype)[-1] / rows.dtype.type(len(rows))
    squares = np.cumsum((rows - mean) ** 2, axis=0, dtype=rows.dtype)[-1] / rows.dtype.type(len(rows))
    values = (ops.reshape(ops.convert_to_tensor(v), shape) for v in (mean, squares))
    return tuple(  # the values summed here, with the gradients of Keras' sum
        ops.stop_gradient(value) + (own - ops.stop_gradient(own))
        for value, own in zip(values, KERAS.moments(xp, x, axes), strict=True)
    )


EQUIVALENT: tuple[Mutant, ...] = (
    Mutant("textbook", "the formulas as written in the reference", "equivalent", formula_layer()),
    Mutant("folded", "x·scale + (beta − mean·scale)", "equivalent", formula_layer(output=_folded)),
    Mutant(
        "scaled-last",
        "gamma·((x−mean)·inverse) + beta",
        "equivalent",
        formula_layer(output=lambda xp, x, mean, inverse, gamma, beta: gamma * ((x - mean) * inverse) + beta),
    ),
    Mutant("rsqrt", "1/sqrt as one operation", "equivalent", formula_layer(inverse_deviation=lambda xp, v, e: xp.rsqrt(v + e))),
    Mutant(
        "difference-update",
        "moving − (moving − batch)·(1 − momentum)",
        "equivalent",
        formula_layer(
            moving_mean=lambda xp, old, new, m: old - (old - new) * (1 - m),
            moving_variance=lambda xp, old, new, m, n, e: old - (old - new) * (1 - m),
        ),
    ),
    Mutant("one-after-another", "sums in one running total", "equivalent", formula_layer(moments=_one_after_another)),
    Mutant("subclass", "a subclass that changes nothing", "equivalent", type("Subclass", (KerasLayer,), {})),
    *replica_layers.REPLICA_EQUIVALENT,
)
