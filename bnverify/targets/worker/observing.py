"""Observing: from the request for a case to the answer. Whatever a layer raises is part of the answer."""

import inspect
import os
import platform
import re
import warnings

import numpy as np

from .frameworks import open_framework
from .routes import NAMES, route_layer

ansi = re.compile(r"\x1b\[[0-9;]*m")


class Worker(object):
    """Observes layers made by `factory(**kwargs)`; without one, the BatchNormalization of the framework named `keras`.

    With the name of a route in place of a framework's, Keras' layer with that route in it.
    `tell` is called with the name of each stage before it begins.
    """

    def __init__(self, keras="keras", factory=None, tell=lambda stage: None):
        self.route = keras if keras in NAMES else ""
        self.name = "keras" if self.route else keras
        self.framework = open_framework(self.name)
        self.keras = self.framework.keras
        own = route_layer(self.route, self.keras) if self.route else self.keras.layers.BatchNormalization
        self.factory = factory or own
        self.tell = tell

    def environment(self):
        framework = self.framework
        route = {"target": self.route} if self.route else {}
        return {
            **route,
            "module": self.name,
            "keras": self.keras.__version__,
            "backend": framework.backend,
            "backend_version": framework.backend_version(),
            "device": framework.device(),
            "float64": framework.float64(),
            "numpy": np.__version__,
            "python": platform.python_version(),
            "cpu": cpu_name(),
        }

    def interface(self):
        """The constructor's arguments with their defaults, and the arguments of a call, as declared; the default weights."""
        layer, stop = self.keras.layers.BatchNormalization, self.keras.layers.Layer
        arguments = {}
        for kind in [
            kind for kind in layer.__mro__ if issubclass(kind, stop) and kind is not stop and "__init__" in vars(kind)
        ]:
            for name, parameter in list(inspect.signature(kind.__init__).parameters.items())[1:]:
                if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) and name not in arguments:
                    arguments[name] = "" if parameter.default is parameter.empty else repr(parameter.default)
        found = {"arguments": arguments, "call": list(inspect.signature(layer.call).parameters)[1:]}
        try:
            made = layer()
            found["config"] = {name: value for name, value in (config_of(made) or {}).items() if name != "name"}
            made.build((2, 3))
            found["weights"] = [
                "%s %s%s" % (w["name"], w["dtype"], " trainable" if w["trainable"] else "") for w in self.structure(made)
            ]
        except Exception:  # then the cases will tell
            pass
        return found

    def observe(self, request):
        """The answer to a request. Warnings are the framework's own business and must not become exceptions here."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._observe(request)

    def _observe(self, request):
        answer = {"weights": [], "initial": {}, "config": None, "steps": [], "failure": None}
        stage = "constructor"

        def enter(name):
            self.tell(name)
            return name

        try:
            enter(stage)
            layer = self.factory(**dict(request["layer"], **self.framework.begin(request["policy"])))
            stage = enter("build")
            layer.build(tuple(request["shape"]))
            answer["weights"] = self.structure(layer)
            answer["config"] = config_of(layer)
            if request["weights"] is not None:
                stage = enter("setting weights")
                self.assign(layer, request["weights"])
            answer["initial"] = self.values(layer)
            for index, step in enumerate(request["steps"]):
                stage = enter("step %d" % index)
                answer["steps"].append(getattr(self, "do_" + step["do"])(layer, step, request))
        except (Exception, SystemExit) as error:  # whatever a layer raises is an observation
            answer["failure"] = {"stage": stage, "type": type(error).__name__, "text": one_line(error)}
        return answer

    def do_call(self, layer, step, request):
        framework = self.framework
        x = framework.tensor(step["x"], request["dtype"])
        given = {} if step["training"] is None else {"training": step["training"]}
        if step.get("mask") is not None:
            given["mask"] = framework.mask(step["mask"])
        found = {}
        if step.get("upstream") is None:
            y = framework.call(layer, x, given)
        else:
            y, found = framework.differentiate(layer, x, given, step["upstream"], step["direction"], step["rate"])
        if not hasattr(y, "dtype"):
            raise TypeError("the call returned %s, not a tensor" % type(y).__name__)
        gradients = {short_name(w): gradient for w, gradient in zip(layer.trainable_weights, found.get("weights", []))}
        gradients.update({name: gradient for name, gradient in found.items() if name != "weights"})
        return {
            "y": framework.array(y),
            "y_dtype": framework.dtype(y),
            "weights": self.values(layer),
            "trainable": trainable(layer),
            "gradients": {name: None if g is None else framework.array(g) for name, g in gradients.items()},
            "dtypes": {name: framework.dtype(g) for name, g in gradients.items() if g is not None},
            "losses": [float(framework.array(loss)) for loss in framework.losses(layer)] if regularized(layer) else [],
        }

    def do_trainable(self, layer, step, request):
        layer.trainable = step["value"]
        return {"y": None, "y_dtype": None, "weights": self.values(layer), "trainable": trainable(layer)}

    def structure(self, layer):
        names = trainable(layer)
        return [
            {
                "name": short_name(w),
                "shape": [int(n) for n in w.shape],
                "dtype": self.framework.dtype(w),
                "trainable": short_name(w) in names,
            }
            for w in layer.weights
        ]

    def assign(self, layer, weights):
        for variable in layer.weights:
            if short_name(variable) in weights:
                self.framework.assign(variable, weights[short_name(variable)])

    def values(self, layer):
        variables = layer.weights
        return dict(zip([short_name(w) for w in variables], self.framework.arrays(variables)))


def regularized(layer):
    return any(getattr(layer, name + "_regularizer", None) is not None for name in ("gamma", "beta"))


def trainable(layer):
    return [short_name(w) for w in layer.trainable_weights]


def short_name(variable):
    return variable.name.split("/")[-1].split(":")[0]


def config_of(layer):
    """What get_config() says of plain values, or None where the layer has none to give."""
    try:
        config = layer.get_config()
    except Exception:
        return None
    return {name: value for name, value in config.items() if is_plain(value)}


def is_plain(value):
    if isinstance(value, (list, tuple)):
        return all(is_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))


def one_line(error):
    """An exception's own text on one line, without what Keras wraps around it."""
    try:
        text = str(error)
    except Exception:  # an exception of a user's own that cannot even be shown
        return "(its text cannot be shown)"
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    lines = [line.strip() for line in text.strip().splitlines()]
    if lines and lines[0].startswith("Exception encountered when calling"):
        lines = lines[1:]
    if any(line.startswith("Arguments received by") for line in lines):
        lines = lines[: [line.startswith("Arguments received by") for line in lines].index(True)]
    return ansi.sub("", " ".join(line for line in lines if line))[:300]


def cpu_name():
    try:
        with open("/proc/cpuinfo") as info:
            for line in info:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
