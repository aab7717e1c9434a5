"""A case: one test of a layer. Its id is readable, omits defaults, and parses back to an equal case."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bnverify.cases.fields import CONFIG_FIELDS, FIELDS
from bnverify.cases.layer_config import LayerConfig
from bnverify.cases.modes import MODES, Mode
from bnverify.cases.steps import Step


@dataclass(frozen=True, kw_only=True)
class Case:
    """Layer config + input (shape, dtype, fill, mask, layout) + initial weights + steps + dtype policy + mode.

    gradients: the highest order of derivatives that are taken, 0 to 2. law: the law that a second call must satisfy. mode: how
    the calls are made. file: the format that a step S writes. misuse: a mistake that the layer must refuse. network: a network
    to train; each batch normalization in it is judged, and `shape` is the shape of its batches. posted: a public question; its
    numbers are the input and the weights. mask, law, file, misuse, network and posted are empty where the case has none.
    `cause` says why a regression case exists; two cases that differ in it only are equal.
    """

    shape: tuple[int, ...]
    steps: tuple[Step, ...]
    config: LayerConfig = LayerConfig()  # noqa: RUF009, a frozen default can be shared
    policy: str = "float32"
    dtype: str = "float32"
    fill: str = "normal"
    mask: str = ""
    weights: str = "random"
    gradients: int = 0
    law: str = ""
    layout: str = "plain"
    mode: str = "call"
    file: str = ""
    misuse: str = ""
    network: str = ""
    posted: str = ""
    cause: str = field(default="", compare=False)

    @cached_property
    def id(self) -> str:
        """The readable name, e.g. `shape:2x3x5x7/axis:1/fill:offset/steps:T3`. `parse(case.id) == case`."""
        shown = self.fields.items()
        return "/".join(f"{name}:{text}" for name, text in shown if text != DEFAULT_TEXTS.get(name))

    @cached_property
    def fields(self) -> dict[str, str]:
        """The text of every field of the id in the order of ids, including defaults."""
        return {name: spell(_value_of(self, name)) for name, (spell, _) in FIELDS.items()}

    @property
    def all_fields(self) -> str:
        """The id including defaults. Used as a selection, it matches only this case."""
        return "/".join(map(":".join, self.fields.items()))

    @property
    def how(self) -> Mode:
        """The record of the mode."""
        return MODES[self.mode]

    @cached_property
    def kept(self) -> tuple[int, ...]:
        """The kept axes, non-negative and sorted. All other axes are reduced."""
        axes = self.config.axis if isinstance(self.config.axis, tuple) else (self.config.axis,)
        return tuple(sorted(axis % len(self.shape) for axis in axes))

    @cached_property
    def channels_shape(self) -> tuple[int, ...]:
        """The shape of the weights: (channels,), or for several kept axes the rank of x with 1 on reduced axes (Keras 2)."""
        if not isinstance(self.config.axis, tuple):
            return (self.shape[self.kept[0]],)
        return tuple(n if axis in self.kept else 1 for axis, n in enumerate(self.shape))


def _value_of(case: Case, name: str) -> Any:
    return getattr(case if name not in CONFIG_FIELDS else case.config, name)


DEFAULT_TEXTS = {  # by field, the text of its default, which ids omit
    f.name: FIELDS[f.name][0](f.default)
    for f in (*dataclasses.fields(Case), *dataclasses.fields(LayerConfig))
    if f.name in FIELDS and f.default is not dataclasses.MISSING
}
