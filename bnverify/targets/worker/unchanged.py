"""What a layer may change in its process, put back after each case, so that no case depends on the one before."""

import contextlib
import os
import random
import sys

import numpy as np

from .training import global_policy, set_policy


@contextlib.contextmanager
def unchanged(framework):
    """Puts back the folder, environment variables, output streams, NumPy's error handling, random states and dtype policy."""
    folder, variables = os.getcwd(), dict(os.environ)
    streams = sys.stdin, sys.stdout, sys.stderr
    kept = [duplicate(number) for number in (1, 2)]
    errors, numbers, state = np.geterr(), np.random.get_state(), random.getstate()
    policy = global_policy(framework)
    try:
        yield
    finally:
        os.chdir(folder)
        for name in [name for name in os.environ if name not in variables]:
            del os.environ[name]
        for name, value in variables.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        sys.stdin = streams[0]
        sys.stdout, sys.stderr = [reopened(streams[number], number, kept[number - 1]) for number in (1, 2)]
        for descriptor in kept:
            if descriptor is not None:
                os.close(descriptor)
        np.seterr(**errors)
        np.random.set_state(numbers)
        random.setstate(state)
        if global_policy(framework) != policy:
            set_policy(framework, policy)


def duplicate(number):
    """A duplicate of the descriptor `number`; None if that descriptor is closed."""
    try:
        return os.dup(number)
    except OSError:
        return None


def reopened(stream, number, kept):
    """The stream; if the layer has closed it, a new one on what is kept of its descriptor."""
    if stream is None or kept is None or not getattr(stream, "closed", False):
        return stream
    os.dup2(kept, number)
    return open(number, "w", closefd=False)
