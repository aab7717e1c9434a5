"""File formats: how a step S saves a layer and loads it again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileFormat:
    """How a step S saves and loads.

    words: the format as text, for reports. of_replicas: whether replicas are tested with it. only_infers: whether the loaded
    layer allows inference only, with one input and no mask.
    """

    words: str
    of_replicas: bool = False
    only_infers: bool = False


FILES = {
    "keras": FileFormat("model.save(….keras), load_model", of_replicas=True),
    "weights.h5": FileFormat("model.save_weights(….weights.h5), load_weights into a new layer", of_replicas=True),
    "h5": FileFormat("model.save(….h5), load_model: the legacy format", of_replicas=True),
    "savedmodel": FileFormat("model.save(folder), load_model: the format of Keras 2"),
    "export": FileFormat("model.export(folder), tf.saved_model.load, for inference only", only_infers=True),
    "weights": FileFormat("get_weights(), set_weights() of a new layer, in order"),
    "config": FileFormat("get_config(), from_config(), and the weights in order"),
    "clone": FileFormat("clone_model(), and the weights in order"),
    "pickle": FileFormat("pickle of the model"),
}
