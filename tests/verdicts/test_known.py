"""Known deviations: they excuse what they record and nothing else, and fail the run when they are gone."""

from __future__ import annotations

import dataclasses
import re

import pytest

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.ids import parse
from bnverify.cases.suites import matches
from bnverify.reference.hypotheses import HYPOTHESES
from bnverify.running.run import verify_target
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Check, Environment, Grade, Mismatch, Observation, Results, Status, Verdict
from bnverify.verdicts import known
from bnverify.verdicts.excuse import excuse_verdict
from bnverify.verdicts.known import Deviation
from bnverify.verdicts.stale import stale

SMALL = "shape:2x2/steps:TI"
OTHER = "shape:3x2/steps:TI"
KERAS = Environment(
    "keras.layers.BatchNormalization", "keras", "3.15.1", "tensorflow", "2.21.0", "CPU", True, "2.4.6", "3.11.7", ""
)
FLOAT64 = Deviation(
    clauses=("moving-mean", "moving-variance"),
    why="the statistics are kept in half",
    link="https://example.org/1",
    evidence="shape:2x2/policy:float64/steps:T",
    case="policy:float64",
    where="known.toml:1",
)


class Patchy:
    """The reference under Keras' name, with a fault in the cases whose id holds one of some words."""

    def __init__(self, *words: str, key: str = "epsilon-outside", environment: Environment = KERAS) -> None:
        self.environment = environment
        self._words = words
        self._right = ReferenceTarget()
        self._wrong = ReferenceTarget(next(h.formulas for h in HYPOTHESES if h.key == key))

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        return (self._wrong if any(word in case.id for word in self._words) else self._right).observe(case, inputs)


def verdict(id_: str, *checks: tuple[str, Status]) -> Verdict:
    made = tuple(Check(clause, "q", 0, status, Grade.NONE, 2.0) for clause, status in checks)
    return Verdict(parse(id_), made, max((check.status for check in made), key=list(Status).index))


def statuses(found: Verdict) -> list[Status]:
    return [check.status for check in found.checks]


def ids(results: Results) -> list[str]:
    return [found.case.id for found in results.verdicts]


def without_shipped(monkeypatch: pytest.MonkeyPatch, *shipped: Deviation) -> None:
    monkeypatch.setattr(known, "shipped", lambda: shipped)


def test_a_recorded_failure_is_known() -> None:
    """A failing check that a deviation selects becomes a known deviation with the recorded reason."""
    found = excuse_verdict(
        verdict("shape:4x3/policy:float64/steps:T", ("moving-mean", Status.WRONG), ("weights", Status.CONFORMS)), [FLOAT64]
    )
    assert statuses(found) == [Status.KNOWN, Status.CONFORMS]
    assert (found.status, found.checks[0].reason, found.checks[1].reason) == (
        Status.KNOWN,
        "the statistics are kept in half",
        "",
    )


@pytest.mark.parametrize("status", [Status.WRONG, Status.UNSTABLE, Status.CRASHED])
def test_every_kind_of_failure_can_be_known(status: Status) -> None:
    """Wrong, unstable and crashed checks can all be recorded."""
    assert (
        excuse_verdict(verdict("shape:4x3/policy:float64/steps:T", ("moving-mean", status)), [FLOAT64]).status is Status.KNOWN
    )


def test_another_clause_still_fails() -> None:
    """A failure of a clause that is not recorded still fails the case."""
    found = excuse_verdict(
        verdict("shape:4x3/policy:float64/steps:T", ("moving-mean", Status.WRONG), ("returns", Status.CRASHED)), [FLOAT64]
    )
    assert statuses(found) == [Status.KNOWN, Status.CRASHED]
    assert found.status is Status.CRASHED


def test_another_case_still_fails() -> None:
    """A failure in a case that the record does not select still fails."""
    failing = verdict("shape:4x3/steps:T", ("moving-mean", Status.WRONG))
    assert excuse_verdict(failing, [FLOAT64]) == failing


