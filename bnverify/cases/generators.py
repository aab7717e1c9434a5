"""The ids of cases about numbers. Each suite contains the one before: smoke, default, full."""

from __future__ import annotations

from collections.abc import Iterator

from bnverify.cases.fields import FILLS, MASKS, WEIGHTS
from bnverify.cases.layer_config import CONSTRAINTS, REGULARIZERS
from bnverify.cases.patterns import INPUT_DTYPES, POLICIES_WITH_DTYPES, SHAPES, SPECIAL, each


def smoke() -> Iterator[str]:
    """Few cases, each for several clauses at once: enough to catch every mutant."""
    yield "shape:6x5/weights:initial/steps:TIN"
    yield "shape:8x3/steps:T2IN"
    yield "shape:4x3/steps:TIFTINUTI"
    yield "shape:7x5/axis:1/steps:TI"
    yield "shape:2x3x5x4/axis:1/steps:T2I"
    yield "shape:2x3x5x4/axis:-3/steps:TI"
    yield "shape:2x3x5x4/axis:2/steps:TI"
    yield "shape:3x4x2/axis:0/steps:TI"
    yield "shape:2x4x3x5/steps:T2I"
    yield "shape:2x3x4x2x5/axis:1/steps:TI"
    yield "shape:4x3/momentum:0.5/steps:T3I"
    yield "shape:4x3/momentum:0.0/steps:TI"
    yield "shape:4x3/momentum:1.0/steps:TI"
    yield "shape:5x3/momentum:0.9/epsilon:1e-05/steps:T2I"
    yield "shape:16x4/epsilon:0.1/steps:TI"
    yield "shape:16x4/epsilon:1e-07/steps:TI"
    yield "shape:16x4/epsilon:1e-07/fill:tiny/steps:TI"
    yield "shape:6x4/center:False/steps:TI"
    yield "shape:6x4/scale:False/steps:TI"
    yield "shape:6x4/center:False/scale:False/steps:TI"
    yield "shape:1x4/steps:TI"
    yield "shape:5x1/steps:TI"
    yield "shape:2x2/steps:TI"
    yield from _formats()
    yield "shape:4x3/weights:initial/steps:FTUT"
    yield from _small()


def _formats() -> Iterator[str]:
    """Fills, policies and dtypes, a few cases of each."""
    yield from each("shape:37x4/fill:{}/steps:TI", SPECIAL)
    yield "shape:4x3x11x2/axis:1/fill:exact/steps:TI"
    yield "shape:4x3x11x2/axis:1/fill:offset/steps:TI"
    yield "shape:4096x4/fill:exact/steps:TI"
    yield "shape:2500x4/fill:constant/steps:TI"
    yield "shape:8x16x16x3/fill:offset/steps:TI"
    yield from each("shape:37x4/{}/steps:T2I", POLICIES_WITH_DTYPES)
    yield "shape:37x4/policy:mixed_float16/dtype:float16/fill:huge/steps:TI"
    yield "shape:37x4/policy:float64/dtype:float64/fill:offset/steps:TI"
    yield "shape:37x4/policy:float16/dtype:float16/fill:offset/steps:TI"
    yield "shape:20x4/policy:mixed_bfloat16/steps:TI"
    yield "shape:20x4/dtype:int32/steps:TI"
    yield "shape:20x4/dtype:float16/steps:TI"
    yield "shape:20x4/dtype:float64/steps:TI"


