"""Keras layers with faults that no other formula describes: precision, form, weights, axes, modes, masks, renorm, gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keras import ops

from bnverify.reference import formulas as reference
from bnverify.reference.formulas import KERAS
from bnverify.targets.mutants.format_layers import rounded_to
from bnverify.targets.mutants.formula_layers import FormulaLayer, GradientLayer, KerasLayer


class FloatOutput(KerasLayer):
    """y stays in float32 under half policies."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return ops.cast(super().call(inputs, training=training, mask=mask), "float32")


class FlatOutput(KerasLayer):
    """y loses axes of size 1."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return ops.squeeze(super().call(inputs, training=training, mask=mask))


class SingleWeights(KerasLayer):
    """Weights are float32 under every policy."""

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_weight(*args, **{**kwargs, "dtype": "float32"})


class RenamedWeights(KerasLayer):
    """gamma is called scale."""

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_weight(*args, **{**kwargs, "name": kwargs["name"].replace("gamma", "scale")})


class TrainableStatistics(KerasLayer):
    """The moving statistics are trainable."""

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_weight(*args, **{**kwargs, "trainable": True})


class FixedGamma(KerasLayer):
    """gamma is not trainable."""

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_weight(*args, **{**kwargs, "trainable": kwargs["trainable"] and kwargs["name"] != "gamma"})


class ExtraWeight(KerasLayer):
    """A counter of batches beside Keras' weights, like PyTorch's."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.batches = self.add_weight(shape=(input_shape[self.axis],), name="num_batches", trainable=False)


class AlwaysBeta(KerasLayer):
    """center=False is ignored."""

    def build(self, input_shape: Any) -> None:
        center, self.center = self.center, True
        super().build(input_shape)
        self.center = center

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        center, self.center = self.center, True
        y = super().call(inputs, training=training, mask=mask)
        self.center = center
        return y


class SwappedWeights(KerasLayer):
    """beta is created, and listed, before gamma."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self._trainable_variables.reverse()


class WrongAxisForImages(KerasLayer):
    """axis=1 is read as the last axis."""

    def build(self, input_shape: Any) -> None:
        if self.axis == 1:
            self.axis = -1
        super().build(input_shape)


class NegativeAxisOffByOne(KerasLayer):
    """Negative axes below -1 are off by one."""

    def build(self, input_shape: Any) -> None:
        if self.axis < -1:
            self.axis += 1
        super().build(input_shape)


class KeepsFrozen(KerasLayer):
    """A frozen layer stays in inference mode after unfreezing."""

    was_frozen = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        self.was_frozen = self.was_frozen or not self.trainable
        return super().call(inputs, training=bool(training) and not self.was_frozen, mask=mask)


class MovesBeta(KerasLayer):
    """A training call changes beta slightly."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        y = super().call(inputs, training=training, mask=mask)
        if training and self.center:
            self.beta.assign(self.beta + 1e-6)
        return y


class FirstStepOnly(KerasLayer):
    """The moving statistics are updated in the first training call only."""

    moved = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        before = [ops.copy(self.moving_mean.value), ops.copy(self.moving_variance.value)]
        y = super().call(inputs, training=training, mask=mask)
        if training and self.trainable:
            if self.moved:
                self.moving_mean.assign(before[0])
                self.moving_variance.assign(before[1])
            self.moved = True
        return y


class UpdatedRenorm(FormulaLayer):
    """renorm corrects with the statistics after this batch, not before."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if self.renorm and training and self.trainable:
            kept = self.moving_mean, self.moving_variance, self.moving_stddev
            before = [ops.copy(w.value) for w in kept]
            super().call(inputs, training=True, mask=mask)
            after = [ops.copy(w.value) for w in (self.renorm_mean, self.renorm_stddev)]
            for weight, value in zip(kept, before, strict=True):
                weight.assign(value)
            y = super().call(inputs, training=True, mask=mask)
            self.renorm_mean.assign(after[0])
            self.renorm_stddev.assign(after[1])
            return y
        return super().call(inputs, training=training, mask=mask)


class FlowingRenorm(KerasLayer):
    """Gradients flow through r and d of renorm."""

    def _compose_transforms(self, r: Any, d: Any, gamma: Any, beta: Any, dtype: Any) -> Any:
        scale = r if gamma is None else r * gamma
        shift = d if gamma is None else d * gamma
        return scale, shift if beta is None else shift + beta


class OtherRenormMomentum(KerasLayer):
    """renorm_momentum is always 0.99; the argument is ignored."""

    def _update_renorm_statistics(self, mean: Any, variance: Any) -> None:
        given, self.renorm_momentum = self.renorm_momentum, 0.99
        super()._update_renorm_statistics(mean, variance)
        self.renorm_momentum = given


class MaskedInference(KerasLayer):
    """Under a mask, inference normalizes with the batch."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is None or training:
            return super().call(inputs, training=training, mask=mask)
        kept = [ops.copy(w.value) for w in (self.moving_mean, self.moving_variance)]
        y = super().call(inputs, training=True, mask=mask)
        self.moving_mean.assign(kept[0])
        self.moving_variance.assign(kept[1])
        return y


class MaskOfFirstSample(KerasLayer):
    """The first sample's mask is used for all samples."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None:
            mask = ops.broadcast_to(mask[:1], mask.shape)
        return super().call(inputs, training=training, mask=mask)


class WithoutRegularizer(KerasLayer):
    """Regularizers are ignored."""

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_weight(*args, **{**kwargs, "regularizer": None})


class PenalizedFrozen(KerasLayer):
    """The losses of regularizers remain when the layer is frozen, as in Keras 2."""

    @property
    def losses(self) -> Any:
        pairs = (self.gamma, self.gamma_regularizer), (self.beta, self.beta_regularizer)
        return [regularizer(weight) for weight, regularizer in pairs if regularizer is not None]


class PenalizedNoMore(KerasLayer):
    """A layer that was frozen once has no losses after that."""

    thawed = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        self.thawed = self.thawed or not self.trainable
        return super().call(inputs, training=training, mask=mask)

    @property
    def losses(self) -> Any:
        return [] if self.thawed else super().losses


class SwappedRegularizers(KerasLayer):
    """gamma has beta's regularizer, and beta has gamma's."""

    def build(self, input_shape: Any) -> None:
        own = self.gamma_regularizer, self.beta_regularizer
        self.beta_regularizer, self.gamma_regularizer = own
        super().build(input_shape)
        self.gamma_regularizer, self.beta_regularizer = own


class WithoutConstraint(KerasLayer):
    """Constraints are ignored."""

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_weight(*args, **{**kwargs, "constraint": None})


class WithoutGradient(KerasLayer):
    """No gradient passes the layer."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return ops.stop_gradient(super().call(inputs, training=training, mask=mask))


class RoundedGradient(GradientLayer):
    """Gradients pass through bfloat16."""

    formulas = replace(KERAS, gradients=lambda b: tuple(rounded_to(g, "bfloat16") for g in reference.gradients(b)))


class Drifting(KerasLayer):
    """The moving mean grows by the factor 1 + 1e-6 in every training call."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        y = super().call(inputs, training=training, mask=mask)
        if training and self.trainable:
            self.moving_mean.assign(self.moving_mean.value * (1 + 1e-6))
        return y


class MixedChannels(KerasLayer):
    """A thousandth of the first channel's output leaks into all others."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        y = super().call(inputs, training=training, mask=mask)
        first = ops.take(y, [0], axis=self.axis)
        own = ops.ones_like(first)
        return y + ops.concatenate([own * 0, *[own] * (y.shape[self.axis] - 1)], axis=self.axis) * first * 1e-3
