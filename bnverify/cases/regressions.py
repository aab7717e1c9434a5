"""Regression cases: each exists because something was once wrong, or is often asked about. An id and its cause."""

from __future__ import annotations

REGRESSIONS: tuple[tuple[str, str], ...] = (
    (
        "shape:3x4/momentum:0.0/posted:axis-means/steps:TI",
        "“axis names what is reduced”: with axis=-1 the mean over the batch is subtracted, one per feature",
    ),
    (
        "shape:32x4/network:iris/steps:T8I",
        "“moving_mean should have 150 values”: on iris it has 4, one for each feature, not one for each flower",
    ),
    (
        "shape:2x2/posted:toy/steps:NI",
        "the toy batch whose output was x/sqrt(1+epsilon): a call without `training` is inference with mean 0 and variance 1",
    ),
    (
        "shape:2x2/posted:toy-as-printed/steps:TI",
        "“z-scores of ±1/√2”: they need n−1 and no epsilon; in training the layer divides by n",
    ),
    (
        "shape:8x3/fill:constant/steps:TNI",
        "“a constant comes out unchanged”: in training it becomes beta, in inference it depends on the moving statistics",
    ),
    (
        "shape:1x2x1/center:False/posted:scale-alone/steps:IT",
        "“the output is not (x-mean)/sqrt(var)”: predict normalizes with the moving statistics, not with the batch's",
    ),
    (
        "shape:1x2x1/posted:four-routes/steps:IT",
        "predict, NumPy, tf.nn.batch_normalization and the backend's function agree on [0.71096909, 2.09494853]",
    ),
    (
        "shape:4x3/mode:fit/steps:T3I",
        "“moving = alpha*moving + (1-alpha)*batch”: fit normalizes with the batch and updates the moving statistics; "
        "predict uses them",
    ),
    (
        "shape:4x3/fill:tiny/steps:TI",
        "“(x-mean)/sqrt(var)”: if the variance is small, epsilon matters: without it y is larger by the factor "
        "sqrt(1+epsilon/var)",
    ),
    (
        "shape:32x14/network:posted/steps:T3I",
        "“where do I call batch normalization?”: every call of the three layers in the posted network",
    ),
    (
        "shape:16x64/network:before-activation/steps:T2I",
        "“before the activation”: BN normalizes the input of relu, and the output of relu has a mean of about 0.4",
    ),
    (
        "shape:16x64/network:after-activation/steps:T2I",
        "“after the activation”: BN normalizes the output of relu, which stays as skewed as before",
    ),
    (
        "shape:16x64/network:saturating/steps:T2I",
        "“saturating activations differ”: BN after a sigmoid and before one",
    ),
    (
        "shape:16x64/network:no-bias/steps:T2I",
        "“a bias before BN is redundant”: the mean removes it and beta replaces it",
    ),
    (
        "shape:8x8x8x1/network:conv/steps:T2I",
        "“axis=bn_axis”: for channels-last images, 3 is the same axis as the default -1",
    ),
    (
        "shape:8x8x8x1/network:conv-relu-bn/steps:T2I",
        "“Conv, relu, BN as one function”: two calls of the function make two layers with separate statistics",
    ),
    (
        "shape:16x64/network:dropout-before/steps:T2I",
        "“dropout before BN shifts the variance”: the moving variance is the variance of the noisy input",
    ),
    (
        "shape:16x64/network:softmax/steps:T2I",
        "“BN before the softmax”: BN removes the shift and scale of the logits; gamma and beta replace them",
    ),
    (
        "shape:16x4/fill:offset/steps:T10I",
        "“validation accuracy does not improve”: after ten steps the moving statistics still keep 0.9 of their initial values",
    ),
    (
        "shape:4x3x5x5/axis:1/steps:TI",
        "the fused kernel of tf.keras 2 put variance·n/(n−1) into the moving variance of rank-4 inputs",
    ),
    (
        "shape:6x3/steps:FT3UT",
        "until TensorFlow 2 trainable=False froze gamma and beta only, and the moving statistics were still updated",
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
        "momentum 0 keeps nothing of the old value; PyTorch's momentum is 1 − Keras' momentum",
    ),
)
