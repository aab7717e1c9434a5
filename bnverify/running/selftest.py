"""Test the verifier: every mutant must be caught; the reference and every equivalent mutant must pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bnverify.cases.case import Case
from bnverify.cases.expression import compile_expression
from bnverify.cases.suites import suite as cases_of
from bnverify.contract.eras import era_of
from bnverify.errors import BadInput
from bnverify.targets.loading import open_target
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.targets.target import InProcess, Target
from bnverify.values import Status, Verdict
from bnverify.verdicts.diagnose import name_causes
from bnverify.verdicts.pipeline import verify


@dataclass(frozen=True)
class MutantOutcome:
    """One layer of the catalogue: its first failing verdict, or None if all cases pass."""

    key: str
    fault: str
    group: str
    caught: Verdict | None


@dataclass(frozen=True)
class Score:
    """Mutants must be caught, the others must pass."""

    mutants: tuple[MutantOutcome, ...]
    equivalent: tuple[MutantOutcome, ...]

    @property
    def survivors(self) -> tuple[MutantOutcome, ...]:
        return tuple(outcome for outcome in self.mutants if outcome.caught is None)

    @property
    def false_alarms(self) -> tuple[MutantOutcome, ...]:
        return tuple(outcome for outcome in self.equivalent if outcome.caught is not None)

    @property
    def ok(self) -> bool:
        return not self.survivors and not self.false_alarms


def selftest_score(select: str, suite: str, start: Callable[..., Callable[..., None]]) -> Score:
    """Runs the suite on each mutant until a case fails, and the whole suite on layers that must pass.

    A case in which Keras' own layer does not conform shows nothing about a mutant, and is left out.
    """
    cases = cases_of(suite)
    real = open_target()
    era_of(real.environment)
    from bnverify.targets.mutants import EQUIVALENT, MUTANTS

    fits = compile_expression(select) if select else lambda key: True
    mutants = [mutant for mutant in MUTANTS if fits(mutant.key)]
    equivalent = [mutant for mutant in EQUIVALENT if fits(mutant.key)]
    if not mutants and not equivalent:
        raise BadInput(f"-k {select!r} selects no mutant; keys are {', '.join(m.key for m in (*MUTANTS, *EQUIVALENT))}")
    step = start(f"{suite} suite on mutants", len(mutants) + len(equivalent) + 2)
    honest = tuple(case for case in cases if verify(case, real, 0).verdict.status is Status.CONFORMS)
    step()
    reference = MutantOutcome(
        "reference", "the reference itself", "equivalent", first_failure(honest, ReferenceTarget(), step, True)
    )
    caught = [
        MutantOutcome(m.key, m.fault, m.group, first_failure(likely_first(honest, m.group), InProcess(m.layer, m.key), step))
        for m in (*mutants, *equivalent)
    ]
    return Score(tuple(caught[: len(mutants)]), (reference, *caught[len(mutants) :]))


_ANY = ("mode", "file", "network", "misuse", "law", "trainable")
CATCHING = {  # by group, the fields of ids that show its faults
    "files": ("file",),
    "replicas": ("mode",),
    "networks": ("network",),
    "misuse": ("misuse",),
    "modes": _ANY,
    "determinism": _ANY,
}


def likely_first(cases: tuple[Case, ...], group: str) -> tuple[Case, ...]:
    """The cases, ordered so that faults of a group are caught early: cases with the group's fields come first."""
    fields = [f"/{name}:" for name in CATCHING.get(group, ())]
    return tuple(sorted(cases, key=lambda case: not any(field in case.id for field in fields)))


def first_failure(
    cases: tuple[Case, ...], target: Target, step: Callable[..., None] = lambda: None, partial: bool = False
) -> Verdict | None:
    """The first failing verdict, with its cause; None if all cases pass.

    An untested case also fails, unless the target is `partial`, such as the reference, which is never in a network.
    """
    step()
    for case in cases:
        one = verify(case, target, 0)
        if one.verdict.status.fails:
            return name_causes([one], target.observe)[0]
        if one.verdict.status is Status.UNSUPPORTED and not partial:
            return one.verdict
    return None
