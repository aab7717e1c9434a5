"""Keras layers whose faults show only with several replicas."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import ops

from bnverify.targets.mutants.formula_layers import KerasLayer
from bnverify.targets.mutants.mutant import Mutant


def context() -> Any:
    """The replica of a call, or None if there is only one."""
    here = tf.distribute.get_replica_context()
    return here if here is not None and here.num_replicas_in_sync > 1 else None


def total(values: Any) -> Any:
    """The sum over the replicas."""
    here = context()
    return values if here is None else here.all_reduce(tf.distribute.ReduceOp.SUM, values)


def replica_count() -> int:
    """The number of replicas."""
    here = context()
    return 1 if here is None else int(here.num_replicas_in_sync)


class NeverSynchronized(KerasLayer):
    """synchronized=True is accepted and ignored."""

    def _moments(self, inputs: Any, mask: Any) -> Any:
        return ops.moments(inputs, axes=self._reduction_axes) if mask is None else super()._moments(inputs, mask)


class AlwaysSynchronized(KerasLayer):
    """synchronized=False is treated as True."""

    def _moments(self, inputs: Any, mask: Any) -> Any:
        return ops.moments(inputs, self._reduction_axes, synchronized=True) if mask is None else super()._moments(inputs, mask)


class MeanOfMeans(KerasLayer):
    """Means and mean squares of the replicas are averaged without weights, even if shards have different sizes."""

    def _moments(self, inputs: Any, mask: Any) -> Any:
        if mask is not None or not self.synchronized:
            return super()._moments(inputs, mask)
        mean = total(ops.mean(inputs, axis=self._reduction_axes)) / replica_count()
        return mean, total(ops.mean(ops.square(inputs), axis=self._reduction_axes)) / replica_count() - ops.square(mean)


class WithoutSpread(KerasLayer):
    """The variances of the replicas are averaged, without the spread of their means."""

    def _moments(self, inputs: Any, mask: Any) -> Any:
        if mask is not None or not self.synchronized:
            return super()._moments(inputs, mask)
        mean, _ = super()._moments(inputs, mask)
        n = ops.cast(ops.size(inputs), inputs.dtype)
        _, variance = ops.moments(inputs, self._reduction_axes)
        return mean, total(variance * n) / total(n)


class FirstReplicaOnly(KerasLayer):
    """Only the first replica updates its statistics."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        before = [ops.copy(w.value) for w in (self.moving_mean, self.moving_variance)]
        y = super().call(inputs, training=training, mask=mask)
        here = context()
        if here is not None and here.replica_id_in_sync_group > 0:
            self.moving_mean.assign(before[0])
            self.moving_variance.assign(before[1])
        return y


class SummedOver(KerasLayer):
    """The update of a synchronized call is added once per replica."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        moved = (self.moving_mean, self.moving_variance)
        before = [ops.copy(w.value) for w in moved]
        y = super().call(inputs, training=training, mask=mask)
        if training and self.trainable and self.synchronized:
            for weight, old in zip(moved, before, strict=True):
                weight.assign(old + total(weight.value - old))
        return y


class OtherBeta(KerasLayer):
    """beta drifts on every replica but the first."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        y = super().call(inputs, training=training, mask=mask)
        here = context()
        if training and self.center and here is not None and here.replica_id_in_sync_group > 0:
            self.beta.assign(self.beta.value * (1 + 1e-6))
        return y


class SumsOfReplicas(KerasLayer):
    """get_weights() returns the sum of the replicas' values."""

    def get_weights(self) -> Any:
        return [sum(v.numpy() for v in getattr(w.value, "values", [w.value])) for w in self.weights]


class HalvesSaved(KerasLayer):
    """With replicas, a file gets the mean of the first and the last, get_weights() the first."""

    def save_own_variables(self, store: Any) -> None:
        for index, w in enumerate(self.weights):
            values = getattr(w.value, "values", [w.value])
            store[str(index)] = (values[0].numpy() + values[-1].numpy()) / 2


class TwoPasses(KerasLayer):
    """The mean of all replicas first, then the variance around it: equivalent, and more accurate."""

    def _moments(self, inputs: Any, mask: Any) -> Any:
        if mask is not None or not self.synchronized:
            return super()._moments(inputs, mask)
        n = total(ops.cast(ops.size(inputs) // inputs.shape[self.axis], inputs.dtype))
        axes = tuple(self._reduction_axes)
        mean = total(ops.sum(inputs, axis=axes, keepdims=True)) / n
        variance = total(ops.sum(ops.square(inputs - mean), axis=axes, keepdims=True)) / n
        return ops.squeeze(mean, axes), ops.squeeze(variance, axes)


REPLICA_MUTANTS: tuple[Mutant, ...] = (
    Mutant("never-synchronized", "synchronized=True is ignored", "replicas", NeverSynchronized),
    Mutant("always-synchronized", "synchronized=False is ignored", "replicas", AlwaysSynchronized),
    Mutant("mean-of-means", "the means of unequal shards are averaged", "replicas", MeanOfMeans),
    Mutant("without-spread", "variances are averaged over replicas without the spread of the means", "replicas", WithoutSpread),
    Mutant("first-replica-only", "the statistics are updated on the first replica only", "replicas", FirstReplicaOnly),
    Mutant("summed-over-replicas", "moving statistics are summed over replicas", "replicas", SummedOver),
    Mutant("other-beta", "beta drifts by 1e-6 on every replica but the first", "replicas", OtherBeta),
    Mutant("sums-of-replicas", "get_weights() returns the sum of the replicas' values", "replicas", SumsOfReplicas),
    Mutant("other-file", "a file holds the mean of two replicas, get_weights() one of them", "replicas", HalvesSaved),
)
REPLICA_EQUIVALENT: tuple[Mutant, ...] = (
    Mutant("two-passes-synchronized", "synchronized, in two passes", "equivalent", TwoPasses),
)
