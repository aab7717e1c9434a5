"""The ids of cases about behaviour: modes, initializers, replicas, networks, files and mistakes."""

from __future__ import annotations

from collections.abc import Iterator

from bnverify.cases.misuse import MISUSES
from bnverify.cases.modes import LAYOUTS, modes_that
from bnverify.cases.patterns import POLICIES_WITH_DTYPES, SHAPES, SPECIAL, each


def smoke_behaviour() -> Iterator[str]:
    """A few of each."""
    yield from _sampled_modes()
    yield from _sampled_replicas()
    yield from map(misuse, ("clipping-unknown", "keyword", "initializer", "channels-one", "rank-more", "mask-rank-less"))
    yield "shape:8x64/network:no-bias/steps:T2I"
    yield "shape:8x4/network:iris/steps:T2I"
    yield from _few_files()


def default_behaviour() -> Iterator[str]:
    """Every mode, initializer, kind of replicas, small network, file format and mistake."""
    for part in (_modes, _initializers, _replicas, _networks, _files, _misuses):
        yield from part()


def full_behaviour() -> Iterator[str]:
    """Every mode with every rank, every file format with every configuration, more replicas, threads, models of
    keras.applications.
    """
    yield from each("shape:{}/mode:{}/{}/steps:T3INFTUTI", SHAPES, (*CALLING, *TRAINING), ("momentum:0.5", "policy:float16"))
    yield from each("shape:{}/law:repeat/gradients:2/steps:T2I", (*SHAPES, "65536x2", "64x2x64/axis:1"))
    yield from each("shape:{}/law:threads/steps:T2I", ("37x4", "65536x2", "16x32x32x8", "16x32x32x8/axis:1"))
    yield from _more_replicas()
    yield from each("shape:2x32x32x3/network:{}/steps:{}", APPLICATIONS, ("TI", "FTI"))
    yield "shape:32x4/network:iris/steps:T400I"
    yield "shape:32x8x8x1/network:residual/steps:T30I"
    yield from each("shape:8x8x8x1/network:{}/policy:mixed_float16/steps:T3I", ("conv", "residual"))
    yield from each("shape:{}/file:{}/steps:{}", CONFIGURATIONS, ALL_FILES, ("TSTI", "TFSTSUT2ITI"))
    modes = ("sequential", "functional", "nested", "dynamic", "fit", "on_batch", "evaluate", "function", "xla", "stateless")
    yield from each("shape:4x3/mode:{}/file:{}/steps:TSTFSTUTI", modes, ALL_FILES)
    yield from each("shape:4x3/mode:{}/file:{}/steps:TSTI", ("subclassed", "parent"), ("weights.h5", "weights", "config"))
    yield from each("shape:2x4x3/mode:timedistributed/file:{}/steps:TSTI", ALL_FILES)
    yield from each("shape:2x4x3/mask:padding/mode:{}/file:{}/steps:TSTI", ("masking", "embedding"), ALL_FILES)
    yield from each("shape:{}/file:export/steps:TSIN", CONFIGURATIONS)
    yield from each("shape:3x4x5/axis:1+2/file:{}/steps:TSTI", ALL_FILES)


def _sampled_modes() -> Iterator[str]:
    """A few cases that cover most modes, the random initializers and one memory layout, and still catch every mutant."""
    yield from each("shape:6x4/mode:{}/steps:T2INFTUTI", ("xla", "stateless", "sequential", "nested", "fit"))
    yield from each("shape:6x4/mode:{}/steps:T2I", ("positional/momentum:0.5", "parent", "subclassed", "pinned"))
    yield "shape:6x4/mode:fit/steps:T2O"
    yield "shape:6x4/mode:uncompiled/steps:T2IFT2IUT"
    yield "shape:6x4/mode:shared/steps:T2I2"
    yield "shape:3x4x2x5/axis:1/mode:dynamic/steps:TI"
    yield "shape:6x5x4/mode:timedistributed/steps:TI"
    yield "shape:6x5x4/mask:padding/mode:masking/steps:TI"
    yield "shape:6x4/weights:initial/mode:unbuilt/steps:FTUTI"
    yield "shape:6x4/trainable:False/steps:TIUT"
    yield "shape:6x4/gamma_initializer:zeros/beta_initializer:ones/weights:initial/steps:TI"
    yield "shape:6x4/gamma_initializer:random_normal/beta_initializer:random_normal/steps:TI"
    yield "shape:6x4/mode:evaluate/steps:T2INFTUTI"
    yield "shape:6x5x4/mask:random/mode:xla/steps:T2I"
    yield "shape:6x4/moving_mean_initializer:ones/weights:initial/steps:TI"
    yield "shape:6x4/moving_variance_initializer:zeros/weights:initial/steps:TI"
    yield "shape:4x3/scale:False/file:export/steps:TSIN"
    yield "shape:37x4/law:repeat/gradients:1/steps:TI"
    yield "shape:6x5x4/layout:strided/steps:TI"


