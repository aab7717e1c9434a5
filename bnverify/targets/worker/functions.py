"""Function targets: each function runs inside a layer, and plain operations do the rest of batch normalization.

A function gives the normalized output from given statistics ("normalize"), the batch's statistics ("moments"), or both
("fused"). Inputs in a half format are cast to float32, as Keras' layer does; fused functions get them as they are, because they
compute in float32 themselves. With the suffix @symbolic a function runs in a graph: TensorFlow's functions inside tf.function,
Keras' as a keras.Function made from symbolic inputs. Moving statistics are assigned outside of the graph.
"""

import importlib

SYMBOLIC = "@symbolic"
HALVES = ("float16", "bfloat16")


def tensorflow():
    return importlib.import_module("tensorflow")


def shaped(values, like, axis):
    """Values along an axis, in a shape that TensorFlow broadcasts."""
    shape = [1] * len(like.shape)
    shape[axis] = like.shape[axis]
    return None if values is None else tensorflow().reshape(values, shape)


def keras_batch_normalization(keras, axis, epsilon, x, mean, variance, offset=None, scale=None):
    return keras.ops.batch_normalization(x, mean, variance, axis, offset=offset, scale=scale, epsilon=epsilon)


def tf_batch_normalization(keras, axis, epsilon, x, mean, variance, offset=None, scale=None):
    given = [shaped(values, x, axis) for values in (mean, variance, offset, scale)]
    return tensorflow().nn.batch_normalization(x, *given, variance_epsilon=epsilon)


def keras_moments(keras, axes, x):
    return keras.ops.moments(x, axes=axes)


def tf_moments(keras, axes, x):
    return tensorflow().nn.moments(x, axes=axes)


def tf_fused_batch_norm(keras, training, epsilon, x, scale, offset, mean=None, variance=None):
    layout = "NHWC" if len(x.shape) == 4 else "NDHWC"
    function = tensorflow().compat.v1.nn.fused_batch_norm
    return function(x, scale, offset, mean, variance, epsilon=epsilon, data_format=layout, is_training=training)


def raw_fused_batch_norm(keras, training, epsilon, x, scale, offset, mean=None, variance=None):
    nothing = tensorflow().zeros([0])
    found = tensorflow().raw_ops.FusedBatchNormV3(
        x=x,
        scale=scale,
        offset=offset,
        mean=nothing if mean is None else mean,
        variance=nothing if variance is None else variance,
        epsilon=epsilon,
        data_format="NHWC" if len(x.shape) == 4 else "NDHWC",
        is_training=training,
    )
    return found.y, found.batch_mean, found.batch_variance


FUNCTIONS = {
    "keras.ops.batch_normalization": ("normalize", keras_batch_normalization),
    "keras.ops.moments": ("moments", keras_moments),
    "tf.nn.batch_normalization": ("normalize", tf_batch_normalization),
    "tf.nn.moments": ("moments", tf_moments),
    "tf.nn.fused_batch_norm": ("fused", tf_fused_batch_norm),
    "tf.raw_ops.FusedBatchNormV3": ("fused", raw_fused_batch_norm),
}
NAMES = tuple(FUNCTIONS) + tuple(name + SYMBOLIC for name in FUNCTIONS)
ON_TENSORFLOW = tuple(name for name in NAMES if name.startswith("tf."))  # only TensorFlow has them


class NoFunction(Exception):
    """This Keras cannot have a function in its layer. The text says why."""


