"""The source of a module with layers, right and wrong, for tests of `--layer`."""

from __future__ import annotations

LAYERS = '''
"""Layers, right and wrong, that the tests name as module:Name."""

import os
import signal
import threading

import keras
from keras import ops


class Right(keras.layers.BatchNormalization):
    """A correct subclass."""


def factory(**arguments):
    return keras.layers.BatchNormalization(**arguments)


class Outer:
    class Inner(keras.layers.BatchNormalization):
        pass


class Textbook(keras.layers.BatchNormalization):
    """Written out, so that subclasses can change one thing."""

    def call(self, inputs, training=None, mask=None):
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        kept = self.axis % len(x.shape)
        axes = [axis for axis in range(len(x.shape)) if axis != kept]
        shape = [-1 if axis == kept else 1 for axis in range(len(x.shape))]
        if training and self.trainable:
            mean, variance = self.moments(x, axes)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + batch * (1 - self.momentum))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        y = (x - ops.reshape(mean, shape)) * ops.reshape(self.inverse(variance), shape)
        y = y * ops.reshape(self.gamma, shape) if self.scale else y
        return y + ops.reshape(self.beta, shape) if self.center else y

    def moments(self, x, axes):
        mean = ops.mean(x, axis=axes, keepdims=True)
        return ops.reshape(mean, (-1,)), ops.mean(ops.square(x - mean), axis=axes)

    def inverse(self, variance):
        return 1 / ops.sqrt(variance + self.epsilon)


class EpsilonOutside(Textbook):
    def inverse(self, variance):
        return 1 / (ops.sqrt(variance) + self.epsilon)


class OnePass(Textbook):
    def moments(self, x, axes):
        mean = ops.mean(x, axis=axes)
        return mean, ops.mean(ops.square(x), axis=axes) - ops.square(mean)


class Running(Textbook):
    """Sums in one running total."""

    def moments(self, x, axes):
        rows = ops.convert_to_numpy(x)
        mean = rows.cumsum(axis=0, dtype=rows.dtype)[-1] / len(rows)
        squares = ((rows - mean) ** 2).cumsum(axis=0, dtype=rows.dtype)[-1] / len(rows)
        return ops.convert_to_tensor(mean), ops.convert_to_tensor(squares)


class NoCenter(keras.layers.BatchNormalization):
    def __init__(self, axis=-1, momentum=0.99, epsilon=1e-3, scale=True, dtype=None):
        super().__init__(axis=axis, momentum=momentum, epsilon=epsilon, scale=scale, dtype=dtype)


class NoDtype(keras.layers.BatchNormalization):
    def __init__(self, axis=-1, momentum=0.99, epsilon=1e-3, center=True, scale=True):
        super().__init__(axis=axis, momentum=momentum, epsilon=epsilon, center=center, scale=scale)


class PickyCenter(keras.layers.BatchNormalization):
    def __init__(self, center=True, **arguments):
        if not center:
            raise ValueError("center must be True")
        super().__init__(**arguments)


class RaisesInConstructor(keras.layers.BatchNormalization):
    def __init__(self, **arguments):
        raise RuntimeError("no licence\\nfor this layer")


class RaisesInCall(keras.layers.BatchNormalization):
    text = "out of order"

    def call(self, inputs, training=None, mask=None):
        raise ValueError(self.text)


class SendsInterrupt(keras.layers.BatchNormalization):
    """Ctrl-C is pressed in the third call: the process that started this one gets SIGINT."""

    calls = 0

    def call(self, inputs, training=None, mask=None):
        SendsInterrupt.calls += 1
        if SendsInterrupt.calls == 3:
            os.kill(os.getppid(), signal.SIGINT)
            threading.Event().wait(60)
        return super().call(inputs, training=training)


class NotALayer:
    def __init__(self, **arguments):
        pass


instance = keras.layers.BatchNormalization()
number = 3
'''
