"""Files: a layer, or the model that it is in, is saved, and what was saved takes its place.

A format is a pair of functions: `save(way, model, path)` writes, `load(way, model, path)` gives the model that comes back.
What has no file (weights, a configuration, a clone) is made from the layer itself.
"""

import importlib
import logging
import os
import pickle
import shutil
import tempfile

import numpy as np

from .recording import NotHere, after_change, short_name, trainable, values, whole_config

SUFFIXES = {"keras": ".keras", "weights.h5": ".weights.h5", "h5": ".h5", "savedmodel": "", "export": ""}
OPAQUE = ("subclassed", "parent")  # modes whose models are of classes that nobody else knows
PARTS = ("layer", "within", "keeper", "table")  # what ways hold of their model


def reload(way, step):
    """The answer to a step that saves and loads, or, with "keep", saves and hands out the file's bytes.

    Keras' advice against old formats is not passed on.
    """
    logging.disable(logging.WARNING)
    try:
        return reloaded(way, step)
    finally:
        logging.disable(logging.NOTSET)


def reloaded(way, step):
    format, old = step["format"], way.layer
    before = whole_config(old)
    found = {}
    if step.get("keep"):
        return dict(after_change(way.framework, old), file=np.frombuffer(saved(way, format), np.uint8))
    if format in IN_MEMORY:
        found = IN_MEMORY[format](way) or {}
    else:
        folder = tempfile.mkdtemp()
        try:
            path = os.path.join(folder, "file" + SUFFIXES[format])
            model = model_of(way)
            WRITERS[format](way, model, path)
            if format == "export":
                return serve(way, path)
            READERS[format](way, model, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    forget(way)
    if format not in ("weights", "weights.h5"):  # which hold no configuration
        after = whole_config(way.layer)
        found.update({name: [before.get(name, "missing"), after.get(name, "missing")] for name in set(before) | set(after)})
    return dict(after_change(way.framework, way.layer), config=found)


def start(way, given):
    """The layer of a file that was saved elsewhere takes the place of the one that was made: {"format", "bytes"}."""
    folder = tempfile.mkdtemp()
    try:
        path = os.path.join(folder, "file" + SUFFIXES[given["format"]])
        with open(path, "wb") as file:
            file.write(given["bytes"].tobytes())
        if given["format"] == "weights.h5":
            model_of(way).load_weights(path)
        else:
            model = way.framework.keras.models.load_model(path, custom_objects=custom_objects(way), compile=False)
            way.layer = next(layer for layer in layers_of(model) if type(layer).__name__ == type(way.layer).__name__)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    forget(way)


def saved(way, format):
    """The bytes of a file."""
    folder = tempfile.mkdtemp()
    try:
        path = os.path.join(folder, "file" + SUFFIXES[format])
        WRITERS[format](way, model_of(way), path)
        with open(path, "rb") as file:
            return file.read()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def model_of(way):
    """The model that is saved: the way's own, or a small one around its layer."""
    whole = getattr(way, "whole", None)
    return whole if isinstance(whole, way.framework.keras.Model) else small(way, way.layer if whole is None else whole)


def small(way, layer):
    keras, shape = way.framework.keras, list(way.request["shape"])
    axis = way.request["layer"].get("axis", -1)
    kept = [a % len(shape) for a in (axis if isinstance(axis, (list, tuple)) else [axis])]
    x = keras.layers.Input(batch_shape=tuple(shape if 0 in kept else [None] + shape[1:]), **entry_dtype(way))
    return keras.models.Model(x, layer(x))


def entry_dtype(way):
    return {} if way.framework.generation == "graph" else {"dtype": way.request["dtype"]}


def forget(way):
    """What was made for the layer before."""
    if way.framework.generation == "graph":
        way.framework.functions.clear()


def another(way):
    """A layer that is made in the same way and built."""
    request, framework = way.request, way.framework
    return built(way, way.factory(**request["layer"]) if framework.generation == "graph" else way.make())


def built(way, layer):
    """The layer, built for what it sees, unless the way does that."""
    shape, mode = list(way.request["shape"]), way.request.get("mode")
    if way.framework.generation == "graph" and not hasattr(way, "whole"):
        small(way, layer)  # which, other than build(), gives weights a scope of their own for their names
    elif mode not in OPAQUE:
        layer.build(tuple(shape[:1] + shape[2:] if mode == "timedistributed" else shape))
    return layer


def replace(way, layer):
    """Another layer takes the place of the way's, frozen as that is."""
    frozen = not way.layer.trainable
    if hasattr(way, "renew"):
        way.renew(layer)
    else:
        way.layer = layer
    if layer.trainable is frozen:
        way.freeze(not frozen)


def adopt(way, model):
    """A model that was loaded takes the place of the way's: its layers are found by their names."""
    for part in PARTS:
        if hasattr(way, part):
            setattr(way, part, named(model, getattr(way, part)))
    if hasattr(way, "whole"):
        way.whole = model if isinstance(way.whole, way.framework.keras.Model) else named(model, way.whole)


def layers_of(model):
    """The layers of a model, those of models and wrappers in it, too."""
    for layer in getattr(model, "layers", None) or ([model.layer] if hasattr(model, "layer") else []):
        yield layer
        for inner in layers_of(layer):
            yield inner


def named(model, before):
    """The layer of the name that one had before; of its class, where a configuration without names lost it."""
    layers = list(layers_of(model))
    same = [layer for layer in layers if layer.name == before.name] or [
        layer for layer in layers if type(layer).__name__ == type(before).__name__
    ]
    if not same:
        raise LookupError("what was loaded has no layer of the name %s" % before.name)
    return same[0]


def custom_objects(way):
    """The classes and functions that are not the framework's own, by name."""
    framework, found = way.framework, {}
    own = framework.keras.layers.BatchNormalization
    if type(way.layer) is not own:
        found[type(way.layer).__name__] = type(way.layer)
    if hasattr(way, "keeper"):
        loss = way.whole.loss
        found.update({type(way.keeper).__name__: type(way.keeper), loss.__name__: loss})
    return found


def whole_model(way, model, path):
    if way.request.get("mode") in OPAQUE:
        raise NotHere("only the weights of a class that nobody else knows are saved")
    said = path.endswith(".keras") and way.framework.generation == 2
    model.save(path, **({"save_format": "keras_v3"} if said else {}))  # which Keras 2.12 takes for granted not yet


def saved_model(way, model, path):
    model.save(path, save_format="tf")


def load_model(way, model, path):
    compiled = hasattr(way, "rate")
    adopt(way, way.framework.keras.models.load_model(path, custom_objects=custom_objects(way), compile=compiled))


def save_weights(way, model, path):
    model.save_weights(path)


def load_weights(way, model, path):
    replace(way, another(way))
    target = model_of(way)
    if way.request.get("mode") == "subclassed":  # which is built by its first call
        target(way.framework.tensor(np.zeros(way.request["shape"]), way.request["dtype"]), training=False)
    target.load_weights(path)


def export(way, model, path):
    if way.request.get("mode") == "embedding":
        raise NotHere("what comes out of an exported embedding is fixed")
    try:
        importlib.import_module("tensorflow")
    except ImportError:
        raise NotHere("exporting needs TensorFlow, which is not installed here")
    if way.framework.generation == 3:
        model.export(path, **quiet(model.export))
    else:
        model.export(path)


def quiet(function):
    return {"verbose": False} if "verbose" in function.__code__.co_varnames[: function.__code__.co_argcount] else {}


def serve(way, path):
    """From here on the calls are those of the exported function; nobody sees its weights."""
    tensorflow = importlib.import_module("tensorflow")
    artifact = tensorflow.saved_model.load(path)

    def unseen(y):
        name = None if y is None else y.dtype.name
        y = None if y is None else np.array(tensorflow.cast(y, "float32") if name == "bfloat16" else y)
        return {"y": y, "y_dtype": name, "weights": {}, "trainable": [], "hidden": ["weights", "gradients", "losses"]}

    def do_call(step):
        x, _ = way.entry(step)
        if way.framework.backend != "tensorflow":
            x = tensorflow.cast(tensorflow.convert_to_tensor(way.framework.array(x)), way.framework.dtype(x))
        y = artifact.serve(x)
        return unseen(y[0] if isinstance(y, (list, tuple)) else y)

    way.do_call = do_call
    return unseen(None)


def by_weights(way):
    kept = way.layer.get_weights()
    replace(way, another(way))
    hand_over(way.layer, kept)


def by_config(way):
    kept, layer = way.layer.get_weights(), type(way.layer).from_config(way.layer.get_config())
    replace(way, built(way, layer))
    found = fresh(way, way.layer)
    hand_over(way.layer, kept)
    return found


def by_clone(way):
    if way.request.get("mode") in OPAQUE:
        raise NotHere("clone_model takes Functional and Sequential models")
    model, keras = model_of(way), way.framework.keras
    kept = model.get_weights()
    with scope(way):
        clone = keras.models.clone_model(model)
    compiled = hasattr(way, "rate")
    adopt(way, clone)
    if compiled:
        way.compile(way.whole, way.rate)
    found = fresh(way, way.layer)
    hand_over(clone, kept)
    return found


def hand_over(layer, weights):
    """The weights of one layer, or model, are set on another that has as many of the same shapes.

    One that has not keeps its own: its configuration is not that of the first, and what it says of it is to be seen.
    """
    if [value.shape for value in layer.get_weights()] == [value.shape for value in weights]:
        layer.set_weights(weights)


def fresh(way, layer):
    """The weights of a layer that none were given to yet, beside those of one that is made by its constructor; as texts."""
    if way.request.get("made") or way.request.get("mode") in OPAQUE:
        return {}
    framework = way.framework
    if framework.generation == "graph":
        other = way.factory(**way.request["layer"])
        small(way, other)  # a scope for the names of its weights
    else:
        other = another(way)
    pair = values(framework, other), values(framework, layer)
    return {"fresh " + name: [text(one.get(name)) for one in pair] for name in set(pair[0]) | set(pair[1])}


def text(array):
    return "missing" if array is None else ", ".join("%g" % value for value in np.unique(array))


def by_pickle(way):
    model = model_of(way)
    with scope(way):
        adopt(way, pickle.loads(pickle.dumps(model)))


def scope(way):
    """In which custom classes are known, and only there."""
    utils = way.framework.keras.utils
    for name in ("custom_object_scope", "CustomObjectScope"):
        if hasattr(utils, name):
            return getattr(utils, name)(custom_objects(way))
    return importlib.import_module("tensorflow").keras.utils.custom_object_scope(custom_objects(way))  # Keras 2.6 to 2.8


IN_MEMORY = {"weights": by_weights, "config": by_config, "clone": by_clone, "pickle": by_pickle}
WRITERS = {
    "keras": whole_model,
    "h5": whole_model,
    "savedmodel": saved_model,
    "weights.h5": save_weights,
    "export": export,
}
READERS = {"keras": load_model, "h5": load_model, "savedmodel": load_model, "weights.h5": load_weights}
