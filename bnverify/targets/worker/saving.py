"""Saving: save the layer, or the model that contains it, and replace it by the loaded one.

Each file format is a pair of functions: `save(caller, model, path)` writes a file, `load(caller, model, path)` returns the
loaded model. Formats without a file (weights, config, clone) copy from the layer directly.
"""

import contextlib
import importlib
import io
import logging
import os
import pickle
import shutil
import tempfile

import numpy as np

from .recording import NotHere, after_change, values, whole_config

SUFFIXES = {"keras": ".keras", "weights.h5": ".weights.h5", "h5": ".h5", "savedmodel": "", "export": ""}
HELD_PARTS = ("layer", "within", "keeper", "table")  # attributes in which callers hold their model


def reload(caller, step):
    """The answer to a step that saves and loads. With "keep" the step only saves, and the answer has the file's bytes.

    Keras' warnings about old formats are hidden.
    """
    logging.disable(logging.WARNING)
    try:
        return reloaded(caller, step)
    finally:
        logging.disable(logging.NOTSET)


def reloaded(caller, step):
    format, old = step["format"], caller.layer
    before = whole_config(old)
    found = {}
    if step.get("keep"):
        return dict(after_change(caller.framework, old), file=np.frombuffer(saved(caller, format), np.uint8))
    if format in IN_MEMORY:
        found = IN_MEMORY[format](caller) or {}
    else:
        folder = tempfile.mkdtemp()
        try:
            path = os.path.join(folder, "file" + SUFFIXES[format])
            model = model_of(caller)
            WRITERS[format](caller, model, path)
            if format == "export":
                return serve(caller, path)
            READERS[format](caller, model, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    forget(caller)
    if format not in ("weights", "weights.h5"):  # these files hold no configuration
        after = whole_config(caller.layer)
        found.update({name: [before.get(name, "missing"), after.get(name, "missing")] for name in set(before) | set(after)})
    return dict(after_change(caller.framework, caller.layer), config=found)


def start(caller, given):
    """Replaces the layer by the one in a file that was saved elsewhere: {"format", "bytes"}."""
    folder = tempfile.mkdtemp()
    try:
        path = os.path.join(folder, "file" + SUFFIXES[given["format"]])
        with open(path, "wb") as file:
            file.write(given["bytes"].tobytes())
        if given["format"] == "weights.h5":
            model_of(caller).load_weights(path)
        else:
            model = caller.framework.keras.models.load_model(path, custom_objects=custom_objects(caller), compile=False)
            caller.layer = next(layer for layer in layers_of(model) if type(layer).__name__ == type(caller.layer).__name__)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    forget(caller)


def saved(caller, format):
    """The bytes of a file."""
    folder = tempfile.mkdtemp()
    try:
        path = os.path.join(folder, "file" + SUFFIXES[format])
        WRITERS[format](caller, model_of(caller), path)
        with open(path, "rb") as file:
            return file.read()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def model_of(caller):
    """The model to save: the caller's own, or a small one around its layer."""
    whole = getattr(caller, "whole", None)
    return whole if isinstance(whole, caller.framework.keras.Model) else small(caller, caller.layer if whole is None else whole)


def small(caller, layer):
    keras, shape = caller.framework.keras, list(caller.request["shape"])
    axis = caller.request["layer"].get("axis", -1)
    kept = [a % len(shape) for a in (axis if isinstance(axis, (list, tuple)) else [axis])]
    x = keras.layers.Input(batch_shape=tuple(shape if 0 in kept else [None] + shape[1:]), **entry_dtype(caller))
    return keras.models.Model(x, layer(x))


def entry_dtype(caller):
    return {} if caller.framework.generation == "graph" else {"dtype": caller.request["dtype"]}


def forget(caller):
    """Removes what was made for the previous layer."""
    if caller.framework.generation == "graph":
        caller.framework.functions.clear()


def another(caller):
    """A new layer, made and built by the same caller."""
    request, framework = caller.request, caller.framework
    return built(caller, caller.factory(**request["layer"]) if framework.generation == "graph" else caller.make())


def built(caller, layer):
    """Builds the layer for its input shape, unless the caller builds it."""
    shape = list(caller.request["shape"])
    if caller.framework.generation == "graph" and not hasattr(caller, "whole"):
        small(caller, layer)  # unlike build(), a call gives the weights a name scope
    elif not caller.own_class:
        layer.build(tuple(shape[:1] + shape[2:] if caller.sliced else shape))
    return layer


def replace(caller, layer):
    """Replaces the caller's layer; the new layer keeps the old one's `trainable`."""
    frozen = not caller.layer.trainable
    if hasattr(caller, "renew"):
        caller.renew(layer)
    else:
        caller.layer = layer
    if layer.trainable is frozen:
        caller.freeze(not frozen)


def adopt(caller, model):
    """Replaces the caller's model by a loaded one. Its layers are found by name."""
    for part in HELD_PARTS:
        if hasattr(caller, part):
            setattr(caller, part, named(model, getattr(caller, part)))
    if hasattr(caller, "whole"):
        caller.whole = model if isinstance(caller.whole, caller.framework.keras.Model) else named(model, caller.whole)


def layers_of(model):
    """The layers of a model, including the layers of models and wrappers in it."""
    for layer in getattr(model, "layers", None) or ([model.layer] if hasattr(model, "layer") else []):
        yield layer
        for inner in layers_of(layer):
            yield inner


def named(model, before):
    """The layer of the same name; or of the same class, if the configuration has lost the names."""
    layers = list(layers_of(model))
    same = [layer for layer in layers if layer.name == before.name] or [
        layer for layer in layers if type(layer).__name__ == type(before).__name__
    ]
    if not same:
        raise LookupError("the loaded model has no layer named %s" % before.name)
    return same[0]


def custom_objects(caller):
    """The classes and functions that are not part of the framework, by name."""
    framework, found = caller.framework, {}
    own = framework.keras.layers.BatchNormalization
    if type(caller.layer) is not own:
        found[type(caller.layer).__name__] = type(caller.layer)
    if hasattr(caller, "keeper"):
        loss = caller.whole.loss
        found.update({type(caller.keeper).__name__: type(caller.keeper), loss.__name__: loss})
    return found


def whole_model(caller, model, path):
    if caller.own_class:
        raise NotHere("a model of a custom class is saved by its weights only")
    said = path.endswith(".keras") and caller.framework.generation == 2
    model.save(path, **({"save_format": "keras_v3"} if said else {}))  # Keras 2.12 does not do this itself


def saved_model(caller, model, path):
    model.save(path, save_format="tf")


def load_model(caller, model, path):
    compiled = hasattr(caller, "rate")
    adopt(caller, caller.framework.keras.models.load_model(path, custom_objects=custom_objects(caller), compile=compiled))


def save_weights(caller, model, path):
    model.save_weights(path)


def load_weights(caller, model, path):
    replace(caller, another(caller))
    target = model_of(caller)
    if caller.built_by_call:  # the first call builds it
        target(caller.framework.tensor(np.zeros(caller.request["shape"]), caller.request["dtype"]), training=False)
    target.load_weights(path)


def export(caller, model, path):
    if caller.makes_inputs:
        raise NotHere("the output dtype of an exported embedding is fixed")
    try:
        importlib.import_module("tensorflow")
    except ImportError:
        raise NotHere("exporting needs TensorFlow, which is not installed here")
    with contextlib.redirect_stdout(io.StringIO()):  # some releases print a summary and have no argument to prevent it
        model.export(path)


def serve(caller, path):
    """From here on the caller calls the exported function, whose weights cannot be observed."""
    tensorflow = importlib.import_module("tensorflow")
    artifact = tensorflow.saved_model.load(path)

    def unseen(y):
        name = None if y is None else y.dtype.name
        y = None if y is None else np.array(tensorflow.cast(y, "float32") if name == "bfloat16" else y)
        return {"y": y, "y_dtype": name, "weights": {}, "trainable": [], "hidden": ["weights", "gradients", "losses"]}

    def do_call(step):
        x, _ = caller.entry(step)
        if caller.framework.backend != "tensorflow":
            x = tensorflow.cast(tensorflow.convert_to_tensor(caller.framework.array(x)), caller.framework.dtype(x))
        y = artifact.serve(x)
        return unseen(y[0] if isinstance(y, (list, tuple)) else y)

    caller.do_call = do_call
    return unseen(None)


def by_weights(caller):
    kept = caller.layer.get_weights()
    replace(caller, another(caller))
    hand_over(caller.layer, kept)


def by_config(caller):
    kept, layer = caller.layer.get_weights(), type(caller.layer).from_config(caller.layer.get_config())
    replace(caller, built(caller, layer))
    found = fresh(caller, caller.layer)
    hand_over(caller.layer, kept)
    return found


def by_clone(caller):
    if caller.own_class:
        raise NotHere("clone_model takes Functional and Sequential models")
    model, keras = model_of(caller), caller.framework.keras
    kept = model.get_weights()
    with scope(caller):
        clone = keras.models.clone_model(model)
    compiled = hasattr(caller, "rate")
    adopt(caller, clone)
    if compiled:
        caller.compile(caller.whole, caller.rate)
    found = fresh(caller, caller.layer)
    hand_over(clone, kept)
    return found


def hand_over(layer, weights):
    """Copies the weights of one layer or model to another that has the same number of weights with the same shapes.

    If the shapes differ, the other layer keeps its weights, so that its different configuration can be observed.
    """
    if [value.shape for value in layer.get_weights()] == [value.shape for value in weights]:
        layer.set_weights(weights)


def fresh(caller, layer):
    """The initial weights of the loaded layer beside those of a newly constructed one, as texts."""
    if caller.request.get("made") or caller.own_class:
        return {}
    framework = caller.framework
    if framework.generation == "graph":
        other = caller.factory(**caller.request["layer"])
        small(caller, other)  # gives its weights a name scope
    else:
        other = another(caller)
    pair = values(framework, other), values(framework, layer)
    return {"fresh " + name: [text(one.get(name)) for one in pair] for name in set(pair[0]) | set(pair[1])}


def text(array):
    return "missing" if array is None else ", ".join("%g" % value for value in np.unique(array))


def by_pickle(caller):
    model = model_of(caller)
    with scope(caller):
        adopt(caller, pickle.loads(pickle.dumps(model)))


def scope(caller):
    """A context in which custom classes are registered."""
    utils = caller.framework.keras.utils
    for name in ("custom_object_scope", "CustomObjectScope"):
        if hasattr(utils, name):
            return getattr(utils, name)(custom_objects(caller))
    return importlib.import_module("tensorflow").keras.utils.custom_object_scope(custom_objects(caller))  # Keras 2.6 to 2.8


IN_MEMORY = {"weights": by_weights, "config": by_config, "clone": by_clone, "pickle": by_pickle}
WRITERS = {
    "keras": whole_model,
    "h5": whole_model,
    "savedmodel": saved_model,
    "weights.h5": save_weights,
    "export": export,
}
READERS = {"keras": load_model, "h5": load_model, "savedmodel": load_model, "weights.h5": load_weights}
