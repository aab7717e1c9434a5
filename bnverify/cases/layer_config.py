"""The constructor arguments of `keras.layers.BatchNormalization`, with Keras' names and defaults."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

RENORM = ("moving_stddev", "renorm_mean", "renorm_stddev")  # the additional weights of batch renormalization
REGULARIZERS = ("", "l1", "l2")
CONSTRAINTS = ("", "non_neg", "unit_norm", "max_norm")
INITIALIZERS = ("", "zeros", "ones", "random_normal", "random_uniform")
INITIAL = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0}
INITIAL.update(moving_stddev=1.0, renorm_mean=0.0, renorm_stddev=1.0)


@dataclass(frozen=True)
class LayerConfig:
    """Constructor arguments of `keras.layers.BatchNormalization`, with Keras' names and defaults.

    axis: the kept axis, or several; momentum in [0, 1]; epsilon in [0, 1e6]; renorm_clipping: pairs of rmax, rmin or dmax with
    its value; regularizers, constraints and initializers by Keras' names, empty for the default; trainable: the argument that
    every layer has.
    """

    axis: int | tuple[int, ...] = -1
    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    gamma_initializer: str = ""
    beta_initializer: str = ""
    moving_mean_initializer: str = ""
    moving_variance_initializer: str = ""
    gamma_regularizer: str = ""
    beta_regularizer: str = ""
    gamma_constraint: str = ""
    beta_constraint: str = ""
    renorm: bool = False
    renorm_clipping: tuple[tuple[str, float], ...] = ()
    renorm_momentum: float = 0.99
    synchronized: bool = False
    trainable: bool = True

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments that differ from the defaults. The others are left out, to test Keras' own defaults."""
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default}
        if isinstance(self.axis, tuple):
            given["axis"] = list(self.axis)
        if self.renorm_clipping:
            given["renorm_clipping"] = dict(self.renorm_clipping)
        return given

    def weight_names(self) -> tuple[str, ...]:
        """The weights that the layer must have, in Keras' order."""
        return ("gamma",) * self.scale + ("beta",) * self.center + self.statistics

    @property
    def statistics(self) -> tuple[str, ...]:
        """The weights that training calls update."""
        return ("moving_mean", "moving_variance") + RENORM * self.renorm

    def initializer(self, name: str) -> str:
        """The initializer of a weight, by Keras' name. `moving_stddev` starts from the root of the initial moving_variance."""
        source = {"renorm_mean": "moving_mean", "moving_stddev": "moving_variance", "renorm_stddev": "moving_variance"}
        given: str = getattr(self, f"{source.get(name, name)}_initializer")
        return given or ("ones" if INITIAL[name] else "zeros")

    def initial(self, name: str) -> float:
        """The initial value of a weight, 1 or 0, unless it is random."""
        return 1.0 if self.initializer(name) == "ones" else 0.0

    @property
    def draws(self) -> tuple[str, ...]:
        """The weights with a random initializer."""
        return tuple(name for name in self.weight_names() if self.initializer(name).startswith("random"))


ARGUMENTS = tuple(f.name for f in dataclasses.fields(LayerConfig))  # the constructor's arguments, by Keras' names
