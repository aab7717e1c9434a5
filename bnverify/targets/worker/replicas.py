"""Replicas: spread one batch over several devices of this machine.

`inner` of the answer has a call for each replica: its shard, and its weights before and after.
"""

import importlib

import numpy as np

from .calling import Caller
from .recording import NotHere, after_call, short_name, trainable

STRATEGIES = {}  # by the number of replicas; a process has at most one of each


class Replicas(Caller):
    """The base of the callers that spread a batch. Each replica gets a shard."""

    count = 1  # the number of replicas

    def __init__(self, *arguments):
        super(Replicas, self).__init__(*arguments)
        self.inner = []
        self.done = 0

    def run(self, steps):
        answers = super(Replicas, self).run(steps)
        self.done += len(steps)
        return answers

    def shards(self, x):
        return [None] * self.count if x is None else np.array_split(x, self.count)

    def do_call(self, step):
        before = self.weights()
        ys, dtype = self.spread(step)
        after = self.weights()
        answer = after_call(self.framework, self.layer, np.concatenate(ys), dtype)
        seen = {"y_dtype": dtype, "trainable": trainable(self.layer), "losses": answer["losses"]}
        for index, (x, mask, y) in enumerate(zip(self.shards(step["x"]), self.shards(step.get("mask")), ys)):
            self.inner.append(
                {
                    "label": "replica %d" % (index + 1),
                    "step": self.done,
                    "training": step["training"],
                    "trainable": bool(self.layer.trainable),
                    "policy": self.request["policy"],
                    "dtype": self.request["dtype"],
                    "x": x,
                    "mask": mask,
                    "before": before[index],
                    "after": dict(seen, y=y, weights=after[index]),
                }
            )
        return dict(answer, weights=self.read())

    def do_trainable(self, step):
        return dict(super(Replicas, self).do_trainable(step), weights=self.read())

    def read(self):
        """The weights as get_weights() gives them."""
        found = [np.array(value) for value in self.layer.get_weights()]
        found = [value.astype("float32") if value.dtype.name == "bfloat16" else value for value in found]
        return dict(zip([short_name(w) for w in self.layer.weights], found))

    def weights(self):
        """The weights on each replica."""
        found = [{} for _ in range(self.count)]
        for variable in self.layer.weights:
            parts = self.parts(variable)
            for index, own in enumerate(found):
                own[short_name(variable)] = self.framework.array(parts[index % len(parts)])
        return found


class Mirrored(Replicas):
    """tf.distribute.MirroredStrategy over logical CPU devices, and strategy.run.

    Reductions run on one device, because TensorFlow's collectives stay broken in a process after one replica has raised.
    """

    def __init__(self, *arguments):
        super(Mirrored, self).__init__(*arguments)
        if self.framework.backend != "tensorflow":
            raise NotHere("MirroredStrategy is TensorFlow's")
        self.tensorflow = importlib.import_module("tensorflow")
        devices = len(self.tensorflow.config.list_logical_devices("CPU"))
        if devices < self.count:
            raise NotHere("TensorFlow already runs with %s in this process" % counted(devices, "logical CPU device"))
        self.strategy = STRATEGIES.get(self.count) or self.open()

    def open(self):
        distribute = self.tensorflow.distribute
        names = ["CPU:%d" % index for index in range(self.count)]
        on_one = distribute.ReductionToOneDevice()
        STRATEGIES[self.count] = distribute.MirroredStrategy(names, cross_device_ops=on_one)
        return STRATEGIES[self.count]

    def make(self):
        with self.strategy.scope():
            return super(Mirrored, self).make()

    def build(self):
        with self.strategy.scope():
            super(Mirrored, self).build()

    def again(self):
        with self.strategy.scope():
            return super(Mirrored, self).again()

    def spread(self, step):
        entries = [
            self.entry(dict(step, x=x, mask=mask)) for x, mask in zip(self.shards(step["x"]), self.shards(step.get("mask")))
        ]
        tensors = {name: entries[0][1][name] for name in entries[0][1] if name == "mask"}
        constant = {name: value for name, value in entries[0][1].items() if name not in tensors}
        x = self.each([x for x, _ in entries])
        given = {name: self.each([own[name] for _, own in entries]) for name in tensors}
        y = self.strategy.run(lambda x, **own: self.framework.call(self.layer, x, dict(constant, **own)), (x,), given)
        ys = self.strategy.experimental_local_results(y)
        return [self.framework.array(y) for y in ys], self.framework.dtype(ys[0])

    def each(self, tensors):
        """One tensor per replica, as one distributed value."""
        take = lambda context: tensors[context.replica_id_in_sync_group]  # noqa: E731
        return self.strategy.experimental_distribute_values_from_function(take)

    def parts(self, variable):
        own = variable.value if self.framework.generation == 3 else variable
        return self.strategy.experimental_local_results(own)

    def do_file(self, step):
        with self.strategy.scope():
            answer = super(Mirrored, self).do_file(step)
        return dict(answer, weights=self.read())


