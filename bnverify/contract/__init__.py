"""The clauses of the Keras BatchNormalization contract, in the order of reports. Their position is their number."""

from __future__ import annotations

from bnverify.contract import laws, moving, outputs, structure
from bnverify.contract.clause import Clause

CLAUSES: tuple[Clause, ...] = (*structure.CLAUSES, *outputs.CLAUSES, *moving.CLAUSES, *laws.CLAUSES)
BY_KEY = {clause.key: clause for clause in CLAUSES}
