"""Networks: observe every batch normalization while a model trains. Each builder adds layers to a Net and returns its
output.
"""

import sys

import numpy as np

from .recording import NotHere, one_line, short_name
from .training import adam, entering, set_policy, sgd, synchronize
from .watching import Watch


def watch(worker, request):
    """The answer to a request for a network: every call of its batch normalizations, and empty steps."""
    answer = {"weights": [], "initial": {}, "made": None, "config": None, "steps": [], "failure": None, "inner": []}
    stage, before = "constructor", None
    try:
        worker.tell(stage)
        before = set_policy(worker.framework, request["policy"])
        net = Net(worker.framework, worker.factory, request)
        net.build()
        for index, step in enumerate(request["steps"]):
            stage = "step %d" % index
            worker.tell(stage)
            answer["inner"].extend(net.run(index, step))
            answer["steps"].append(
                {"y": None, "y_dtype": None, "weights": {}, "trainable": [], "hidden": ["weights", "gradients", "y_dtype"]}
            )
    except (Exception, SystemExit) as error:  # whatever a layer raises is an observation
        answer["failure"] = {"stage": stage, "type": type(error).__name__, "text": one_line(error)}
    finally:
        if before is not None:
            set_policy(worker.framework, before)
    return answer


class Net(object):
    """A network under construction: what its builder needs, its optimizer, and the training steps."""

    def __init__(self, framework, factory, request):
        self.framework, self.factory, self.request = framework, factory, request
        self.keras, self.layers = framework.keras, framework.keras.layers
        self.policy = framework.begin(request["policy"])
        self.watched = Watch(framework, request["policy"], request["shape"][0])
        self.trainable = True
        self.drops = 0

    def build(self):
        if self.framework.generation == "graph":
            raise NotHere("networks can be observed from Keras 2.4")
        builder, self.optimizer = MAKERS[self.request["network"]]
        x = self.layers.Input(batch_shape=(None,) + tuple(self.request["shape"][1:]))
        self.model = self.keras.Model(x, builder(self, x))
        if not self.watched.places:
            raise RuntimeError("the network contains no batch normalization")
        self.settle()
        self.compile()

    def compile(self):
        loss = "categorical_crossentropy"
        if self.framework.backend not in ("numpy", "openvino"):
            self.model.compile(optimizer=self.optimizer(self.framework), loss=loss)

    def settle(self):
        """Sets kernels to the same values on every backend, and gamma and beta to random ones unless the initial ones are
        wanted.
        """
        kernels = [w for w in self.model.weights if short_name(w).endswith("kernel")]
        for index, weight in enumerate(kernels):
            shape = [int(n) for n in weight.shape]
            inputs = np.prod(shape[:-2] if shape[-1] == 1 and len(shape) > 2 else shape[:-1])
            values = np.random.RandomState(index).standard_normal(shape) * np.sqrt(2.0 / inputs)
            self.framework.assign(weight, values.astype("float32"))
        if self.request["weights"] is None:
            return
        for index, place in enumerate(self.watched.places):
            rng = np.random.RandomState(1000 + index)
            for weight in place.layer.weights:
                low, high = {"gamma": (0.5, 1.5), "beta": (-0.5, 0.5)}.get(short_name(weight), (None, None))
                if low is not None:
                    self.framework.assign(weight, rng.uniform(low, high, [int(n) for n in weight.shape]).astype("float32"))

    def run(self, index, step):
        """The observed calls of a step."""
        if step["do"] == "trainable":
            self.trainable = self.model.trainable = step["value"]
            self.compile()
            return []
        before = self.watched.weights()
        x = entering(self.framework, step["x"], self.request["dtype"])
        if step["training"]:
            self.model.train_on_batch(x, step["labels"])
        else:
            self.infer(x)
        synchronize(self.model)
        return self.watched.calls(index, step["training"], self.trainable, before)

    def infer(self, x):
        if self.framework.backend in ("numpy", "openvino"):  # nothing to compile
            self.framework.call(self.model, self.framework.tensor(x, self.request["dtype"]), {"training": False})
        else:
            self.model.predict_on_batch(x)

    def normalize(self, label="", **arguments):
        """A batch normalization that is observed: a function of a tensor."""
        layer = self.factory(**dict(arguments, **self.policy))
        return self.watched.place(layer, label or "bn%d" % (len(self.watched.places) + 1), arguments)

    def dense(self, units, **given):
        return self.layers.Dense(units, **given)

    def conv(self, filters, size=3, **given):
        return self.layers.Conv2D(filters, size, padding="same", **given)

    def activation(self, name):
        return self.layers.Activation(name)

    def dropout(self, rate):
        self.drops += 1
        return self.layers.Dropout(rate, seed=self.drops)

    def softmax(self, x):
        return self.layers.Activation("softmax", dtype="float32")(x)

    def classes(self, x):
        """The end of a network for images: the average over all pixels, then the probabilities of ten classes."""
        x = self.layers.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
        return self.softmax(self.dense(10)(x))


