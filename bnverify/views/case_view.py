"""The view of one case: the layer, its inputs, and what must come out of each step, without running any layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bnverify.bounds.derive import GRADES, CallBounds
from bnverify.cases.case import Case
from bnverify.cases.fills import MASK_WORDS, describe, make_inputs
from bnverify.cases.modes import FILES
from bnverify.contract import CLAUSES
from bnverify.contract.evidence import expect
from bnverify.contract.laws import LAWS
from bnverify.precision import Array
from bnverify.reference.formulas import count
from bnverify.reference.machine import Call
from bnverify.views.text import plural, short

SHOWN = 4  # channels
LAW_CLAUSES = {law.name: law.key for law in LAWS}


def case_lines(case: Case, seed: int) -> Iterator[str]:
    """The lines of the view; statistics of the first channels, and the bound of the best grade."""
    inputs = make_inputs(case, seed)
    expectation = expect(case, inputs)
    formats = expectation.formats
    reduced = tuple(axis for axis in range(len(case.shape)) if axis not in case.kept)
    arguments = {**case.config.arguments(), **({"dtype": case.policy} if case.policy != "float32" else {})}
    yield case.id
    if case.cause:
        yield f"  regression of  {case.cause}"
    yield f"  layer     BatchNormalization({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"
    yield f"  input     {case.dtype} of shape {case.shape}; {case.fill}: {describe(case.fill)}"
    yield (
        f"  axes      kept {_axes(case.kept)}, reduced {_axes(reduced)}: "
        f"each statistic over {plural(count(case.shape, reduced), 'value')}"
    )
    yield (
        f"  formats   computed in {formats.arithmetic.name}, stored in {formats.variable.name}, y in {formats.output.name}; "
        f"reference in {np.dtype(formats.wide).name}"
    )
    if case.file != "none":
        yield f"  file      {case.file}: {FILES[case.file]}; observed once more without it, and nothing may differ"
    if case.mask != "none":
        yield f"  mask      {case.mask}, {len(case.shape) - 1} axes: {MASK_WORDS[case.mask]}"
    if case.law != "none":
        law = next(clause for clause in CLAUSES if clause.key == LAW_CLAUSES[case.law])
        yield f"  law       {law.rule}; the layer is observed once more for it"
    for name, value in (inputs.weights or {}).items():
        yield f"  {name:<15} {_values(value)}"
    found = {call.index: (call, bounds) for call, bounds in zip(expectation.calls, expectation.bounds, strict=True)}
    for index, step in enumerate(case.steps):
        yield f"  step {index}    {step.words}"
        if index not in found:
            continue
        yield from _call_lines(*found[index])


def _call_lines(call: Call, bounds: CallBounds) -> Iterator[str]:
    """What must come out of one call."""
    y = call.y()
    bound = np.abs(call.x - call.mean) * bounds.slope[GRADES[0]] + bounds.offset[GRADES[0]]
    source = "batch" if call.batch is not None and call.mean is call.batch.mean else "moving"
    yield f"    {source} mean      {_values(call.mean)}"
    yield f"    {source} variance  {_values(call.variance)}"
    finite = y[np.isfinite(y)]
    if finite.size:
        yield f"    y  from {finite.min():.6g} to {finite.max():.6g}, bound at most {short(_largest(bound))}"
    if call.correction is not None:
        for name, value in zip("rd", call.correction, strict=True):
            yield f"    {name} of renorm      {_values(value)}"
    if call.after is not call.before:
        for name in bounds.moving:
            largest = short(_largest(bounds.moving[name][GRADES[0]]))
            yield f"    {name:<15} {_values(call.after.weights[name])}, bound at most {largest}"

    for name, gradient in bounds.gradients.items():
        if name in ("gamma", "beta") and (call.before.frozen or name not in call.before.weights):
            continue
        what = "dL/dx differentiated again" if name == "second" else f"dL/d{name}"
        largest = short(_largest(gradient.bound[GRADES[0]]))
        finite = gradient.value[np.isfinite(gradient.value)]
        if finite.size:
            yield f"    {what}  from {finite.min():.6g} to {finite.max():.6g}, bound at most {largest}"


def _largest(bounds: Array) -> float:
    return float(np.fmax.reduce(bounds, axis=None, initial=0.0))


def _axes(axes: tuple[int, ...]) -> str:
    return ", ".join(map(str, axes)) or "none"


def _values(values: Array) -> str:
    flat = values.ravel()
    return " ".join(f"{v:.6g}" for v in flat[:SHOWN]) + (f" … ({flat.size} channels)" if flat.size > SHOWN else "")
