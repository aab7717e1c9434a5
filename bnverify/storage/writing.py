"""Writing reports: a file is written whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bnverify.errors import BadInput
from bnverify.storage.leftovers import is_left_over, name_prefix

TEMPORARY = ".bnverify."  # the start of the name of a file that is being written


def check_writable(path: Path, option: str) -> None:
    """Raises BadInput, before any work is done, if `path` cannot be written later."""
    try:
        real = path.resolve()
        if real.is_dir():
            raise BadInput(f"{option} {path}: is a folder, not a file")
        if not real.parent.is_dir():
            raise BadInput(f"{option} {path}: the folder {path.parent} does not exist")
        needed = [real] if _is_open_elsewhere(path) else [real.parent, real] if real.exists() else [real.parent]
        if not all(os.access(place, os.W_OK) for place in needed):
            raise BadInput(f"{option} {path}: no permission to write")
        if len(os.fsencode(real.name)) > os.pathconf(real.parent, "PC_NAME_MAX"):
            raise BadInput(f"{option} {path}: the name is too long")
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(f"{option} {path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None


def check_reports(files: Mapping[str, Path]) -> None:
    """Raises BadInput if a report, given by its option, cannot be written later, or if two options name the same file."""
    seen: dict[Path, str] = {}
    for option, path in files.items():
        check_writable(path, option)
        if path.resolve() in seen:
            raise BadInput(f"{option} {path}: is also the file of {seen[path.resolve()]}", allowed="two different files")
        seen[path.resolve()] = option


def write_whole(path: Path, text: str, option: str) -> None:
    """Writes `text` to a temporary file in the same folder and then renames it: if the disk is full, the old file is kept.

    Temporary files that killed processes left in the folder are removed. A device, a pipe, or the target of /dev/stdout is
    written to directly. Raises BadInput with the system's reason.
    """
    data = text.encode("utf-8", errors="backslashreplace")
    try:
        if _is_open_elsewhere(path):
            with path.open("wb") as file:
                file.write(data)
            return
        real = path.resolve()
        _sweep(real.parent)
        handle, name = tempfile.mkstemp(prefix=name_prefix(TEMPORARY), dir=real.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, stat.S_IMODE(real.stat().st_mode) if real.exists() else 0o666 & ~_umask())
            os.replace(name, real)
        except BaseException:
            with suppress(FileNotFoundError):  # Ctrl-C can come right after the file got its name
                os.unlink(name)
            raise
    except (OSError, RuntimeError) as error:
        raise BadInput(f"{option} {path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None


class Reports:
    """The files that a command is to write, by option, and which of them are written. Raises BadInput as check_reports does."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        check_reports(files)
        self._files = dict(files)
        self._begun: dict[tuple[str, Path], _Identity] = {}
        self._written: set[tuple[str, Path]] = set()

    def write(self, option: str, text: str, path: Path | None = None) -> None:
        """Writes the file of an option, or another file in its place. Raises BadInput as write_whole does."""
        file = option, path or self._files[option]
        self._begun[file] = _identity(file[1])
        write_whole(file[1], text, option)
        self._written.add(file)

    def is_written(self, option: str, path: Path) -> bool:
        """Whether a file is written, even if Ctrl-C came before `write` returned."""
        file = option, path
        return file in self._written or (file in self._begun and self._begun[file] != _identity(path))

    def fate(self) -> str:
        """Which files are written and which are not, as text; empty without files."""
        begun = {option for option, _ in self._begun}
        files = [*self._begun, *(file for file in self._files.items() if file[0] not in begun)]
        parts = []
        for word, wanted in (("written", True), ("not written", False)):
            named = [f"{option} {path}" for option, path in files if self.is_written(option, path) is wanted]
            parts += [f"{word}: {', '.join(named)}"] if named else []
        return "; ".join(parts)


_Identity = tuple[int, int, int] | None


def _identity(path: Path) -> _Identity:
    """What is another for the file that replaces this one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _sweep(folder: Path) -> None:
    """Removes temporary files that killed processes of this machine left in a folder."""
    with suppress(OSError):
        for left in folder.glob(f"{TEMPORARY}*"):
            if is_left_over(left.name, TEMPORARY) and not left.is_dir():
                left.unlink()


def _is_open_elsewhere(path: Path) -> bool:
    """Whether the path is a device or pipe, or leads through an open descriptor, such as /dev/stdout. These are never
    replaced.
    """
    step = Path(os.path.abspath(path))
    for _ in range(40):
        if step.is_relative_to("/proc") or (step.is_relative_to("/dev") and not step.is_relative_to("/dev/shm")):
            return True
        if not step.is_symlink():
            break
        step = Path(os.path.abspath(step.parent / step.readlink()))
    return path.exists() and not path.is_file()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
