"""Words and numbers of all views: counts, margins, environments, commands, and the last line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.shown import ENVIRONMENT, HEADING, crashed, results, right, wrong

from bnverify.cases.ids import parse
from bnverify.values import Check, Grade, Mismatch, Results, Status, Verdict
from bnverify.verdicts.tally import failures
from bnverify.views.text import (
    conclusion,
    encodable,
    environment_line,
    group_lines,
    mismatch_lines,
    number,
    plural,
    promise_line,
    reproduce,
    short,
    step_words,
)

ID = "shape:4x3/steps:TFI"
STEPS = parse(ID).steps


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.0, "0"),
        (0.00099, "9.9e-04"),
        (0.001, "0.001"),
        (0.166, "0.17"),
        (99.4, "99"),
        (478.2, "478"),
        (1234.5, "1 234"),
        (99999.4, "99 999"),
        (123456.0, "1.2e+05"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (-0.5, "-0.5"),
    ],
)
def test_a_margin_has_two_or_three_digits(value: float | None, text: str) -> None:
    """Small and large ones as powers of ten; thousands with a space."""
    assert short(value) == text


def test_counts() -> None:
    """With a thin space, and the noun in the singular for one only."""
    assert [plural(n, "case") for n in (0, 1, 1314)] == ["0 cases", "1 case", "1 314 cases"]
    assert number(1234567) == "1 234 567"
    assert encodable("a\ud800b") == "a\\ud800b"


def test_what_was_tested() -> None:
    """Keras' own layer is not named, another one is; tf.keras by its name."""
    assert environment_line(ENVIRONMENT) == HEADING
    own = replace(ENVIRONMENT, target="tf.keras.layers.BatchNormalization", module="tf.keras")
    assert environment_line(own) == "tf.keras 3.15.1 · tensorflow 2.21.0 on CPU · NumPy 2.4.6 · Python 3.11.7"


def test_whose_promises_a_run_is_judged_by() -> None:
    """Today's need no line."""
    assert promise_line(ENVIRONMENT) == ""
    assert promise_line(replace(ENVIRONMENT, keras="2.3.1")).startswith(
        "judged by the promises of multi-backend Keras (https://"
    )


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({}, f"bnverify run --case {ID} --layer mypackage.layers:MyBatchNorm"),
        ({"seed": 3}, f"bnverify run --case {ID} --seed 3 --layer mypackage.layers:MyBatchNorm"),
        ({"required": Grade.ONE_PASS}, f"bnverify run --case {ID} --min-grade one-pass --layer mypackage.layers:MyBatchNorm"),
        ({"target": "keras.layers.BatchNormalization"}, f"bnverify run --case {ID}"),
        ({"target": "tf.nn.moments@symbolic"}, f"bnverify run --case {ID} --target tf.nn.moments@symbolic"),
        (
            {"target": "keras.ops.moments", "backend": "jax"},
            f"bnverify run --case {ID} --target keras.ops.moments --backend jax",
        ),
        ({"target": "my layers:A B"}, f"bnverify run --case {ID} --layer 'my layers:A B'"),
    ],
)
def test_the_command_that_runs_a_case_again(changes: dict[str, object], command: str) -> None:
    """With the seed, the grade and the target, quoted for a shell."""
    of_environment = {name: value for name, value in changes.items() if name in ("target", "backend")}
    others = {name: value for name, value in changes.items() if name not in of_environment}
    run = results(environment=replace(ENVIRONMENT, **of_environment), **others)  # type: ignore[arg-type]
    assert reproduce(wrong(ID), run) == command


def test_when_a_check_was_made() -> None:
    """After a step, as built, or at the stage of a crash."""
    check = Check("training-output", "y", 1, Status.WRONG)
    assert step_words(check, STEPS) == "step 1 (set trainable=False)"
    assert step_words(replace(check, step=None), STEPS) == "as built"
    assert step_words(replace(check, quantity="constructor", status=Status.CRASHED), STEPS) == "constructor"


