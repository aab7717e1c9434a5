"""Steps: the calls and changes that a case makes, in order."""

from __future__ import annotations

import enum

RATE = 0.125  # learning rate of an optimizer step, exact in every format


class Step(enum.Enum):
    """One entry of a trace: a call of the layer, a change of its `trainable` attribute, or a file."""

    TRAIN = "T"
    INFER = "I"
    NOT_GIVEN = "N"
    FREEZE = "F"
    UNFREEZE = "U"
    OPTIMIZE = "O"
    SAVE = "S"

    @property
    def is_call(self) -> bool:
        return self in _TRAINING

    @property
    def training(self) -> bool | None:
        """The `training` argument of a call: True, False, or None to call without it."""
        return _TRAINING[self]

    @property
    def words(self) -> str:
        return _WORDS[self]


_TRAINING: dict[Step, bool | None] = {Step.TRAIN: True, Step.INFER: False, Step.NOT_GIVEN: None, Step.OPTIMIZE: True}
_WORDS = {
    Step.TRAIN: "call with training=True",
    Step.INFER: "call with training=False",
    Step.NOT_GIVEN: "call without `training`",
    Step.FREEZE: "set trainable=False",
    Step.UNFREEZE: "set trainable=True",
    Step.SAVE: "save, load, and continue with the loaded layer",
    Step.OPTIMIZE: f"call with training=True, then a step of SGD({RATE}) on gamma and beta",
}
