"""bnverify: a Keras-compatible reference verifier for batch normalization.

`import bnverify` imports neither Keras nor a backend. The functions below import what they need on their first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bnverify.errors import BadInput

if TYPE_CHECKING:
    from bnverify.api.checking import NotConforming, Report, assert_conforms, check_layer
    from bnverify.api.explaining import Explained, Traced, explain, explain_across, trace
    from bnverify.testing.harness import parametrize_conformance

_HOME = {
    "NotConforming": "bnverify.api.checking",
    "Report": "bnverify.api.checking",
    "assert_conforms": "bnverify.api.checking",
    "check_layer": "bnverify.api.checking",
    "parametrize_conformance": "bnverify.testing.harness",
    "Explained": "bnverify.api.explaining",
    "Traced": "bnverify.api.explaining",
    "explain": "bnverify.api.explaining",
    "explain_across": "bnverify.api.explaining",
    "trace": "bnverify.api.explaining",
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
