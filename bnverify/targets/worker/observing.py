"""Observing: turn the request for a case into the answer. Whatever a layer raises is part of the answer."""

import contextlib
import inspect
import logging
import platform
import warnings

import numpy as np

from .child import ONE_THREAD, Child, Ended
from .frameworks import open_framework
from .functions import NAMES, function_layer
from .networks import watch
from .recording import config_of, one_line, short_name, structure, values
from .registry import open_caller
from .saving import start
from .unchanged import unchanged


class Worker(object):
    """Observes layers made by `factory(**kwargs)`; without a factory, the BatchNormalization of the framework named `keras`.

    `keras` may also name a function; then Keras' layer runs with that function in it. `tell` is called with the name of each
    stage before the stage begins. path: module:Name of the factory in a process of its own; a KeyboardInterrupt there comes
    from the layer and not from a user.
    """

    def __init__(self, keras="keras", factory=None, tell=lambda stage: None, path=""):
        self.function = keras if keras in NAMES else ""
        self.name = "keras" if self.function else keras
        self.framework = open_framework(self.name)
        self.keras = self.framework.keras
        own = function_layer(self.function, self.keras) if self.function else self.keras.layers.BatchNormalization
        self.factory, self.own, self.child = factory or own, factory is None, None
        self.tell, self.path = tell, path

    def environment(self):
        with silence():  # JAX warns if it is asked for float64 and has none
            return self._environment()

    def _environment(self):
        framework = self.framework
        function = {"target": self.function} if self.function else {}
        return {
            **function,
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
        """The interface: the arguments of the constructor with defaults, the arguments of a call, and the default weights."""
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
                "%s %s%s" % (w["name"], w["dtype"], " trainable" if w["trainable"] else "")
                for w in structure(self.framework, made)
            ]
        except Exception:  # the cases will report the same exception
            pass
        return found

    def observe(self, request):
        """The answer to a request."""
        with silence(), unchanged(self.framework):
            return self._observe(request)

    def holds(self, layer):
        """The weights of a layer by name."""
        with silence():
            return values(self.framework, layer)

    def _observe(self, request):
        if request.get("network"):
            return watch(self, request)
        if request.get("mode") == "one_thread":
            return self.elsewhere(request)
        answer, stage = empty(), "constructor"

        def enter(name):
            self.tell(name)
            return name

        try:
            enter(stage)
            caller = open_caller(self.framework, self.factory, request)
            with caller:
                caller.construct()
                stage = enter("build")
                caller.build()
                if request.get("start"):
                    stage = enter("loading")
                    start(caller, request["start"])
                answer["weights"] = structure(self.framework, caller.layer)
                answer["config"] = config_of(caller.layer)
                if request.get("made"):
                    answer["made"] = [values(self.framework, caller.layer), caller.again()]
                if request["weights"] is not None:
                    stage = enter("setting weights")
                    self.assign(caller.layer, request["weights"])
                answer["initial"] = values(self.framework, caller.layer)
                steps = request["steps"]
                while len(answer["steps"]) < len(steps):
                    done = len(answer["steps"])
                    stage = enter("step %d" % done)
                    answer["steps"].extend(caller.run(steps[done : done + caller.together(steps[done:])]))
                    answer["inner"] = caller.inner
                if caller.late:
                    answer["weights"] = structure(self.framework, caller.layer)
        except BaseException as error:  # whatever a layer raises is an observation
            if isinstance(error, KeyboardInterrupt) and not self.path:
                raise
            answer["failure"] = failure(stage, error)
        return answer

    def elsewhere(self, request):
        """The answer of a process that computes with one thread. The process starts with the first such request."""
        if not self.own and not self.path:
            text = "a custom layer cannot be sent to another process"
            return dict(empty(), failure={"stage": "start", "type": "NotHere", "text": text})
        try:
            self.child = self.child or Child(self.function or self.name, ONE_THREAD, self.path)
            return self.child.observe(dict(request, mode="call"))
        except Ended as ended:
            self.child = None  # the next case gets a new process
            return dict(empty(), failure={"stage": ended.stage, "type": "Crashed", "text": str(ended)})

    def assign(self, layer, weights):
        for variable in layer.weights:
            if short_name(variable) in weights:
                self.framework.assign(variable, weights[short_name(variable)])


@contextlib.contextmanager
def silence():
    """Warnings of the framework must not become exceptions here."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def failure(stage, error):
    kinds = [kind.__name__ for kind in type(error).__mro__[1:] if kind not in (Exception, BaseException, object)]
    return {"stage": stage, "type": type(error).__name__, "text": one_line(error), "kinds": kinds}


def empty():
    return {"weights": [], "initial": {}, "made": None, "config": None, "steps": [], "failure": None}


def cpu_name():
    try:
        with open("/proc/cpuinfo") as info:
            for line in info:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
