"""Cases that exist because something once went wrong, or is asked about again and again: id and cause."""

from __future__ import annotations

REGRESSIONS: tuple[tuple[str, str], ...] = (
    (
        "shape:3x4/weights:initial/epsilon:1e-12/momentum:0.0/fill:exact/steps:TI",
        "“axis names what is reduced”: with axis=-1 the mean over the batch is subtracted, one per feature",
    ),
    (
        "shape:1x2x1/center:False/steps:I",
        "“the output is not (x-mean)/sqrt(var)”: predict normalizes with the moving statistics, not with the batch's",
    ),
    (
        "shape:2x2/weights:initial/steps:N",
        "the toy batch whose output was x/sqrt(1+epsilon): training not given infers with mean 0 and variance 1",
    ),
    (
        "shape:4x3x5x5/axis:1/steps:TI",
        "the fused kernel of tf.keras 2 put variance·n/(n−1) into the moving variance of rank-4 inputs",
    ),
    (
        "shape:6x3/steps:FT3UT",
        "until TensorFlow 2 trainable=False froze gamma and beta alone, and statistics kept moving",
    ),
    (
        "shape:64x4/policy:mixed_float16/dtype:float16/fill:huge/steps:T",
        "squares of float16 inputs overflow unless statistics are computed in float32",
    ),
    (
        "shape:256x4/fill:offset/steps:T2I",
        "E[x²]−E[x]² loses the variance when the mean is large: NaN from the root of a negative number",
    ),
    (
        "shape:1x5/steps:TI",
        "a batch of one: the variance is 0 and y is beta; PyTorch raises, Keras does not",
    ),
    (
        "shape:12x4/momentum:0.0/steps:TITI",
        "momentum 0 keeps nothing of the past; PyTorch's momentum is 1 − Keras' momentum",
    ),
)
