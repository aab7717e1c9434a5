"""The source of a module that stands in for Keras where the real one cannot crash, hang or run out of memory on demand."""

from __future__ import annotations

FAKE_KERAS = '''
"""Stands for Keras where the process is tested, not the layer: what a layer does to its process is told by its momentum."""

import ctypes, os, resource, signal, sys, threading
import numpy as np

print("a framework that prints when it is imported")
__version__ = "3.99.0"


class backend:
    @staticmethod
    def backend():
        print("and when it is used")
        return "numpy"

    @staticmethod
    def standardize_dtype(dtype):
        return str(np.dtype(dtype))


class ops:
    @staticmethod
    def convert_to_tensor(values, dtype):
        return np.asarray(values, dtype)

    convert_to_numpy = np.asarray


class mixed_precision:
    class dtype_policy:
        name = "float32"

    set_dtype_policy = staticmethod(lambda policy: None)


class layers:
    class Layer(object):
        pass


class BatchNormalization(layers.Layer):
    weights = trainable_weights = ()

    def __init__(self, **arguments):
        print("and when a layer is made")
        self.arguments = arguments
        if arguments.get("momentum", 0.99) in (0.25, 0.75):
            raise ValueError("made of %s" % sorted(arguments.items()))

    def build(self, shape):
        pass

    def get_config(self):
        return {}

    def call(self, x):
        return x

    def __call__(self, x, training=None):
        momentum = self.arguments.get("momentum", 0.99)
        if momentum == 0.5:
            sys.stderr.write("about to die\\n")
            sys.stderr.flush()
            os._exit(4)
        if momentum == 0.1:
            os.kill(os.getpid(), signal.SIGKILL)
        if momentum == 0.2:
            os.abort()
        if momentum == 0.3:
            ctypes.string_at(0)
        if momentum == 0.4:
            threading.Event().wait(600)
        if momentum == 0.6:
            resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
            np.zeros(1 << 40, np.uint8)
        if momentum == 0.7:
            os.system("sleep 600 & kill -9 $PPID")
        return x


layers.BatchNormalization = BatchNormalization
'''
