"""Clauses about replicas: which batch each one normalizes with, which weights must be equal, and what is read and saved.

The calls of each replica are sub-cases and are checked against the clauses of calls. `replicas-batch` has the one rule of calls
that only replicas have. The other clauses here are checked on the case as a whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from bnverify.bounds.compare import weight_numbers
from bnverify.cases.steps import Step
from bnverify.contract.clause import KERAS_DOC, Clause
from bnverify.contract.evidence import Evidence
from bnverify.numeric.precision import Array
from bnverify.reference.sub_cases import together
from bnverify.values import Check, InnerCall, Status

GUIDE = "“Distributed training with TensorFlow”, https://www.tensorflow.org/guide/distributed_training"
AGGREGATION = "tf.VariableAggregation, https://www.tensorflow.org/api_docs/python/tf/VariableAggregation"
KERAS_GUIDE = "“Distributed training with Keras 3”, https://keras.io/guides/distribution/"


def check_batch(e: Evidence) -> Iterator[Check]:
    if e.case.how.replicas > 1:
        yield from (e.output("replicas-batch", c) for c in e.calls if c.call.normalizes_with_batch)


def _calls(e: Evidence) -> Iterator[tuple[int, list[InnerCall]]]:
    """The calls of the replicas, step by step."""
    if e.case.how.replicas > 1:
        for step, calls in itertools.groupby(e.observation.inner, key=lambda call: call.step):
            yield step, list(calls)


def check_equal(e: Evidence) -> Iterator[Check]:
    names = [name for name in e.case.config.weight_names() if together(e.case) or name not in e.case.config.statistics]
    for step, (first, *others) in _calls(e):
        for call, name in itertools.product(others, names):
            value, other = first.after.weights.get(name), call.after.weights.get(name)
            quantity, promised = f"{name} of {call.label}", "as on replica 1"
            yield e.same_bits("replicas-equal", quantity, step, expected=value, actual=other, promised=promised)


def check_read(e: Evidence) -> Iterator[Check]:
    for step, calls in _calls(e):
        if step >= len(e.observation.steps):
            return
        read = e.observation.steps[step].weights
        for name in e.case.config.statistics:
            values = [call.after.weights[name] for call in calls if name in call.after.weights]
            if name in read and len(values) == len(calls):
                yield _read(e, name, step, read[name], np.stack(values))


def _read(e: Evidence, name: str, step: int, actual: Array, values: Array) -> Check:
    """The check of a statistic as get_weights() gives it. values: the replicas' values, along the first axis."""
    wide = values.astype(e.formats.wide)
    promised = e.expectation.formulas.replicas_read(np, wide)
    one = promised is None and any(np.array_equal(actual, value, equal_nan=True) for value in values)
    if one:
        return Check("replicas-read", name, step, Status.CONFORMS)
    with np.errstate(all="ignore"):
        mean = np.mean(wide, axis=0)
        bound = (len(values) + 1) * e.formats.variable.unit_roundoff * np.mean(np.abs(wide), axis=0)
        bound = bound + e.formats.variable.smallest_normal * e.formats.variable.unit_roundoff
    numbers = weight_numbers(mean, np.broadcast_to(bound, (3, *bound.shape)), e.formats.variable)
    return e.numbers("replicas-read", name, step, actual, numbers, 0)


def check_file(e: Evidence) -> Iterator[Check]:
    if e.case.how.replicas < 2:
        return
    for index in range(len(e.observation.steps)):
        if e.case.steps[index] is Step.SAVE:
            for name in e.case.config.weight_names():
                yield e.unchanged("replicas-file", name, index)
            yield from _loaded(e, index)


def _loaded(e: Evidence, index: int) -> Iterator[Check]:
    """Whether each replica starts its next call from the loaded weights."""
    read = e.observation.steps[index].weights
    for call in e.observation.inner:
        if call.step == index + 1:
            for name in e.case.config.weight_names():
                expected, actual = read.get(name), call.before.get(name)
                quantity, promised = f"{name} of {call.label}", "as it was loaded"
                yield e.same_bits("replicas-file", quantity, index, expected=expected, actual=actual, promised=promised)


CLAUSES = (
    Clause(
        "replicas-batch",
        "which batch a replica normalizes with",
        "in training each replica normalizes with the statistics of its own shard; with synchronized=True, and under "
        "keras.distribution, with the statistics of the whole batch of all replicas",
        f"{KERAS_DOC} (synchronized); {KERAS_GUIDE}",
        check_batch,
    ),
    Clause(
        "replicas-equal",
        "weights that are equal on all replicas",
        "gamma and beta have the same bits on all replicas; with synchronized=True or under keras.distribution the moving "
        "statistics have, too",
        f"{GUIDE} (mirrored variables “are kept in sync with each other”); {KERAS_DOC} (synchronized)",
        check_equal,
    ),
    Clause(
        "replicas-read",
        "what get_weights() gives with replicas",
        "get_weights() gives one replica's value, or the mean of all replicas' values; for moving statistics that each "
        "replica updated from its own shard, Keras does not promise which",
        AGGREGATION,
        check_read,
    ),
    Clause(
        "replicas-file",
        "what a file saves of replicas",
        "a file has the weights that get_weights() returns, bit for bit, and after loading every replica continues from them",
        GUIDE + " (saving and loading)",
        check_file,
    ),
)
