"""Recording: read a layer, and an exception, into plain values."""

import re

ansi = re.compile(r"\x1b\[[0-9;]*m")


class NotHere(Exception):
    """This environment cannot do what was requested. The text says why."""


def structure(framework, layer):
    names = trainable(layer)
    return [
        {
            "name": short_name(w),
            "shape": [int(n) for n in w.shape],
            "dtype": framework.dtype(w),
            "trainable": short_name(w) in names,
        }
        for w in layer.weights
    ]


def values(framework, layer):
    variables = layer.weights
    return dict(zip([short_name(w) for w in variables], framework.arrays(variables)))


def after_call(framework, layer, y, y_dtype=None, found=None):
    """What a call left behind. y is a tensor, or an array with the dtype of its tensor."""
    found = found or {}
    if y is not None and not y_dtype:
        y, y_dtype = framework.array(y), framework.dtype(y)
        if y.dtype.kind not in "biuf":
            raise TypeError("the call returned a tensor of dtype %s, which holds no real numbers" % y_dtype)
    gradients = {short_name(w): gradient for w, gradient in zip(layer.trainable_weights, found.get("weights", []))}
    gradients.update({name: gradient for name, gradient in found.items() if name != "weights"})
    return {
        "y": y,
        "y_dtype": y_dtype,
        "weights": values(framework, layer),
        "trainable": trainable(layer),
        "gradients": {name: None if g is None else framework.array(g) for name, g in gradients.items()},
        "dtypes": {name: framework.dtype(g) for name, g in gradients.items() if g is not None},
        "losses": [float(framework.array(loss)) for loss in framework.losses(layer)] if regularized(layer) else [],
    }


def after_change(framework, layer):
    """What a step without a call left behind."""
    return {"y": None, "y_dtype": None, "weights": values(framework, layer), "trainable": trainable(layer)}


def regularized(layer):
    return any(getattr(layer, name + "_regularizer", None) is not None for name in ("gamma", "beta"))


def trainable(layer):
    return [short_name(w) for w in layer.trainable_weights]


def short_name(variable):
    return variable.name.split("/")[-1].split(":")[0]


def config_of(layer):
    """The plain values of get_config(), or None if the layer has no configuration."""
    try:
        config = layer.get_config()
    except Exception:
        return None
    return {name: value for name, value in config.items() if is_plain(value)}


def is_plain(value):
    if isinstance(value, (list, tuple)):
        return all(is_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))


def whole_config(layer):
    """The whole get_config() as texts: a file must restore all of it."""
    return {name: repr(plain(value)) for name, value in layer.get_config().items() if name != "name"}


def plain(value):
    """Nested configurations in sorted order, without texts that name an object in memory."""
    if isinstance(value, dict):
        return {key: plain(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def one_line(error):
    """An exception's text on one line, without the text that Keras adds around it."""
    try:
        text = str(error)
    except Exception:  # a user's exception may not even have a text
        return "(its text cannot be shown)"
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    lines = [line.strip() for line in text.strip().splitlines()]
    kind = type(error).__name__ + ": "
    if lines and lines[0] == "in user code:":  # AutoGraph's text: the call stack, then the type and the text
        own = [index for index, line in enumerate(lines) if line.startswith(kind)]
        lines = [lines[own[0]][len(kind) :]] + lines[own[0] + 1 :] if own else lines
    if lines and lines[0].startswith("Exception encountered when calling"):
        lines = lines[1:]
    received = [line.startswith(("Arguments received by", "Call arguments received")) for line in lines]
    if any(received):
        lines = lines[: received.index(True)]
    return ansi.sub("", " ".join(line for line in lines if line))[:300]
