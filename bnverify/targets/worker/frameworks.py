"""What differs between generations of Keras: how to make and read tensors, call a layer, and set a policy.

There is one class for each generation, all with the same methods. `open_framework` finds the class for a module.
"""

import importlib
import os
import re

import numpy as np

from .devices import offer_devices

MODULES = {"keras": "keras", "tf_keras": "tf_keras", "tf.keras": "tensorflow.keras"}


def open_framework(name):
    """The framework that is imported as `name` ("keras", "tf_keras" or "tf.keras")."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if name == "tf.keras":
        tensorflow = importlib.import_module("tensorflow")
        if not hasattr(tensorflow, "function"):
            raise ImportError("tf.keras of TensorFlow %s computes in graphs only" % tensorflow.__version__)
        if not tensorflow.executing_eagerly():
            tensorflow.compat.v1.enable_eager_execution()
        module = tensorflow.keras
    else:
        module = importlib.import_module(MODULES[name])
    digits = re.match(r"(\d+)\.(\d+)", module.__version__)
    if not digits:
        raise ImportError("its version %r is not a version number" % module.__version__)
    generation = tuple(int(n) for n in digits.groups())
    if generation < (2, 4) and name == "keras":
        return Keras2Graph(module)
    framework = Keras3(module) if generation >= (3, 0) else Keras2(module)
    offer_devices(framework.backend)
    return framework


class Keras3(object):
    """Keras 3 on any backend."""

    generation = 3

    def __init__(self, module):
        self.keras = module
        self.backend = module.backend.backend()

    def backend_version(self):
        module = {"numpy": "numpy"}.get(self.backend, self.backend)
        return importlib.import_module(module).__version__

    def begin(self, policy):
        """Call this before the layer of a case is made. Returns the constructor's arguments that set `policy`."""
        return {} if policy == self.keras.mixed_precision.dtype_policy().name else {"dtype": policy}

    def tensor(self, values, dtype):
        return self.keras.ops.convert_to_tensor(values, dtype=dtype)

    def mask(self, values):
        return self.keras.ops.convert_to_tensor(values)

    def call(self, layer, x, given):
        return layer(x, **given)

    def differentiate(self, layer, x, given, upstream, direction, rate):
        """A call's output and its gradients: of x, of the trainable weights, and "second", the gradient of x's gradient.

        With `rate`, a step of gradient descent follows.
        """
        variables = list(layer.trainable_variables)
        y, found = getattr(self, self.backend + "_gradients")(layer, variables, x, given, upstream, direction)
        if rate is not None and variables:
            self.descend(variables, found["weights"], rate)
        return y, found

    def tensorflow_gradients(self, layer, variables, x, given, upstream, direction):
        tensors = [variable.value for variable in variables]
        return taped(importlib.import_module("tensorflow"), layer, tensors, x, given, upstream, direction)

    def jax_gradients(self, layer, variables, x, given, upstream, direction):
        jax = importlib.import_module("jax")
        others = [variable.value for variable in layer.non_trainable_variables]
        own = [variable.value for variable in variables]

        def run(values, x):
            return layer.stateless_call(values, others, x, **given)

        y, back, moved = jax.vjp(run, own, x, has_aux=True)
        sent = self.tensor(upstream, self.dtype(y))
        of_weights, of_x = back(sent)
        found = {"x": of_x, "weights": of_weights}
        if direction is not None:
            of_direction = self.tensor(direction, self.dtype(x))
            gradient = lambda x: jax.vjp(lambda x: run(own, x)[0], x)[1](sent)[0]  # noqa: E731
            found["second"] = jax.vjp(gradient, x)[1](of_direction)[0]
        for variable, value in zip(layer.non_trainable_variables, moved):
            variable.assign(value)
        return y, found

    def torch_gradients(self, layer, variables, x, given, upstream, direction):
        torch = importlib.import_module("torch")
        x = x.detach().requires_grad_(True)
        y = layer(x, **given)
        to = [x] + [variable.value for variable in variables]
        sent = self.tensor(upstream, self.dtype(y))
        gradients = torch.autograd.grad(y, to, sent, create_graph=direction is not None, allow_unused=True)
        found = {"x": gradients[0], "weights": list(gradients[1:])}
        if direction is not None and gradients[0] is not None and gradients[0].requires_grad:
            of_direction = self.tensor(direction, self.dtype(x))
            found["second"] = torch.autograd.grad(gradients[0], x, of_direction, allow_unused=True)[0]
        return y.detach(), {name: detached(gradient) for name, gradient in found.items()}

    def descend(self, variables, gradients, rate):
        optimizer = self.keras.optimizers.SGD(rate)
        if self.backend == "torch":
            with importlib.import_module("torch").no_grad():
                optimizer.apply(gradients, variables)
        else:
            optimizer.apply(gradients, variables)

    def losses(self, layer):
        return layer.losses

    def dtype(self, tensor):
        return self.keras.backend.standardize_dtype(tensor.dtype)

    def array(self, tensor):
        if self.dtype(tensor) == "bfloat16":
            tensor = self.keras.ops.cast(tensor, "float32")
        return np.array(self.keras.ops.convert_to_numpy(tensor))

    def arrays(self, variables):
        return [self.array(variable) for variable in variables]

    def assign(self, variable, value):
        variable.assign(value)

    def float64(self):
        """Whether a tensor requested in float64 has float64."""
        return bool(self.dtype(self.tensor(np.ones(1), "float64")) == "float64")

    def device(self):
        """CPU, or the kind of accelerator that the backend uses by default."""
        if self.backend == "tensorflow":
            tensorflow = importlib.import_module("tensorflow")
            return "GPU" if tensorflow.config.list_physical_devices("GPU") else "CPU"
        if self.backend == "jax":
            return importlib.import_module("jax").default_backend().upper()
        if self.backend == "torch":
            return "GPU" if importlib.import_module("torch").cuda.is_available() else "CPU"
        return "CPU"