def _small() -> Iterator[str]:
    """Gradients, masks, batch renormalization, edges and laws, a few cases of each."""
    yield "shape:7x4/gradients:1/steps:T2IN"
    yield "shape:4x3/gradients:1/steps:FTIUT"
    yield "shape:4x6x3/axis:1/gradients:2/steps:T"
    yield "shape:6x4/center:False/gradients:1/steps:TI"
    yield "shape:6x4/scale:False/gradients:1/steps:TI"
    yield "shape:16x4/fill:tiny/gradients:1/steps:TI"
    yield "shape:4x5x3/policy:mixed_float16/dtype:float16/gradients:1/steps:TI"
    yield "shape:6x4/gamma_regularizer:l2/beta_regularizer:l1/gradients:1/steps:TI"
    yield "shape:4x3/gamma_regularizer:l2/steps:TFTIUT"
    yield "shape:6x4/gamma_constraint:non_neg/beta_constraint:unit_norm/steps:TO"
    yield from each("shape:5x4x3/mask:{}/steps:T2I", MASKS[:-1])
    yield "shape:6x4x3/momentum:0.5/policy:float64/dtype:float64/fill:nonfinite/mask:broadcast/steps:TI"  # options of a count
    yield "shape:5x4x3/mask:padding/gradients:2/steps:TI"
    yield "shape:5x4x3/mask:padding/fill:offset/steps:TIN"
    yield "shape:4x3x2x5/axis:1/mask:random/steps:TFTI"
    yield "shape:9x4/mask:random/fill:constant/steps:TI"
    yield "shape:6x4/renorm:True/weights:initial/steps:TI"
    yield "shape:6x4/renorm:True/momentum:0.9/renorm_momentum:0.5/gradients:1/steps:T3I"
    yield "shape:6x4/renorm:True/renorm_clipping:rmax1.5+rmin0.8+dmax0.5/gradients:1/steps:T2I"
    yield "shape:6x4/renorm:True/epsilon:0.5/fill:tiny/steps:T2FTI"
    yield "shape:5x4x3/renorm:True/mask:random/steps:TI"
    yield from each("shape:6x4/weights:{}/steps:IT", WEIGHTS[2:])
    yield "shape:12x4/epsilon:0.0/steps:TI"
    yield "shape:0x4/steps:TI"
    yield "shape:4x3/momentum:0.9/steps:T50I"
    yield "shape:9x4/policy:float16/dtype:float16/momentum:0.5/steps:T12I"
    yield from each("shape:2x3x5x4/axis:1/law:{}/steps:T", (*TRAINING_LAWS, "renorm"))
    yield "shape:2x3x5x4/axis:1/law:epsilon/steps:I"
    yield "shape:5x4x3/mask:full/law:mask/steps:T"


TRAINING_LAWS = ("shift", "scale", "permutation", "channels", "transposition", "axes", "statistics")


def default() -> Iterator[str]:
    """Every value of every field, and pairs of fields that are known to interact."""
    yield from _axes()
    yield from _arguments()
    yield from _policies()
    yield from _traces()
    yield from _sizes()
    yield from _inference()
    layouts = ("13x7", "3x5x7x4", "3x4x5x7/axis:1", "2x3x4x3x2/axis:-2", "1009x3", "7x2x11/axis:0")
    yield from each("shape:{}/fill:{}/steps:T2I", layouts, SPECIAL)
    for part in (_gradients, _masks, _renorm, _gradients_of_pairs, _edges, _laws):
        yield from part()


def _axes() -> Iterator[str]:
    """Every axis of every rank, counted from the start and from the end; several axes at once."""
    for shape in SHAPES:
        rank = shape.count("x") + 1
        yield from each(f"shape:{shape}/axis:{{}}/{{}}", tuple(range(-rank, rank)), ("steps:T2I", "fill:offset/steps:TI"))
    yield "shape:3x4x5/axis:1+2/steps:TI"


