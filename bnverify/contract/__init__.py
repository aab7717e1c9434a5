"""The clauses of the Keras BatchNormalization contract, in the order of reports. A clause's number is its position here."""

from __future__ import annotations

from bnverify.contract import gradients, laws, masks, misuse, modes, moving, outputs, renorm, replicas, structure
from bnverify.contract import saving as files
from bnverify.contract.clause import Clause

PARTS = (structure, outputs, moving, masks, renorm, gradients, laws, modes, replicas, files, misuse)
CLAUSES: tuple[Clause, ...] = tuple(clause for part in PARTS for clause in part.CLAUSES)
OF_CALLS = tuple(clause for part in PARTS[1:-1] for clause in part.CLAUSES)  # checked in each sub-case of a case
OF_MISUSE = misuse.CLAUSES  # the only clauses that a case of misuse is checked against
_ATTRIBUTES = (
    "inference-updates-nothing",
    "frozen-updates-nothing",
    "calls-keep-parameters",
    "gradient-dtypes",
    "repeatable",
    "replicas-equal",
    "replicas-file",
    *(clause.key for clause in files.CLAUSES),
)
NUMBERS = tuple(c.key for c in OF_CALLS if c.key not in _ATTRIBUTES)  # checked against error bounds
BY_KEY = {clause.key: clause for clause in CLAUSES}
