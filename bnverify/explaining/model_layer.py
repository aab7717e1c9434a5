"""A batch normalization in a model file: its arguments and weights, read without Keras and without making the model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bnverify.cases.layer_config import LayerConfig
from bnverify.errors import BadInput, shortened
from bnverify.explaining.subject import as_batch
from bnverify.storage.hdf5_values import datasets, part_of, plain_values
from bnverify.storage.model_files import damage_is_bad_input, open_weights, read_model_config

BATCH_NORMALIZATION = "BatchNormalization"
LOAD_ANYWAY = "--trust-code lets Keras load the whole file, and run code that is in it"


@dataclass(frozen=True)
class ModelLayer:
    """A layer in a model file: its arguments, its weights by Keras' names, and the rank of its inputs if the file has it."""

    name: str
    arguments: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    rank: int | None

    def check_rank(self, x: Any) -> None:
        """Raises BadInput if the layer was built for inputs of another rank than that of x."""
        rank = as_batch(x, "float32", "x").ndim
        if self.rank is not None and rank != self.rank:
            raise BadInput(f"x: got {rank} axes", allowed=f"{self.rank}, because layer {self.name} was built for {self.rank}")


@dataclass(frozen=True)
class _Place:
    """Where a layer is described, and where its weights are: below `group` in an archive, and of layer `top` in HDF5."""

    described: Mapping[str, Any]
    group: str
    top: str

    @property
    def name(self) -> str:
        config = self.described.get("config")
        return str(config.get("name") if isinstance(config, dict) else self.described.get("name"))

    @property
    def is_batch_normalization(self) -> bool:
        return self.described.get("class_name") == BATCH_NORMALIZATION and isinstance(self.described.get("config"), dict)


def read_layer(path: str, name: str) -> ModelLayer:
    """The batch normalization of that name in a model file, also inside nested models and wrappers.

    Raises BadInput if there is none, if the file is damaged, or if it holds code that Keras would run.
    """
    file = Path(path)
    if not file.is_file():
        raise BadInput(f"--model {path}: no such file")
    config = read_model_config(file, "--model")
    with damage_is_bad_input(file, "--model"):
        places = list(_places(config))
    named = [place for place in places if place.name == name]
    found = [place for place in named if place.is_batch_normalization]
    if not named:
        own = ", ".join(dict.fromkeys(place.name for place in places if place.is_batch_normalization))
        raise BadInput(f"--layer {name!r}: the model has no layer of that name; its batch normalizations: {own or 'none'}")
    if not found:
        kind = shortened(str(named[0].described.get("class_name")))
        hint = f"if the class is yours, {LOAD_ANYWAY}"
        raise BadInput(f"--layer {name!r}: is of the class {kind}, not BatchNormalization", hint=hint)
    with damage_is_bad_input(file, "--model"):
        read = [(place, weights) for place in found if (weights := _weights(file, place)) is not None]
    if not read:
        raise BadInput(
            f"--model {path}: its weights of layer {name!r} are not where Keras' own layers have them", hint=LOAD_ANYWAY
        )
    (place, weights), *others = read
    arguments = place.described["config"]
    if any(each.described["config"] != arguments for each in found) or not all(_same(weights, again) for _, again in others):
        raise BadInput(f"--layer {name!r}: the model has {len(found)} different layers of that name")
    return ModelLayer(name, arguments, weights, _rank(place.described))


def _places(config: Any, group: str = "", top: str = "") -> Iterator[_Place]:
    """The layers of a model's configuration, with the groups of their weights.

    In an archive the layers of a model are numbered by class, in the order of the configuration.
    """
    counts: dict[str, int] = {}
    for layer in _layers(config):
        kind = _snake_case(str(layer.get("class_name")))
        at = counts[kind] = counts.get(kind, -1) + 1
        own = f"{group}layers/{kind}{f'_{at}' * (at > 0)}"
        yield from _inside(layer, own, top)


def _inside(layer: Mapping[str, Any], group: str, top: str) -> Iterator[_Place]:
    """A layer, the layer that it wraps, and the layers of a nested model."""
    place = _Place(layer, group, top)
    top = top or place.name
    yield _Place(layer, group, top)
    yield from _places(layer, f"{group}/", top)
    config = layer.get("config")
    wrapped = config.get("layer") if isinstance(config, dict) else None
    if isinstance(wrapped, dict):
        yield from _inside(wrapped, f"{group}/layer", top)


def _layers(model: Any) -> list[dict[str, Any]]:
    config = model.get("config") if isinstance(model, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else config  # Keras 2.1 has a list
    return [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []


def _snake_case(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _rank(described: Mapping[str, Any]) -> int | None:
    build = described.get("build_config")
    shape = build.get("input_shape") if isinstance(build, dict) else None
    return len(shape) if isinstance(shape, list) else None


def _weights(file: Path, place: _Place) -> dict[str, np.ndarray] | None:
    """The weights of a layer; None if the file has none for it, or not as many as the layer needs."""
    given = place.described["config"]
    center, scale, renorm = bool(given.get("center", True)), bool(given.get("scale", True)), bool(given.get("renorm"))
    names = LayerConfig(center=center, scale=scale, renorm=renorm).weight_names()
    with open_weights(file) as root:
        if "model_weights" in root:
            found = _of_legacy_file(part_of(root, "model_weights"), place, names)
        else:
            found = _of_archive(root, place, names)
        if set(found) != set(names):
            return None
        try:
            return {name: plain_values(dataset) for name, dataset in found.items()}
        except ValueError as error:
            raise BadInput(f"--model {file}: {error}", hint=LOAD_ANYWAY) from None


def _of_archive(root: Any, place: _Place, names: tuple[str, ...]) -> dict[str, Any]:
    """The datasets by name: Keras numbers the weights of a layer in the order in which it makes them.

    Newer releases of Keras also give the layer's name. Keras 2.12 to 2.14 number the layers in another way.
    """
    group = part_of(root, f"{place.group}/vars")
    if group is None or len(group) != len(names) or group.attrs.get("name", place.name) != place.name:
        return {}
    found = {name: part_of(group, str(at)) for at, name in enumerate(names)}
    return {name: dataset for name, dataset in found.items() if dataset is not None}


def _of_legacy_file(root: Any, place: _Place, names: tuple[str, ...]) -> dict[str, Any]:
    """The datasets by name, below the group of the outermost layer. Their paths end with layer/weight, or with the weight."""
    group = part_of(root, place.top)
    below = datasets(group) if group is not None else {}
    found = {}
    for name in names:
        fits = {path: dataset for path, dataset in below.items() if path[-1].split(":")[0] == name}
        own = {path: dataset for path, dataset in fits.items() if len(path) > 1 and path[-2] == place.name}
        if len(only := own or fits) == 1:
            found[name] = next(iter(only.values()))
    return found


def _same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return all(np.array_equal(value, other[name], equal_nan=True) for name, value in one.items())
