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
        sys.stdin, sys.stdout, sys.stderr = streams
        np.seterr(**errors)
        np.random.set_state(numbers)
        random.setstate(state)
        if global_policy(framework) != policy:
            set_policy(framework, policy)
