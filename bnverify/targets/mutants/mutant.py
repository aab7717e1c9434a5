"""What a mutant is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """A key, the fault as text, the group of faults, and the layer class."""

    key: str
    fault: str
    group: str
    layer: Callable[..., Any]