@pytest.mark.parametrize(
    ("mismatch", "lines"),
    [
        (None, ["y: no elements"]),
        (Mismatch("present", "missing"), ["step 0 (call with training=True): y: expected present, got missing"]),
        (
            Mismatch("1.5", "1.25", (3, 1), 1, 0.25, 1e-4, 0.125),
            [
                "step 0 (call with training=True): y[3, 1], channel 1: expected 1.5, got 1.25",
                "error 0.25, bound 1.0e-04, margin 2 500, grade none, 12.50% of the elements",
            ],
        ),
        (
            Mismatch("1", "2", (0,), 0, 1.0, 0.5, 1.0),
            [
                "step 0 (call with training=True): y[0], channel 0: expected 1, got 2",
                "error 1, bound 0.5, margin 2 500, grade none, every element",
            ],
        ),
        (
            Mismatch("1 as before", "2", (0,), None, share=0.5),
            ["step 0 (call with training=True): y[0]: expected 1 as before, got 2", "50.00% of the elements"],
        ),
    ],
)
def test_where_a_check_failed(mismatch: Mismatch | None, lines: list[str]) -> None:
    """Quantity, place, both values; then error, bound, margin, grade and share as far as they are known."""
    grade = Grade.NONE if mismatch and mismatch.error is not None else None
    check = Check("training-output", "y", 0, Status.WRONG, grade, 2500.0, mismatch, "no elements")
    assert mismatch_lines(check, STEPS) == lines


def test_a_group_as_a_paragraph() -> None:
    """Title, counts, smallest case, clause, mismatch, cause, and the command."""
    run = results(
        wrong("shape:8x2/steps:T", "a cause", "it acts as 0.5"), wrong("shape:3x2/steps:T", "a cause", "it acts as 0.5")
    )
    (group,) = failures(run.verdicts)
    assert group_lines(group, run) == [
        "a cause",
        "2 cases of 2; failing checks: output in training (2)",
        "smallest case  shape:3x2/steps:T",
        "clause         training=True: y = gamma*(x-mean)/sqrt(var+epsilon)+beta with the batch's mean and biased variance, "
        "computed over all axes except `axis`",
        "               step 0 (call with training=True): y[3, 1], channel 1: expected 1.5, got 1.25",
        "               error 0.25, bound 1.0e-04, margin 2 500, grade none, 12.50% of the elements",
        "cause          a cause (it acts as 0.5)",
        "reproduce      bnverify run --case shape:3x2/steps:T --layer mypackage.layers:MyBatchNorm",
    ]


FINE = right("shape:4x3/steps:T")
SKIPPED = Verdict(parse("shape:5x3/steps:T"), (), Status.UNSUPPORTED)


@pytest.mark.parametrize(
    ("run", "line"),
    [
        (results(FINE), "CONFORMS: 1 check of 1 clause in 1 case"),
        (results(FINE, SKIPPED), "CONFORMS: 1 check of 1 clause in 2 cases; 1 unsupported"),
        (results(SKIPPED), "NOTHING TESTED: 0 checks of 0 clauses in 1 case; 1 unsupported"),
        (results(FINE, complete=False), "INCOMPLETE: 1 check of 1 clause in 1 case"),
        (results(FINE, stale=("a", "b")), "DEVIATES: 1 check of 1 clause in 1 case; 2 known deviations stale"),
        (
            results(FINE, wrong("shape:5x3/steps:T"), crashed("shape:6x3/steps:T"), complete=False),
            "DEVIATES, INCOMPLETE: 3 checks of 2 clauses in 3 cases; 1 crashed, 1 wrong",
        ),
    ],
)
def test_the_last_line(run: Results, line: str) -> None:
    """The result in one word, the counts, and what does not conform, the gravest first."""
    assert conclusion(run) == line
