"""bnverify: a Keras-compatible reference verifier for batch normalization.

Importing it imports neither Keras nor a backend; the functions below import what they need when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bnverify.errors import BadInput

if TYPE_CHECKING:
    from bnverify.api import NotConforming, Report, assert_conforms, check_layer
    from bnverify.harness import parametrize_conformance

_HOME = {
    "NotConforming": "bnverify.api",
    "Report": "bnverify.api",
    "assert_conforms": "bnverify.api",
    "check_layer": "bnverify.api",
    "parametrize_conformance": "bnverify.harness",
}

__all__ = ["BadInput", "NotConforming", "Report", "assert_conforms", "check_layer", "parametrize_conformance"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bnverify' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
