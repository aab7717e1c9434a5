"""The first step: why a case cannot be tested on this target, if it cannot."""

from __future__ import annotations

from bnverify.cases import askable, data
from bnverify.cases.case import Case
from bnverify.contract import eras
from bnverify.targets import function_targets
from bnverify.values import Environment


def not_here(case: Case, environment: Environment) -> str:
    """Why the case cannot be tested in this environment; empty if it can. Raises BadInput if the Keras is too old."""
    missing = data.missing_data() if case.network else {}
    of_the_era = eras.environment_lacks(eras.era_of(environment), environment)
    return askable.missing_need(case, {**of_the_era, **function_targets.function_lacks(environment.target), **missing})
