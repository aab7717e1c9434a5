"""The installed Keras, and real Keras layers with faults: what the tool says about the real thing."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest

import bnverify
from bnverify.cases.suites import suite
from bnverify.contract import files, gradients, laws, misuse, modes, replicas
from bnverify.model import Grade, Results, Status
from bnverify.run import verify_target
from bnverify.selftest import Score, selftest_score
from bnverify.tally import by_clause
from bnverify.targets.loading import open_target


@pytest.fixture(scope="module")
def default_run() -> Results:
    return verify_target(open_target(), suite("default"), label="default suite", with_evidence=True)


def test_the_installed_keras_conforms(default_run: Results) -> None:
    """No false alarm in the default suite: nothing worse than sequential sums, the known deviation apart."""
    failing = [verdict.case.id for verdict in default_run.verdicts if verdict.status.fails]
    assert failing == []
    assert default_run.stale == ()
    assert default_run.ok


def test_every_clause_is_checked(default_run: Results) -> None:
    """Twenty checks or more for each clause, five where a case must ask for it, one or more where mistakes are made.

    Threads are counted in `full` alone, and Keras conforms in none of the cases that pin `training`.
    """
    counts = {tally.clause.key: tally.checks for tally in by_clause(default_run.verdicts)}
    asked_for = {clause.key for part in (gradients, laws, modes, replicas, files) for clause in part.CLAUSES}
    asked_for |= {"initializers"}
    mistakes = {clause.key for clause in misuse.CLAUSES}
    assert min(count for key, count in counts.items() if key not in asked_for | mistakes) >= 20, counts
    assert min(count for key, count in counts.items() if key not in mistakes | {"thread-counts"}) >= 5, counts
    assert min(counts[key] for key in mistakes) >= 1, counts


def test_only_known_kinds_of_case_are_not_tested(default_run: Results) -> None:
    """Unsupported are several axes, and what other frameworks have; open is what has no values, or 0/0; nothing else."""
    untested = [verdict for verdict in default_run.verdicts if not verdict.status.tested]
    refused = [verdict for verdict in untested if verdict.status is Status.UNSUPPORTED]
    assert {verdict.reason for verdict in refused} == {
        "Keras 3 takes one integer as axis; tf.keras 2 took a list",
        "keras.distribution computes on JAX",
        "Keras 3 neither writes nor loads models in the SavedModel format",
    }
    open_ = {verdict.case.id for verdict in untested if verdict not in refused}
    empty = {case.id for case in suite("default") if 0 in case.shape}
    assert empty <= open_
    assert open_ - empty <= {
        "shape:13x4/epsilon:0.0/fill:constant/steps:TI",
        "shape:29x5/policy:float16/dtype:float64/fill:huge/steps:TI",
        "shape:5x4x3/mask:hidden/gradients:1/steps:TI",
        *(case.id for case in suite("default") if case.mask == "empty"),
    }


def test_correct_layers_come_near_their_bounds(default_run: Results) -> None:
    """The median of the largest margins is not far below 1: bounds that nothing comes near would notice little."""
    plain = [v for v in default_run.verdicts if v.case.policy == v.case.dtype == "float32" and v.case.fill == "normal"]
    assert 0.05 < np.median([v.worst_margin for v in plain if v.worst_margin is not None]) < 1


def test_integers_under_a_float64_policy_are_computed_in_float32() -> None:
    """The known deviation that ships, in plain Keras: 0.99 + 0.01 * 1.25 comes out with float32's rounding."""
    layer = keras.layers.BatchNormalization(dtype="float64")
    layer(keras.ops.convert_to_tensor(np.arange(1, 5, dtype=np.int32)[:, None]), training=True)
    moved = float(layer.moving_variance.numpy()[0])
    exact = 1.0 * 0.99 + 1.25 * (1 - 0.99)
    assert 1e-9 < abs(moved - exact) < 1e-7
    same = keras.layers.BatchNormalization(dtype="float64")
    same(keras.ops.convert_to_tensor(np.arange(1, 5, dtype=np.float64)[:, None]), training=True)
    assert abs(float(same.moving_variance.numpy()[0]) - exact) < 1e-15


