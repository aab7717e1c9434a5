"""The JSON view: all verdicts of a run, for programs. `report.schema.json` beside this file is its JSON Schema."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from bnverify.values import Check, Results, Verdict
from bnverify.verdicts.tally import by_clause

REPORT_SCHEMA = 1


def as_json(results: Results) -> str:
    """The document as text. Infinity and NaN are the texts "inf" and "nan", because JSON has no such numbers."""
    return json.dumps(document(results), indent=1, allow_nan=False) + "\n"


def document(results: Results) -> dict[str, Any]:
    """The report as plain values that follow the schema."""
    return {
        "schema": REPORT_SCHEMA,
        "environment": dataclasses.asdict(results.environment),
        "suite": results.suite,
        "seed": results.seed,
        "required_grade": results.required.label,
        "ok": results.ok,
        "complete": results.complete,
        "seconds": round(results.seconds, 3),
        "cases": {status.value: count for status, count in sorted(results.statuses.items(), key=lambda item: item[0].value)},
        "stale": list(results.stale),
        "clauses": [
            {
                "clause": tally.clause.key,
                "checks": {status.value: count for status, count in tally.statuses.items()},
                "grade": tally.grade.label if tally.grade is not None else None,
                "margin": _number(tally.margin),
                "case": tally.case,
            }
            for tally in by_clause(results.verdicts)
        ],
        "verdicts": [_verdict(verdict) for verdict in results.verdicts],
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "case": verdict.case.id,
        "status": verdict.status.value,
        "cause": verdict.cause,
        "stage": verdict.stage,
        "reason": verdict.reason,
        "checks": [_check(check) for check in verdict.checks],
    }


def _check(check: Check) -> dict[str, Any]:
    found: dict[str, Any] = {
        "clause": check.clause,
        "quantity": check.quantity,
        "step": check.step,
        "status": check.status.value,
    }
    if check.grade is not None:
        found.update(grade=check.grade.label, margin=_number(check.margin))
    if check.reason:
        found["reason"] = check.reason
    if check.mismatch is not None:
        m = check.mismatch
        found["mismatch"] = {
            "expected": m.expected,
            "actual": m.actual,
            "index": None if m.index is None else list(m.index),
            "channel": m.channel,
            "error": _number(m.error),
            "bound": _number(m.bound),
            "share": m.share,
        }
    return found


def _number(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf"
