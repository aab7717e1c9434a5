"""What a model needs for training, in each generation of Keras: a loss, an optimizer, and a keeper layer that stores its
input.
"""

import importlib


def mixed_precision(framework):
    """The module with the functions of the global dtype policy."""
    mixed = getattr(framework.keras, "mixed_precision", None)
    if not hasattr(mixed, "set_global_policy") and not hasattr(mixed, "set_dtype_policy"):  # Keras 2.4 to 2.8
        mixed = framework.tensorflow.keras.mixed_precision
    return mixed


def global_policy(framework):
    """The name of the global dtype policy; empty where there are none."""
    if framework.generation == "graph":
        return ""
    mixed = mixed_precision(framework)
    return (getattr(mixed, "global_policy", None) or mixed.dtype_policy)().name


def set_policy(framework, policy):
    """Makes a dtype policy global, and for float64 also sets floatx, so that models convert inputs to it. Returns the old
    policy.
    """
    if framework.generation == "graph":
        return policy
    mixed, was = mixed_precision(framework), global_policy(framework)
    if "float64" in (was, policy):
        framework.keras.backend.set_floatx("float64" if policy == "float64" else "float32")
    if was != policy:
        (getattr(mixed, "set_global_policy", None) or mixed.set_dtype_policy)(policy)
    return was


def sgd(framework, rate, **given):
    keras = framework.keras
    kind = getattr(keras.optimizers, "SGD", None) or framework.tensorflow.keras.optimizers.SGD
    return kind(rate, **given)


def adam(framework, rate):
    keras = framework.keras
    kind = getattr(keras.optimizers, "Adam", None) or framework.tensorflow.keras.optimizers.Adam
    return kind(rate)


def weighted_sum(framework):
    """The loss whose gradient with respect to y is y_true. It has a name, so that files can refer to it."""
    if framework.generation == 3:
        ops = framework.keras.ops
        loss = lambda y_true, y_pred: ops.sum(y_true * ops.cast(y_pred, y_true.dtype))  # noqa: E731
    elif framework.generation == 2:
        tf = framework.tensorflow
        loss = lambda y_true, y_pred: tf.reduce_sum(y_true * tf.cast(y_pred, y_true.dtype))  # noqa: E731
    else:
        loss = lambda y_true, y_pred: framework.K.sum(y_true * y_pred)  # noqa: E731
    loss.__name__ = "weighted_sum"
    return loss


def keeper(framework, shape, policy):
    """A layer that returns its input and stores a copy in `kept`, in float32 or wider."""
    Layer = framework.keras.layers.Layer
    dtype = "float64" if policy == "float64" else "float32"

    class Keeper(Layer):
        def __init__(self, **given):  # with its own policy: on PyTorch an assignment under another policy may be lost
            own = {} if framework.generation == "graph" else {"dtype": dtype, "autocast": False}
            super(Keeper, self).__init__(**dict(given, **own))

        def build(self, input_shape):
            given = {} if framework.generation == "graph" else {"dtype": dtype}
            self.kept = self.add_weight(name="kept", shape=tuple(shape), initializer="zeros", trainable=False, **given)
            super(Keeper, self).build(input_shape)

        def call(self, inputs):
            self.dtype_seen = framework.dtype(inputs)
            if framework.generation == "graph":
                self.add_update(framework.K.update(self.kept, inputs), inputs)
            elif framework.generation == 3:
                self.kept.assign(framework.keras.ops.cast(framework.keras.ops.reshape(inputs, tuple(shape)), dtype))
            else:
                self.kept.assign(framework.tensorflow.cast(framework.tensorflow.reshape(inputs, tuple(shape)), dtype))
            return inputs

        def compute_output_shape(self, input_shape):
            return input_shape

        def get_config(self):
            return {"name": self.name}

    return Keeper()


def entering(framework, x, dtype):
    """An array in the form that a model takes."""
    if dtype == "bfloat16":
        return x.astype(importlib.import_module("ml_dtypes").bfloat16)
    return x if framework.generation != "graph" else x.astype(framework.K.floatx())


def synchronize(model):
    """Writes the state of a training loop back into the variables. JAX keeps it apart from them."""
    if hasattr(model, "jax_state_sync") and getattr(model, "_jax_state", None) is not None:
        model.jax_state_sync()
