"""Modes that put the layer inside a model and train the model."""

import importlib

import numpy as np

from .calling import Caller, laid
from .recording import after_call
from .training import entering, keeper, set_policy, sgd, synchronize, weighted_sum


class InModel(Caller):
    """The base of all callers that call a model with the layer in it. `model` makes the model."""

    freezes = "layer"

    def __enter__(self):
        self.policy = set_policy(self.framework, self.request["policy"])
        return self

    def __exit__(self, *_):
        set_policy(self.framework, self.policy)
        return False

    def build(self):
        self.whole = self.model(self.layer)

    def renew(self, layer):
        """Replaces the caller's layer by another one."""
        self.layer = layer
        self.whole = self.model(layer)

    def call(self, x, given):
        y = self.framework.call(self.whole, x, given)
        return y[0] if isinstance(y, (list, tuple)) else y

    def freeze(self, value):
        whole = self.freezes == "model" and self.framework.generation != "graph"  # the setting has no effect on the layer
        (self.whole if whole else self.layer).trainable = value

    def entry_shape(self):
        """The input shape of a model: a batch of any size, unless the layer keeps the batch axis."""
        shape, axis = list(self.request["shape"]), self.request["layer"].get("axis", -1)
        return shape if axis in (0, -len(shape)) else [None] + shape[1:]

    def input(self, shape=None, dtype=None):
        shape = self.entry_shape() if shape is None else shape
        return self.framework.keras.Input(batch_shape=tuple(shape), dtype=dtype or self.request["dtype"])

    @property
    def layers(self):
        return self.framework.keras.layers


class Sequential(InModel):
    freezes = "model"

    def model(self, layer):
        others = [self.layers.Dropout(0.0), layer, self.layers.Activation("linear")]
        if self.framework.generation == "graph":
            others.insert(0, self.layers.InputLayer(batch_input_shape=tuple(self.entry_shape())))
            return self.framework.keras.Sequential(others)
        model = self.framework.keras.Sequential(others)
        model(self.input())
        return model


class Functional(InModel):
    """The model has another layer before the tested one and another batch normalization after it."""

    def model(self, layer):
        x = self.input()
        y = layer(self.layers.Activation("linear")(x))
        after = self.layers.BatchNormalization(axis=self.request["layer"].get("axis", -1), momentum=0.5)(y)
        return self.framework.keras.Model(x, [y, after])


class Dynamic(InModel):
    """The sizes are unknown in TensorFlow's graph; other backends know them when they run."""

    def entry_shape(self):
        shape, axes = self.request["shape"], self.request["layer"].get("axis", -1)
        kept = [axis % len(shape) for axis in (axes if isinstance(axes, list) else [axes])]
        return [size if axis in kept else None for axis, size in enumerate(shape)]

    def model(self, layer):
        x = self.input()
        self.graphs = {}
        return self.framework.keras.Model(x, layer(x))

    def call(self, x, given):
        if self.framework.backend != "tensorflow" or self.framework.generation == "graph":
            return super(Dynamic, self).call(x, given)
        key = given.get("training", "not given"), self.layer.trainable, id(self.whole)  # loading a file brings a new model
        masks = [given["mask"]] if "mask" in given else []
        if key not in self.graphs:
            tf, whole = importlib.import_module("tensorflow"), self.whole
            entries = [tf.TensorSpec(self.entry_shape(), x.dtype)]
            entries += [tf.TensorSpec([None] * len(mask.shape), mask.dtype) for mask in masks]
            constant = {name: value for name, value in given.items() if name != "mask"}
            run = lambda x, *mask: whole(x, **dict(constant, **({"mask": mask[0]} if mask else {})))  # noqa: E731
            self.graphs[key] = tf.function(run, input_signature=entries)
        return self.graphs[key](x, *masks)


class Pinned(InModel):
    def model(self, layer):
        x = self.input()
        return self.framework.keras.Model(x, layer(x, training=False))


class Nested(InModel):
    freezes = "model"

    def model(self, layer):
        inner, outer = self.input(), self.input()
        self.within = self.framework.keras.Model(inner, layer(inner))
        return self.framework.keras.Model(outer, self.within(outer))

    def freeze(self, value):
        (self.layer if self.framework.generation == "graph" else self.within).trainable = value


class Subclassed(InModel):
    own_class = True
    built_by_call = True

    def model(self, layer):
        class Model(self.framework.keras.Model):
            def __init__(self):
                super(Model, self).__init__()
                self.inner = layer

            def call(self, inputs, training=None, mask=None):
                return self.inner(inputs) if mask is None else self.inner(inputs, mask=mask)

        layer.build(tuple(self.request["shape"]))
        return Model()


class Parent(InModel):
    own_class = True

    def model(self, layer):
        class Outer(self.framework.keras.layers.Layer):
            def __init__(self, **arguments):
                super(Outer, self).__init__(**arguments)
                self.inner = layer

            def call(self, inputs, training=None, mask=None):
                given = {} if mask is None else {"mask": mask}
                return self.inner(inputs, training=training, **given)

        layer.build(tuple(self.request["shape"]))
        return Outer(dtype=self.request["policy"])


class Shared(InModel):
    """Two calls in one step."""

    def model(self, layer):
        inputs = [self.input(), self.input()]
        return self.framework.keras.Model(inputs, [layer(x) for x in inputs])

    def together(self, steps):
        return 2 if steps[0]["do"] == "call" else 1

    def run(self, steps):
        if steps[0]["do"] != "call":
            return super(Shared, self).run(steps)
        entries = [self.entry(step) for step in steps]
        given = dict(entries[0][1])
        if "mask" in given:
            given["mask"] = [own["mask"] for _, own in entries]
        both = self.framework.call(self.whole, [x for x, _ in entries], given)
        answers = [after_call(self.framework, self.layer, y) for y in both]
        answers[0]["hidden"] = ["weights"]  # the weights between the two calls
        return answers


