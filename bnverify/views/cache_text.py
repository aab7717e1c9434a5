"""The cache as text: what it holds, and what was removed from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bnverify.errors import printable
from bnverify.matrix.cache import Cleared, Entry, EntryKind, Space
from bnverify.views.text import plural

SINGULAR = {
    EntryKind.ENVIRONMENT: "environment",
    EntryKind.ROW: "finished row",
    EntryKind.UNFINISHED: "unfinished item",
    EntryKind.OTHER: "other item",
}


def info_lines(folder: Path, found: Sequence[Entry]) -> list[str]:
    """The folder and a line for each kind: the count, the size, and who uses what and what is dead."""
    place = printable(str(folder))
    if not found:
        return [f"the cache {place} is empty"]
    lines = [place]
    for kind in EntryKind:
        own = [entry for entry in found if entry.kind is kind]
        space = Space()
        for entry in own:
            space.add(entry.path)
        parts = [f"{kind.value:<13}  {len(own):>4}  {size_text(space.size):>8}", "; ".join(_notes(kind, own, space))]
        lines.append("  ".join(filter(None, parts)))
    return lines


def _notes(kind: EntryKind, own: Sequence[Entry], space: Space) -> list[str]:
    notes = [f"{count}: {reason}" for reason, count in Counter(entry.used for entry in own if entry.used).items()]
    notes += [f"{count} dead: {reason}" for reason, count in Counter(entry.dead for entry in own if entry.dead).items()]
    if kind is EntryKind.ENVIRONMENT and space.shared:
        notes.append(f"{size_text(space.shared)} of it also in uv's cache")
    return notes if kind is not EntryKind.OTHER or not own else ["not made by bnverify, never removed"]


def cleared_lines(folder: Path, done: Cleared) -> list[str]:
    """What was removed and the space that is free now, and what was left, with the reason."""
    place = printable(str(folder))
    lines = []
    if done.removed:
        freed, shared = size_text(done.space.size - done.space.shared), done.space.shared
        more = f" ({size_text(shared)} more are still in uv's cache; `uv cache clean` frees them)" if shared else ""
        counts = Counter(entry.kind for entry in done.removed)
        removed = ", ".join(plural(counts[kind], SINGULAR[kind]) for kind in EntryKind if counts[kind])
        lines.append(f"removed {removed} from {place}; {freed} freed{more}")
    elif not done.left and not done.failed:
        lines.append(f"nothing to remove in {place}")
    lines += [f"left {printable(str(path))}: {reason}" for path, reason in done.left.items()]
    return lines + [f"not removed: {printable(str(path))}: {reason}" for path, reason in done.failed.items()]


def size_text(size: int) -> str:
    """A number of bytes with a unit."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    units = ["kB", "MB", "GB", "TB"]
    value /= 1000
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        del units[0]
    return f"{value:.1f} {units[0]}" if value < 99.95 else f"{value:.0f} {units[0]}"
