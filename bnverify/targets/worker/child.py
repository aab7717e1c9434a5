"""A second worker process, started by the worker: the same framework with other environment variables."""

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


class Ended(Exception):
    """A process that no longer answers: the stage of the request, and how it ended, as text."""

    def __init__(self, stage, text):
        super(Ended, self).__init__(text)
        self.stage = stage


class Child(object):
    """`python worker KERAS` with more environment variables. It ends with this process. Raises Ended if it does not start."""

    def __init__(self, name, variables, path=""):
        here = os.path.dirname(os.path.abspath(__file__))
        self.process = subprocess.Popen(
            [sys.executable, here, name] + ([path] if path else []),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ, **variables),
        )
        self.stage = "start"
        said = self.receive()
        if "error" in said:
            raise Ended(self.stage, "another process with %s does not start: %s" % (sys.executable, said["error"]))

    def observe(self, request):
        self.stage = "start"
        try:
            self.process.stdin.write(wire.pack(request))
            self.process.stdin.flush()
        except OSError:
            raise Ended(self.stage, self.end())
        return self.receive()

    def receive(self):
        """The next message, without news of stages."""
        try:
            while True:
                message = wire.unpack(self.process.stdout)
                if message is None:
                    raise Ended(self.stage, self.end())
                if set(message) != {"stage"}:
                    return message
                self.stage = message["stage"]
        except wire.CutOff:
            raise Ended(self.stage, self.end())
        except ValueError as error:
            raise Ended(self.stage, "the answer of another process with %s cannot be read: %s" % (sys.executable, error))

    def end(self):
        """How the process ended, as text."""
        code = self.process.wait()
        how = "with exit code %d" % code if code >= 0 else "by signal %d" % -code
        return "another process with %s ended %s" % (sys.executable, how)

    def __del__(self):
        if hasattr(self, "process"):
            self.process.kill()
            try:
                self.process.stdin.close()
            except OSError:  # the process may not have read all of it
                pass
            self.process.stdout.close()
            self.process.wait()
