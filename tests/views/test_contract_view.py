"""The view of the contract: every clause with its rule, its source, other eras' rules, and the checks of the named suite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bnverify.cases.ids import parse
from bnverify.contract import CLAUSES
from bnverify.contract.eras import ERAS
from bnverify.views import contract_view
from bnverify.views.contract_view import contract_lines


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A suite of one case under any name; the names that were asked for."""
    names: list[str] = []

    def suite(name: str) -> tuple[object, ...]:
        names.append(name)
        return (parse("shape:4x3/steps:T2I"),)

    monkeypatch.setattr(contract_view, "suite", suite)
    return names


def test_a_clause_as_a_whole(named: list[str]) -> None:
    """Number, title, key and checks; the rule; the source; and the rule of each era that differs."""
    lines = list(contract_lines("regressions"))
    assert named == ["regressions"]
    assert lines[0] == f"{len(CLAUSES)} clauses; checks in the regressions suite of 1 case"
    at = next(i for i, line in enumerate(lines) if "[weight-dtypes]" in line)
    number = [clause.key for clause in CLAUSES].index("weight-dtypes") + 1
    assert lines[at - 1 : at + 4] == [
        "",
        f"{number:>2}  weight dtypes  [weight-dtypes]  4 checks",
        "    every weight has the policy's variable dtype: float32 under mixed policies, float16 under float16",
        "    Source: keras.dtype_policies.DTypePolicy, https://keras.io/api/mixed_precision/policy/",
        "    Keras 2 in TensorFlow 2 (Keras >=2.4,<3): every weight has the policy's variable dtype; "
        "under 16-bit policies it is float32",
    ]


def test_every_clause_and_every_other_rule_is_shown(named: list[str]) -> None:
    """A clause that the reference has no check of says so."""
    lines = list(contract_lines("smoke"))
    assert [line.split("[")[1].split("]")[0] for line in lines if line.startswith((" ", *"123456789")) and "  [" in line] == [
        clause.key for clause in CLAUSES
    ]
    rules = [rule for era in ERAS for rule in era.rules.values()]
    assert sum(any(line.endswith(rule) for rule in rules) and "(Keras " in line for line in lines) == len(rules)
    assert any(line.endswith("[file-config]  checks of real layers only") for line in lines)
    assert all(clause.source and clause.rule for clause in CLAUSES)


def test_an_interrupted_count_is_an_interrupt(named: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a count is not shown."""
    whole = contract_view.run
    monkeypatch.setattr(contract_view, "run", lambda *given: replace(whole(*given), complete=False))
    with pytest.raises(KeyboardInterrupt):
        list(contract_lines("smoke"))
