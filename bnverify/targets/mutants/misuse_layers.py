"""Keras layers that respond to a mistake wrongly: not at all, with the wrong exception, or with an unclear message."""

from __future__ import annotations

from typing import Any

from keras import ops

from bnverify.targets.mutants.formula_layers import KerasLayer


class AnyClipping(KerasLayer):
    """Unknown keys of renorm_clipping are ignored."""

    def __init__(self, renorm_clipping: Any = None, **kwargs: Any) -> None:
        known = {name: value for name, value in (renorm_clipping or {}).items() if name in ("rmax", "rmin", "dmax")}
        super().__init__(renorm_clipping=known, **kwargs)


class ClippingKeyError(KerasLayer):
    """Unknown keys of renorm_clipping raise KeyError instead of ValueError."""

    def __init__(self, **kwargs: Any) -> None:
        try:
            super().__init__(**kwargs)
        except ValueError as error:
            if "clipping" not in str(error):
                raise
            raise KeyError(str(error)) from None


class AnyChannels(KerasLayer):
    """An input with another number of channels than the layer was built for is accepted: one channel broadcasts."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.input_spec = None

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if len(inputs.shape) != len(self._reduction_axes) + 1:
            raise ValueError(f"the layer was built for {len(self._reduction_axes) + 1} dimensions, got shape {inputs.shape}")
        return super().call(inputs, training=training, mask=mask)


class AnyRank(KerasLayer):
    """An input of another rank than the layer was built for is accepted."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.input_spec.ndim = None

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        kept = self.axis % len(inputs.shape)
        self._reduction_axes = [axis for axis in range(len(inputs.shape)) if axis != kept]
        return super().call(inputs, training=training, mask=mask)


class UnfilledMask(KerasLayer):
    """The message about a mask of the wrong rank lacks the f of its f-string."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None and len(mask.shape) != len(inputs.shape) - 1:
            raise ValueError("the mask must have one axis less than the inputs, got mask.shape={mask.shape}")
        return super().call(inputs, training=training, mask=mask)


class ReshapedMask(KerasLayer):
    """A mask with too few axes is accepted and used for every position along the missing axes."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None and len(mask.shape) < len(inputs.shape) - 1:
            mask = ops.reshape(mask, (*mask.shape, *[1] * (len(inputs.shape) - 1 - len(mask.shape))))
        return super().call(inputs, training=training, mask=mask)


class AnyKeyword(KerasLayer):
    """Unknown arguments are ignored."""

    def __init__(self, momentum: float = 0.99, **kwargs: Any) -> None:
        kwargs.pop("momentun", None)
        super().__init__(momentum=momentum, **kwargs)


class MuteInitializer(KerasLayer):
    """The message about an unknown initializer does not name it."""

    def __init__(self, **kwargs: Any) -> None:
        try:
            super().__init__(**kwargs)
        except ValueError as error:
            if "initializer" not in str(error):
                raise
            raise ValueError("unknown initializer") from None


MISUSE_MUTANTS: tuple[tuple[str, str, str, type], ...] = (
    ("any-clipping", "unknown keys of renorm_clipping are ignored", "misuse", AnyClipping),
    ("clipping-key-error", "unknown keys of renorm_clipping raise KeyError", "misuse", ClippingKeyError),
    ("any-channels", "inputs with one channel are accepted even if the layer was built for more", "misuse", AnyChannels),
    ("any-rank", "inputs of any rank are accepted, even of another rank than the layer was built for", "misuse", AnyRank),
    ("unfilled-mask", "the message about a mask's rank has placeholders that are not filled in", "misuse", UnfilledMask),
    ("reshaped-mask", "a mask with too few axes is accepted", "misuse", ReshapedMask),
    ("any-keyword", "an unknown argument is ignored", "misuse", AnyKeyword),
    ("mute-initializer", "the message about an unknown initializer does not name it", "misuse", MuteInitializer),
)
