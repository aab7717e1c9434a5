"""Changes between environments as text, in the form of release notes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from bnverify.matrix.bisecting import Found
from bnverify.matrix.difference import Change, Kind
from bnverify.matrix.records import Record
from bnverify.values import Environment
from bnverify.views.text import plural

CHANGE_WORDS = {True: "regression", False: "improvement", None: "change"}


def change_line(change: Change) -> str:
    """A change on one line: whether it is a regression, the change, and a case that shows it."""
    example = f" ({change.case})" if change.case else ""
    return f"{CHANGE_WORDS[change.worse]}: {change.text}{example}"


def diff_lines(old: Record, new: Record, changes: Sequence[Change]) -> list[str]:
    """All changes under headings, with the environments first."""
    lines = [f"{old.name} → {new.name}", _versions(old.environment, new.environment), ""]
    for kind in Kind:
        members = [change for change in changes if change.kind is kind]
        if members:
            lines.append(kind.value)
            lines += [f"  {_mark(change)} {change.text}" + _shown_by(new, change) for change in members]
            lines.append("")
    both = len(set(old.cases) & set(new.cases))
    counts = {word: sum(CHANGE_WORDS[change.worse] == word for change in changes) for word in CHANGE_WORDS.values()}
    told = ", ".join(plural(n, word) for word, n in counts.items() if n)
    lines.append(f"{told or 'no change'} in {plural(both, 'case')} that both records have")
    return lines


def _mark(change: Change) -> str:
    return {True: "-", False: "+", None: "·"}[change.worse]


def _shown_by(new: Record, change: Change) -> str:
    if not change.case:
        return ""
    command = ["run"] if new.environment.target == new.name else ["matrix", new.name]
    return f"\n      {shlex.join(['bnverify', *command, '--case', change.case])}"


def _versions(old: Environment, new: Environment) -> str:
    """The versions that differ."""
    pairs = [
        (old.module, old.keras, new.module, new.keras),
        (old.backend, old.backend_version, new.backend, new.backend_version),
        ("NumPy", old.numpy, "NumPy", new.numpy),
        ("Python", old.python, "Python", new.python),
    ]
    parts = [
        f"{name} {was} → {now}" if name == other else f"{name} {was} → {other} {now}"
        for name, was, other, now in pairs
        if (name, was) != (other, now)
    ]
    return ", ".join(parts) or "the same versions"


def found_lines(found: Found, module: str, case: str) -> list[str]:
    """Where a case changed, and how."""
    who = f"{found.framework}, also under {module} {found.last_good}" if found.framework else f"{module} {found.first_bad}"
    lines = [f"the result of {case} changed with {who}; the last release with the old result is {module} {found.last_good}"]
    lines += [f"  {change_line(change)}" for change in found.changes]
    lines += [f"  not tried: {release}: {why}" for release, why in found.untried]
    return lines
