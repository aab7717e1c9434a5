"""Leftovers: names that say which process of which machine makes a file or folder, so that others know when it is left over."""

from __future__ import annotations

import os
import platform


def name_prefix(start: str) -> str:
    """The beginning of a temporary name of this process; a random part is to follow."""
    return f"{start}{platform.node()}-{os.getpid()}-"


def is_left_over(name: str, start: str) -> bool:
    """Whether a temporary name that begins with `start` is of a process of this machine that has ended.

    False for other names, for names of another machine, and if the process number is in use again.
    """
    host, _, process = name.removeprefix(start).rpartition("-")[0].rpartition("-")
    ours = name.startswith(start) and host == platform.node() and process.isascii() and process.isdigit()
    return ours and not _is_running(int(process))


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