CALLING = (
    "positional",
    "function",
    "xla",
    "stateless",
    "parent",
    "subclassed",
    "sequential",
    "functional",
    "nested",
    "dynamic",
)
TRAINING, MASKING = modes_that("trains_model"), modes_that("makes_mask")


def _modes() -> Iterator[str]:
    """Every mode with traces that freeze, with images, masks and renorm; inputs with another layout in memory."""
    yield from each("shape:6x4/mode:{}/steps:T2INFTUTI", (*CALLING, "pinned", *TRAINING))
    yield from each("shape:2x3x5x4/axis:1/mode:{}/steps:T2I", (*CALLING, *TRAINING))
    yield from each("shape:6x5x4/mask:random/mode:{}/steps:T2I", CALLING)
    yield from each("shape:6x4/renorm:True/mode:{}/steps:T2I", ("xla", "sequential", "fit"))
    yield from each("shape:29x5/{}/mode:{}/steps:TI", POLICIES_WITH_DTYPES, ("xla", "sequential", "fit"))
    yield from each("shape:6x4/mode:{}/steps:T2IO", TRAINING)
    yield from each("shape:37x4/fill:{}/mode:xla/steps:TI", SPECIAL)
    yield from each("shape:6x4/mode:shared/{}/steps:{}", ("momentum:0.5", "axis:1"), ("T2I2", "T4F2T2"))
    yield from each("shape:6x5x4/mask:{}/mode:shared/steps:T2I2", ("random", "hidden"))
    yield from each("shape:{}/mode:timedistributed/steps:T2I", ("6x5x4", "3x4x5x2"))
    yield from each("shape:6x5x4/mask:{}/mode:{}/steps:T2I", ("padding", "random", "full"), MASKING)
    yield from each("shape:6x4/weights:initial/mode:unbuilt/steps:{}", ("TI", "ITI", "FTI", "FTUT2IN", "NTI"))
    yield from each("shape:6x4/trainable:False/{}steps:{}", ("", "mode:fit/", "axis:1/"), ("TI", "TIUTIFT"))
    yield "shape:6x4/trainable:False/mode:nested/steps:TIUT"
    yield from each("shape:6x5x4/layout:{}/{}steps:TI", tuple(LAYOUTS)[1:], ("", "axis:1/", "mode:fit/"))
    yield from each("shape:{}/law:repeat/gradients:1/steps:T2I", ("6x4", "4096x4", "8x16x16x3/axis:1"))


def _initializers() -> Iterator[str]:
    """Initializers of every weight, one at a time and together."""
    names = tuple(f"{name}_initializer" for name in ("gamma", "beta", "moving_mean", "moving_variance"))
    yield from each("shape:6x4/{}:{}/weights:initial/steps:TI", names, ("zeros", "ones"))
    yield from each("shape:6x4/{}:{}/steps:TI", names, ("random_normal", "random_uniform"))
    yield "shape:6x4/" + "/".join(f"{name}:random_normal" for name in names) + "/steps:TI"


def _sampled_replicas() -> Iterator[str]:
    """A batch over replicas: with separate statistics, synchronized with unequal shards, saved; over devices of JAX."""
    yield "shape:7x4/momentum:0.5/mode:mirrored2/file:weights.h5/steps:T2ISTI"
    yield "shape:7x4/momentum:0.5/synchronized:True/mode:mirrored3/steps:T2I"
    yield "shape:8x4/momentum:0.5/mode:parallel2/steps:T2I"


REPLICAS = ("mode:mirrored{}", "synchronized:True/mode:mirrored{}")


def _replicas() -> Iterator[str]:
    """Replicas, synchronized and not: their number, unequal shards, images, masks, freezing, half precision, files."""
    for mode in REPLICAS:
        yield from each(f"shape:7x4/{mode}/steps:T2INFTUTI", (2, 4))
        two = mode.format(2)
        yield from each(f"shape:{{}}/{two}/steps:T2I", ("3x2x5x4", "3x4x5x2/axis:1"))
        yield from each(
            f"shape:{{}}/{two}/steps:TI", ("7x5x3/mask:random", "29x5/fill:offset", f"29x5/{POLICIES_WITH_DTYPES[1]}")
        )
        yield f"shape:7x4/{two}/file:h5/steps:T2ISTI"
    yield "shape:8x4/mode:parallel4/steps:T2INFTUTI"
    yield from each("shape:{}/mode:parallel2/steps:TI", ("4x3x5x2/axis:1", "8x5x3/mask:random", "28x5/fill:offset"))