def function_layer(name, keras):
    """The layer class that has a function in it."""
    if not hasattr(keras, "Function"):
        raise NoFunction("%s is tested inside a layer of Keras 3, and this is Keras %s" % (name, keras.__version__))
    backend = keras.backend.backend()
    if name in ON_TENSORFLOW and backend != "tensorflow":
        raise NoFunction("%s runs on tensorflow only, and this Keras runs on %s" % (name, backend))
    plain, symbolic = name.partition("@")[::2]
    piece, function = FUNCTIONS[plain]
    run = in_keras_graph if symbolic and name not in ON_TENSORFLOW else in_function if symbolic else at_once
    ops = keras.ops

    class WithFunction(keras.layers.BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            if mask is not None or self.renorm:
                raise NotImplementedError("%s has no %s" % (name, "masks" if mask is not None else "renorm"))
            x = ops.cast(inputs, self.entry(keras.backend.standardize_dtype(inputs.dtype)))
            wide = "float64" if self.compute_dtype == "float64" else "float32"
            axes = [axis for axis in range(len(x.shape)) if axis != self.axis % len(x.shape)]
            given = {w.path.split("/")[-1]: ops.cast(w, wide) for w in self.weights}
            trains = bool(training) and bool(self.trainable)
            y, mean, variance = getattr(self, piece)(x, axes, trains, given)
            if trains:
                for weight, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
                    old, new = ops.cast(weight, wide), ops.cast(new, wide)
                    weight.assign(old * self.momentum + new * (1.0 - self.momentum))
            return ops.cast(y, self.compute_dtype)

        def entry(self, dtype):
            """The dtype of the function's input: a half format only if the function is documented to compute it in float32."""
            if self.compute_dtype == "float64":
                return "float64"
            return dtype if piece == "fused" and dtype in HALVES else "float32"

        def normalize(self, x, axes, trains, given):
            mean, variance = textbook_moments(ops, x, axes) if trains else (given["moving_mean"], given["moving_variance"])
            tensors = {"x": x, "mean": mean, "variance": variance, "offset": given.get("beta"), "scale": given.get("gamma")}
            return run(keras, function, (self.axis, self.epsilon), tensors), mean, variance

        def moments(self, x, axes, trains, given):
            mean, variance = given["moving_mean"], given["moving_variance"]
            if trains:
                mean, variance = run(keras, function, (axes,), {"x": x})
            return textbook_output(ops, self, x, axes, mean, variance, given), mean, variance

        def fused(self, x, axes, trains, given):
            tensors = {"x": x, "scale": given.get("gamma"), "offset": given.get("beta")}
            for key, neutral in (("scale", ops.ones), ("offset", ops.zeros)):
                if tensors[key] is None:
                    tensors[key] = neutral((x.shape[-1],), "float32")
            if not trains:
                tensors.update(mean=given["moving_mean"], variance=given["moving_variance"])
            return run(keras, function, (trains, self.epsilon), tensors)

    return WithFunction


def textbook_moments(ops, x, axes):
    mean = ops.mean(x, axis=axes, keepdims=True)
    variance = ops.mean(ops.square(x - mean), axis=axes)
    return ops.reshape(mean, variance.shape), variance


def textbook_output(ops, layer, x, axes, mean, variance, given):
    shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    mean, variance = (ops.reshape(ops.cast(v, x.dtype), shape) for v in (mean, variance))
    y = (x - mean) * (1.0 / ops.sqrt(variance + layer.epsilon))
    y = y * ops.reshape(given["gamma"], shape) if layer.scale else y
    return y + ops.reshape(given["beta"], shape) if layer.center else y


def at_once(keras, function, settings, tensors):
    return function(keras, *settings, **tensors)


def in_function(keras, function, settings, tensors):
    """Traced by tf.function once per call, because a cache over many shapes would only grow."""
    graph = tensorflow().function(lambda tensors: function(keras, *settings, **tensors), autograph=False)
    return graph.get_concrete_function(tensors)(tensors)


def in_keras_graph(keras, function, settings, tensors):
    """Through symbolic Keras tensors."""
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    dtype = keras.backend.standardize_dtype
    entries = {
        name: keras.Input(batch_shape=tuple(tensor.shape), dtype=dtype(tensor.dtype), name=name)
        for name, tensor in given.items()
    }
    return keras.Function(entries, function(keras, *settings, **entries))(given)
