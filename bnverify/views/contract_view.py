"""The view of the contract: each clause, its source, and the number of its checks in a suite."""

from __future__ import annotations

from collections.abc import Iterator

from bnverify.cases.suites import suite
from bnverify.contract import CLAUSES
from bnverify.contract.eras import ERAS
from bnverify.running.run import run
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.verdicts.tally import by_clause
from bnverify.views.text import number, plural


def contract_lines(name: str) -> Iterator[str]:
    """The lines of the view. To count the checks, the reference itself is tested, which needs no Keras."""
    results = run(suite(name), ReferenceTarget())
    if not results.complete:
        raise KeyboardInterrupt
    tallies = by_clause(results.verdicts)
    yield f"{plural(len(CLAUSES), 'clause')}; checks in the {name} suite of {plural(len(results.verdicts), 'case')}"
    for tally in tallies:
        clause = tally.clause
        yield ""
        checks = f"{number(tally.checks)} checks" if tally.checks else "checks of real layers only"
        yield f"{tally.number:>2}  {clause.title}  [{clause.key}]  {checks}"
        yield f"    {clause.rule}"
        yield f"    Source: {clause.source}"
        for era in ERAS:
            if clause.key in era.rules:
                yield f"    {era.name} (Keras {era.keras}): {era.rules[clause.key]}"
