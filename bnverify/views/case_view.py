"""The view of one case: the layer, its inputs, and the expected result of each step. No layer runs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bnverify.bounds.derive import CallBounds
from bnverify.cases.case import Case
from bnverify.cases.file_formats import FILES
from bnverify.cases.fills import MASK_WORDS, Inputs, describe, make_inputs
from bnverify.cases.misuse import MISUSES
from bnverify.cases.modes import LAYOUTS
from bnverify.cases.networks import DATA_WORDS, NETWORKS
from bnverify.cases.posted import POSTED
from bnverify.cases.steps import Step
from bnverify.contract import BY_KEY, CLAUSES
from bnverify.contract.evidence import Expectation, expect
from bnverify.contract.laws import LAW_CHECKS
from bnverify.numeric.precision import Array, precision
from bnverify.reference.formulas import count
from bnverify.reference.machine import Call
from bnverify.reference.sub_cases import shards, sub_cases_of, together
from bnverify.values import BOUNDED_GRADES, Observation
from bnverify.views.text import plural, short

SHOWN_CHANNELS = 4  # channels to show
LAW_CLAUSES = {**{law.name: law.key for law in LAW_CHECKS}, "repeat": "repeatable", "threads": "thread-counts"}


def case_lines(case: Case, seed: int) -> Iterator[str]:
    """The lines of the view: statistics of the first channels, and the bound of the best grade."""
    if case.misuse:
        yield from _misuse_lines(case)
        return
    inputs = make_inputs(case, seed)
    if case.network:
        yield from _network_lines(case, inputs)
        return
    yield from _head_lines(case)
    yield from _mode_lines(case)
    for name, value in (inputs.weights or {}).items():
        yield f"  {name:<15} {_values(value)}"
    if case.how.replicas > 1:
        yield f"  replicas  {_of_replicas(case)}"
        if not together(case):
            yield from _shard_lines(case, inputs)
            return
    yield from _step_lines(case, inputs)


def _head_lines(case: Case) -> Iterator[str]:
    """The layer, the input, the axes and the formats."""
    formats = precision(case.policy, case.dtype)
    arguments = {**case.config.arguments(), **({"dtype": case.policy} if case.policy != "float32" else {})}
    yield case.id
    if case.cause:
        yield f"  regression of  {case.cause}"
    yield f"  layer     BatchNormalization({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"
    yield f"  input     {case.dtype} of shape {case.shape}; {_source(case)}"
    yield f"  axes      {_axes_line(case)}"
    yield (
        f"  formats   computed in {formats.arithmetic.name}, stored in {formats.variable.name}, y in {formats.output.name}; "
        f"reference in {np.dtype(formats.wide).name}"
    )


def _axes_line(case: Case) -> str:
    """Which axes are kept and reduced, and the number of values in each statistic of a call."""
    reduced = tuple(axis for axis in range(len(case.shape)) if axis not in case.kept)
    values, which = count(case.shape, reduced), ""
    if case.how.calls_per_step == "slices":
        values, which = values // max(1, case.shape[1]), " of a slice along axis 1"
        reduced = tuple(axis for axis in reduced if axis != 1)
    elif case.how.replicas > 1:
        which = " of all shards" if together(case) else " of all shards; each replica uses its own shard"
    return f"kept {_axes(case.kept)}, reduced {_axes(reduced)}: each statistic over {plural(values, 'value')}{which}"


def _step_lines(case: Case, inputs: Inputs) -> Iterator[str]:
    """Each step, and what its calls must return."""
    expectation, places = expect(case, inputs), tuple(range(len(case.steps)))
    if case.how.calls_per_step == "slices":
        (sub_case,) = sub_cases_of(case, inputs, Observation(), slices=True) or ()
        expectation, places = expect(sub_case.case, sub_case.inputs), sub_case.steps
    found = _found(expectation)
    for index, place in enumerate(places):
        which = f", slice {index - places.index(place)}" if places.count(place) > 1 else ""
        yield f"  step {place}    {case.steps[place].words}{which}"
        if index in found:
            yield from _call_lines(*found[index])


def _source(case: Case) -> str:
    """Where the values of the input come from."""
    if case.posted:
        return f"posted with the question: {POSTED[case.posted].words}"
    return f"{case.fill}: {describe(case.fill)}"


def _mode_lines(case: Case) -> Iterator[str]:
    """Everything about the calls that is not the default."""
    if case.mode != "call":
        yield f"  mode      {case.mode}: {case.how.words}"
    if case.file:
        yield f"  file      {case.file}: {FILES[case.file].words}; observed again without it, and the results must be equal"
    if case.layout != "plain":
        yield f"  layout    {case.layout}: {LAYOUTS[case.layout]}"
    if case.mask:
        yield f"  mask      {case.mask}, {len(case.shape) - 1} axes: {MASK_WORDS[case.mask]}"
    if case.law:
        law = next(clause for clause in CLAUSES if clause.key == LAW_CLAUSES[case.law])
        yield f"  law       {law.rule}; the layer is observed a second time for it"


def _found(expectation: Expectation) -> dict[int, tuple[Call, CallBounds]]:
    """The calls of an expectation by their step."""
    return {call.index: (call, bounds) for call, bounds in zip(expectation.calls, expectation.bounds, strict=True)}


def _of_replicas(case: Case) -> str:
    """How the batch is spread, and which statistics the replicas use."""
    sizes = "+".join(str(own.shape[0]) for _, own, _ in shards(case, Inputs(None, ())))
    return f"shards of {sizes} samples; " + (
        "all use the statistics of the whole batch" if together(case) else "each uses the statistics of its own shard"
    )


def _shard_lines(case: Case, inputs: Inputs) -> Iterator[str]:
    """The expected result on each replica, until loading a file makes the replicas equal."""
    each = [(label, _found(expect(own, given))) for label, own, given in shards(case, inputs)]
    for index, step in enumerate(case.steps):
        yield f"  step {index}    {step.words}"
        if step is Step.SAVE:
            yield "    from here on every replica has the weights of get_weights(): one replica's statistics, or their mean"
            each = []
        for label, found in each:
            if index in found:
                yield f"    {label}"
                yield from ("  " + line for line in _call_lines(*found[index]))


def _misuse_lines(case: Case) -> Iterator[str]:
    """What the mistake is, and how the layer must respond."""
    mistake = MISUSES[case.misuse]
    arguments = {**case.config.arguments(), **mistake.layer}
    yield case.id
    if case.cause:
        yield f"  regression of  {case.cause}"
    yield f"  mistake   {mistake.words}"
    yield f"  layer     BatchNormalization({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"
    yield f"  build     for an input of shape {mistake.build or case.shape}"
    given = f" and mask {_mask(mistake.mask)}" if mistake.mask is not None else ""
    for index, step in enumerate(case.steps):
        shape = f", input of shape {mistake.call or case.shape}{given}" if step.is_call else ""
        yield f"  step {index}    {step.words}{shape}"
    yield f"  promised  {BY_KEY[mistake.clause].rule}"
    yield f"  answer    {mistake.wanted}, raised by the constructor, by build() or by a call"
    for what, words in (("it is named", mistake.names), ("what was got is shown", mistake.shows)):
        if len(words) > 1:
            yield f"            {what} by one of {', '.join(words)}"


def _mask(mask: object) -> str:
    return f"of shape {mask[0]} and dtype {mask[1]}" if isinstance(mask, tuple) else repr(mask)


IN_NETWORKS = {
    Step.TRAIN: "train_on_batch",
    Step.INFER: "predict_on_batch",
    Step.FREEZE: "the model's trainable = False, compiled again",
    Step.UNFREEZE: "the model's trainable = True, compiled again",
}


def _network_lines(case: Case, inputs: Inputs) -> Iterator[str]:
    """A network and its data. What its batch normalizations must return depends on what reaches them."""
    network = NETWORKS[case.network]
    start = "Keras' initial weights" if case.weights == "initial" else "random gamma and beta"
    yield case.id
    if case.cause:
        yield f"  regression of  {case.cause}"
    yield f"  network   {network.words}"
    yield f"  start     kernels drawn from fixed seeds; {start}; dtype policy {case.policy}"
    yield f"  data      {DATA_WORDS[network.data]}; batches of shape {case.shape}"
    yield "  judged    every call of every batch normalization (BN): its input and its weights before the step"
    yield "            give its output, its moving statistics after the step, and what must not change"
    for index, (step, x, labels) in enumerate(zip(case.steps, inputs.batches, inputs.labels, strict=True)):
        yield f"  step {index}    {IN_NETWORKS[step]}"
        if x is None or labels is None:
            continue
        axes = tuple(range(x.ndim - 1))
        yield f"    batch mean      {_values(x.mean(axis=axes))}"
        yield f"    batch variance  {_values(x.var(axis=axes))}"
        if step is Step.TRAIN:
            yield f"    of each class   {' '.join(str(int(n)) for n in labels.sum(axis=0))}"


def _call_lines(call: Call, bounds: CallBounds) -> Iterator[str]:
    """The expected result of one call."""
    y = call.y()
    bound = np.abs(call.x - call.mean) * bounds.slope[BOUNDED_GRADES[0]] + bounds.offset[BOUNDED_GRADES[0]]
    source = "batch" if call.batch is not None and call.mean is call.batch.mean else "moving"
    yield f"    {source} mean      {_values(call.mean)}"
    yield f"    {source} variance  {_values(call.variance)}"
    finite = y[np.isfinite(y)]
    if finite.size:
        yield f"    y  from {finite.min():.6g} to {finite.max():.6g}, bound at most {short(_largest(bound))}"
    if call.correction is not None:
        for name, value in zip("rd", call.correction, strict=True):
            yield f"    {name} of renorm      {_values(value)}"
    if call.updates:
        for name in bounds.moving:
            largest = short(_largest(bounds.moving[name][BOUNDED_GRADES[0]]))
            yield f"    {name:<15} {_values(call.after.weights[name])}, bound at most {largest}"

    for name, gradient in bounds.gradients.items():
        if name in ("gamma", "beta") and (call.before.frozen or name not in call.before.weights):
            continue
        what = "the derivative of dL/dx" if name == "second" else f"dL/d{name}"
        largest = short(_largest(gradient.bound[BOUNDED_GRADES[0]]))
        finite = gradient.value[np.isfinite(gradient.value)]
        if finite.size:
            yield f"    {what}  from {finite.min():.6g} to {finite.max():.6g}, bound at most {largest}"


def _largest(bounds: Array) -> float:
    return float(np.fmax.reduce(bounds, axis=None, initial=0.0))


def _axes(axes: tuple[int, ...]) -> str:
    return ", ".join(map(str, axes)) or "none"


def _values(values: Array) -> str:
    flat = values.ravel()
    return " ".join(f"{v:.6g}" for v in flat[:SHOWN_CHANNELS]) + (
        f" … ({flat.size} channels)" if flat.size > SHOWN_CHANNELS else ""
    )
