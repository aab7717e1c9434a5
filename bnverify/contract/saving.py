"""Clauses on saving: a loaded layer equals the saved one, and later calls give what the saved layer would give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bnverify.bounds.compare import weight_numbers
from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.steps import Step
from bnverify.contract.clause import Clause
from bnverify.contract.evidence import CallEvidence, Evidence
from bnverify.numeric.precision import Array
from bnverify.values import Check, StepObservation

SAVING = "Keras' guide “Save, serialize, and export models”, https://keras.io/guides/serialization_and_saving/"
WEIGHTS_DOC = (
    "keras.Model.save_weights, load_weights; keras.layers.Layer.get_weights, set_weights: https://keras.io/api/models/"
)
CLONING = "keras.models.clone_model, https://keras.io/api/models/model/: “newly instantiated weights”"
UNSAVED = "as without the file"
FRESH = "fresh "  # the worker's text for a weight that was not set yet


def saves(case: Case) -> list[int]:
    """The steps that save and load."""
    return [index for index, step in enumerate(case.steps) if step is Step.SAVE]


def unsaved(case: Case, inputs: Inputs) -> tuple[Case, Inputs] | None:
    """The same calls on a layer that is never saved."""
    kept = [index for index, step in enumerate(case.steps) if step is not Step.SAVE]
    if len(kept) == len(case.steps) or saves(case)[0] > kept[-1]:
        return None

    def rest(values: tuple[Array | None, ...]) -> tuple[Array | None, ...]:
        return tuple(values[index] for index in kept) if values else ()

    calls = replace(
        inputs,
        batches=rest(inputs.batches),
        masks=rest(inputs.masks),
        upstream=rest(inputs.upstream),
        direction=rest(inputs.direction),
    )
    return replace(case, steps=tuple(case.steps[index] for index in kept), file=""), calls


def check_config(e: Evidence) -> Iterator[Check]:
    for index, step in _saved(e):
        for name, (before, after) in sorted(step.config.items()):
            if not name.startswith(FRESH):
                yield e.texts("file-config", name, index, expected=before, actual=after)


def check_fresh(e: Evidence) -> Iterator[Check]:
    for index, step in _saved(e):
        for name, (made, found) in sorted(step.config.items()):
            if name.startswith(FRESH):
                yield e.texts("fresh-weights", name.removeprefix(FRESH), index, expected=made, actual=found)


def check_saved_weights(e: Evidence) -> Iterator[Check]:
    for index, step in _saved(e):
        if "weights" in step.hidden or (index and "weights" in e.observation.steps[index - 1].hidden):
            continue
        before = e.weights_before(index)
        if not before:
            continue
        expected, actual = (", ".join(f"{name} {v.dtype}" for name, v in found.items()) for found in (before, step.weights))
        yield e.texts("file-weights", "names in order, dtypes", index, expected=expected, actual=actual)
        for name in before:
            yield e.unchanged("file-weights", name, index)


def check_goes_on(e: Evidence) -> Iterator[Check]:
    other = e.companions.get("file-goes-on")
    if other is None or e.case.how.calls_per_step == "pairs":
        return
    first = saves(e.case)[0]
    places = [
        index for index, step in enumerate(e.case.steps) if step is not Step.SAVE
    ]  # a check that the companion's steps support
    others = {places[c.call.index]: c for c in other.calls}
    for c in e.calls:
        index = c.call.index
        if index < first:
            continue
        if index not in others:
            yield e.texts("file-goes-on", "y", index, expected="a call of the layer that was not saved", actual="none")
            continue
        yield _same_output(e, c, others[index])
        yield from _same_weights(e, c, others[index])


def _same_output(e: Evidence, c: CallEvidence, other: CallEvidence) -> Check:
    y, expected = c.observed.y, other.observed.y
    assert y is not None
    assert expected is not None
    if (e.case.file == "export" or e.case.how.compiles_anew) and expected.shape == e.case.shape:
        with np.errstate(all="ignore"):
            numbers = weight_numbers(expected.astype(c.call.x.dtype), c.output_bound + other.output_bound, e.formats.output)
        return e.numbers("file-goes-on", "y", c.call.index, y, numbers, e.channel_axis)
    return e.same_bits("file-goes-on", "y", c.call.index, expected=expected, actual=y, promised=UNSAVED)


def _same_weights(e: Evidence, c: CallEvidence, other: CallEvidence) -> Iterator[Check]:
    if "weights" in (*c.observed.hidden, *other.observed.hidden) or e.case.how.compiles_anew:
        return
    for name, expected in other.observed.weights.items():
        actual = c.observed.weights.get(name)
        yield e.same_bits("file-goes-on", name, c.call.index, expected=expected, actual=actual, promised=UNSAVED)


def _saved(e: Evidence) -> Iterator[tuple[int, StepObservation]]:
    return ((index, e.observation.steps[index]) for index in saves(e.case) if index < len(e.observation.steps))


CLAUSES = (
    Clause(
        "file-config",
        "files keep the configuration",
        "get_config() is the same before saving and after loading, argument by argument",
        SAVING,
        check_config,
    ),
    Clause(
        "file-weights",
        "files keep the weights",
        "after saving and loading, or get_weights() and set_weights(), each weight has the same name, place, dtype and bits",
        SAVING + "; " + WEIGHTS_DOC,
        check_saved_weights,
    ),
    Clause(
        "file-goes-on",
        "a loaded layer goes on",
        "calls of the loaded layer give the same bits, and leave the same weights, as calls of the saved layer "
        "would; within the bounds if the loaded layer is compiled again or exported",
        SAVING + "; " + "“the model's weights, and its optimizer's state: restarting training exactly where you left off”",
        check_goes_on,
        companion=unsaved,
    ),
    Clause(
        "fresh-weights",
        "copies start fresh",
        "a cloned layer, or a layer made from a config, has the initial weights of a new layer until its weights are set",
        CLONING,
        check_fresh,
    ),
)
