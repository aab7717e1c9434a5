"""Keras in another interpreter, which does not need bnverify. A case that kills its worker or makes it hang costs that case
only.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.errors import BadInput
from bnverify.targets.target import environment, interface, observation, request
from bnverify.targets.worker import wire
from bnverify.values import Failure, Observation

WORKER = Path(wire.__file__).parent
PATIENCE = 120.0  # seconds that one case may take
START = 300.0  # seconds that importing the framework may take
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "TF2_BEHAVIOR")
ENDED = ("Crashed", "TimedOut", "Garbled", "Incomplete")  # failures of these types are the worker's, not the layer's
NATIVE = re.compile(r"[IWE]\d{4} |WARNING: All log messages before absl")  # TensorFlow's start, which explains no crash
IN_A_ROW = 5  # after so many cases in a row that end their worker, the environment counts as broken


class WorkerLost(Exception):
    """The environment gives no working worker. The text says why and has the worker's last output."""


class Isolated:
    """The BatchNormalization of `module` in the interpreter `python`, in a separate process that is restarted after a crash.

    layer: module:Name of a user's layer or factory in place of Keras' own. Raises BadInput if it cannot be loaded.
    env: environment variables beside those of this process. alone: leave out the variables that would let in packages of
    another Python, such as PYTHONPATH, and the one by which TensorFlow 2 makes TensorFlow 1 eager. patience: seconds that a
    case may take. worker: the worker to start. Raises WorkerLost if no worker starts, or if several cases in a row end it.
    """

    def __init__(
        self,
        python: str = sys.executable,
        module: str = "keras",
        env: Mapping[str, str] | None = None,
        patience: float = PATIENCE,
        worker: Path = WORKER,
        alone: bool = False,
        layer: str = "",
    ) -> None:
        self._command, self._layer = [python, str(worker), module, *([layer] if layer else [])], layer
        kept = {k: v for k, v in os.environ.items() if not (alone and k in FOREIGN)}
        self._env = {**kept, **({"PYTHONNOUSERSITE": "1"} if alone else {}), **(env or {})}
        self._patience = patience
        self._lost = 0
        self._given_up = ""
        self._stage = ""
        self._start(probe=bool(layer))

    def _start(self, probe: bool = False) -> None:
        """Starts a worker. probe: whether it makes one layer first; a constructor that ends the process shows in the cases."""
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115, lives as long as the process
        try:
            self._process = subprocess.Popen(
                [*self._command, *(["probe"] if probe else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=self._env,
                start_new_session=True,  # Ctrl-C must reach this process only, and a kill also the worker's children
            )
        except OSError as error:
            self._log.close()
            raise WorkerLost(f"{self._command[0]}: {error.strerror or error}") from None
        try:
            said = self._receive(START)
            if said.get("layer"):
                raise BadInput(said["error"])
            if "error" in said:
                raise _Ended("Failed", said["error"])
            self.environment = environment(said["environment"], self._layer)
            self.interface = interface(said["interface"])
        except BadInput:
            self.close()
            raise
        except (_Ended, KeyError, TypeError) as ended:
            self.close()
            if isinstance(ended, _Ended) and self._stage == "import":
                raise BadInput(f"--layer {self._layer}: its module ends the process: {ended.text}") from None
            if isinstance(ended, _Ended) and self._stage == "constructor" and probe:
                self._start()
                return
            raise WorkerLost(ended.text if isinstance(ended, _Ended) else "the worker did not send its environment") from None

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        """The observation of a case. If the worker does not survive the case, the observation says so, and a new worker
        starts.
        """
        return self.ask(request(case, inputs))

    def ask(self, asked: Mapping[str, Any]) -> Observation:
        """The observation in the answer to a request."""
        if self._given_up:
            return Observation(failure=Failure("start", "NotHere", self._given_up))
        self._stage = "start"
        try:
            self._send(wire.pack(asked))
            found = self._complete(len(asked["steps"]), self._receive(self._patience))
        except _Ended as ended:
            self.close()
            self._lost += 1
            failure = Failure(self._stage, ended.kind, ended.text)
            if self._lost >= IN_A_ROW and not self._layer:
                raise WorkerLost(f"{IN_A_ROW} cases in a row crashed their worker; the last: {ended.text}") from None
            if self._lost >= IN_A_ROW:
                self._given_up = f"not tried: in {IN_A_ROW} cases in a row the layer ended its process; the last: {ended.text}"
            else:
                self._start()
            return Observation(failure=failure)
        self._lost = 0
        return found

    def _complete(self, steps: int, answer: Mapping[str, Any]) -> Observation:
        try:
            found = observation(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise _Ended("Incomplete", f"the worker's answer is incomplete: {error!r}; {self._last_words()}") from None
        if found.failure is None and len(found.steps) != steps:
            what = f"the worker answered {len(found.steps)} of {steps} steps"
            raise _Ended("Incomplete", f"{what}; {self._last_words()}")
        return found

    def _send(self, message: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(message)
            self._process.stdin.flush()
        except OSError:
            raise self._end() from None

    def _receive(self, patience: float) -> dict[str, Any]:
        """The next message, without news of stages. Raises _Ended if none comes in time."""
        assert self._process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._kill()

        timer = threading.Timer(patience, give_up)
        timer.daemon = True
        timer.start()
        try:
            while True:
                message: dict[str, Any] | None = wire.unpack(self._process.stdout)
                if message is None:
                    raise self._end(patience if late.is_set() else None)
                if set(message) != {"stage"}:
                    return message
                self._stage = message["stage"]
        except wire.CutOff:
            raise self._end(patience if late.is_set() else None) from None
        except (ValueError, TypeError) as error:
            raise _Ended("Garbled", f"the worker's answer cannot be read: {error}; {self._last_words()}") from None
        finally:
            timer.cancel()

    def _end(self, patience: float | None = None) -> _Ended:
        """How the worker ended, as text."""
        if patience is not None:
            return _Ended("TimedOut", f"no answer within {patience:g} s; {self._last_words()}")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        code = self._process.poll()
        if code is None:
            how = "the worker closed its output"
        elif code < 0:
            how = f"the worker was ended by {signal.Signals(-code).name}"
            how += " (out of memory?)" if -code == signal.SIGKILL else ""
        else:
            how = f"the worker ended with exit code {code}"
        return _Ended("Crashed", f"{how}; {self._last_words()}")

    def _last_words(self) -> str:
        """The end of what the worker wrote to standard error."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 2000))
        lines = [line.strip() for line in self._log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        lines = [line for line in lines if not NATIVE.match(line)]
        return f"last output: {' '.join(lines[-2:])[-300:]}" if lines else "it wrote nothing"

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Ends the worker and every process that it started."""
        self._kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process.wait()
        self._log.close()

    def __enter__(self) -> Isolated:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class _Ended(Exception):
    """A worker that no longer answers: the kind of end in one word, and a sentence."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text
