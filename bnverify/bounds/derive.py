r"""Error bounds: how far a correct layer may be from the reference, derived from the data and the formats.

Notation. u is the unit roundoff of the arithmetic, n the number of summands, m and v the exact mean and biased variance,
rms = sqrt(m^2+v) >= mean|x|, w = v + epsilon, s = |gamma|/sqrt(w), d = x - m; a hat marks what the layer computes. Every bound
is kept for three families of algorithms at once, along a leading axis in the order of `Grade`.

**Sums.** A computed sum errs by at most g * sum|x|. Recursive summation has g = (n-1)u (Higham, *Accuracy and Stability of
Numerical Algorithms*, 2nd ed., section 4.2); that is `sequential`. Pairwise and blocked sums do better; their rounding errors
also partly cancel, and Higham & Mary (SIAM J. Sci. Comput. 41(5), 2019, theorem 2.4) show g <= lambda*sqrt(n)*u but for a
probability of 2n*exp(-lambda^2/2), here with lambda = 6; `blocked` takes the smaller of the two. Where every partial sum is
exactly representable, g = 0 for blocked sums. A running mean (Welford) divides at every step and is not exact on such data; its
roundings cancel as those of blocked sums do, so that the other two families keep that g there.

**Mean.** |m^ - m| <= g*rms + 2u|m| + t =: dm; 2u covers a division or a product with a rounded 1/n, t is the underflow
threshold (a flushed subnormal).

**Variance, two passes** (Chan, Golub & LeVeque, *The American Statistician* 37(3), 1983, section 3; Higham, problem 1.10):
mean((x-m^)^2) = v + (m^-m)^2, and each term carries two roundings of the difference, one of the square; with the sum and the
division |v^ - v| <= dm^2 + (g+5u)(v+dm^2) + 2t. Running updates of mean and squares, one value at a time (Welford) or block by
block (Chan et al.), work with differences of means that carry an error of u*rms: they err by g*sqrt(v)*rms more (Chan, Golub &
LeVeque: n*kappa*u with kappa = rms/sqrt(v), between two passes and one). `sequential` includes them.

**Variance, one pass**, E[x^2]-E[x]^2: the sum errs by (g+3u)(v+m^2), the square of the mean by 2|m|dm+dm^2+u m^2, the
difference by u v. Nothing divides these by the size of v: that is the cancellation that grade `one-pass` stands for. It sums
as `sequential`, so that the three bounds are nested.

**Inverse deviation.** epsilon and the sum are rounded: |w^-w| <= dv + u*epsilon + u(w+dv) =: dw, so 1/sqrt(w^) is off by
1/sqrt(w-dw) - 1/sqrt(w), without bound once dw >= w (then a NaN is explained, too). A two-pass variance is a sum of squares and
never negative, so that there w^ >= epsilon(1-2u) at least. A reciprocal root adds 4u of itself, which covers a division by a
root as well as a root refined by one Newton step.

**Output.** Two evaluations are legitimate: (x-m)*inv*gamma + beta, and x*(inv*gamma) + (beta - m*inv*gamma), which cancels when
|m| is large. Both use one scale, so its error ds = |gamma|*(d_inv + 2u*inv) multiplies |d| alone. Roundings: 3u s|d| and u|d|s
for the first; u s(|d|+3|m|) + u|beta| for the second; u|y| for the last sum, with |y| <= s|d|+|beta|. Together

    |y^ - y| <= |d|*slope + offset,    slope = ds + 4u s^,    offset = s^(dm + 3u(|m|+2dm)) + 2u|beta| + t(s^+3)

with s^ = s + ds; a cast to a narrower output format adds its own unit roundoff of |y| and its smallest step.

**Moving averages.** Errors e of the old value and b of the batch's carry over as momentum*e + (1-momentum)*b. Roundings, for
old*momentum + batch*(1-momentum) and for old - (old-batch)*(1-momentum), whichever is larger: each constant and each operation
gives u; 1-momentum formed in the layer's arithmetic errs by u*momentum where momentum is not representable. Storage in a
narrower format adds its unit roundoff of the new value. The bound follows the whole trace.

Second-order terms (products of two u) are below the slack of the rounded-up constants. The reference's own error is below
n*2^-53 (float64) or n*2^-64 (x87 extended) and neglected against u*sqrt(n).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bnverify.cases.case import Case, LayerConfig
from bnverify.model import Grade
from bnverify.precision import Array, Format, Precision
from bnverify.reference.formulas import KERAS
from bnverify.reference.machine import Batch, Call

LAMBDA = 6.0
GRADES = (Grade.BLOCKED, Grade.SEQUENTIAL, Grade.ONE_PASS)


@dataclass(frozen=True)
class CallBounds:
    """Bounds of one call: |y^-y| <= |x-mean|*slope + offset, and |moving^-moving| <= moving[name].

    Each array has a leading axis over GRADES, then the rank of x with size 1 on reduced axes.
    """

    slope: Array
    offset: Array
    moving: Mapping[str, Array]


def follow(case: Case, calls: Sequence[Call], formats: Precision) -> tuple[CallBounds, ...]:
    """The bounds of every call of a trace, the errors of the moving statistics carried from one to the next."""
    if not calls:
        return ()
    before = calls[0].before.weights
    moving = {name: np.zeros((3, *before[name].shape), before[name].dtype) for name in ("moving_mean", "moving_variance")}
    found = []
    with np.errstate(all="ignore"):
        for call in calls:
            moving = {name: reread(call.before.weights[name], error, formats) for name, error in moving.items()}
            used = moving
            if call.batch is not None:
                own = moments_error(call.batch, formats.arithmetic, exact_sums(case, call, formats.arithmetic))
                if call.after is not call.before:
                    moving = {
                        name: stored(
                            call.after.weights[name],
                            moving_error(call, name, error, own[name], case.config, formats.arithmetic),
                            formats,
                        )
                        for name, error in moving.items()
                    }
                if call.mean is call.batch.mean:
                    used = own
                elif call.mean is call.after.weights["moving_mean"]:
                    used = moving
            slope, offset = output_error(call, used, case.config.epsilon, formats.arithmetic, formats.output)
            found.append(CallBounds(slope, offset, moving))
    return tuple(found)


def summation_error(n: int, u: float) -> Array:
    """g of the three families: a sum of n terms errs by at most g * sum|x|."""
    recursive = (n - 1) * u
    return np.array([min(recursive, LAMBDA * n**0.5 * u), recursive, recursive])


def exact_sums(case: Case, call: Call, arithmetic: Format) -> tuple[bool, bool]:
    """Whether all sums of the two-pass and of the one-pass formulas are exact in any order.

    They are when the values are multiples of some q and every partial sum stays below 2^bits multiples of q (q^2 for
    squares). Looked for only under the fill that is made so, and read off the values, not off its name.
    """
    if case.fill != "exact" or call.batch is None:
        return False, False
    limit = 2.0**arithmetic.bits
    q, n = 0.5, call.batch.n
    x = call.x.astype(call.mean.dtype)
    deviation = np.abs(x - call.batch.mean).max()
    largest = np.abs(x).max()
    multiples = bool(np.all(x % q == 0) and np.all(call.batch.mean % q == 0) and np.all(call.batch.variance % q**2 == 0))
    two_pass = multiples and bool(n * largest / q <= limit and n * deviation**2 / q**2 <= limit)
    return two_pass, two_pass and bool(n * largest**2 / q**2 <= limit)


def moments_error(batch: Batch, arithmetic: Format, exact: tuple[bool, bool]) -> dict[str, Array]:
    """Bounds of the batch's mean and variance, by the name of the moving statistic that they go into."""
    u, tiny, largest = arithmetic.unit_roundoff, arithmetic.smallest_normal, arithmetic.largest
    g = summation_error(batch.n, u)
    if exact[0]:
        g = np.array([0.0, g[0], g[0] if exact[1] else g[2]])
    g = g.astype(batch.mean.dtype).reshape(3, *(1,) * batch.mean.ndim)
    mean, variance = np.abs(batch.mean), batch.variance
    square = mean * mean + variance
    rms = np.sqrt(square)
    of_mean = g * rms + 2 * u * mean + tiny
    of_mean[:, batch.n * rms > largest / 2] = np.inf
    shifted = variance + of_mean * of_mean
    of_variance = of_mean * of_mean + (g + 5 * u) * shifted + 2 * tiny
    of_variance[1:] += g[1:] * np.sqrt(variance) * rms
    of_variance[batch.n * shifted > largest / 2] = np.inf
    g, of = g[2], of_mean[2]
    one_pass = (g + 3 * u) * square + 2 * mean * of + of * of + u * mean * mean + u * variance + 2 * tiny
    one_pass = np.where(batch.n * square > largest / 2, np.inf, one_pass)
    of_variance[2] = np.maximum(of_variance[2], one_pass)
    return {"moving_mean": of_mean, "moving_variance": of_variance}


