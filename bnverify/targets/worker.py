"""The worker: builds a layer, makes the calls of a case and records what came back. It decides nothing.

Self-contained: the standard library, NumPy and the framework under test, on Python 3.6 and newer, so that it runs in this
process (`Worker`) and, started by path in any environment (`python worker.py`), as a subprocess that reads requests from
standard input and writes answers to standard output.

A message is a line with two decimal lengths, a JSON document of the first length, and the bytes of its arrays, of the second
length. In the document an array stands as {"array": [offset, dtype, shape]}; bfloat16 travels as float32.

A request for a case:
    {"layer": {constructor arguments}, "policy": dtype policy, "shape": [...], "dtype": input dtype,
     "weights": {name: array} or null,
     "steps": [{"do": "call", "training": true|false|null, "x": array} or {"do": "trainable", "value": true|false}]}
and its answer:
    {"weights": [{"name", "shape", "dtype", "trainable"}], "initial": {name: array}, "config": {...} or null,
     "steps": [{"y": array, "y_dtype": text, "weights": {name: array}, "trainable": [names]}],
     "failure": null or {"stage", "type", "text"}}
"""

import importlib
import json
import os
import platform
import re
import sys
import warnings

import numpy as np

ansi = re.compile(r"\x1b\[[0-9;]*m")


class Worker(object):
    """Observes layers made by `factory(**kwargs)`; without one, the real `keras.layers.BatchNormalization`."""

    def __init__(self, factory=None):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        self.keras = importlib.import_module("keras")
        self.factory = factory or self.keras.layers.BatchNormalization

    def environment(self):
        keras = self.keras
        backend = keras.backend.backend()
        module = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}.get(backend, "numpy")
        return {
            "keras": keras.__version__,
            "backend": backend,
            "backend_version": importlib.import_module(module).__version__,
            "device": device_of(backend),
            "numpy": np.__version__,
            "python": platform.python_version(),
            "cpu": cpu_name(),
        }

    def observe(self, request):
        """The answer to a request. Warnings are the framework's own business and must not become exceptions here."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._observe(request)

    def _observe(self, request):
        answer = {"weights": [], "initial": {}, "config": None, "steps": [], "failure": None}
        stage = "constructor"
        try:
            layer = self.factory(**self.arguments(request))
            stage = "build"
            layer.build(tuple(request["shape"]))
            answer["weights"] = self.structure(layer)
            answer["config"] = config_of(layer)
            if request["weights"] is not None:
                stage = "setting weights"
                self.assign(layer, request["weights"])
            answer["initial"] = self.values(layer)
            for index, step in enumerate(request["steps"]):
                stage = "step %d" % index
                answer["steps"].append(getattr(self, "do_" + step["do"])(layer, step, request))
        except (Exception, SystemExit) as error:  # whatever a layer raises is an observation
            answer["failure"] = {"stage": stage, "type": type(error).__name__, "text": one_line(error)}
        return answer

    def arguments(self, request):
        """The constructor's arguments; dtype only where the policy asked for is not the default of this process."""
        default = self.keras.mixed_precision.dtype_policy().name
        return request["layer"] if request["policy"] == default else dict(request["layer"], dtype=request["policy"])

    def do_call(self, layer, step, request):
        x = self.keras.ops.convert_to_tensor(step["x"], dtype=request["dtype"])
        given = {} if step["training"] is None else {"training": step["training"]}
        y = layer(x, **given)
        if not hasattr(y, "dtype"):
            raise TypeError("the call returned %s, not a tensor" % type(y).__name__)
        dtype = self.dtype(y)
        return {"y": self.array(y), "y_dtype": dtype, "weights": self.values(layer), "trainable": trainable(layer)}

    def do_trainable(self, layer, step, request):
        layer.trainable = step["value"]
        return {"y": None, "y_dtype": None, "weights": self.values(layer), "trainable": trainable(layer)}

    def structure(self, layer):
        names = trainable(layer)
        return [
            {
                "name": short_name(w),
                "shape": [int(n) for n in w.shape],
                "dtype": self.dtype(w),
                "trainable": short_name(w) in names,
            }
            for w in layer.weights
        ]

    def assign(self, layer, weights):
        for variable in layer.weights:
            if short_name(variable) in weights:
                variable.assign(weights[short_name(variable)])

    def values(self, layer):
        return {short_name(w): self.array(w) for w in layer.weights}

    def dtype(self, tensor):
        return self.keras.backend.standardize_dtype(tensor.dtype)

    def array(self, tensor):
        if self.dtype(tensor) == "bfloat16":
            tensor = self.keras.ops.cast(tensor, "float32")
        return np.array(self.keras.ops.convert_to_numpy(tensor))


