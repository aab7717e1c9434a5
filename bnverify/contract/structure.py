"""Clauses about a layer apart from its numbers: its arguments, its weights, and the shape and dtype of its output."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bnverify.contract.clause import KERAS_DOC, KERAS_DTYPE_DOC, KERAS_LAYER_DOC, Clause
from bnverify.contract.evidence import Evidence
from bnverify.values import Check, Mismatch, Status

PLAIN = ("gamma", "beta", "moving_mean", "moving_variance")  # the weights whose initializer is an argument


def check_returns(e: Evidence) -> Iterator[Check]:
    failure = e.observation.failure
    if failure is None:
        yield Check("returns", "every step", None, Status.CONFORMS)
    else:
        what = f"{failure.type}: {failure.text}"
        mismatch = Mismatch(expected="no exception", actual=what)
        yield Check("returns", failure.stage, None, Status.CRASHED, mismatch=mismatch, reason=f"{failure.stage}: {what}")


def check_arguments(e: Evidence) -> Iterator[Check]:
    if not e.built:
        return
    if e.observation.config is None:
        yield Check("arguments", "get_config", None, Status.INCONCLUSIVE, reason="the layer has no get_config()")
        return
    names = ("axis", "momentum", "epsilon", "center", "scale") + ("renorm", "renorm_momentum") * e.case.config.renorm
    names += ("synchronized",) * e.case.config.synchronized
    for name in names:
        expected = getattr(e.case.config, name)
        got = e.observation.config.get(name, "missing")
        actual = tuple(got) if isinstance(expected, tuple) and isinstance(got, list) else got
        yield e.texts("arguments", name, None, expected=repr(expected), actual=repr(actual))


def check_weights(e: Evidence) -> Iterator[Check]:
    if not e.built:
        return
    expected, actual = e.case.config.weight_names(), tuple(w.name for w in e.observation.weights)
    yield e.texts("weights", "names in order", None, expected=", ".join(expected), actual=", ".join(actual))


def check_weight_shapes(e: Evidence) -> Iterator[Check]:
    for weight in e.observation.weights:
        expected = str(e.case.channels_shape)
        yield e.texts("weight-shapes", weight.name, None, expected=expected, actual=str(weight.shape))


def check_weight_dtypes(e: Evidence) -> Iterator[Check]:
    for weight in e.observation.weights:
        yield e.texts("weight-dtypes", weight.name, None, expected=e.formats.variable.name, actual=weight.dtype)


def check_trainable_weights(e: Evidence) -> Iterator[Check]:
    parameters = [name for name in e.case.config.weight_names() if name in ("gamma", "beta")]
    listed = (
        len(e.observation.steps) - 1 if e.case.how.builds_late else -1
    )  # the trainable flags of the moment when the worker listed the weights
    for weight in e.observation.weights:
        expected = str(weight.name in parameters and not e.frozen_after(listed))
        yield e.texts("trainable-weights", weight.name, None, expected=expected, actual=str(weight.trainable))
    for index, step in enumerate(e.observation.steps):
        if not e.case.steps[index].is_call and "weights" not in step.hidden:
            expected = "" if e.frozen_after(index) else ", ".join(parameters)
            yield e.texts("trainable-weights", "listed", index, expected=expected, actual=", ".join(step.trainable))


def check_initial_values(e: Evidence) -> Iterator[Check]:
    if e.case.weights != "initial" or not e.built or e.case.how.builds_late:
        return
    for name in e.case.config.weight_names():
        values = e.observation.initial.get(name)
        actual = "missing" if values is None else ", ".join(f"{v:g}" for v in np.unique(values))
        expected = f"{e.case.config.initial(name):g}"
        yield e.texts("initial-values", name, None, expected=expected, actual=actual)


def check_initializers(e: Evidence) -> Iterator[Check]:
    drawn = [name for name in e.case.config.draws if name in PLAIN]
    if not drawn or len(e.observation.made) != 2:
        return
    first, second = e.observation.made
    for name in e.case.config.weight_names():
        if name not in first or name not in second:
            continue  # the clause on weights reports it
        if name in drawn:
            values = [first[name], second[name], *(first[other] for other in drawn if other != name)]
            shared = any(v.shape == values[0].shape and np.array_equal(v, values[0]) for v in values[1:])
            again = "the same numbers twice" if shared else "numbers of its own"
            actual = again if np.unique(values[0]).size == values[0].size else f"{np.unique(values[0]).size} different numbers"
            yield e.texts("initializers", name, None, expected="numbers of its own", actual=actual)
        elif name in PLAIN:
            expected = f"{e.case.config.initial(name):g}"
            actual = ", ".join(f"{v:g}" for v in np.unique(first[name]))
            yield e.texts("initializers", name, None, expected=expected, actual=actual)


def check_output_shape(e: Evidence) -> Iterator[Check]:
    for c in e.calls:
        assert c.observed.y is not None
        yield e.texts("output-shape", "y", c.call.index, expected=str(e.case.shape), actual=str(c.observed.y.shape))


def check_output_dtype(e: Evidence) -> Iterator[Check]:
    for c in e.calls:
        if "y_dtype" in c.observed.hidden:
            continue
        yield e.texts("output-dtype", "y", c.call.index, expected=e.formats.output.name, actual=str(c.observed.y_dtype))


CLAUSES = (
    Clause(
        "returns",
        "construction and calls return",
        "the constructor, build() and every call finish without an exception, for inputs of any rank, size and dtype",
        KERAS_DOC + " (inputs: “Input tensor (of any rank)”)",
        check_returns,
    ),
    Clause(
        "arguments",
        "arguments and defaults",
        "get_config() has axis, momentum, epsilon, center and scale as given; their defaults are -1, 0.99, 0.001, True, True",
        KERAS_DOC,
        check_arguments,
    ),
    Clause(
        "weights",
        "weights, their names and order",
        "the weights are gamma if scale, beta if center, moving_mean, moving_variance, and with renorm "
        "moving_stddev, renorm_mean and renorm_stddev, in this order; the layer has no other weights",
        KERAS_DOC,
        check_weights,
    ),
    Clause(
        "weight-shapes",
        "weight shapes",
        "every weight has one value per index of the kept axis",
        KERAS_DOC + "; for several axes: full rank, 1 on reduced axes (tf.keras 2)",
        check_weight_shapes,
    ),
    Clause(
        "weight-dtypes",
        "weight dtypes",
        "every weight has the policy's variable dtype: float32 under mixed policies, float16 under float16",
        KERAS_DTYPE_DOC,
        check_weight_dtypes,
    ),
    Clause(
        "trainable-weights",
        "trainable weights",
        "gamma and beta are trainable, the moving statistics are not; a frozen layer has no trainable weights",
        KERAS_DOC + "; " + KERAS_LAYER_DOC,
        check_trainable_weights,
    ),
    Clause(
        "initial-values",
        "initial values",
        "gamma starts at 1, beta at 0, moving_mean at 0, moving_variance at 1, unless initializers are given; "
        "with renorm renorm_mean starts at 0, moving_stddev and renorm_stddev at 1",
        KERAS_DOC,
        check_initial_values,
    ),
    Clause(
        "initializers",
        "initializers",
        "each weight uses its own initializer; random initializers draw different numbers for each value, weight and layer",
        KERAS_DOC + "; keras.initializers, https://keras.io/api/layers/initializers/",
        check_initializers,
    ),
    Clause("output-shape", "output shape", "y has the shape of x", KERAS_DOC, check_output_shape),
    Clause("output-dtype", "output dtype", "y has the policy's compute dtype", KERAS_DTYPE_DOC, check_output_dtype),
)
