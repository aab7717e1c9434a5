"""An existing layer: it is called as it is, and its weights are put back afterwards."""

from .calling import Caller
from .recording import short_name, values


class Existing(Caller):
    """Uses the built layer with its weights. Weights, momentum and `trainable` are put back at the end."""

    momentum = None

    def construct(self):
        self.layer = self.factory()
        self.kept = values(self.framework, self.layer)
        self.trainable = self.layer.trainable
        if self.request.get("momentum") is not None:
            self.momentum = self.layer.momentum  # AttributeError if a custom layer has no such attribute
            self.layer.momentum = self.request["momentum"]

    def build(self):
        pass

    def __exit__(self, *_):
        if self.layer is None:
            return False
        if self.momentum is not None:
            self.layer.momentum = self.momentum
        self.layer.trainable = self.trainable
        for variable in self.layer.weights:
            self.framework.assign(variable, self.kept[short_name(variable)])
        return False