def test_what_conforms_is_left_alone() -> None:
    """Only failures are excused: what conforms, or was not tested, is not called known."""
    conforming = verdict(
        "shape:4x3/policy:float64/steps:T", ("moving-mean", Status.CONFORMS), ("moving-variance", Status.INCONCLUSIVE)
    )
    assert excuse_verdict(conforming, [FLOAT64]) == conforming


@pytest.mark.parametrize(
    ("selection", "id_", "selects"),
    [
        ("", "shape:4x3/steps:T", True),
        ("policy:float64", "shape:4x3/policy:float64/steps:T", True),
        ("policy:float64", "shape:4x3/policy:mixed_float16/steps:T", False),
        ("policy:float32", "shape:4x3/steps:T", True),  # a default is selected by its name
        ("policy:float64/dtype:int8|int32", "shape:4x3/policy:float64/dtype:int32/steps:T", True),
        ("policy:float64/dtype:int8|int32", "shape:4x3/policy:float64/dtype:int64/steps:T", False),
        ("policy:float64/dtype:int8|int32", "shape:4x3/dtype:int32/steps:T", False),
        ("dtype:int8", "shape:4x3/dtype:uint8/steps:T", False),  # values are compared whole
        ("shape:4x3", "shape:4x3x2/steps:T", False),
        ("axis:-1", "shape:4x3/steps:T", True),
        ("axis:1", "shape:4x3/axis:-1/steps:T", False),
        ("steps:T", "shape:4x3/steps:TI", False),
        ("steps:T|TI", "shape:4x3/steps:TI", True),
    ],
)
def test_what_a_record_selects(selection: str, id_: str, selects: bool) -> None:
    """A record selects cases by whole values of fields, defaults included, with | between alternatives."""
    assert matches(parse(id_), selection) is selects


@pytest.mark.parametrize(
    ("keras", "version", "applies"),
    [
        ("", "3.15.1", True),
        (">=3.6", "3.6.0", True),
        (">=3.6", "3.5.0", False),
        (">=3.6", "3.10.0", True),
        ("<3.6", "3.5.2", True),
        ("<3.6", "3.6.0", False),
        (">=3.0,<3.4", "3.3.3", True),
        (">=3.0,<3.4", "3.4.0", False),
        (">=3.6", "3.16.0.dev2026010100", True),
        (">=3.6", "3.16.0rc1", True),
        ("==3.15.*", "3.15.1", True),
        ("!=3.15.1", "3.15.1", False),
    ],
)
def test_version_range(keras: str, version: str, applies: bool) -> None:
    """A record applies to the versions of its range, nightly and pre-releases included."""
    environment = dataclasses.replace(KERAS, keras=version)
    assert dataclasses.replace(FLOAT64, keras=keras).applies(environment) is applies


@pytest.mark.parametrize(("backend", "applies"), [("", True), ("tensorflow", True), ("jax", False)])
def test_backend(backend: str, applies: bool) -> None:
    """A record applies to its backend alone, or to all where it names none."""
    assert dataclasses.replace(FLOAT64, backend=backend).applies(KERAS) is applies