class TimeDistributed(InModel):
    sliced = True

    def build(self):
        shape = self.request["shape"]
        self.layer.build(tuple(shape[:1] + shape[2:]))
        self.whole = self.model(self.layer)

    def model(self, layer):
        return self.layers.TimeDistributed(layer)


class Masking(InModel):
    def model(self, layer):
        x = self.input()
        return self.framework.keras.Model(x, layer(self.layers.Masking(0.0)(x)))

    def entry(self, step):
        x, given = super(Masking, self).entry(step)
        given.pop("mask", None)
        return x, given


class Embedding(InModel):
    """Each position has a unique index; masked positions have index 0."""

    makes_inputs = True

    def model(self, layer):
        shape = self.request["shape"]
        self.table = self.layers.Embedding(int(np.prod(shape[:-1])) + 1, shape[-1], mask_zero=True)
        x = self.input([None] + list(shape[1:-1]), "int32")
        return self.framework.keras.Model(x, layer(self.table(x)))

    def entry(self, step):
        x = step["x"].reshape(-1, step["x"].shape[-1])
        self.framework.assign(self.table.weights[0], np.concatenate([np.zeros_like(x[:1]), x]))
        indices = np.arange(1, len(x) + 1).reshape(step["x"].shape[:-1]) * (step["mask"] != 0)
        _, given = super(Embedding, self).entry(dict(step, mask=None))
        return self.framework.tensor(indices.astype("int32"), "int32"), given


class OnBatch(InModel):
    """A compiled model: train_on_batch and predict_on_batch. A keeper layer after the tested layer stores its output in
    training.
    """

    def model(self, layer):
        x = self.input()
        self.keeper = keeper(self.framework, self.request["shape"], self.request["policy"])
        model = self.framework.keras.Model(x, self.keeper(layer(x)))
        self.compile(model, 0.0)
        return model

    def compile(self, model, rate):
        model.compile(optimizer=sgd(self.framework, rate), loss=weighted_sum(self.framework))
        self.rate = rate

    def freeze(self, value):
        super(OnBatch, self).freeze(value)
        self.compile(self.whole, self.rate)

    def do_call(self, step):
        if step["training"]:
            if (step["rate"] or 0.0) != self.rate:
                self.compile(self.whole, step["rate"] or 0.0)
            self.train([step])
            return self.seen[-1]
        if step["training"] is None:
            return super(OnBatch, self).do_call(step)
        return self.infer(step)

    def arrays(self, steps):
        x = np.concatenate([laid(step["x"], self.request.get("layout")) for step in steps])
        zeros = [np.zeros(step["x"].shape, "float32") for step in steps]
        y = [zero if step.get("upstream") is None else step["upstream"] for step, zero in zip(steps, zeros)]
        return entering(self.framework, x, self.request["dtype"]), np.concatenate(y)

    def train(self, steps):
        x, y = self.arrays(steps)
        self.seen = []
        self.whole.train_on_batch(x, y)
        self.see()

    def see(self):
        """Observes what the last training step left behind."""
        synchronize(self.whole)
        (y,) = self.framework.arrays([self.keeper.kept])
        answer = after_call(self.framework, self.layer, None)
        answer.update(y=y, hidden=["gradients", "y_dtype"])
        self.seen.append(answer)

    def infer(self, step):
        x, _ = self.arrays([step])
        return self.after(self.whole.predict_on_batch(x))

    def after(self, y):
        y = np.asarray(y)
        name = str(y.dtype)
        return after_call(self.framework, self.layer, y.astype("float32") if name == "bfloat16" else y, name)


class Fit(OnBatch):
    """fit, several steps in one epoch, and predict."""

    freezes = "model"

    def together(self, steps):
        count = 1
        plain = [step["do"] == "call" and bool(step["training"]) and step["rate"] is None for step in steps]
        while plain[0] and count < len(steps) and plain[count]:
            count += 1
        return count

    def run(self, steps):
        if len(steps) == 1:
            return super(Fit, self).run(steps)
        self.train(steps)
        return self.seen

    def train(self, steps):
        x, y = self.arrays(steps)
        self.seen, caller = [], self

        class See(self.framework.keras.callbacks.Callback):
            def on_batch_end(self, batch, logs=None):
                caller.see()

        self.whole.fit(x, y, batch_size=len(steps[0]["x"]), epochs=1, shuffle=False, verbose=0, callbacks=[See()])

    def infer(self, step):
        x, _ = self.arrays([step])
        return self.after(self.whole.predict(x, batch_size=len(x), verbose=0))


class Uncompiled(Fit):
    """A model that is not compiled again when `trainable` changes."""

    def freeze(self, value):
        InModel.freeze(self, value)


class Evaluate(Fit):
    def infer(self, step):
        x, y = self.arrays([step])
        self.seen = []
        self.whole.evaluate(x, y, batch_size=len(x), verbose=0)
        self.see()
        return self.seen[0]


CALLERS_OF_MODELS = {
    "sequential": Sequential,
    "functional": Functional,
    "dynamic": Dynamic,
    "pinned": Pinned,
    "nested": Nested,
    "subclassed": Subclassed,
    "parent": Parent,
    "shared": Shared,
    "timedistributed": TimeDistributed,
    "masking": Masking,
    "embedding": Embedding,
    "on_batch": OnBatch,
    "fit": Fit,
    "evaluate": Evaluate,
    "uncompiled": Uncompiled,
}