def _arguments() -> Iterator[str]:
    """momentum from 0 to 1, epsilon from 1e-12 to 1, center and scale on and off."""
    momenta = (0.0, 0.1, 0.5, 0.9, 0.999, 0.9999, 1.0)
    yield from each("shape:8x3/momentum:{}/steps:T5I", momenta)
    yield from each("shape:2x3x4x5/axis:1/momentum:{}/steps:T2ITI", momenta)
    epsilons = (1e-12, 1e-9, 1e-7, 1e-5, 1e-2, 1.0)
    yield from each("shape:23x4/epsilon:{}/fill:{}/steps:TI", epsilons, ("normal", "tiny", "constant", "exact"))
    flags = ("center:False", "scale:False", "center:False/scale:False")
    yield from each("shape:{}/{}/steps:TI", SHAPES, flags)
    yield from each("shape:{}/axis:1/{}/steps:TFTUT", SHAPES, flags)
    together = tuple(f"{flag}/momentum:0.5/epsilon:0.1" for flag in flags)
    yield from each("shape:{}/{}/steps:T2I", ("6x5", "2x3x5x4", "2x3x5x4/axis:1", "4x6x3/axis:-2"), together)


def _policies() -> Iterator[str]:
    """Every dtype policy with every fill, and inputs of every dtype."""
    yield from each("shape:29x5/{}/fill:{}/steps:T2I", POLICIES_WITH_DTYPES, FILLS)
    yield from each("shape:3x4x5x6/axis:1/{}/fill:{}/steps:TI", POLICIES_WITH_DTYPES, ("normal", "offset"))
    yield from each("shape:8x3/momentum:0.5/{}/steps:T20I", POLICIES_WITH_DTYPES)
    yield from each("shape:8x3/{}/weights:initial/steps:TIN", POLICIES_WITH_DTYPES)
    yield from each("shape:9x4/momentum:0.9/epsilon:1e-05/{}/steps:TFTUTI", POLICIES_WITH_DTYPES)
    yield from each(
        "shape:12x3x4x5/axis:1/epsilon:1e-06/{}/fill:{}/steps:TI", ("policy:float32", *POLICIES_WITH_DTYPES), ("normal", "tiny")
    )
    yield from each("shape:513x8/dtype:float64/{}/steps:TI", tuple(policy.split("/")[0] for policy in POLICIES_WITH_DTYPES))
    names = tuple(policy.split("/")[0] for policy in POLICIES_WITH_DTYPES)
    yield from each("shape:29x5/{}/fill:{}/steps:TI", names, ("normal", "offset"))
    yield from each("shape:29x5/dtype:{}/steps:TI", INPUT_DTYPES)
    yield from each("shape:2x3x4x5/axis:1/dtype:{}/fill:exact/steps:TI", INPUT_DTYPES)
    yield from each("shape:29x5/{}/dtype:{}/steps:TI", names, INPUT_DTYPES)


def _inference() -> Iterator[str]:
    """Inference only, because some backends do nothing else: every axis, policy, input dtype and epsilon."""
    for shape in SHAPES:
        yield from each(f"shape:{shape}/axis:{{}}/steps:IN", tuple(range(-1, shape.count("x") + 1)))
    yield from each("shape:29x5/{}/fill:{}/steps:I", ("policy:float32", *POLICIES_WITH_DTYPES), ("normal", "offset"))
    yield from each("shape:29x5/dtype:{}/steps:I", INPUT_DTYPES)
    yield from each("shape:2x3x4x5/axis:1/{}/steps:I", ("epsilon:1e-07", "epsilon:0.1", "center:False", "scale:False"))
    yield "shape:2x3x4x5/axis:1/weights:initial/steps:IFI"


def _traces() -> Iterator[str]:
    """Orders of training, inference, freezing and unfreezing."""
    plain = ("T", "I", "N", "IT", "NTN", "T10I", "TITITI", "T60I")
    frozen = ("FT", "FTUT", "TFTIT", "TIFTUTI", "TFNUN", "FIUT2I", "T2FT2UT2I", "FTUFT", "TFTUFTUFTUT")
    layers = ("shape:8x4", "shape:2x3x4x5/axis:1", "shape:8x4/weights:initial")
    yield from each("{}/steps:{}", layers, plain + frozen)


