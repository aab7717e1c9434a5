"""A user's layer, named as module:Name: loaded in the worker's process, so that it can harm no other."""

import importlib
import os
import sys

from .recording import one_line


class BadLayer(Exception):
    """The name does not lead to a layer. The text says why, and what is allowed."""


def load_layer(path):
    """The class or factory that `module:Name` names. Modules of the current folder are found too."""
    module_name, colon, attribute = path.partition(":")
    if not module_name or not colon or not attribute:
        raise BadLayer("--layer %r is not module:Class, such as mypackage.layers:MyBatchNormalization" % path)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module_name)
    except BaseException as error:  # a module may do anything while it is imported
        told = "%s: %s" % (type(error).__name__, one_line(error))
        raise BadLayer("--layer %s: %s cannot be imported: %s" % (path, module_name, told))
    for part in attribute.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise BadLayer("--layer %s: %s has no %s" % (path, module_name, attribute))
    if not callable(found):
        what = "a value of type %s, not a layer class or a factory of layers" % type(found).__name__
        raise BadLayer("--layer %s: %s is %s" % (path, attribute, what))
    return found


def probe(layer, name, base):
    """Makes one layer, so that a broken factory is one line and not 400 crashed cases. base: Keras' class of layers."""
    if not callable(layer) or isinstance(layer, base):
        try:
            got = "%s %.80r" % (type(layer).__name__, layer)
        except Exception:  # a user's class may not even have a repr()
            got = "a value of type %s" % type(layer).__name__
        raise BadLayer("layer %s: got %s; allowed: a layer class, or a factory of layers" % (name, got))
    try:
        made = layer()
    except (Exception, SystemExit) as error:
        told = "%s: %s" % (type(error).__name__, one_line(error))
        raise BadLayer("layer %s: its constructor raises %s" % (name, told))
    if not isinstance(made, base):
        raise BadLayer("layer %s: calling it gives %s, not a keras.layers.Layer" % (name, type(made).__name__))
