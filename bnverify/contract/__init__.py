"""The clauses of the Keras BatchNormalization contract, in the order of reports. Their position is their number."""

from __future__ import annotations

from bnverify.contract import gradients, laws, masks, misuse, moving, outputs, renorm, structure
from bnverify.contract.clause import Clause

CLAUSES: tuple[Clause, ...] = tuple(
    clause for part in (structure, outputs, moving, masks, renorm, gradients, laws, misuse) for clause in part.CLAUSES
)
_ATTRIBUTES = ("inference-updates-nothing", "frozen-updates-nothing", "calls-keep-parameters", "gradient-dtypes")
OF_CALLS = tuple(
    c for c in CLAUSES if c not in (*structure.CLAUSES, *misuse.CLAUSES)
)  # what each part of a case is held against
OF_MISUSE = misuse.CLAUSES  # what a case of misuse is held against, and nothing else
NUMBERS = tuple(c.key for c in OF_CALLS if c.key not in _ATTRIBUTES)  # held against bounds
BY_KEY = {clause.key: clause for clause in CLAUSES}
