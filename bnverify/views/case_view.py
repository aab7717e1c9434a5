"""The view of one case: the layer, its inputs, and what must come out of each step, without running any layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bnverify.bounds.derive import GRADES
from bnverify.cases.case import Case
from bnverify.cases.fills import describe, make_inputs
from bnverify.contract.evidence import expect
from bnverify.precision import Array
from bnverify.reference.formulas import count
from bnverify.views.text import plural, short

SHOWN = 4  # channels


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
    for name, value in (inputs.weights or {}).items():
        yield f"  {name:<15} {_values(value)}"
    found = {call.index: (call, bounds) for call, bounds in zip(expectation.calls, expectation.bounds, strict=True)}
    for index, step in enumerate(case.steps):
        yield f"  step {index}    {step.words}"
        if index not in found:
            continue
        call, bounds = found[index]
        y = call.y()
        bound = np.abs(call.x - call.mean) * bounds.slope[GRADES[0]] + bounds.offset[GRADES[0]]
        source = "batch" if call.batch is not None and call.mean is call.batch.mean else "moving"
        yield f"    {source} mean      {_values(call.mean)}"
        yield f"    {source} variance  {_values(call.variance)}"
        finite = y[np.isfinite(y)]
        if finite.size:
            yield f"    y  from {finite.min():.6g} to {finite.max():.6g}, bound at most {short(_largest(bound))}"
        if call.after is not call.before:
            for name in ("moving_mean", "moving_variance"):
                largest = short(_largest(bounds.moving[name][GRADES[0]]))
                yield f"    {name:<15} {_values(call.after.weights[name])}, bound at most {largest}"


def _largest(bounds: Array) -> float:
    return float(np.fmax.reduce(bounds, axis=None))


def _axes(axes: tuple[int, ...]) -> str:
    return ", ".join(map(str, axes)) or "none"


def _values(values: Array) -> str:
    flat = values.ravel()
    return " ".join(f"{v:.6g}" for v in flat[:SHOWN]) + (f" … ({flat.size} channels)" if flat.size > SHOWN else "")
