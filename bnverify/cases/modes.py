"""Ways of running: how the calls of a case are made, how its files are written, how its inputs lie in memory."""

from __future__ import annotations

MODES = {
    "call": "the layer is called",
    "unbuilt": "the layer is called without having been built; steps before the first call find it unbuilt",
    "positional": "arguments of the constructor are given by position, in Keras' order",
    "function": "the layer is called inside tf.function",
    "xla": "the call is compiled by XLA (tf.function with jit_compile=True, jax.jit)",
    "stateless": "stateless_call, and the variables that it returns are assigned",
    "parent": "a parent layer hands `training` on",
    "subclassed": "a subclassed model calls the layer and says nothing of `training`",
    "sequential": "the layer is in a Sequential model between others; the model is frozen",
    "functional": "the layer is in a Functional model, before and after others",
    "nested": "the layer is in a model in a model; the inner model is frozen",
    "dynamic": "a Functional model that knows of no size but the channels'",
    "pinned": "a Functional model that was made with training=False",
    "fit": "fit of a model with SGD(0), consecutive steps in one epoch; predict; the model is frozen and compiled again",
    "on_batch": "train_on_batch with SGD(0), predict_on_batch; the layer is frozen and the model compiled again",
    "uncompiled": "fit and predict of a model that is not compiled again when it is frozen, which then says nothing to fit",
    "evaluate": "fit with SGD(0), and evaluate in place of predict",
    "shared": "one layer has two inputs in one model: two calls in one",
    "timedistributed": "TimeDistributed: each slice along axis 1 is a call",
    "masking": "the mask comes from a Masking layer, which sets masked values to 0",
    "embedding": "inputs and mask come from an Embedding layer with mask_zero=True, 0 for masked values",
    "one_thread": "the layer is called in a process that computes with one thread",
    **{f"mirrored{n}": f"tf.distribute.MirroredStrategy over {n} logical CPU devices" for n in (2, 3, 4)},
    **{f"parallel{n}": f"keras.distribution.DataParallel over {n} host devices of JAX" for n in (2, 4)},
}
TRAINERS = ("fit", "on_batch", "evaluate", "uncompiled")  # that train a compiled model
MASKERS = ("masking", "embedding")  # that make the mask themselves
FILES = {
    "none": "no file",
    "keras": "model.save(….keras), load_model",
    "weights.h5": "model.save_weights(….weights.h5), load_weights into a layer made anew",
    "h5": "model.save(….h5), load_model: the legacy format",
    "savedmodel": "model.save(folder), load_model: the format of Keras 2",
    "export": "model.export(folder), tf.saved_model.load, which only infers",
    "weights": "get_weights(), set_weights() of a layer made anew, by order",
    "config": "get_config(), from_config(), and the weights by order",
    "clone": "clone_model(), and the weights by order",
    "pickle": "pickle of the model",
}
REPLICA_FILES = ("none", "keras", "weights.h5", "h5")  # what replicas are saved in
LAYOUTS = {
    "plain": "values one after another, the last axis fastest",
    "fortran": "the first axis fastest",
    "strided": "every second value of a larger array",
    "reversed": "negative strides",
}


def spreads(mode: str) -> bool:
    """Whether a mode spreads one computation over devices, and not one batch over replicas that compute by themselves."""
    return mode.startswith("parallel")


def replicas(mode: str) -> int:
    """Over how many devices a mode spreads a batch."""
    return int(mode[-1]) if mode[-1].isdigit() else 1