def _sizes() -> Iterator[str]:
    """A batch of one, one channel, one value per channel, prime sizes, many channels, many values."""
    small = ("1x1", "1x7", "7x1", "2x1", "2x7", "3x2", "1x1x1", "1x5x1x1", "1x1x1x5", "31x37", "2x3x1", "1x3x4x4", "127x1")
    yield from each("shape:{}/fill:{}/steps:TI", small, ("normal", "exact", "constant", "offset"))
    yield from each("shape:{}/steps:TI", ("3x257", "2x130x3/axis:1", "5x3x1024", "70001x2", "150000x1"))
    large = ("4096x3", "65536x2", "16x32x32x3", "64x2x64/axis:1")
    yield from each("shape:{}/fill:{}/steps:TI", large, ("normal", "exact", "offset", "constant", "spike"))


def _gradients() -> Iterator[str]:
    """Gradients for every axis, fill, policy and kind of call; second order; optimizer steps for gamma and beta."""
    for shape in SHAPES:
        rank = shape.count("x") + 1
        yield from each(f"shape:{shape}/axis:{{}}/gradients:1/steps:TI", tuple(range(rank)))
        yield from each(f"shape:{shape}/axis:{{}}/gradients:2/steps:T", (0, rank - 1))
    yield from each("shape:29x5/fill:{}/gradients:1/steps:TI", SPECIAL)
    yield from each("shape:29x5/{}/fill:{}/gradients:1/steps:TI", POLICIES_WITH_DTYPES, ("normal", "offset", "tiny"))
    yield from each("shape:2x3x4x5/axis:1/{}/gradients:2/steps:T", POLICIES_WITH_DTYPES[:2])
    yield from each("shape:29x5/dtype:{}/gradients:1/steps:TI", ("float16", "bfloat16", "float64"))
    yield from each("shape:8x4/gradients:1/steps:{}", ("T5I", "NT", "FTUT", "TFNIUT"))
    yield from each("shape:8x4/{}/gradients:2/steps:TI", ("center:False", "scale:False", "epsilon:1e-07", "epsilon:1.0"))
    yield from each("shape:{}/gradients:2/steps:TI", ("1x4", "2x4", "513x3", "4x1"))
    yield from each("shape:8x4/gamma_regularizer:{}/beta_regularizer:{}/steps:TI", REGULARIZERS[1:], REGULARIZERS[1:])
    yield from each("shape:8x4/gamma_constraint:{}/beta_constraint:{}/steps:TO", CONSTRAINTS[1:], CONSTRAINTS[1:])
    yield from each("shape:{}/steps:T2O", ("8x4", "2x3x4x5/axis:1", "8x4/scale:False", "8x4/policy:float64/dtype:float64"))


def _masks() -> Iterator[str]:
    """Every kind of mask with every rank, axis, policy and special fill; in inference and frozen; one channel; gradients."""
    yield from each("shape:{}/mask:{}/steps:TI", ("9x4", "5x4x3", "2x3x5x4", "2x3x4x2x5", "5x4x1"), MASKS[:-1])
    yield "shape:5x4x3/mask:whole/steps:TI"
    yield from each("shape:4x3x2x5/axis:{}/mask:{}/steps:TI", (0, 1, 2), ("random", "broadcast", "full"))
    yield from each("shape:5x7x3/mask:padding/fill:{}/steps:TI", SPECIAL)
    yield from each("shape:5x7x3/mask:random/{}/steps:T2I", POLICIES_WITH_DTYPES)
    yield from each("shape:5x4x3/mask:{}/gradients:2/steps:TI", ("random", "one", "full", "int32", "broadcast"))
    yield "shape:5x4x3/mask:hidden/gradients:1/steps:TI"
    yield from each("shape:5x4x3/mask:random/{}/steps:{}", ("center:False", "scale:False", "momentum:0.5"), ("T3I", "TFTUTN"))
    yield "shape:3x4x5x2/axis:1/mask:random/gradients:1/steps:TI"
    yield "shape:70x50x2/mask:random/fill:offset/steps:TI"


