"""Bisecting: find the release in which a case changed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

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
    """Where a case changed: the last release with the good result, the first with the bad one, and what was tried.

    framework: the framework's packages if they caused the change, and not Keras. tried: releases and their results. untried:
    releases in between that could not be run, with the reason.
    """

    last_good: str
    first_bad: str
    changes: tuple[Change, ...]
    tried: tuple[tuple[str, str], ...]
    untried: tuple[tuple[str, str], ...]
    framework: str = ""


def releases(module: str = "keras") -> tuple[str, ...]:
    """All releases on the package index, oldest first. Raises BadInput if the index cannot be reached."""
    package = module.replace("_", "-")
    command = [sys.executable, "-m", "pip", "index", "versions", package]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    listed = re.search(r"^Available versions: (.*)$", ran.stdout, re.MULTILINE)
    if ran.returncode or not listed:
        why = " ".join(ran.stderr.split())[-200:] or "pip listed none"
        raise BadInput(f"the releases of {package} cannot be listed: {why}")
    return tuple(reversed([text.strip() for text in listed.group(1).split(",")]))


def between(known: Sequence[str], good: str, bad: str) -> tuple[str, ...]:
    """The releases from good to bad, both included, in that direction. Raises BadInput for a text that is not a release."""
    ends = []
    for option, text in (("--good", good), ("--bad", bad)):
        try:
            ends.append(Version(text))
        except InvalidVersion:
            raise BadInput(f"{option} {text!r} is not a version", allowed="a version such as 3.8.0") from None
        if text not in known:
            near = [k for k in known if k.startswith(".".join(text.split(".")[:2]))]
            hint = f"; there are {', '.join(near)}" if near else ""
            raise BadInput(f"{option} {text}: no such release{hint}")
    low, high = sorted(ends)
    inside = [text for text in known if low <= Version(text) <= high]
    if len(inside) < 2:
        raise BadInput(f"--good {good} and --bad {bad} are the same release", allowed="two of them")
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

    Each is run with its own pins. If the releases before and after the change have different pins, the older one is also run
    with the pins of the newer, because the framework may have caused the change. Raises BadInput if both ends give the same.
    """
    search = _Search(case, matrix, candidates, backend, module, seed, tell)
    good, bad = 0, len(candidates) - 1
    for end in (good, bad):
        if search.record(end) is None:
            raise BadInput(f"{module} {candidates[end]} cannot be run: {search.untried[end]}")
    records = search.records
    if not _changed(records[good], records[bad]):
        raise BadInput(
            f"the case gives the same result in {candidates[good]} and {candidates[bad]}: {_how(records[good], case)}"
        )
    while (middle := _middle(good, bad, search.untried)) is not None:
        found = search.record(middle)
        if found is not None:
            good, bad = (middle, bad) if not _changed(records[0], found) else (good, middle)
    framework = search.framework(good, bad)
    inside = tuple((candidates[i], why) for i, why in sorted(search.untried.items()) if good <= i <= bad)
    changes = difference(records[good], records[bad])
    return Found(candidates[good], candidates[bad], changes, tuple(search.tried), inside, framework)


@dataclass
class _Search:
    """The releases that were run so far, by index: the record, or why there is none."""

    case: Case
    matrix: Matrix
    candidates: Sequence[str]
    backend: str
    module: str
    seed: int
    tell: Callable[[str, str], None]
    records: dict[int, Record] = field(default_factory=dict)
    untried: dict[int, str] = field(default_factory=dict)
    tried: list[tuple[str, str]] = field(default_factory=list)

    def observe(self, row: Row) -> Record:
        """The record of the case in an environment, which is made first if it does not exist."""
        return run_row(row, make_environment(row), Job((self.case,), "1 case", self.seed, whole=False))

    def record(self, index: int) -> Record | None:
        """The record of a release, which is run at most once; None if it cannot be run."""
        if index not in self.records and index not in self.untried:
            release = self.candidates[index]
            try:
                self.records[index] = self.observe(self.matrix.release(release, self.backend, self.module))
                how = _how(self.records[index], self.case)
                self.tried.append((release, how))
            except (BadInput, NoInterpreter, WorkerLost) as error:
                self.untried[index] = how = str(error)
            self.tell(release, how)
        return self.records.get(index)

    def framework(self, good: int, bad: int) -> str:
        """The framework's packages, if the older Keras shows the same change when it runs with the pins of the newer one."""
        older, newer = (self.matrix.release(self.candidates[index], self.backend, self.module) for index in (good, bad))
        if older.packages[1:] == newer.packages[1:] or older.python != newer.python:
            return ""
        packages = " ".join(newer.packages[1:])
        mixed = replace(older, packages=(older.packages[0], *newer.packages[1:]), name=f"{older.name}-mixed")
        try:
            return packages if _changed(self.records[good], self.observe(mixed)) else ""
        except (BadInput, NoInterpreter, WorkerLost) as error:
            self.untried[good] = f"with {packages}: {error}"
            return ""


def _middle(good: int, bad: int, untried: dict[int, str]) -> int | None:
    """The release to try next: the runnable one nearest to the middle."""
    open_ = [i for i in range(good + 1, bad) if i not in untried]
    return min(open_, key=lambda i: abs(i - (good + bad) / 2), default=None)


def _changed(a: Record, b: Record) -> bool:
    """Whether the result of the case changed. Promises and the interface are not compared."""
    came_out = ([case.status for case in record.cases.values()] for record in (a, b))
    return any(change.case for change in difference(a, b)) or next(came_out) != next(came_out)


def _how(record: Record, case: Case) -> str:
    """The result of the case, as text."""
    found = record.cases[case.id]
    why = found.cause or found.reason or "; ".join(dict.fromkeys(c.reason for c in found.checks.values() if c.reason))
    return str(found.status) if found.status is Status.CONFORMS or not why else f"{found.status}: {why}"