def _more_replicas() -> Iterator[str]:
    """Replicas with every rank, policy and special fill, other masks and files, and a layer without gamma or beta."""
    for mode in REPLICAS:
        two = mode.format(2)
        yield f"shape:7x4/{mode.format(3)}/steps:T2INFTUTI"
        yield from each(f"shape:{{}}/{two}/steps:T2I", ("5x4x3", "3x2x3x2x4/axis:-2", "2x4"))
        yield from each(f"shape:7x5x3/mask:{{}}/{two}/steps:TI", ("padding", "full"))
        yield from each(f"shape:29x5/{{}}/{two}/steps:TI", POLICIES_WITH_DTYPES)
        yield from each(f"shape:29x5/fill:{{}}/{two}/steps:TI", ("constant", "exact", "nonfinite"))
        yield f"shape:7x4/beta_regularizer:l1/gamma_constraint:unit_norm/{two}/steps:T2I"
        yield from each(f"shape:7x4/{two}/{{}}/steps:TI", ("center:False", "scale:False", "trainable:False", "momentum:0.0"))
        yield from each(f"shape:7x4/{two}/file:{{}}/steps:T2ISTI", ("keras", "weights.h5"))
    yield from each("shape:{}/mode:parallel2/steps:T2I", ("8x4", "4x4x3", "2x3x5x4"))
    yield from each("shape:8x5x3/mask:{}/mode:parallel4/steps:TI", ("padding", "full"))
    yield from each("shape:28x5/{}/mode:parallel2/steps:TI", ("fill:exact", *POLICIES_WITH_DTYPES))


APPLICATIONS = ("mobilenet", "mobilenetv2", "resnet50", "efficientnet", "densenet")


def _networks() -> Iterator[str]:
    """Small networks that train on real data: for several epochs, frozen and unfrozen, in half precision."""
    yield "shape:32x4/network:iris/steps:IT15I"
    yield "shape:32x14/network:posted/steps:T12IFTIUTI"
    dense = ("before-activation", "after-activation", "saturating", "no-bias", "dropout-before", "softmax")
    yield from each("shape:32x64/network:{}/steps:T3I", dense)
    yield from each("shape:8x8x8x1/network:{}/steps:T3I", ("conv", "conv-relu-bn"))
    yield "shape:8x8x8x1/network:residual/steps:T3IFTIUTI"
    yield "shape:16x14/network:posted/weights:initial/steps:IT2I"
    yield from each("shape:16x14/network:posted/policy:{}/steps:T2I", ("mixed_float16", "mixed_bfloat16"))
    yield from each("shape:{}/steps:I2", ("16x14/network:posted", "8x8x8x1/network:residual"))


def _few_files() -> Iterator[str]:
    """A layer that is saved and loaded in the middle of training."""
    yield "shape:2x4x4/axis:1/momentum:0.5/epsilon:0.01/file:keras/steps:T2STI"  # as many values along either axis
    yield "shape:4x3/center:False/renorm:True/file:config/steps:TSTI"
    yield "shape:4x3/center:False/file:h5/steps:TFSTIUTI"
    yield "shape:4x3/file:weights.h5/steps:T2STI"
    yield "shape:4x3/momentum:0.9/file:clone/steps:TSTI"


WHOLE_FILES = ("keras", "h5", "savedmodel", "config")  # the formats that hold a configuration
ALL_FILES = (*WHOLE_FILES, "weights.h5", "weights", "clone", "pickle")
CONFIGURATIONS = (
    "4x3/renorm:True/renorm_clipping:rmax3.0+rmin0.3+dmax5.0/renorm_momentum:0.9",
    "2x3x5x4/axis:1/momentum:0.5",
    "4x3/gamma_regularizer:l2/beta_regularizer:l1/gamma_constraint:non_neg",
    "4x3/gamma_initializer:random_normal/moving_mean_initializer:ones",
    "4x3/policy:mixed_float16/dtype:float16",
    "4x3/policy:float64/dtype:float64",
    "4x3/trainable:False",
)


def _files() -> Iterator[str]:
    """Every format with plain layers; formats that hold a configuration with every kind of it; and inside models."""
    yield from each("shape:4x3/file:{}/steps:{}", ALL_FILES, ("TSTI", "TFSTUTI", "ISIN"))
    yield from each("shape:{}/file:{}/steps:TSTI", CONFIGURATIONS, ("keras", "h5", "config"))
    yield from each("shape:4x3/gamma_constraint:max_norm/file:{}/steps:TSO", ("keras", "h5"))
    yield from each("shape:4x3/mode:{}/file:{}/steps:TST2I", ("functional", "fit"), ("keras", "h5", "clone"))
    yield from each("shape:4x3/weights:initial/file:{}/steps:STI", ("keras", "weights"))
    yield from each("shape:4x3/{}/file:export/steps:{}", ("scale:False", "policy:mixed_float16"), ("TSIN",))
    yield "shape:2x3x5x4/axis:1/file:export/steps:ISI"


def misuse(name: str) -> str:
    """The id of the case for a mistake."""
    mistake = MISUSES[name]
    return f"shape:{'x'.join(map(str, mistake.shape or (4, 3)))}/misuse:{name}/steps:{mistake.steps}"


def _misuses() -> Iterator[str]:
    """Every mistake that must be refused."""
    yield from map(misuse, MISUSES)