def _renorm() -> Iterator[str]:
    """Batch renormalization: clipping, both momenta, every rank, policy and special fill, frozen, under masks, gradients."""
    layer = "shape:8x4/renorm:True"
    clippings = ("rmax1.1", "rmin0.9", "dmax0.1", "rmax1.0+rmin1.0+dmax0.0", "rmax3.0+rmin0.3+dmax5.0")
    yield from each(layer + "/renorm_clipping:{}/gradients:1/steps:T3I", clippings)
    yield from each(layer + "/momentum:{}/renorm_momentum:{}/steps:T3I", (0.0, 0.5, 1.0), (0.0, 0.9, 1.0))
    yield from each("shape:{}/renorm:True/gradients:2/steps:T2I", SHAPES)
    yield from each("shape:2x3x5x4/axis:{}/renorm:True/steps:T2I", (0, 1, 2))
    yield from each("shape:29x5/renorm:True/fill:{}/steps:TI", SPECIAL)
    yield from each("shape:29x5/renorm:True/{}/steps:T2I", POLICIES_WITH_DTYPES)
    yield from each(layer + "/{}/steps:TFTUTI", ("weights:initial", "center:False", "scale:False", "epsilon:0.1"))
    yield from each(layer + "/{}/steps:ITI", ("epsilon:0.001", "epsilon:4.0", *POLICIES_WITH_DTYPES))
    yield from each("shape:5x4x3/renorm:True/mask:{}/gradients:1/steps:T2I", ("random", "one", "full"))


def _gradients_of_pairs() -> Iterator[str]:
    """Gradients of masks and renorm with policies, ranks, axes, freezing, and layers without gamma or beta."""
    layers = ("shape:7x5x3/mask:random", "shape:29x5/renorm:True")
    yield from each("{}/{}/gradients:1/steps:TI", layers, POLICIES_WITH_DTYPES)
    yield from each("{}/{}/gradients:1/steps:TFTUT", layers, ("center:False", "scale:False", "momentum:0.5"))
    shapes = ("9x4", "5x4x3/axis:1", "2x3x5x4", "2x3x5x4/axis:1", "2x3x4x2x5")
    yield from each("shape:{}/{}/gradients:1/steps:TI", shapes, ("mask:random", "renorm:True"))
    yield from each("shape:5x4x3/mask:{}/gradients:1/steps:TI", ("padding", "float32", "int32", "full"))
    yield from each("shape:8x4/renorm:True/{}/gradients:2/steps:TI", ("center:False", "scale:False"))
    yield from each("shape:{}/gradients:1/steps:TI", ("4096x3", "64x2x64/axis:1"))
    yield from each("shape:8x4/{}/steps:TI", ("scale:False/beta_regularizer:l2", "center:False/gamma_regularizer:l1"))
    yield "shape:8x4/gamma_constraint:non_neg/renorm:True/steps:TO"


def _edges() -> Iterator[str]:
    """Empty batches, epsilon 0, a negative or subnormal moving variance, long traces, half formats at the limits of their
    range.
    """
    yield from each("shape:{}/steps:TI", ("0x3", "0x4x3", "2x0x3", "3x2x0x4/axis:1"))
    yield from each("shape:13x4/epsilon:0.0/fill:{}/steps:TI", ("normal", "offset", "constant", "nonfinite"))
    yield from each("shape:13x4/weights:{}/{}/steps:{}", WEIGHTS[2:], ("epsilon:0.001", "epsilon:0.5"), ("IT", "FTUTI"))
    yield from each("shape:13x4/fill:{}/gradients:1/momentum:{}/steps:TI", ("nonfinite", "huge"), (0.0, 0.5))
    yield from each("shape:6x3/{}/steps:T300I", ("policy:float32", *POLICIES_WITH_DTYPES))
    halves = ("policy:mixed_float16/dtype:float32", "policy:float16/dtype:float64", "policy:bfloat16/dtype:float32")
    yield from each("shape:29x5/{}/fill:{}/steps:TI", halves, ("huge", "subnormal", "offset"))