class Keras2(object):
    """Keras 2 inside TensorFlow 2, which runs calls eagerly: tf.keras, tf_keras, and keras 2.4 to 2.15."""

    generation = 2

    backend = "tensorflow"

    def __init__(self, module):
        self.keras = module
        self.tensorflow = importlib.import_module("tensorflow")

    def backend_version(self):
        return self.tensorflow.__version__

    def begin(self, policy):
        return {} if policy == "float32" else {"dtype": self.policy(policy)}

    def policy(self, name):
        """A dtype policy. The layers of TensorFlow 2.4 do not accept mixed policies by name."""
        old = self.keras.__version__.startswith("2.4") and name.startswith("mixed")
        return self.tensorflow.keras.mixed_precision.Policy(name) if old else name

    def tensor(self, values, dtype):
        return self.tensorflow.cast(self.tensorflow.convert_to_tensor(values), dtype)

    def mask(self, values):
        return self.tensorflow.convert_to_tensor(values)

    def call(self, layer, x, given):
        return layer(x, **given)

    def differentiate(self, layer, x, given, upstream, direction, rate):
        variables = list(layer.trainable_weights)
        y, found = taped(self.tensorflow, layer, variables, x, given, upstream, direction)
        if rate is not None and variables:
            # The package keras of 2.6 to 2.8 has no optimizers.SGD; tf.keras has it.
            kind = getattr(self.keras.optimizers, "SGD", None) or self.tensorflow.keras.optimizers.SGD
            kind(rate).apply_gradients(zip(found["weights"], variables))
        return y, found

    def losses(self, layer):
        return layer.losses

    def dtype(self, tensor):
        return self.tensorflow.as_dtype(tensor.dtype).base_dtype.name

    def array(self, tensor):
        if self.dtype(tensor) == "bfloat16":
            tensor = self.tensorflow.cast(tensor, "float32")
        return np.array(tensor.numpy())

    def arrays(self, variables):
        return [self.array(variable) for variable in variables]

    def assign(self, variable, value):
        variable.assign(value)

    def float64(self):
        return True

    def device(self):
        config = getattr(self.tensorflow, "config", None)
        found = config.list_physical_devices("GPU") if hasattr(config, "list_physical_devices") else []
        return "GPU" if found else "CPU"


