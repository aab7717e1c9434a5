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
    from bnverify.own_numbers import Explained, Traced, explain, explain_across, trace

_HOME = {
    "NotConforming": "bnverify.api",
    "Report": "bnverify.api",
    "assert_conforms": "bnverify.api",
    "check_layer": "bnverify.api",
    "parametrize_conformance": "bnverify.harness",
    "Explained": "bnverify.own_numbers",
    "Traced": "bnverify.own_numbers",
    "explain": "bnverify.own_numbers",
    "explain_across": "bnverify.own_numbers",
    "trace": "bnverify.own_numbers",
}

__all__ = [
    "BadInput",
    "Explained",
    "NotConforming",
    "Report",
    "Traced",
    "assert_conforms",
    "check_layer",
    "explain",
    "explain_across",
    "parametrize_conformance",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bnverify' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