@pytest.mark.parametrize(
    ("changes", "ok"),
    [
        ({}, True),
        ({"backend": "tensorflow", "keras": ">=3.15"}, True),
        ({"backend": "jax"}, False),
        ({"keras": "<3.15"}, False),
    ],
)
def test_a_record_of_another_environment_excuses_nothing(
    changes: dict[str, str], ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is only excused by records that apply to its backend and version."""
    without_shipped(monkeypatch)
    recorded = Deviation(("training-output", "inference-output"), "why", "link", SMALL, **changes)
    results = verify_target(Patchy("shape"), [parse(SMALL)], label="", recorded=[recorded])
    assert results.ok is ok
    assert results.verdicts[0].status is (Status.KNOWN if ok else Status.WRONG)
    assert results.stale == ()


def test_a_record_that_nothing_shows_is_stale() -> None:
    """A recorded clause that conforms in the evidence and in every other case is reported with the record's place."""
    evidence = verdict(FLOAT64.evidence, ("moving-mean", Status.CONFORMS), ("moving-variance", Status.WRONG))
    another = verdict("shape:4x3/policy:float64/steps:T", ("moving-mean", Status.CONFORMS))
    (line,) = stale([FLOAT64], [excuse_verdict(found, [FLOAT64]) for found in (evidence, another)])
    assert line.startswith("known deviation at known.toml:1 ")
    assert "no longer occurs" in line
    assert "moving-mean" in line


def test_a_record_that_something_shows_is_not_stale() -> None:
    """One case that shows the deviation is enough; other cases of its selection may conform."""
    shown = verdict("shape:4x3/policy:float64/steps:T", ("moving-mean", Status.WRONG), ("moving-variance", Status.WRONG))
    conforming = verdict("shape:5x3/policy:float64/steps:T", ("moving-mean", Status.CONFORMS))
    assert stale([FLOAT64], [excuse_verdict(found, [FLOAT64]) for found in (shown, conforming)]) == ()


def test_keras_must_still_show_its_deviations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deviation that ships and no longer occurs in Keras' own layer fails the run of a whole suite."""
    without_shipped(monkeypatch, FLOAT64)
    results = verify_target(Patchy(), [parse(SMALL)], label="", with_evidence=True)
    assert ids(results) == [SMALL, FLOAT64.evidence]
    assert [re.findall(r"moving-\w+", line) for line in results.stale] == [["moving-mean"], ["moving-variance"]]
    assert results.ok is False


def test_other_layers_need_not_show_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ships excuses another layer, too, but that layer may be better: nothing is stale, no evidence is run."""
    without_shipped(monkeypatch, FLOAT64)
    mine = dataclasses.replace(KERAS, target="mypackage:Mine")
    results = verify_target(Patchy(environment=mine), [parse(SMALL)], label="", with_evidence=True)
    assert (ids(results), results.stale, results.ok) == ([SMALL], (), True)
    half = Patchy("float64", key="never-updated", environment=mine)
    results = verify_target(half, [parse(FLOAT64.evidence)], label="", with_evidence=True)
    assert (results.verdicts[0].status, results.ok) == (Status.KNOWN, True)


def test_own_records_are_strict_for_every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user records for a layer must occur in it: else the run of a whole suite fails."""
    without_shipped(monkeypatch)
    mine = dataclasses.replace(KERAS, target="mypackage:Mine")
    results = verify_target(Patchy(environment=mine), [parse(SMALL)], label="", recorded=[FLOAT64], with_evidence=True)
    assert ids(results) == [SMALL, FLOAT64.evidence]
    assert (len(results.stale), results.ok) == (2, False)


def test_evidence_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence that is a case of the suite anyway is not run twice."""
    without_shipped(monkeypatch)
    results = verify_target(Patchy(), [parse(FLOAT64.evidence), parse(SMALL)], label="", recorded=[FLOAT64], with_evidence=True)
    assert ids(results) == [FLOAT64.evidence, SMALL]


def test_evidence_of_another_environment_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that does not apply brings no evidence, and cannot go stale."""
    without_shipped(monkeypatch)
    other = dataclasses.replace(FLOAT64, backend="jax")
    results = verify_target(Patchy(), [parse(SMALL)], label="", recorded=[other], with_evidence=True)
    assert (ids(results), results.stale, results.ok) == ([SMALL], (), True)


def test_evidence_must_show_the_deviation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record whose own evidence conforms makes the run fail (README), even where another case still deviates."""
    without_shipped(monkeypatch)
    recorded = Deviation(("training-output",), "why", "link", SMALL, where="mine:1")
    results = verify_target(Patchy("3x2"), [parse("shape:3x2/steps:T")], label="", recorded=[recorded], with_evidence=True)
    assert [found.status for found in results.verdicts] == [Status.KNOWN, Status.CONFORMS]
    assert results.stale != ()
    assert results.ok is False


def test_evidence_must_test_the_clause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of a clause that its evidence does not test cannot be confirmed: it is stale, not silently kept."""
    without_shipped(monkeypatch)
    recorded = Deviation(("frozen-output",), "why", "link", SMALL, case="shape:2x2", where="mine:1")
    results = verify_target(Patchy(), [parse(OTHER)], label="", recorded=[recorded], with_evidence=True)
    assert ids(results) == [OTHER, SMALL]
    assert results.stale != ()
    assert results.ok is False


def test_a_single_case_proves_nothing_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """A case that is run alone and conforms by chance does not make a record stale: its evidence was not run."""
    without_shipped(monkeypatch)
    recorded = Deviation(("training-output", "inference-output"), "why", "link", SMALL)
    results = verify_target(Patchy("2x2"), [parse(OTHER)], label="", recorded=[recorded], with_evidence=False)
    assert [found.status for found in results.verdicts] == [Status.CONFORMS]
    assert (results.stale, results.ok) == ((), True)


def test_an_incomplete_run_proves_nothing_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ended at its first failure says nothing about records whose cases it did not reach."""
    without_shipped(monkeypatch, FLOAT64)
    chosen = [parse("shape:4x3/policy:float64/steps:T"), parse(OTHER), parse(SMALL)]
    results = verify_target(Patchy("3x2"), chosen, label="", with_evidence=True, fail_fast=True)
    assert (ids(results), results.complete, results.stale) == ([chosen[0].id, OTHER], False, ())


FAULTS = {hypothesis.key: hypothesis.formulas for hypothesis in HYPOTHESES}


def instead(**fields: str) -> Deviation:
    """A record for the moving variance and what follows from it."""
    clauses = ("moving-variance", "inference-output")
    return Deviation(clauses=clauses, why="because", link="", evidence="shape:12x3/steps:TI", **fields)


@pytest.mark.parametrize(
    ("fault", "excused"), [("unbiased-moving", True), ("moving-deviation", False), ("momentum-squared", False)]
)
def test_an_exact_record_excuses_only_its_own_numbers(fault: str, excused: bool) -> None:
    """computes = "unbiased-moving" excuses a layer that does just that, and no other that fails in the same clauses."""
    results = verify_target(
        ReferenceTarget(FAULTS[fault]),
        [parse("shape:12x3/steps:TI")],
        label="",
        recorded=[instead(computes="unbiased-moving")],
    )
    (verdict,) = results.verdicts
    assert (verdict.status is Status.KNOWN) is excused
    assert ("moving-variance" in {check.clause for check in verdict.failures}) is not excused


def test_several_hypotheses_at_once() -> None:
    """Two faults joined by + are one record, which excuses neither fault alone."""
    both = dataclasses.replace(FAULTS["unbiased-moving"], inverse_deviation=FAULTS["epsilon-twice"].inverse_deviation)
    record = dataclasses.replace(instead(computes="unbiased-moving+epsilon-twice"), clauses=("inference-output",))
    for formulas, excused in ((both, True), (FAULTS["epsilon-twice"], False)):
        case = parse("shape:12x3/weights:initial/momentum:0.0/fill:tiny/steps:TI")
        (verdict,) = verify_target(ReferenceTarget(formulas), [case], label="", recorded=[record]).verdicts
        assert ("inference-output" in {check.clause for check in verdict.failures}) is not excused


def test_rank_selects_cases() -> None:
    """`rank:4` is the shape's, beside the fields of ids."""
    assert matches(parse("shape:2x3x4x5/axis:1/steps:T"), "rank:4/axis:1|3")
    assert not matches(parse("shape:2x3x4/axis:1/steps:T"), "rank:4/axis:1|3")


def test_a_record_of_an_exception_excuses_only_that() -> None:
    """`raises` excuses an exception with one of its texts, and no other."""
    record = Deviation(("returns",), why="because", link="", evidence=SMALL, raises="no axis|no shape")
    for text, excused in (("ValueError: no shape", True), ("ValueError: no time", False)):
        mismatch = Mismatch(expected="no exception", actual=text)
        check = Check("returns", "step 0", None, Status.CRASHED, mismatch=mismatch, reason=text)
        found = excuse_verdict(Verdict(parse(SMALL), (check,), Status.CRASHED), [record])
        assert (found.status is Status.KNOWN) is excused
