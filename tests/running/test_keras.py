"""The installed Keras, and real Keras layers with faults: what the tool says about the real thing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import keras
import numpy as np
import pytest
from support.cli import ROOT

import bnverify
from bnverify.cases.case import Case
from bnverify.cases.misuse import MISUSES
from bnverify.cases.suites import suite
from bnverify.contract import gradients, laws, misuse
from bnverify.matrix.record_files import load_record
from bnverify.matrix.records import record_of
from bnverify.running.run import verify_target
from bnverify.running.selftest import Score, selftest_score
from bnverify.targets.loading import open_target
from bnverify.values import Grade, Results, Status
from bnverify.verdicts.tally import by_clause

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def default_run() -> Results:
    return verify_target(open_target(), suite("default"), label="default suite", with_evidence=True)


def test_the_installed_keras_conforms(default_run: Results) -> None:
    """No false alarm in the default suite: nothing worse than sequential sums, the known deviation apart."""
    failing = [verdict.case.id for verdict in default_run.verdicts if verdict.status.fails]
    assert failing == []
    assert default_run.stale == ()
    assert default_run.ok


def test_the_default_suite_comes_out_as_recorded(default_run: Results) -> None:
    """Every case has the status, and every clause the number of checks, that the committed record of this Keras has."""
    record = load_record(ROOT / "ci" / "baselines" / "keras-3.15.1-tensorflow.json", "test")
    if default_run.environment.keras != record.environment.keras:
        pytest.skip(f"the record is of Keras {record.environment.keras}, installed is {default_run.environment.keras}")
    now = record_of(record.name, default_run, record.interface)
    assert {id_: case.status for id_, case in now.cases.items()} == {id_: case.status for id_, case in record.cases.items()}
    assert {key: clause.checks for key, clause in now.clauses.items()} == {
        key: clause.checks for key, clause in record.clauses.items()
    }


# Clauses with fewer than five checks that conform: how many, and why there are no more.
FEWER = {
    "pinned": (0, "Keras 3 conforms in none: what fit is called with replaces the training=False of the model"),
    "thread-counts": (0, "the suite `full` alone asks for other numbers of threads"),
    "refuses-axis": (0, "Keras takes int(axis) of anything, and does not say which axis is out of range"),
    "refuses-momentum": (0, "Keras takes any momentum"),
    "refuses-epsilon": (0, "Keras takes any epsilon"),
    "refuses-renorm-clipping": (1, "Keras' messages show the names of rmin and rmax for their values"),
    "refuses-renorm-momentum": (0, "Keras takes any renorm_momentum"),
    "refuses-undefined-channels": (2, "there are two such mistakes"),
    "refuses-mask": (2, "most masks that do not fit are refused by the backend, in words that name no mask"),
}


def test_every_clause_is_checked(default_run: Results) -> None:
    """Twenty checks or more that conform for each clause, five where a case must ask for it: nobody's check is no promise."""
    counts = {tally.clause.key: tally.statuses[Status.CONFORMS] for tally in by_clause(default_run.verdicts)}
    asked_for = {clause.key for part in (gradients, laws, misuse) for clause in part.CLAUSES} | {"pinned", "uncompiled"}
    asked_for |= {"thread-counts"}
    assert {key: count for key, count in counts.items() if key not in asked_for and count < 20} == {}
    assert {key: count for key, count in counts.items() if count < 5} == {key: count for key, (count, _) in FEWER.items()}


def test_what_keras_conforms_in_seldom_is_checked_nonetheless(default_run: Results) -> None:
    """A clause without five checks that conform has as many in all, or one for each of its mistakes; threads in `full`."""
    tallies = {tally.clause.key: tally for tally in by_clause(default_run.verdicts)}
    mistakes = Counter(mistake.clause for mistake in MISUSES.values())
    assert {key for key in FEWER if key.startswith("refuses-")} <= set(mistakes)
    for key in set(FEWER) - {"thread-counts"}:
        assert tallies[key].checks >= mistakes.get(key, 5), key
    assert len([case for case in suite("full") if case.law == "threads"]) >= 4


# What cannot be asked of Keras 3 on TensorFlow: the reason, and which cases have it.
REFUSED: dict[str, Callable[[Case], bool]] = {
    "Keras 3 allows one integer as axis, not a list as tf.keras 2 does": lambda case: isinstance(case.config.axis, tuple),
    "keras.distribution runs on JAX only": lambda case: case.mode.startswith("parallel"),
    "Keras 3 cannot save or load models in the SavedModel format": lambda case: case.file == "savedmodel",
}
# What has values and yet is not conclusive, and why.
OPEN = {
    "shape:13x4/epsilon:0.0/fill:constant/steps:TI": "0/0: neither variance nor epsilon",
    "shape:29x5/policy:float16/dtype:float64/fill:huge/steps:TI": "every number is infinite in float16",
}


def test_only_known_kinds_of_case_are_not_tested(default_run: Results) -> None:
    """Unsupported are several axes, and what other frameworks have; open is what has no values, or 0/0; nothing else."""
    assert {case for case in (verdict.case for verdict in default_run.verdicts) if 0 in case.shape}
    for verdict in default_run.verdicts:
        case, refused = verdict.case, verdict.reason if verdict.status is Status.UNSUPPORTED else ""
        assert [reason for reason, lacks in REFUSED.items() if lacks(case)] == ([refused] if refused else []), case.id
        unknown = 0 in case.shape or case.id in OPEN
        assert (verdict.status is Status.INCONCLUSIVE) is unknown, case.id
    asked = {verdict.case.id for verdict in default_run.verdicts}
    assert set(OPEN) <= asked
    assert all(any(lacks(verdict.case) for verdict in default_run.verdicts) for lacks in REFUSED.values())


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
    assert "WRONG  epsilon is not the given value" in text
    assert re.search(r"\(it acts as 0\.(15000|14999)", text)
    assert f"bnverify run --case shape:8x3/epsilon:0.1/steps:I --layer {__name__}:LargerEpsilon" in text
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
    """A crash is no proof that a fault was seen: only a wrong axis, whose weights have other shapes, may end in one."""
    crashed = {outcome.key for outcome in score.mutants if outcome.caught and outcome.caught.status is Status.CRASHED}
    assert crashed == {"negative-axis"}


def test_equivalent_mutants_and_the_reference_pass(score: Score) -> None:
    """Layers that compute the same by other legitimate arithmetic raise no alarm."""
    assert [outcome.key for outcome in score.false_alarms] == []
    assert len(score.equivalent) == 9


def test_a_survivor_is_reported() -> None:
    """The score can fail: held against a suite that never trains, most mutants survive."""
    from bnverify.running.selftest import first_failure
    from bnverify.targets.mutants import MUTANTS
    from bnverify.targets.target import InProcess

    momentum = next(mutant for mutant in MUTANTS if mutant.key == "momentum-swapped")
    inference_only = tuple(case for case in suite("default") if case.id == "shape:8x4/steps:I")
    assert len(inference_only) == 1
    assert first_failure(inference_only, InProcess(momentum.layer, momentum.key)) is None
    assert first_failure(suite("smoke"), InProcess(momentum.layer, momentum.key)) is not None
