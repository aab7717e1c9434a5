"""Eras: what a range of Keras versions documents. A difference between versions is a record here, not a branch in code."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from bnverify.cases.case import Case
from bnverify.errors import BadInput

OLDEST = "3.0.0"


@dataclass(frozen=True)
class Era:
    """What the releases in `keras` document.

    several_axes: whether `axis` may be a list, and if not, why.
    """

    name: str
    keras: str
    source: str
    several_axes: bool
    no_several_axes: str = ""


ERAS = (
    Era(
        "Keras 3",
        ">=3.0",
        "keras/src/layers/normalization/batch_normalization.py: self.axis = int(axis)",
        several_axes=False,
        no_several_axes="Keras 3 takes one integer as axis; tf.keras 2 took a list",
    ),
)


def era_of(keras_version: str) -> Era:
    """The era of an installed Keras. Raises BadInput for one older than the oldest supported."""
    try:
        version = Version(keras_version)
    except InvalidVersion:
        raise BadInput(f"Keras gives {keras_version!r} as its version; allowed: a version as 3.15.1") from None
    for era in ERAS:
        if SpecifierSet(era.keras, prereleases=True).contains(version):
            return era
    raise BadInput(f"Keras {keras_version} is too old: bnverify verifies Keras {OLDEST} and newer; pip install -U keras")


def unsupported(case: Case, era: Era) -> str:
    """Why `era` cannot express `case`; empty where it can."""
    if isinstance(case.config.axis, tuple) and not era.several_axes:
        return era.no_several_axes
    return ""
