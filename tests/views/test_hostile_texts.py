"""What layers and terminals can be like: texts that cannot be shown, outputs that are no real numbers, few columns."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from bnverify.bounds.compare import weight_numbers
from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.contract.evidence import Evidence, expect
from bnverify.numeric.precision import FORMATS
from bnverify.running.run import run
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.targets.worker.observing import one_line
from bnverify.values import Grade, Observation, Status
from bnverify.views import terminal


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_exception_whose_text_raises_is_still_an_observation() -> None:
    """A layer's exception that cannot be shown costs its text, not the run."""
    assert one_line(Silent()) == "(its text cannot be shown)"


def test_complex_outputs_are_wrong() -> None:
    """A complex array is no output of the layer, whatever its real part."""
    case = parse("shape:4x3/steps:T")
    evidence = Evidence(expect(case, make_inputs(case)), Observation(), Grade.SEQUENTIAL)
    numbers = weight_numbers(np.ones(3), np.ones((3, 3)), FORMATS["float32"])
    check = evidence.numbers("training-output", "y", 0, np.ones(3, complex), numbers, None)
    assert check.status is Status.WRONG
    assert check.mismatch is not None
    assert check.mismatch.actual == "complex128"


def test_a_narrow_terminal_drops_the_case_ids() -> None:
    """At 80 columns the table keeps every figure and leaves out the column that would break each row into many."""
    results = run([parse("shape:4x3/steps:T")], ReferenceTarget())
    shown = {}
    for width in (80, 160):
        out = Console(file=io.StringIO(), width=width, color_system=None)
        terminal.show(results, out)
        assert isinstance(out.file, io.StringIO)
        shown[width] = out.file.getvalue()
    assert "in case" not in shown[80]
    assert "in case" in shown[160]
