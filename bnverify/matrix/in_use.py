"""Environments in use: a process holds a lock on each environment that it uses. The lock ends with the process.

fcntl is imported late, because Windows does not have it; there only the matrix does not work.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MADE = "made.json"  # the last file that is written into an environment; the lock is on it

_HELD: dict[tuple[int, int], int] = {}  # descriptors by device and inode, open until this process ends


def hold(home: Path) -> bool:
    """Marks an environment as used until this process ends. Returns False if the environment is gone."""
    import fcntl

    try:
        descriptor = os.open(home / MADE, os.O_RDONLY)
    except OSError:
        return False
    with suppress(OSError):  # a file system without locks: there `bnverify cache clear` removes no environment
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    held = os.fstat(descriptor)
    key = held.st_dev, held.st_ino
    if key in _HELD:
        os.close(descriptor)
    else:
        _HELD[key] = descriptor
    try:
        now = os.stat(home / MADE)
    except OSError:
        return False
    return key == (now.st_dev, now.st_ino)  # it may have been removed while this process waited for the lock


@contextmanager
def use_of(home: Path) -> Iterator[str]:
    """Who may be using an environment, as text; empty if nobody is. Then nobody can begin to inside the block."""
    import fcntl

    try:
        descriptor = os.open(home / MADE, os.O_RDWR)
    except OSError as error:
        yield error.strerror or str(error)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        user = ""
    except OSError as error:
        user = "a running process uses it" if isinstance(error, BlockingIOError) else error.strerror or str(error)
    try:
        yield user
    finally:
        os.close(descriptor)
