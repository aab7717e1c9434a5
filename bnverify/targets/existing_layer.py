"""Existing layer: a target that is one built layer of the user. bnverify leaves the layer as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.layer_config import ARGUMENTS
from bnverify.errors import BadInput, shown
from bnverify.numeric.precision import Array
from bnverify.targets.target import environment, observation, request
from bnverify.targets.worker.observing import Worker
from bnverify.targets.worker.recording import short_name
from bnverify.values import Observation

ALLOWED_LAYERS = "a built batch normalization layer, or a dict of its arguments"
REQUIRED_ARGUMENTS = ("axis", "momentum", "epsilon")


class ExistingLayer:
    """A Keras layer, an instance, as a target. Raises BadInput unless it is a batch normalization with weights.

    A custom layer counts as a batch normalization if it has the weights moving_mean and moving_variance, and axis, momentum and
    epsilon as attributes or in get_config().
    """

    def __init__(self, layer: Any) -> None:
        module = _module_of(layer)
        self._worker = Worker(module, lambda **_: layer)
        self.layer = layer
        if isinstance(layer, self._worker.keras.Model):
            raise BadInput(f"layer {layer.name}: got a model", allowed=f"{ALLOWED_LAYERS}, such as model.get_layer(…)")
        own = isinstance(layer, self._worker.keras.layers.BatchNormalization)
        said = type(layer)
        exact = said is self._worker.keras.layers.BatchNormalization
        self.environment = environment(self._worker.environment(), "" if exact else f"{said.__module__}:{said.__qualname__}")
        self.name = str(getattr(layer, "name", said.__name__))
        self.arguments = self._arguments()
        if not own and not all(name in self.arguments for name in REQUIRED_ARGUMENTS):
            missing = ", ".join(name for name in REQUIRED_ARGUMENTS if name not in self.arguments)
            missing += "; the layer that it wraps is its .layer" if hasattr(layer, "layer") else ""
            raise BadInput(f"layer {self.name}: got {said.__name__}, which has no {missing}", allowed=ALLOWED_LAYERS)
        self.weights = self._weights()

    def _arguments(self) -> dict[str, Any]:
        """The constructor's arguments: the layer's attributes, or else its get_config()."""
        try:
            config = dict(self.layer.get_config())
        except Exception:  # a custom layer may have no get_config()
            config = {}
        found = {name: getattr(self.layer, name, config.get(name)) for name in ARGUMENTS if name != "trainable"}
        given = {name: value for name, value in found.items() if value is not None and not name.endswith(_OBJECTS)}
        policy = self.layer.dtype_policy.name if hasattr(self.layer, "dtype_policy") else "float32"
        return {**given, "trainable": bool(self.layer.trainable), "dtype": policy}

    def _weights(self) -> dict[str, Array]:
        """The layer's weights by Keras' names."""
        if not getattr(self.layer, "built", True) or not self.layer.weights:
            shape = "(None, 4)"
            raise BadInput(
                f"layer {self.name}: the layer is not built and has no weights; call it once, or call layer.build({shape})"
            )
        found = self._worker.holds(self.layer)
        if missing := [name for name in ("moving_mean", "moving_variance") if name not in found]:
            has = ", ".join(short_name(w) for w in self.layer.weights)
            what = f"{type(self.layer).__name__} with the weights {has}, but without {missing[0]}"
            raise BadInput(f"layer {self.name}: got {what}", allowed=ALLOWED_LAYERS)
        return {name: np.asarray(value) for name, value in found.items()}

    def check_rank(self, rank: int) -> None:
        """Raises BadInput if the layer was built for inputs of another rank. A value without a batch axis is refused
        elsewhere.
        """
        built = getattr(getattr(self.layer, "input_spec", None), "ndim", None)
        if built is not None and rank > 1 and built != rank:
            raise BadInput(f"x: got {rank} axes", allowed=f"{built}, because layer {self.name} was built for {built}")

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        """The observation of the layer with the weights of `inputs` and the momentum of the case. Both are put back
        afterwards.
        """
        own = self.arguments.get("momentum")
        momentum = case.config.momentum if case.config.momentum != own else None
        asked: Mapping[str, Any] = {**request(case, inputs), "mode": "existing", "momentum": momentum}
        return observation(self._worker.observe(asked))


_OBJECTS = ("_initializer", "_regularizer", "_constraint")  # these arguments do not change what a single call computes


def _module_of(layer: Any) -> str:
    """The module of a layer's Keras: "keras", "tf_keras" or "tf.keras"."""
    if isinstance(layer, type):
        raise BadInput(f"layer: got the class {layer.__name__}, not an instance of it", allowed=ALLOWED_LAYERS)
    for kind in type(layer).__mro__:
        root = kind.__module__.split(".")[0]
        if root in ("keras", "tf_keras") and kind.__name__ == "Layer":
            return root
    raise BadInput(f"layer: got {type(layer).__name__} {shown(layer)}", allowed=ALLOWED_LAYERS)
