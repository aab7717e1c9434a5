"""Callers: each class makes, builds and calls a layer in one mode.

`run` takes the next `together` steps and gives an answer for each.
"""

import importlib
import inspect

import numpy as np

from .recording import NotHere, after_call, after_change, values
from .saving import reload


class Caller(object):
    """The layer is called as it is."""

    late = False  # whether the layer is built by its first call
    inner = ()  # the calls that were observed inside the steps
    own_class = False  # whether the model is of a custom class that cannot be loaded
    built_by_call = False  # whether the model is built by its first call
    makes_inputs = False  # whether the model makes the layer's inputs itself
    sliced = False  # whether the layer sees the inputs without their axis 1

    def __init__(self, framework, factory, request):
        self.framework, self.factory, self.request = framework, factory, request
        self.layer = self.begun = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def construct(self):
        self.layer = self.make()

    def make(self):
        return self.factory(**self.arguments())

    def arguments(self):
        """The constructor's arguments; the case begins when they are first asked for."""
        if self.begun is None:
            self.begun = self.framework.begin(self.request["policy"])
        return dict(self.request["layer"], **self.begun)

    def build(self):
        self.layer.build(tuple(self.request["shape"]))

    def again(self):
        """The weights of a second layer that is made in the same caller."""
        other = self.make()
        other.build(tuple(self.request["shape"]))
        return values(self.framework, other)

    def together(self, steps):
        """How many of the next steps are done as one."""
        return 1

    def run(self, steps):
        return [getattr(self, "do_" + steps[0]["do"])(steps[0])]

    def do_call(self, step):
        x, given = self.entry(step)
        found = {}
        if step.get("upstream") is None:
            y = self.call(x, given)
        else:
            y, found = self.framework.differentiate(self.layer, x, given, step["upstream"], step["direction"], step["rate"])
        if not hasattr(y, "dtype"):
            raise TypeError("the call returned %s, not a tensor" % type(y).__name__)
        return after_call(self.framework, self.layer, y, found=found)

    def entry(self, step):
        """The input of a call and its other arguments."""
        x = self.framework.tensor(laid(step["x"], self.request.get("layout")), self.request["dtype"])
        given = {} if step["training"] is None else {"training": step["training"]}
        if step.get("mask") is not None:
            given["mask"] = self.mask(step["mask"])
        return x, given

    def mask(self, mask):
        """The value as a tensor. A value that cannot be a tensor is passed as it is, because the layer must refuse it."""
        numbers = isinstance(mask, np.ndarray) and mask.dtype.kind in "biuf"
        return self.framework.mask(mask) if numbers else mask

    def call(self, x, given):
        return self.framework.call(self.layer, x, given)

    def do_trainable(self, step):
        self.freeze(step["value"])
        return after_change(self.framework, self.layer)

    def freeze(self, value):
        self.layer.trainable = value

    def do_file(self, step):
        return reload(self, step)


def laid(x, layout):
    """The same values with another layout in memory."""
    if layout == "fortran":
        return np.asfortranarray(x)
    if layout == "strided":
        wide = np.zeros(x.shape[:-1] + (2 * x.shape[-1],), x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if layout == "reversed":
        return np.ascontiguousarray(x[::-1])[::-1]
    return x


class Unbuilt(Caller):
    """The first call builds the layer."""

    late = True

    def build(self):
        pass

    def do_trainable(self, step):
        answer = super(Unbuilt, self).do_trainable(step)
        return answer if self.layer.weights else dict(answer, hidden=["weights"])


class Positional(Caller):
    """Arguments of the constructor are given by position."""

    def make(self):
        kinds = [parameter.kind for parameter in inspect.signature(self.factory).parameters.values()]
        if not any(kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_POSITIONAL) for kind in kinds):
            raise NotHere("the layer's constructor takes keyword arguments only")
        given = self.arguments()
        names = [
            name
            for name, parameter in list(inspect.signature(self.framework.keras.layers.BatchNormalization).parameters.items())
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is not parameter.empty
        ]
        last = max([names.index(name) for name in given if name in names] + [-1])
        defaults = inspect.signature(self.framework.keras.layers.BatchNormalization).parameters
        positional = [given.pop(name, defaults[name].default) for name in names[: last + 1]]
        return self.factory(*positional, **given)


class Function(Caller):
    """Calls are traced by tf.function, once for each value of training."""

    options = {}

    def __init__(self, *arguments):
        super(Function, self).__init__(*arguments)
        if self.framework.backend != "tensorflow":
            raise NotHere("tf.function needs TensorFlow")
        self.tensorflow = importlib.import_module("tensorflow")
        self.traced = {}

    def call(self, x, given):
        layer, training = self.layer, given.get("training", "not given")
        key = training, layer.trainable, "mask" in given, id(layer)
        if key not in self.traced:
            own = {} if training == "not given" else {"training": training}
            masked = (lambda x, mask: layer(x, mask=mask, **own)) if "mask" in given else (lambda x: layer(x, **own))
            self.traced[key] = self.tensorflow.function(masked, **self.options)
        return self.traced[key](x, *([given["mask"]] if "mask" in given else []))


class CompiledFunction(Function):
    """tf.function with XLA."""

    options = {"jit_compile": True}


class Stateless(Caller):
    """stateless_call; the variables get the values that it returns."""

    def wrap(self, function):
        return function

    def call(self, x, given):
        layer = self.layer
        own = [variable.value for variable in layer.trainable_variables]
        others = [variable.value for variable in layer.non_trainable_variables]
        run = self.wrap(lambda own, others, x, mask: layer.stateless_call(own, others, x, **dict(given, **mask)))
        mask = {"mask": given.pop("mask")} if "mask" in given else {}
        y, moved = run(own, others, x, mask)
        for variable, value in zip(layer.non_trainable_variables, moved):
            variable.assign(value)
        return y


class CompiledStateless(Stateless):
    """jax.jit of stateless_call."""

    def wrap(self, function):
        return importlib.import_module("jax").jit(function)


def compiled(framework, factory, request):
    """XLA, by the means of each backend."""
    kinds = {"tensorflow": CompiledFunction, "jax": CompiledStateless}
    if framework.backend not in kinds:
        raise NotHere("XLA compiles calls on TensorFlow and JAX only")
    return kinds[framework.backend](framework, factory, request)


CALLERS_OF_LAYERS = {
    "call": Caller,
    "unbuilt": Unbuilt,
    "positional": Positional,
    "function": Function,
    "xla": compiled,
    "stateless": Stateless,
}