def _laws() -> Iterator[str]:
    """Every law with every rank, in half and double precision, and with special fills."""
    laws = (*TRAINING_LAWS, "renorm")
    yield from each("shape:{}/law:{}/steps:T", ("6x5", "4x6x3/axis:1", "2x3x4x2x5/axis:0"), laws)
    yield from each(
        "shape:7x5x3/{}/law:{}/steps:T", (POLICIES_WITH_DTYPES[0], POLICIES_WITH_DTYPES[1], POLICIES_WITH_DTYPES[3]), laws
    )
    yield from each("shape:7x5x3/fill:{}/law:{}/steps:T", ("exact", "offset", "constant", "nonfinite"), laws)
    yield from each("shape:7x5x3/{}/law:epsilon/steps:I", ("epsilon:1e-05", "epsilon:1.0", *POLICIES_WITH_DTYPES[:2]))
    yield from each("shape:{}/fill:{}/law:epsilon/steps:I", ("6x5", "4x6x3/axis:1", "2x3x4x2x5/axis:0"), ("normal", "offset"))
    yield from each(
        "shape:5x4x3/mask:full/{}/law:mask/steps:T", ("axis:1", "fill:exact", "fill:offset", *POLICIES_WITH_DTYPES[:2])
    )
    yield from each("shape:5x4x3/mask:random/law:{}/steps:T", ("shift", "scale", "permutation", "channels", "statistics"))


def full() -> Iterator[str]:
    """Every axis with every fill and policy, every policy with every kind of trace, arguments with fills, large inputs."""
    for shape in (*SHAPES, "7x11", "5x7x3", "3x5x7x2", "2x3x3x5x3"):
        rank = shape.count("x") + 1
        yield from each(f"shape:{shape}/axis:{{}}/fill:{{}}/steps:TI", tuple(range(-rank, rank)), FILLS)
        fills = ("normal", "offset", "exact")
        yield from each(f"shape:{shape}/axis:{{}}/{{}}/fill:{{}}/steps:TI", tuple(range(rank)), POLICIES_WITH_DTYPES, fills)
    epsilons, momenta = (1e-12, 1e-8, 1e-5, 1e-3, 1.0), (0.0, 0.3, 0.99, 1.0)
    yield from each("shape:17x3/epsilon:{}/momentum:{}/fill:{}/steps:T3I", epsilons, momenta, FILLS)
    yield "shape:4x3/steps:T10000I"
    yield "shape:4x3/policy:float16/dtype:float16/steps:T10000I"
    for shape in SHAPES:
        yield from each(f"shape:{shape}/axis:{{}}/fill:{{}}/gradients:1/steps:TI", tuple(range(-2, 1)), SPECIAL)
        yield from each(f"shape:{shape}/mask:{{}}/fill:{{}}/steps:TI", MASKS[:-1], FILLS)
        yield from each(f"shape:{shape}/renorm:True/fill:{{}}/gradients:1/steps:T2I", FILLS)
        yield from each(f"shape:{shape}/{{}}/gradients:2/steps:T", POLICIES_WITH_DTYPES)
    counts = (2, 3, 5, 16, 64, 257, 1024, 16384, 65537, 262144)
    yield from each("shape:{}x3/fill:{}/steps:TI", counts, FILLS)
    yield from each("shape:2x3x{}/axis:1/fill:{}/steps:TI", counts, FILLS)
    every, steps = ("policy:float32", *POLICIES_WITH_DTYPES), ("T100I", "T7I", "ITNT", "TFT2IUT2I", "FTUTFTUT")
    yield from each("shape:6x3/{}/steps:{}", every, steps)
    yield from each("shape:6x3/{}/momentum:0.9/weights:initial/steps:{}", every, steps)
    yield from each("shape:3x4x5/axis:{}/steps:TI", ("0+1", "1+2", "-1+0", "0+1+2"))
