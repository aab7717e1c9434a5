"""Messages between the worker and its client: arrays without pickle.

A message is a line with two decimal lengths, a JSON document of the first length, and the bytes of its arrays, of the second
length. In the document an array is written as {"array": [offset, dtype, shape]}; bfloat16 travels as float32.
"""

import json

import numpy as np

LARGEST_TEXT = 1 << 28  # bytes of a document
LARGEST_DATA = 1 << 34  # bytes of its arrays; the largest case has 2 GB of values


class CutOff(ValueError):
    """The stream ended in the middle of a message."""


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
    """The next message of a binary stream, or None at its end. Raises ValueError for bytes that are no message, CutOff for half
    a message.
    """
    line = stream.readline(200)
    if not line:
        return None
    try:
        text_length, data_length = (int(n) for n in line.split())
        if not (0 <= text_length <= LARGEST_TEXT and 0 <= data_length <= LARGEST_DATA):
            raise ValueError
    except ValueError:
        raise ValueError("no message: %r" % line)
    text, data = stream.read(text_length), stream.read(data_length)
    if len(text) < text_length or len(data) < data_length:
        raise CutOff("message cut off")

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

    try:
        return restore(json.loads(text.decode("utf-8")))
    except RecursionError:
        raise ValueError("the document is nested too deeply")
