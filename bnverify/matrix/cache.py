"""The cache: what lies in its folder, what that takes on the disk, and removing it. Only what bnverify made is removed."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from bnverify.errors import BadInput
from bnverify.matrix.environments import MAKING, REMOVING, cache_folder, set_aside
from bnverify.matrix.in_use import MADE, use_of
from bnverify.storage.leftovers import is_left_over
from bnverify.storage.writing import TEMPORARY

ENVIRONMENT = re.compile(r"[0-9a-f]{20}")
ROW = re.compile(r"[0-9a-f]{24}\.json")
ROW_START = b'{\n "schema": '  # the first bytes of a record
FOLDERS = ("environments", "records")


class EntryKind(Enum):
    """What an entry of the cache is, in the words of the report."""

    ENVIRONMENT = "environments"
    ROW = "finished rows"
    UNFINISHED = "unfinished"  # an environment or a record that is being made or removed, or was when its process was killed
    OTHER = "other"


@dataclass(frozen=True)
class Entry:
    """One file or folder of the cache. used: who may be using it, or empty. dead: why nothing can use it, or empty."""

    path: Path
    kind: EntryKind
    used: str = ""
    dead: str = ""


@dataclass
class Space:
    """Blocks on the disk. A file with several names counts once.

    files: by device and inode, the bytes, the names in all, and the names that were counted.
    """

    files: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)

    def add(self, path: Path) -> None:
        """Counts a file, or a folder with all that is in it. What cannot be read is left out."""
        for found in _all_below(path):
            size, names = found.st_blocks * 512, 1 if stat.S_ISDIR(found.st_mode) else found.st_nlink
            _, _, before = self.files.get((found.st_dev, found.st_ino), (0, 0, 0))
            self.files[found.st_dev, found.st_ino] = size, names, before + 1

    @property
    def size(self) -> int:
        return sum(size for size, _, _ in self.files.values())

    @property
    def shared(self) -> int:
        """The part that also has names that were not counted, such as those in uv's cache; removing does not free it."""
        return sum(size for size, names, counted in self.files.values() if counted < names)


@dataclass
class Cleared:
    """What was removed and the space that it took; by path, what was left because it is used, and what cannot be removed."""

    removed: list[Entry] = field(default_factory=list)
    space: Space = field(default_factory=Space)
    left: dict[Path, str] = field(default_factory=dict)
    failed: dict[Path, str] = field(default_factory=dict)


def entries() -> list[Entry]:
    """What lies in the cache folder. Raises BadInput if it cannot be read; a folder that does not exist is empty."""
    home = cache_folder()
    found: list[Entry] = []
    for path in _listed(home):
        if path.name in FOLDERS and path.is_dir() and not path.is_symlink():
            read = _in_environments if path.name == FOLDERS[0] else _in_records
            found += [read(inside) for inside in _listed(path)]
        else:
            found.append(Entry(path, EntryKind.OTHER))
    return found


def empty_cache(folders: Collection[str] = FOLDERS) -> Cleared:
    """Removes what bnverify made in these folders of the cache, unless a process may be using it."""
    done = Cleared()
    for entry in entries():
        if entry.kind is EntryKind.OTHER or entry.path.parent.name not in folders:
            continue
        space = Space()
        space.add(entry.path)
        if entry.used:
            done.left[entry.path] = entry.used
        elif problem := _remove(entry):
            done.failed[entry.path] = problem
        else:
            done.removed.append(entry)
            done.space.files |= space.files
    return done


def _in_environments(path: Path) -> Entry:
    if path.is_symlink() or not path.is_dir():
        return Entry(path, EntryKind.OTHER)
    for start in (MAKING, REMOVING):
        if path.name.startswith(start):
            return _unfinished(path, start)
    if not (ENVIRONMENT.fullmatch(path.name) and (path / MADE).is_file() and (path / "pyvenv.cfg").is_file()):
        return Entry(path, EntryKind.OTHER)
    if not (path / "bin" / "python").exists():
        return Entry(path, EntryKind.ENVIRONMENT, dead="its interpreter was removed")
    with use_of(path) as user:
        return Entry(path, EntryKind.ENVIRONMENT, used=user)


def _in_records(path: Path) -> Entry:
    if path.is_symlink() or not path.is_file():
        return Entry(path, EntryKind.OTHER)
    if path.name.startswith(TEMPORARY):
        return _unfinished(path, TEMPORARY)
    return Entry(path, EntryKind.ROW if ROW.fullmatch(path.name) and _start_of(path) == ROW_START else EntryKind.OTHER)


def _unfinished(path: Path, start: str) -> Entry:
    if is_left_over(path.name, start):
        return Entry(path, EntryKind.UNFINISHED, dead="its process was killed")
    return Entry(path, EntryKind.UNFINISHED, used="a process may still be writing it")


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(len(ROW_START))
    except OSError:
        return b""


def _remove(entry: Entry) -> str:
    """Removes an entry. Returns why it was left, or an empty text."""
    path = entry.path
    try:
        if entry.kind is EntryKind.ENVIRONMENT:
            with use_of(path) as user:
                if user and not entry.dead:
                    return user
                path = set_aside(path)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:  # another process removed it
        return ""
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadInput(f"the cache folder {folder}: {error.strerror or error}") from None


def _all_below(path: Path) -> Iterator[os.stat_result]:
    """A file or folder and all that is in it; links are not followed."""
    names: Iterable[str] = [os.fspath(path)]
    if path.is_dir() and not path.is_symlink():
        names = (name for folder, inner, files in os.walk(path) for name in (folder, *_paths(folder, inner, files)))
    for name in names:
        try:
            yield os.lstat(name)
        except OSError:
            continue


def _paths(folder: str, inner: list[str], files: list[str]) -> list[str]:
    """The files of a folder, and those of its folders that are links; the other folders are walked."""
    links = [name for name in inner if os.path.islink(os.path.join(folder, name))]
    return [os.path.join(folder, name) for name in (*links, *files)]
