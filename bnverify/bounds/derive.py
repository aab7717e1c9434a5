r"""Error bounds: how far a correct layer may be from the reference, derived from the data and the formats.

Notation. u is the unit roundoff of the arithmetic, n the number of summands, m and v the exact mean and biased variance, rms =
sqrt(m^2+v) >= mean|x|, w = v + epsilon, s = |gamma|/sqrt(w), d = x - m; m^ is the value of m that the layer computes. Every
bound has a leading axis over three families of algorithms, in the order of `Grade`.

**Sums.** The error of a computed sum is at most g * sum|x|. Recursive summation has g = (n-1)u (Higham, *Accuracy and Stability
of Numerical Algorithms*, 2nd ed., section 4.2); that is `sequential`. Pairwise and blocked sums have smaller errors, which also
partly cancel: Higham & Mary (SIAM J. Sci. Comput. 41(5), 2019, theorem 2.4) show g <= lambda*sqrt(n)*u, except with probability
2n*exp(-lambda^2/2). bnverify uses lambda = 6, and `blocked` takes the smaller of the two g. If every partial sum is exactly
representable, g = 0 for blocked sums. A running mean (Welford) divides at every step, so it is not exact even then; its
roundings cancel like those of blocked sums, so the other two families keep the g of blocked sums for such data.

**Mean.** |m^ - m| <= g*rms + 2u|m| + t =: dm; 2u covers a division by n or a product with a rounded 1/n. t is the underflow
threshold, for layers that flush subnormal numbers to 0.

**Variance, two passes** (Chan, Golub & LeVeque, *The American Statistician* 37(3), 1983, section 3; Higham, problem 1.10):
mean((x-m^)^2) = v + (m^-m)^2, and each term has two roundings of the difference and one of the square. With the sum and the
division, |v^ - v| <= dm^2 + (g+5u)(v+dm^2) + 2t. Running updates of mean and squares, one value at a time (Welford) or block by
block (Chan et al.), use differences of means, which have an error of u*rms. This adds g*sqrt(v)*rms to the bound (Chan, Golub &
LeVeque: n*kappa*u with kappa = rms/sqrt(v)), more than two passes and less than one. `sequential` includes them.

**Variance, one pass**, E[x^2]-E[x]^2: the error of the sum is (g+3u)(v+m^2), of the squared mean 2|m|dm+dm^2+u m^2, of the
difference u v. None of these shrinks with v: this cancellation is what grade `one-pass` allows. It uses the g of `sequential`,
so that each grade's bound contains the bound of the grade before.

**Inverse deviation.** epsilon and the sum are rounded: |w^-w| <= dv + u*epsilon + u(w+dv) =: dw, so the error of 1/sqrt(w^) is
at most 1/sqrt(w-dw) - 1/sqrt(w). If dw >= w, there is no bound, and even NaN is explained. A two-pass variance is a sum of
squares and never negative, so for two passes w^ >= epsilon(1-2u). The reciprocal root adds 4u of its value, which covers both a
division by a root and a root refined by one Newton step.

**Output.** Two ways to evaluate y are correct: (x-m)*inv*gamma + beta, and x*(inv*gamma) + (beta - m*inv*gamma). The second
cancels when |m| is large. Both use one scale, so its error ds = |gamma|*(d_inv + 2u*inv) multiplies |d| alone. Roundings: 3u
s|d| and u|d|s for the first; u s(|d|+3|m|) + u|beta| for the second; u|y| for the last sum, with |y| <= s|d|+|beta|. Together

    |y^ - y| <= |d|*slope + offset,    slope = ds + 4u s^,    offset = s^(dm + 3u(|m|+2dm)) + 2u|beta| + t(s^+3)

with s^ = s + ds; a cast to a narrower output format adds its own unit roundoff of |y| and its smallest step.

**Masks.** Sums include only the unmasked values. A layer that replaces masked values by 0 adds no error, so n is the number of
unmasked values.

**Batch renormalization and gradients** get their bounds from running error analysis (`running`): the formula is evaluated with
numbers that carry error bounds, starting from the bounds above of mean, variance and inverse deviation.

**Moving averages.** An error e of the old value and an error b of the batch's value give momentum*e + (1-momentum)*b. Two
formulas are correct: old*momentum + batch*(1-momentum) and old - (old-batch)*(1-momentum). The bound covers the one with more
rounding: each constant and each operation adds u, and 1-momentum computed in the layer's arithmetic adds u*momentum if momentum
is not representable. Storage in a narrower format adds the unit roundoff of that format. The bound is carried through all steps
of the trace.

Second-order terms (products of two u) are below the slack of the rounded-up constants. The error of the reference is below
n*2^-53 (float64) or n*2^-64 (x87 extended). It is neglected, because u*sqrt(n) is much larger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bnverify.bounds.gradients import Gradient, gradient_numbers
from bnverify.bounds.running import Arithmetic, Running
from bnverify.bounds.stored import reread, stored
from bnverify.cases.case import Case
from bnverify.cases.layer_config import LayerConfig
from bnverify.cases.steps import RATE, Step
from bnverify.numeric.precision import Array, Format, Precision
from bnverify.reference.formulas import KERAS
from bnverify.reference.machine import Batch, Call
from bnverify.reference.parameters import constrained

LAMBDA = 6.0


@dataclass(frozen=True)
class CallBounds:
    """Bounds of one call: |y^-y| <= |x-mean|*slope + offset, and |moving^-moving| <= moving[name].

    Each array has a leading axis over GRADES, followed by the axes of x, with size 1 on reduced axes. `moving` has every weight
    that the call may have changed; `gradients` is empty unless the call was differentiated.
    """

    slope: Array
    offset: Array
    moving: Mapping[str, Array]
    gradients: Mapping[str, Gradient] = field(default_factory=dict)


def follow(case: Case, calls: Sequence[Call], formats: Precision) -> tuple[CallBounds, ...]:
    """The bounds of every call of a trace. Errors of the moving statistics are carried from each call to the next."""
    if not calls:
        return ()
    before = calls[0].before.weights
    moving = {name: np.zeros((3, *before[name].shape), before[name].dtype) for name in case.config.statistics}
    found = []
    with np.errstate(all="ignore"):
        for call in calls:
            moving = {name: reread(call.before.weights[name], error, formats) for name, error in moving.items()}
            bounds = call_bounds(case, call, moving, formats)
            moving = {name: bounds.moving[name] for name in case.config.statistics}
            found.append(bounds)
    return tuple(found)


def call_bounds(case: Case, call: Call, moving: Mapping[str, Array], formats: Precision) -> CallBounds:
    """The bounds of one call, from the bounds of the moving statistics before it."""
    arithmetic, used, after = formats.arithmetic, moving, dict(moving)
    per_channel = call.x.size // call.mean.size  # masked positions have gradients too
    how = Arithmetic(arithmetic, summation_error(max(1, per_channel), arithmetic.unit_roundoff))
    parts: tuple[Running, Running, Running] | None = None
    if call.batch is not None:
        own = moments_error(call.batch, arithmetic, exact_sums(case, call, arithmetic))
        stddev = how.number(call.batch.variance, own["moving_variance"])
        if case.config.renorm:
            stddev = call.formulas.deviation(how, stddev, case.config.epsilon)
        if call.updates:
            new = {**own, "moving_stddev": stddev.error, "renorm_mean": own["moving_mean"], "renorm_stddev": stddev.error}
            after = averages_error(case, call, moving, new, stddev, formats)
        if call.normalizes_with_batch:
            used = own
            parts = correction(call, moving, own["moving_mean"], stddev, case.config, how) if call.correction else None
        elif call.mean is call.after.weights["moving_mean"]:
            used = after
    inverse = inverse_error(call, used["moving_variance"], case.config.epsilon, arithmetic.unit_roundoff)
    slope, offset = output_error(call, used["moving_mean"], inverse, arithmetic, formats.output, parts)
    if call.backward is None:
        return CallBounds(slope, offset, after)
    gradients = gradient_numbers(call, how, used["moving_mean"], inverse, parts, formats, case.dtype)
    if call.step is Step.OPTIMIZE and call.updates:
        for name in {"gamma", "beta"} & set(call.before.weights):
            kind = getattr(case.config, f"{name}_constraint")
            moved = how.number(call.before.weights[name]) - RATE * how.number(gradients[name].value, gradients[name].bound)
            after[name] = stored(call.after.weights[name], constrained(how, kind, moved).error, formats)
    return CallBounds(slope, offset, after, gradients)


def correction(
    call: Call, moving: Mapping[str, Array], of_mean: Array, stddev: Running, config: LayerConfig, how: Arithmetic
) -> tuple[Running, Running, Running]:
    """gamma*r, r and d of batch renormalization, each with its error bound, accumulated operation by operation."""
    assert call.batch is not None
    old = {name: how.number(call.before.weights[name], moving[name]) for name in ("renorm_mean", "renorm_stddev")}
    mean = how.number(call.batch.mean, of_mean)
    clipping = dict(config.renorm_clipping)
    r, d = call.formulas.renorm_correction(
        how, mean, stddev, old["renorm_mean"], old["renorm_stddev"], config.epsilon, clipping
    )
    return r * how.number(call.own_gamma), r, d


def averages_error(
    case: Case, call: Call, moving: Mapping[str, Array], new: Mapping[str, Array], stddev: Running, formats: Precision
) -> dict[str, Array]:
    """Bounds of all moving statistics after a training call, as stored."""
    found = {
        name: moving_error(call, name, moving[name], new[name], stddev.value, case.config, formats.arithmetic)
        for name in moving
        if name != "moving_variance" or not case.config.renorm
    }
    if case.config.renorm:
        value = call.formulas.moving_mean(np, call.before.weights["moving_stddev"], stddev.value, case.config.momentum)
        moved = stddev.how.number(value, found["moving_stddev"])
        found["moving_variance"] = call.formulas.renorm_variance(stddev.how, moved, case.config.epsilon).error
    return {name: stored(call.after.weights[name], found[name], formats) for name in moving}


def summation_error(n: int, u: float) -> Array:
    """g of the three families: the error of a sum of n terms is at most g * sum|x|."""
    recursive = (n - 1) * u
    return np.array([min(recursive, LAMBDA * n**0.5 * u), recursive, recursive])


def exact_sums(case: Case, call: Call, arithmetic: Format) -> tuple[bool, bool]:
    """Whether all sums of the two-pass and of the one-pass formulas are exact in any order.

    This holds if the values are multiples of some q and every partial sum stays below 2^bits multiples of q (q^2 for squares).
    Only the fill that is made this way is searched for such a q; the decision rests on the values.
    """
    if case.fill != "exact" or call.batch is None or call.mask is not None or not call.x.size:
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
    """Bounds of the batch's mean and variance, keyed by the moving statistic that each is averaged into."""
    u, tiny, largest = arithmetic.unit_roundoff, arithmetic.smallest_normal, arithmetic.largest
    g = summation_error(batch.most, u)
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
    """Bound of 1/sqrt(variance + epsilon): its change if the variance is `error` smaller or larger.

    It uses the formula of the call, so that a hypothesis with another formula gets a bound that fits it.
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
    call: Call,
    of_mean: Array,
    of_inverse: Array,
    arithmetic: Format,
    out: Format,
    parts: tuple[Running, Running, Running] | None = None,
) -> tuple[Array, Array]:
    """slope and offset of the bound of y, from the bounds of the mean and inverse deviation that normalize.

    parts: with renorm, gamma*r, r and d with their errors, which add to slope and offset.
    """
    u, tiny = arithmetic.unit_roundoff, arithmetic.smallest_normal
    gamma, beta, mean, dm = np.abs(call.gamma), np.abs(call.beta), np.abs(call.mean), of_mean
    if call.formulas.output is not KERAS.output:  # a hypothesis may swap or omit gamma and beta
        gamma = beta = gamma + beta + 1.0
    inverse, d_inverse = np.abs(call.inverse), of_inverse
    ds = gamma * (d_inverse + 2 * u * (inverse + d_inverse))
    if parts is not None:
        of_gamma, d = parts[0].error, parts[2]
        ds = ds + of_gamma * (inverse + d_inverse)
    s = gamma * inverse + ds
    boundless = np.isinf(inverse)  # 0/0 from a variance that is 0 in exact arithmetic only
    slope = ds + 4 * u * s
    offset = s * (dm + 3 * u * (mean + 2 * dm)) + 2 * u * beta + tiny * (s + 3)
    if parts is not None:
        of_shift = (d * d.how.number(call.own_gamma)).error
        offset = offset + of_shift + 2 * u * (np.abs(d.value) * gamma + beta)
    if out.bits < arithmetic.bits:
        slope = slope + out.unit_roundoff * s
        offset = offset + out.unit_roundoff * (beta + s * dm) + out.smallest_step
    return np.where(boundless, 0.0, slope), np.where(boundless, np.inf, offset)


def moving_error(
    call: Call, name: str, error: Array, batch_error: Array, stddev: Array, config: LayerConfig, arithmetic: Format
) -> Array:
    """Bound of an updated statistic before it is stored. stddev: the batch's standard deviation, which renorm averages."""
    assert call.batch is not None
    renorm = name.startswith("renorm")
    u, momentum = arithmetic.unit_roundoff, config.renorm_momentum if renorm else config.momentum
    of_constant = 0.0 if float(arithmetic.round(np.array(momentum))) == momentum else u * momentum
    fresh = 1.0 - momentum
    batch = {"mean": call.batch.mean, "variance": call.batch.variance, "stddev": stddev}[name.split("_")[1]]
    old, new = call.before.weights[name], call.after.weights[name]
    a, b = np.abs(old) + error, np.abs(batch) + batch_error
    weighted = 2 * u * momentum * a + (2 * u * fresh + of_constant) * b
    corrected = (3 * u * fresh + of_constant) * (np.abs(old - batch) + error + batch_error)
    carried = momentum * error + fresh * batch_error
    formula, further = {
        "moving_variance": (call.formulas.moving_variance, (call.batch.n, config.epsilon)),
        "renorm_mean": (call.formulas.renorm_average, (config.renorm_momentum,)),
        "renorm_stddev": (call.formulas.renorm_average, (config.renorm_momentum,)),
    }.get(name, (call.formulas.moving_mean, ()))
    if formula not in (KERAS.moving_mean, KERAS.moving_variance, KERAS.renorm_average):  # a hypothesis may have other weights
        ends = (formula(np, 1.0, 0.0, config.momentum, *further), formula(np, 0.0, 1.0, config.momentum, *further))
        of_old, of_new = map(np.abs, ends)
        carried, weighted = of_old * error + of_new * batch_error, 3 * u * (of_old * a + of_new * b)
    total = carried + np.maximum(weighted, corrected) + u * np.abs(new) + arithmetic.smallest_normal
    return np.where(np.isnan(total) & np.isfinite(new), np.inf, total)
