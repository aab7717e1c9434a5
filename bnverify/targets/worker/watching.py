"""Watching: record the input, the output and the weights of batch normalizations inside a model.

One keeper layer before and one after each batch normalization store what passes, in any compiled step of any backend. The batch
normalization itself is unchanged. To watch an existing model, build it again with `Watch.place` for each of its layers.
"""

import numpy as np

from .recording import NotHere, after_call, values
from .training import keeper


class Watch(object):
    """The watched layers of one model, in the order of their placement. The batches have `rows` rows."""

    def __init__(self, framework, policy, rows):
        self.framework, self.policy, self.rows = framework, policy, rows
        self.places = []

    def place(self, layer, label, arguments):
        """The layer between two keepers: a function of a symbolic tensor. arguments: the layer's arguments."""

        def put(x):
            shape = [self.rows] + [int(n) for n in x.shape[1:]]
            around = [keeper(self.framework, shape, self.policy) for _ in range(2)]
            y = around[1](layer(around[0](x)))
            self.places.append(Place(label, layer, arguments, around))
            return y

        return put

    def weights(self):
        """Records the weights of all layers before a step."""
        return [values(self.framework, place.layer) for place in self.places]

    def calls(self, step, training, trainable, before):
        """The calls of every layer in the model's last step.

        In a training step the optimizer changes gamma and beta after the call, so the weights after the call have the old
        values.
        """
        return [self.call(place, step, training, trainable, own) for place, own in zip(self.places, before)]

    def call(self, place, step, training, trainable, before):
        framework = self.framework
        x, y = (framework.array(around.kept) for around in place.around)
        seen, made = (around.dtype_seen for around in place.around)
        if not all(holds(kept, name) for kept, name in ((x, seen), (y, made))):
            raise NotHere(
                "the compiled model keeps values more precise than %s between layers, so a layer's input cannot be observed"
                % seen
            )
        after = after_call(framework, place.layer, None)
        after.update(y=y, y_dtype=made, hidden=["gradients"])
        if training and trainable:
            after["weights"].update({name: before[name] for name in ("gamma", "beta") if name in before})
        return {
            "label": place.label,
            "step": step,
            "training": training,
            "trainable": trainable,
            "policy": self.policy,
            "dtype": seen,
            "x": x.astype(seen) if seen in ("float16", "float64") else x,
            "mask": None,
            "before": before,
            "after": after,
            "arguments": place.arguments,
        }


def holds(values, name):
    """Whether a dtype can hold the values. If not, the compiled model did not round them to this dtype."""
    if name == "bfloat16":
        return not (np.asarray(values, "float32").view("uint32") & 0xFFFF).any()
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array_equal(np.nan_to_num(values.astype(name).astype(values.dtype)), np.nan_to_num(values))


class Place(object):
    """A layer with its name, its arguments, and the keepers before and after it."""

    def __init__(self, label, layer, arguments, around):
        self.label, self.layer, self.arguments, self.around = label, layer, arguments, around
