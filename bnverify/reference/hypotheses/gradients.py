"""Hypotheses about gradients: the output is right, but a gradient is wrong."""

from __future__ import annotations

from dataclasses import replace

from bnverify.reference import formulas as f
from bnverify.reference.formulas import KERAS
from bnverify.reference.hypotheses.hypothesis import Hypothesis


def _gradient(key: str, cause: str, change):
    """Wrong gradients, made from the right ones and from what those are computed from."""
    return Hypothesis(key, cause, replace(KERAS, gradients=lambda b: change(b, *f.gradients(b))))


def _without_variance(b, dx, of_gamma, of_beta):
    own = b.gamma * b.inverse * b.dy
    return own if b.n is None else own - b.within(b.gamma * b.inverse * of_beta / b.n), of_gamma, of_beta


def _without_mean(b, dx, of_gamma, of_beta):
    return dx if b.n is None else dx + b.within(b.gamma * b.inverse * of_beta / b.n), of_gamma, of_beta


def _unbiased_gradient(b, dx, of_gamma, of_beta):
    """The share that comes through the variance is divided by n-1."""
    if b.n is None:
        return dx, of_gamma, of_beta
    constant, _, _ = _without_variance(b, dx, of_gamma, of_beta)
    return constant + (dx - constant) * (b.n / (b.n - 0.999999)), of_gamma, of_beta


def _second_of_constant_mean(b):
    """x - mean inside the variance is treated as x - constant."""
    curve = b.gamma * b.inverse * b.inverse * b.inverse * b.total(b.dy * b.d)
    return f.second_gradient(b) - b.within(curve * (b.total(b.within(b.direction)) / b.n) / b.n)


def _of_square(b, dx, of_gamma, of_beta):
    """E[x^2] - mean^2 is differentiated as E[x^2]: 2*x/n for the variance instead of 2*(x-mean)/n."""
    if b.n is None:
        return dx, of_gamma, of_beta
    curve = b.gamma * b.inverse * b.inverse * b.inverse * b.total(b.dy * b.d)
    return dx - b.within(curve * b.mean / b.n), of_gamma, of_beta


def _second_of_square(b):
    """The second derivative of the same fault: the derivative of the variance is 2*mean(x*v)."""
    v, x = b.direction, b.d + b.mean
    d = v - b.total(b.within(v)) / b.n
    inverse = -1.0 * b.inverse * b.inverse * b.inverse * b.total(b.within(x * v)) / b.n
    of_scale = b.total(b.dy * b.d)
    curve = b.gamma * b.inverse * b.inverse * b.inverse * of_scale
    curve_ = b.gamma * b.inverse * b.inverse * (3.0 * inverse * of_scale + b.inverse * b.total(b.dy * d))
    scale = b.gamma * inverse
    return scale * b.dy - b.within((scale * b.total(b.dy) + curve_ * x + curve * v) / b.n)


GRADIENTS = (
    _gradient(
        "gradient-constant-statistics",
        "the gradient treats mean and variance as constants",
        lambda b, dx, g, beta: (b.gamma * b.inverse * b.dy, g, beta),
    ),
    _gradient("gradient-constant-variance", "the gradient treats the variance as a constant", _without_variance),
    _gradient("gradient-constant-mean", "the gradient treats the mean as a constant", _without_mean),
    _gradient("gradient-unbiased", "the gradient divides by n-1, not n", _unbiased_gradient),
    _gradient("gradient-without-gamma", "dL/dx lacks gamma", lambda b, dx, g, beta: (dx / b.gamma, g, beta)),
    _gradient(
        "gradient-raw-gamma", "dL/dgamma is summed with x-mean, not with x̂", lambda b, dx, g, beta: (dx, g / b.inverse, beta)
    ),
    _gradient("gradient-beta-halved", "dL/dbeta has half of its correct value", lambda b, dx, g, beta: (dx, g, beta * 0.5)),
    _gradient("gradient-swapped", "dL/dgamma and dL/dbeta are swapped", lambda b, dx, g, beta: (dx, beta, g)),
    _gradient("gradient-negative", "dL/dx has the wrong sign", lambda b, dx, g, beta: (dx * -1.0, g, beta)),
    Hypothesis(
        "gradient-of-square",
        "the gradient treats the mean in E[x²]−mean² as a constant",
        replace(KERAS, gradients=lambda b: _of_square(b, *f.gradients(b)), second_gradient=_second_of_square),
    ),
    Hypothesis(
        "second-of-constant-mean",
        "the second derivative treats the mean inside the variance as a constant",
        replace(KERAS, second_gradient=_second_of_constant_mean),
    ),
)
