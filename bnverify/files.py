"""Writing reports: a file is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bnverify.errors import BadInput


def check_writable(path: Path, option: str) -> None:
    """Raises BadInput before any work is done where `path` cannot be written later."""
    if path.is_dir():
        raise BadInput(f"{option} {path}: is a folder, not a file")
    if not path.parent.is_dir():
        raise BadInput(f"{option} {path}: the folder {path.parent} does not exist")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise BadInput(f"{option} {path}: no permission to write")


def write_whole(path: Path, text: str, option: str) -> None:
    """Writes `text` beside `path` and then puts it in its place, so that a full disk leaves what was there.

    A device or pipe, as /dev/stdout, is written to directly. Raises BadInput with the system's reason.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise BadInput(f"{option} {path}: not written: {error.strerror or error}") from None


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