class Keras2Graph(object):
    """Multi-backend Keras 2 on TensorFlow 1. A call is added to a graph. Inputs are converted to floatx, as a model does.

    The updates of a call with training=True run as in `fit`; a call without `training` runs as in `predict`.
    """

    generation = "graph"

    def __init__(self, module):
        self.keras = module
        self.K = module.backend
        self.backend = self.K.backend()
        self.functions = {}

    def backend_version(self):
        return importlib.import_module(self.backend).__version__

    def begin(self, policy):
        self.functions.clear()
        self.K.clear_session()
        self.K.set_floatx(policy)
        return {}

    def tensor(self, values, dtype):
        return np.asarray(values, dtype if dtype != "bfloat16" else "float32").astype(self.K.floatx())

    def call(self, layer, x, given):
        training = given.get("training")
        if hasattr(layer, "inputs"):
            return self.call_model(layer, x if isinstance(x, list) else [x], training)
        key = training, layer.trainable
        if key not in self.functions:
            entry = self.K.placeholder(shape=x.shape)
            y = layer(entry, **given)
            updates = layer.get_updates_for(entry) if training else []
            phase = [self.K.learning_phase()] if training is None else []
            self.functions[key] = self.K.function([entry] + phase, [y], updates=updates)
        return self.functions[key]([x] + ([0] if training is None else []))[0]

    def call_model(self, model, x, training):
        """Runs the call as fit or predict would, by setting the learning phase."""
        updates = model.updates if training else []
        function = self.K.function(model.inputs + [self.K.learning_phase()], model.outputs, updates=updates)
        y = function(x + [1 if training else 0])
        return y if len(y) > 1 else y[0]

    def differentiate(self, layer, x, given, upstream, direction, rate):
        """The same as `call`, with the gradients in the same graph. The optimizer's updates run afterwards, because the graph
        has no order.
        """
        K, training = self.K, given.get("training")
        entry = K.placeholder(shape=x.shape)
        y = layer(entry, **given)
        sent = [np.asarray(v, K.floatx()) for v in (upstream, direction) if v is not None]
        entries = [K.placeholder(shape=v.shape) for v in sent]
        variables = list(layer.trainable_weights)
        loss = K.sum(y * entries[0])
        gradients = K.gradients(loss, [entry] + variables)
        if direction is not None:
            gradients += K.gradients(K.sum(gradients[0] * entries[1]), [entry])
        updates = layer.get_updates_for(entry) if training else []
        phase = [K.learning_phase()] if training is None else []
        known = [gradient for gradient in gradients if gradient is not None]
        run = K.function([entry] + entries + phase, [y] + known, updates=updates)
        fed = [x] + sent + ([0] if training is None else [])
        values = run(fed)
        if rate is not None and variables:
            steps = self.keras.optimizers.SGD(rate).get_updates(loss=loss, params=variables)
            K.function([entry] + entries + phase, [loss], updates=steps)(fed)
        rest = iter(values[1:])
        gradients = [None if gradient is None else next(rest) for gradient in gradients]
        found = {"x": gradients[0], "weights": gradients[1 : 1 + len(variables)]}
        if direction is not None:
            found["second"] = gradients[-1]
        return values[0], found

    def losses(self, layer):
        return self.K.batch_get_value(layer.losses)

    def dtype(self, tensor):
        return str(tensor.dtype) if isinstance(tensor, np.ndarray) else self.K.dtype(tensor).replace("_ref", "")

    def array(self, tensor):
        return np.array(tensor)

    def arrays(self, variables):
        return self.K.batch_get_value(variables)

    def assign(self, variable, value):
        self.K.set_value(variable, value)

    def float64(self):
        return True

    def device(self):
        return "CPU"


def taped(tensorflow, layer, variables, x, given, upstream, direction):
    """A call under TensorFlow's gradient tape: the output and the gradients."""
    with tensorflow.GradientTape() as outer:
        outer.watch(x)
        with tensorflow.GradientTape() as tape:
            tape.watch([x] + variables)
            y = layer(x, **given)
        sent = tensorflow.cast(tensorflow.convert_to_tensor(upstream), y.dtype)
        gradients = tape.gradient(y, [x] + variables, output_gradients=sent)
    found = {"x": gradients[0], "weights": gradients[1:]}
    if direction is not None and gradients[0] is not None:
        sent = tensorflow.cast(tensorflow.convert_to_tensor(direction), x.dtype)
        found["second"] = outer.gradient(gradients[0], x, output_gradients=sent)
    return y, found


def detached(gradient):
    return [detached(g) for g in gradient] if isinstance(gradient, list) else None if gradient is None else gradient.detach()