def trainable(layer):
    return [short_name(w) for w in layer.trainable_weights]


def short_name(variable):
    return variable.name.split("/")[-1].split(":")[0]


def config_of(layer):
    """What get_config() says of plain values, or None where the layer has none to give."""
    try:
        config = layer.get_config()
    except Exception:
        return None
    return {name: value for name, value in config.items() if is_plain(value)}


def is_plain(value):
    if isinstance(value, (list, tuple)):
        return all(is_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))


def one_line(error):
    """An exception's own text on one line, without what Keras wraps around it."""
    try:
        text = str(error)
    except Exception:  # an exception of a user's own that cannot even be shown
        return "(its text cannot be shown)"
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    lines = [line.strip() for line in text.strip().splitlines()]
    if lines and lines[0].startswith("Exception encountered when calling"):
        lines = lines[1:]
    if any(line.startswith("Arguments received by") for line in lines):
        lines = lines[: [line.startswith("Arguments received by") for line in lines].index(True)]
    return ansi.sub("", " ".join(line for line in lines if line))[:300]


def device_of(backend):
    """CPU, or the kind of accelerator that the backend puts its work on by default."""
    if backend == "tensorflow":
        tensorflow = importlib.import_module("tensorflow")
        return "GPU" if tensorflow.config.list_physical_devices("GPU") else "CPU"
    if backend == "jax":
        return importlib.import_module("jax").default_backend().upper()
    if backend == "torch":
        return "GPU" if importlib.import_module("torch").cuda.is_available() else "CPU"
    return "CPU"


def cpu_name():
    try:
        with open("/proc/cpuinfo") as info:
            for line in info:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def pack(document):
    """The bytes of a message."""
    parts, offset = [], [0]

    def replace(value):
        if isinstance(value, np.ndarray):
            data = np.ascontiguousarray(value).tobytes()
            parts.append(data)
            offset[0] += len(data)
            return {"array": [offset[0] - len(data), value.dtype.str, list(value.shape)]}
        if isinstance(value, dict):
            return {key: replace(v) for key, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [replace(v) for v in value]
        return value

    text = json.dumps(replace(document)).encode("utf-8")
    return b"".join([b"%d %d\n" % (len(text), offset[0]), text] + parts)


def unpack(stream):
    """The next message of a binary stream, or None at its end. Raises ValueError where there is no whole message."""
    line = stream.readline()
    if not line:
        return None
    try:
        text_length, data_length = (int(n) for n in line.split())
        if min(text_length, data_length) < 0:
            raise ValueError
    except ValueError:
        raise ValueError("no message: %r" % line[:200])
    text, data = stream.read(text_length), stream.read(data_length)
    if len(text) < text_length or len(data) < data_length:
        raise ValueError("message cut off")

    def restore(value):
        if isinstance(value, dict):
            if set(value) == {"array"}:
                offset, dtype, shape = value["array"]
                count = int(np.prod(shape, dtype=np.int64))
                return np.frombuffer(data, np.dtype(dtype), count, offset).reshape(shape)
            return {key: restore(v) for key, v in value.items()}
        if isinstance(value, list):
            return [restore(v) for v in value]
        return value

    return restore(json.loads(text.decode("utf-8")))


def main():
    """Answers requests until standard input ends; prints of the framework go to standard error, not into the answers."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    worker = Worker()
    answers.write(pack(worker.environment()))
    answers.flush()
    while True:
        request = unpack(requests)
        if request is None:
            return
        answers.write(pack(worker.observe(request)))
        answers.flush()


if __name__ == "__main__":
    main()