def inverse_error(call: Call, error: Array, epsilon: float, u: float) -> Array:
    """Bound of the inverse deviation, given the bound `error` of the variance: the formula at both ends of its interval.

    Written with the call's own formula, so that a hypothesis about it is held against a bound of its own.
    """
    dw = error + u * epsilon + u * (np.abs(call.variance + epsilon) + error)
    low = call.variance - dw
    two_pass = np.minimum(call.variance, np.maximum(low[:2], -2 * u * epsilon))
    low[:2] = np.where(np.isfinite(dw[:2]), two_pass, low[:2])
    ends = [call.formulas.inverse_deviation(np, end, epsilon) for end in (low, call.variance + dw)]
    reach = np.maximum(np.abs(ends[0] - call.inverse), np.abs(ends[1] - call.inverse))
    found = reach + 4 * u * (np.abs(call.inverse) + reach)
    return np.where(np.isnan(found) & np.isfinite(call.inverse), np.inf, found)


def output_error(
    call: Call, error: Mapping[str, Array], epsilon: float, arithmetic: Format, out: Format
) -> tuple[Array, Array]:
    """slope and offset of the bound of y, given the bounds of the mean and variance that normalize."""
    u, tiny = arithmetic.unit_roundoff, arithmetic.smallest_normal
    gamma, beta, mean, dm = np.abs(call.gamma), np.abs(call.beta), np.abs(call.mean), error["moving_mean"]
    if call.formulas.output is not KERAS.output:  # a hypothesis: gamma and beta may have changed places or gone
        gamma = beta = gamma + beta + 1.0
    inverse, d_inverse = np.abs(call.inverse), inverse_error(call, error["moving_variance"], epsilon, u)
    ds = gamma * (d_inverse + 2 * u * (inverse + d_inverse))
    s = gamma * inverse + ds
    slope = ds + 4 * u * s
    offset = s * (dm + 3 * u * (mean + 2 * dm)) + 2 * u * beta + tiny * (s + 3)
    if out.bits < arithmetic.bits:
        slope = slope + out.unit_roundoff * s
        offset = offset + out.unit_roundoff * (beta + s * dm) + out.smallest_step
    return slope, offset


