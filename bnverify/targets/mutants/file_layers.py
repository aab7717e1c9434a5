"""Keras layers that are right until they are saved and loaded: faults of configurations, weights and files."""

from __future__ import annotations

from typing import Any

from keras import ops

from bnverify.targets.mutants.formula_layers import KerasLayer


class ForgetsMomentum(KerasLayer):
    """get_config() of a trained layer has the default momentum."""

    trained = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        self.trained = self.trained or bool(training)
        return super().call(inputs, training=training, mask=mask)

    def get_config(self) -> Any:
        config = super().get_config()
        return {**config, "momentum": 0.99} if self.trained else config


class RoundsEpsilon(KerasLayer):
    """from_config() multiplies epsilon by 1.5."""

    @classmethod
    def from_config(cls, config: Any) -> Any:
        return cls(**{**config, "epsilon": config["epsilon"] * 1.5})


class ForgetsCenter(KerasLayer):
    """from_config() drops center."""

    @classmethod
    def from_config(cls, config: Any) -> Any:
        return cls(**{name: value for name, value in config.items() if name != "center"})


class ForgetsRenorm(KerasLayer):
    """from_config() drops renorm."""

    @classmethod
    def from_config(cls, config: Any) -> Any:
        return cls(**{name: value for name, value in config.items() if not name.startswith("renorm")})


class ForgetsAxis(KerasLayer):
    """from_config() drops axis."""

    @classmethod
    def from_config(cls, config: Any) -> Any:
        return cls(**{name: value for name, value in config.items() if name != "axis"})


class SavesInAnotherOrder(KerasLayer):
    """.keras and .weights.h5 files get the statistics in one order and are read in another."""

    def save_own_variables(self, store: Any) -> None:
        for index, variable in enumerate(sorted(self._trainable_variables + self._non_trainable_variables, key=_name)):
            store[str(index)] = ops.convert_to_numpy(variable)


def _name(variable: Any) -> str:
    return str(variable.name)


class LosesVariance(KerasLayer):
    """The moving variance is not saved, so a loaded one is 1."""

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        self.moving_variance.assign(ops.ones_like(self.moving_variance))


class LoadsFrozen(KerasLayer):
    """A layer does not train after weights were loaded into it."""

    loaded = False

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        self.loaded = True

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return super().call(inputs, training=training and not self.loaded, mask=mask)


class ForgetsFreezing(KerasLayer):
    """get_config() has trainable=True even if the layer is frozen."""

    def get_config(self) -> Any:
        return {**super().get_config(), "trainable": True}


class CopiesMean(KerasLayer):
    """A layer made from a configuration starts with the rounded moving mean of the layer that wrote it."""

    def get_config(self) -> Any:
        own = {"mean": ops.convert_to_numpy(self.moving_mean).tolist()} if self.built else {}
        return {**super().get_config(), **own}

    def __init__(self, mean: Any = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.copied = mean

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self.copied is not None:
            self.moving_mean.assign(self.copied)


class HalvesWeights(KerasLayer):
    """Weights are written in half precision."""

    def save_own_variables(self, store: Any) -> None:
        for index, variable in enumerate(self._trainable_variables + self._non_trainable_variables):
            store[str(index)] = ops.convert_to_numpy(variable).astype("float16").astype("float32")


FAULTS = (
    ("file-momentum", "get_config() of a trained layer has the default momentum", ForgetsMomentum),
    ("file-epsilon", "from_config() multiplies epsilon by 1.5", RoundsEpsilon),
    ("file-center", "from_config() drops center", ForgetsCenter),
    ("file-renorm", "from_config() drops renorm", ForgetsRenorm),
    ("file-axis", "from_config() drops axis", ForgetsAxis),
    ("file-order", "weights are written in another order than they are read in", SavesInAnotherOrder),
    ("file-variance", "the moving variance is reset when weights are loaded", LosesVariance),
    ("file-frozen", "a layer does not train after weights were loaded into it", LoadsFrozen),
    ("file-freezing", "get_config() has trainable=True even if the layer is frozen", ForgetsFreezing),
    ("file-copy", "a layer made from a configuration starts with the old layer's moving mean", CopiesMean),
    ("file-half", "weights are written in half precision", HalvesWeights),
)