class Parallel(Replicas):
    """keras.distribution.DataParallel over host devices of JAX, and jax.jit of stateless_call, which is how Keras trains on
    JAX.
    """

    def __init__(self, *arguments):
        super(Parallel, self).__init__(*arguments)
        if self.framework.backend != "jax":
            raise NotHere("keras.distribution runs on JAX only")
        self.distribution = getattr(self.framework.keras, "distribution", None)
        if not hasattr(self.distribution, "DataParallel"):
            raise NotHere("this Keras has no keras.distribution")
        self.jax = importlib.import_module("jax")
        self.devices = self.distribution.list_devices("cpu")
        if len(self.devices) < self.count:
            raise NotHere("JAX already runs with %s in this process" % counted(len(self.devices), "host device"))

    def __enter__(self):
        self.before = self.distribution.distribution()
        self.own = self.distribution.DataParallel(devices=self.devices[: self.count])
        self.distribution.set_distribution(self.own)
        return self

    def __exit__(self, *_):
        self.distribution.set_distribution(self.before)
        return False

    def spread(self, step):
        x, given = self.entry(step)
        tensors = {"x": x}
        if "mask" in given:
            tensors["mask"] = given.pop("mask")
        tensors = {name: self.over_devices(tensor) for name, tensor in tensors.items()}
        layer = self.layer
        own = [variable.value for variable in layer.trainable_variables]
        others = [variable.value for variable in layer.non_trainable_variables]

        def run(own, others, tensors):
            rest = {name: value for name, value in tensors.items() if name != "x"}
            return layer.stateless_call(own, others, tensors["x"], **dict(given, **rest))

        y, moved = self.jax.jit(run)(own, others, tensors)
        for variable, value in zip(layer.non_trainable_variables, moved):
            variable.assign(value)
        return np.array_split(self.framework.array(y), self.count), self.framework.dtype(y)

    def over_devices(self, tensor):
        layout = self.own.get_data_layout(tuple(tensor.shape))
        found = self.distribution.distribute_tensor(tensor, layout)
        if len(found.sharding.device_set) != self.count:
            raise RuntimeError("the batch lies on %s" % counted(len(found.sharding.device_set), "device"))
        return found

    def parts(self, variable):
        return [shard.data for shard in variable.value.addressable_shards]


def counted(count, what):
    return "one " + what if count == 1 else "%d %ss" % (count, what)


def over(count, kind):
    return type(kind.__name__, (kind,), {"count": count})


CALLERS_OF_REPLICAS = {
    "mirrored2": over(2, Mirrored),
    "mirrored3": over(3, Mirrored),
    "mirrored4": over(4, Mirrored),
    "parallel2": over(2, Parallel),
    "parallel4": over(4, Parallel),
}
