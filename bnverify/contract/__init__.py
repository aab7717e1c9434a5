"""The clauses of the Keras BatchNormalization contract, in the order of reports. Their position is their number."""

from __future__ import annotations

from bnverify.contract import files, gradients, laws, masks, moving, outputs, renorm, structure
from bnverify.contract.clause import Clause

CLAUSES: tuple[Clause, ...] = tuple(
    clause for part in (structure, outputs, moving, masks, renorm, gradients, laws, files) for clause in part.CLAUSES
)
_ATTRIBUTES = ("inference-updates-nothing", "frozen-updates-nothing", "calls-keep-parameters", "gradient-dtypes")
_OF_FILES = tuple(clause.key for clause in files.CLAUSES)
OF_CALLS = tuple(c for c in CLAUSES if c not in structure.CLAUSES)  # what each part of a case is held against
NUMBERS = tuple(
    c.key for c in CLAUSES if c not in structure.CLAUSES and c.key not in (*_ATTRIBUTES, *_OF_FILES)
)  # held against bounds
BY_KEY = {clause.key: clause for clause in CLAUSES}