def chain(*parts):
    """A builder that applies functions of the Net one after another."""

    def build(net, x):
        for part in parts:
            x = part(net)(x)
        return x

    return build


def bn(**arguments):
    return lambda net: net.normalize(**arguments)


def dense(units, **given):
    return lambda net: net.dense(units, **given)


def conv(filters, **given):
    return lambda net: net.conv(filters, **given)


def activation(name):
    return lambda net: net.activation(name)


def dropout(rate):
    return lambda net: net.dropout(rate)


def softmax(net):
    return net.softmax


def classes(net):
    return net.classes


def residual(net, x):
    """Blocks with two branches that both end in a batch normalization; the outputs are added."""
    x = net.activation("relu")(net.normalize("stem")(net.conv(8, use_bias=False)(x)))
    for block, filters, strides in (("first", 8, 1), ("second", 12, 2)):
        y = net.normalize(block + " inner")(net.conv(filters, strides=strides, use_bias=False)(x))
        y = net.conv(filters, use_bias=False)(net.activation("relu")(y))
        y = net.normalize(block + " outer")(y)
        shortcut = net.conv(filters, 1, strides=strides, use_bias=False)(x)
        shortcut = net.normalize(block + " shortcut", momentum=0.9, epsilon=1e-5)(shortcut)
        x = net.activation("relu")(net.layers.add([y, shortcut]))
    return net.classes(x)


class Layers(object):
    """The layers module of a Keras, with its BatchNormalization replaced."""

    def __init__(self, layers, normalize):
        self._layers, self.BatchNormalization = layers, normalize

    def __getattr__(self, name):
        return getattr(self._layers, name)


def application(name):
    """A builder for one of Keras' own models, whose module takes its layer classes by name."""

    def build(net, x):
        make = getattr(net.keras.applications, name, None)
        if make is None:
            raise NotHere("this Keras has no applications.%s" % name)
        module = sys.modules[make.__module__]
        given = {"include_top": False, "weights": None, "input_shape": tuple(net.request["shape"][1:])}
        own, substitute = module.layers, Layers(net.layers, lambda name="", **arguments: net.normalize(name, **arguments))
        try:
            module.layers = substitute
            base = make(input_tensor=x, **given)
            if not net.watched.places:  # the module sets that name itself
                base = make(input_tensor=x, layers=substitute, **given)
        finally:
            module.layers = own
        return net.classes(base.output)

    return build


def slow(framework):
    return sgd(framework, 0.01)


def plain_network(framework):
    return sgd(framework, 0.1)


def nesterov(framework):
    return sgd(framework, 0.1, momentum=0.9, nesterov=True)


def small_adam(framework):
    return adam(framework, 0.01)


TANH = (dense(64), bn(), activation("tanh"), dropout(0.5))
BEFORE = (dense(32), bn(), activation("relu"))
AFTER = (dense(32, activation="relu"), bn())
NO_BIAS = (dense(32, use_bias=False), bn(), activation("relu"))
OTHERS = (dense(32, use_bias=False), bn(momentum=0.9, epsilon=1e-5), activation("relu"))
CONV = (conv(8, use_bias=False), bn(axis=3), activation("relu"))
CONV_RELU_BN = (conv(8, activation="relu"), bn())
SIGMOID = (dense(32, activation="sigmoid"), bn(), dense(32), bn(), activation("sigmoid"))

MAKERS = {  # by name: the builder, and the function that makes the optimizer
    "iris": (chain(bn(), dense(4, activation="relu"), dense(3, activation="sigmoid", dtype="float32")), small_adam),
    "posted": (chain(*(TANH + TANH + (dense(2), bn(), softmax))), nesterov),
    "before-activation": (chain(*(BEFORE + BEFORE + (classes,))), plain_network),
    "after-activation": (chain(*(AFTER + AFTER + (classes,))), plain_network),
    "saturating": (chain(*(SIGMOID + (classes,))), plain_network),
    "no-bias": (chain(*(NO_BIAS + OTHERS + (classes,))), plain_network),
    "dropout-before": (chain(dense(32, activation="relu"), dropout(0.5), bn(), classes), plain_network),
    "softmax": (chain(dense(32, activation="relu"), dense(10), bn(), softmax), plain_network),
    "conv": (chain(*(CONV + CONV + (classes,))), small_adam),
    "conv-relu-bn": (chain(*(CONV_RELU_BN + CONV_RELU_BN + (classes,))), small_adam),
    "residual": (residual, small_adam),
    "mobilenet": (application("MobileNet"), slow),
    "mobilenetv2": (application("MobileNetV2"), slow),
    "resnet50": (application("ResNet50"), slow),
    "efficientnet": (application("EfficientNetB0"), slow),
    "densenet": (application("DenseNet121"), slow),
}