def moving_error(call: Call, name: str, error: Array, batch_error: Array, config: LayerConfig, arithmetic: Format) -> Array:
    """Bound of an updated moving statistic before it is stored."""
    assert call.batch is not None
    u, momentum, epsilon = arithmetic.unit_roundoff, config.momentum, config.epsilon
    of_constant = 0.0 if float(arithmetic.round(np.array(momentum))) == momentum else u * momentum
    fresh = 1.0 - momentum
    batch = call.batch.mean if name == "moving_mean" else call.batch.variance
    old, new = call.before.weights[name], call.after.weights[name]
    a, b = np.abs(old) + error, np.abs(batch) + batch_error
    weighted = 2 * u * momentum * a + (2 * u * fresh + of_constant) * b
    corrected = (3 * u * fresh + of_constant) * (np.abs(old - batch) + error + batch_error)
    carried = momentum * error + fresh * batch_error
    formula = getattr(call.formulas, name)
    if formula is not getattr(KERAS, name):  # a hypothesis: the weights are read off its formula
        n = () if name == "moving_mean" else (call.batch.n, epsilon)
        of_old, of_new = abs(formula(np, 1.0, 0.0, momentum, *n)), abs(formula(np, 0.0, 1.0, momentum, *n))
        carried, weighted = of_old * error + of_new * batch_error, 3 * u * (of_old * a + of_new * b)
    total = carried + np.maximum(weighted, corrected) + u * np.abs(new) + arithmetic.smallest_normal
    return np.where(np.isnan(total) & np.isfinite(new), np.inf, total)


def reread(value: Array, error: Array, formats: Precision) -> Array:
    """The bound of a weight once read: where reading rounds, a value with an error may be rounded the other way."""
    if formats.read is None:
        return error
    u, step = formats.read.unit_roundoff, formats.read.smallest_step
    return np.where(error > 0, error + 2 * u * (np.abs(value) + error) + step, error)


def stored(value: Array, error: Array, formats: Precision) -> Array:
    """The bound of a moving statistic once stored, in a format that may be narrower than the arithmetic."""
    variable = formats.variable
    if variable.bits >= formats.arithmetic.bits:
        return error
    u = variable.unit_roundoff
    reach = (np.abs(value) + error) * (1 + u)
    return np.where(reach * (1 + u) >= variable.largest, np.inf, error + u * reach + variable.smallest_step)