@pytest.mark.parametrize("name", ["smoke", "regressions"])
def test_check_layer_accepts_keras(name: str) -> None:
    """The Python interface agrees: a report that is ok, whose text ends with the conclusion."""
    report = bnverify.check_layer(keras.layers.BatchNormalization, suite=name)
    assert report.ok
    assert report.summary().splitlines()[-1].startswith("CONFORMS: ")
    assert "<table>" in report._repr_html_()
    bnverify.assert_conforms(keras.layers.BatchNormalization, suite=name)


class LargerEpsilon(keras.layers.BatchNormalization):  # type: ignore[misc]
    def call(self, inputs, training=None, mask=None):  # type: ignore[no-untyped-def]
        given, self.epsilon = self.epsilon, self.epsilon * 1.5
        y = super().call(inputs, training=training)
        self.epsilon = given
        return y


def test_a_wrong_layer_is_reported_with_its_cause() -> None:
    """assert_conforms raises with the report's text, which names the cause and the line that reproduces it."""
    with pytest.raises(bnverify.NotConforming) as caught:
        bnverify.assert_conforms(LargerEpsilon, cases=["shape:8x3/epsilon:0.1/steps:I"])
    text = str(caught.value)
    assert "WRONG  epsilon has another value than the one given" in text
    assert re.search(r"\(it acts as 0\.(15000|14999)", text)
    assert "bnverify run --case shape:8x3/epsilon:0.1/steps:I --layer test_keras:LargerEpsilon" in text
    assert isinstance(caught.value, AssertionError)
    assert not caught.value.report.ok


def test_a_required_grade_decides_what_is_unstable() -> None:
    """Sequential sums conform by default, and are unstable where blocked ones are asked for."""
    (case,) = [case for case in suite("default") if case.id == "shape:65536x2/fill:constant/steps:TI"]
    results = verify_target(open_target(), [case], label="")
    (verdict,) = results.verdicts
    grades = {check.grade for check in verdict.checks}
    assert verdict.status is Status.CONFORMS
    strict = verify_target(open_target(), [case], label="", min_grade="blocked")
    assert strict.verdicts[0].status is (Status.UNSTABLE if Grade.SEQUENTIAL in grades else Status.CONFORMS)


@pytest.fixture(scope="module")
def score() -> Score:
    return selftest_score("", "smoke", lambda label, total: lambda: None)


def test_every_mutant_is_caught(score: Score) -> None:
    """At least 40 faults planted in real Keras layers, each caught by the smoke suite."""
    assert [outcome.key for outcome in score.survivors] == []
    assert len(score.mutants) >= 80


def test_mutants_are_caught_by_their_numbers(score: Score) -> None:
    """A crash is no proof that a fault was seen: only weights of other shapes, or others, may end in one."""
    crashed = {outcome.key for outcome in score.mutants if outcome.caught and outcome.caught.status is Status.CRASHED}
    assert crashed <= {"negative-axis", "file-axis", "file-center", "file-renorm", "file-copy"}


def test_equivalent_mutants_and_the_reference_pass(score: Score) -> None:
    """Layers that compute the same by other legitimate arithmetic raise no alarm."""
    assert [outcome.key for outcome in score.false_alarms] == []
    assert len(score.equivalent) == 9


def test_a_survivor_is_reported() -> None:
    """The score can fail: held against a suite that never trains, most mutants survive."""
    from bnverify.selftest import first_failure
    from bnverify.targets.mutants import MUTANTS
    from bnverify.targets.target import InProcess

    momentum = next(mutant for mutant in MUTANTS if mutant.key == "momentum-swapped")
    inference_only = tuple(case for case in suite("default") if case.id == "shape:8x4/steps:I")
    assert len(inference_only) == 1
    assert first_failure(inference_only, InProcess(momentum.layer, momentum.key)) is None
    assert first_failure(suite("smoke"), InProcess(momentum.layer, momentum.key)) is not None
