"""A worker of the worker's own: the same framework in another process, under other environment variables."""

import os
import subprocess
import sys

from . import wire

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


class Child(object):
    """`python worker KERAS` with more environment variables; it ends with this process."""

    def __init__(self, name, variables):
        here = os.path.dirname(os.path.abspath(__file__))
        self.process = subprocess.Popen(
            [sys.executable, here, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ, **variables),
        )
        self.receive()

    def observe(self, request):
        self.process.stdin.write(wire.pack(request))
        self.process.stdin.flush()
        return self.receive()

    def receive(self):
        """The next message that is no news of a stage."""
        while True:
            message = wire.unpack(self.process.stdout)
            if message is None or "error" in message:
                raise RuntimeError("another process with %s does not start" % sys.executable)
            if set(message) != {"stage"}:
                return message

    def __del__(self):
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait()
