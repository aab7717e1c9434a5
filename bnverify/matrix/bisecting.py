"""Bisecting: the release in which a case changed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from packaging.version import InvalidVersion, Version

from bnverify.cases.case import Case
from bnverify.errors import BadInput
from bnverify.matrix.difference import Change, difference
from bnverify.matrix.environments import NoInterpreter, make_environment
from bnverify.matrix.records import Record
from bnverify.matrix.rows import Matrix, Row
from bnverify.matrix.runs import Job, run_row
from bnverify.targets.isolated import WorkerLost
from bnverify.values import Status


@dataclass(frozen=True)
class Found:
    """Where a case changed: the last release as the good one, the first as the bad one, and what lies between.

    framework: the framework's pins where the change came with them and not with Keras; tried: releases and how they came out;
    untried: releases between that could not be run, with the reason.
    """

    last_good: str
    first_bad: str
    changes: tuple[Change, ...]
    tried: tuple[tuple[str, str], ...]
    untried: tuple[tuple[str, str], ...]
    framework: str = ""


def releases(module: str = "keras") -> tuple[str, ...]:
    """All releases on the package index, oldest first. Raises BadInput where it cannot be reached."""
    package = module.replace("_", "-")
    command = [sys.executable, "-m", "pip", "index", "versions", package]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    listed = re.search(r"^Available versions: (.*)$", ran.stdout, re.MULTILINE)
    if ran.returncode or not listed:
        why = " ".join(ran.stderr.split())[-200:] or "pip listed none"
        raise BadInput(f"the releases of {package} cannot be listed: {why}")
    return tuple(reversed([text.strip() for text in listed.group(1).split(",")]))


def between(known: Sequence[str], good: str, bad: str) -> tuple[str, ...]:
    """The releases from good to bad, both included, in that direction. Raises BadInput for one that is no release."""
    ends = []
    for option, text in (("--good", good), ("--bad", bad)):
        try:
            ends.append(Version(text))
        except InvalidVersion:
            raise BadInput(f"{option} {text!r} is no version; allowed: as 3.8.0") from None
        if text not in known:
            near = [k for k in known if k.startswith(".".join(text.split(".")[:2]))]
            hint = f"; there are {', '.join(near)}" if near else ""
            raise BadInput(f"{option} {text}: no such release{hint}")
    low, high = sorted(ends)
    inside = [text for text in known if low <= Version(text) <= high]
    if len(inside) < 2:
        raise BadInput(f"--good {good} and --bad {bad} are the same release; allowed: two of them")
    return tuple(inside if ends[0] < ends[1] else reversed(inside))


def find_release(
    case: Case,
    matrix: Matrix,
    candidates: Sequence[str],
    backend: str,
    module: str = "keras",
    seed: int = 0,
    tell: Callable[[str, str], None] = lambda release, how: None,
) -> Found:
    """The release in which `case` changed, among `candidates` from good to bad.

    Each is run with its own pins. Where the release before the change and the one after it have different ones, the older is
    run with those of the newer, too: the change may be the framework's. Raises BadInput where the ends do not differ.
    """
    records: dict[int, Record] = {}
    untried: dict[int, str] = {}
    tried: list[tuple[str, str]] = []

    def observe(row: Row) -> Record:
        python = make_environment(row)
        return run_row(row, python, Job((case,), "1 case", seed, whole=False))

    def record(index: int) -> Record | None:
        if index not in records and index not in untried:
            try:
                row = matrix.release(candidates[index], backend, module)
                records[index] = observe(row)
                how = _how(records[index], case)
                tried.append((candidates[index], how))
            except (BadInput, NoInterpreter, WorkerLost) as error:
                untried[index] = how = str(error)
            tell(candidates[index], how)
        return records.get(index)

    good, bad = 0, len(candidates) - 1
    for end in (good, bad):
        if record(end) is None:
            raise BadInput(f"{module} {candidates[end]} cannot be run: {untried[end]}")
    if not _changed(records[good], records[bad]):
        raise BadInput(f"the case comes out alike in {candidates[good]} and {candidates[bad]}: {_how(records[good], case)}")
    while (middle := _middle(good, bad, untried)) is not None:
        found = record(middle)
        if found is not None:
            good, bad = (middle, bad) if not _changed(records[0], found) else (good, middle)
    changes = difference(records[good], records[bad])
    rows = [matrix.release(candidates[index], backend, module) for index in (good, bad)]
    framework = ""
    if rows[0].packages[1:] != rows[1].packages[1:] and rows[0].python == rows[1].python:
        mixed = replace(rows[0], packages=(rows[0].packages[0], *rows[1].packages[1:]), name=f"{rows[0].name}-mixed")
        try:
            if _changed(records[good], observe(mixed)):
                framework = " ".join(rows[1].packages[1:])
        except (BadInput, NoInterpreter, WorkerLost) as error:
            untried[good] = f"with {' '.join(rows[1].packages[1:])}: {error}"
    inside = [(candidates[i], why) for i, why in sorted(untried.items()) if good <= i <= bad]
    return Found(candidates[good], candidates[bad], changes, tuple(tried), tuple(inside), framework)


def _middle(good: int, bad: int, untried: dict[int, str]) -> int | None:
    """The release to try next: the one nearest to the middle that can be run."""
    open_ = [i for i in range(good + 1, bad) if i not in untried]
    return min(open_, key=lambda i: abs(i - (good + bad) / 2), default=None)


def _changed(a: Record, b: Record) -> bool:
    """Whether the case came out otherwise: promises and interface apart."""
    came_out = ([case.status for case in record.cases.values()] for record in (a, b))
    return any(change.case for change in difference(a, b)) or next(came_out) != next(came_out)


def _how(record: Record, case: Case) -> str:
    """How the case came out, in words."""
    found = record.cases[case.id]
    why = found.cause or found.reason or "; ".join(dict.fromkeys(c.reason for c in found.checks.values() if c.reason))
    return str(found.status) if found.status is Status.CONFORMS or not why else f"{found.status}: {why}"
