"""How storing a weight and reading it back changes its bound."""

from __future__ import annotations

import numpy as np

from bnverify.numeric.precision import Array, Precision


def reread(value: Array, error: Array, formats: Precision) -> Array:
    """The bound of a weight after reading. Where reading rounds, a value with an error may round to the other neighbour."""
    if formats.read is None:
        return error
    u, step = formats.read.unit_roundoff, formats.read.smallest_step
    return np.where(error > 0, error + 2 * u * (np.abs(value) + error) + step, error)


def stored(value: Array, error: Array, formats: Precision) -> Array:
    """The bound of a moving statistic after storage in a format that may be narrower than the arithmetic."""
    variable = formats.variable
    if variable.bits >= formats.arithmetic.bits:
        return error
    u = variable.unit_roundoff
    reach = (np.abs(value) + error) * (1 + u)
    return np.where(reach * (1 + u) >= variable.largest, np.inf, error + u * reach + variable.smallest_step)
