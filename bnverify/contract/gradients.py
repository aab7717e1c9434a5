"""Clauses on gradients for a random upstream gradient, and on the updates of gamma and beta that follow from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bnverify.bounds.compare import weight_numbers
from bnverify.bounds.derive import summation_error
from bnverify.bounds.running import Arithmetic
from bnverify.cases.steps import RATE, Step
from bnverify.contract.clause import KERAS_DOC, KERAS_DTYPE_DOC, PAPER, Clause
from bnverify.contract.evidence import CallEvidence, Evidence
from bnverify.contract.moving import trains
from bnverify.reference.parameters import regularization
from bnverify.values import Check

PARAMETERS = ("gamma", "beta")


def gradient_clause(c: CallEvidence) -> str:
    """The clause that covers the gradients of a call; exactly one for each differentiated call."""
    if c.call.before.frozen:
        return "gradient-frozen"
    if not c.call.normalizes_with_batch:
        return "gradient-inference"
    if c.call.correction is not None:
        return "renorm-gradient"
    return "gradient-training" if c.call.mask is None else "masked-gradient"


def _gradients(e: Evidence, clause: str) -> Iterator[Check]:
    for c in e.calls:
        if c.bounds.gradients and gradient_clause(c) == clause:
            own = () if c.call.before.frozen else PARAMETERS
            for name in ("x", *(name for name in own if name in e.case.config.weight_names())):
                yield e.gradient(clause, name, c)


def check_training_gradients(e: Evidence) -> Iterator[Check]:
    return _gradients(e, "gradient-training")


def check_inference_gradients(e: Evidence) -> Iterator[Check]:
    return _gradients(e, "gradient-inference")


def check_frozen_gradients(e: Evidence) -> Iterator[Check]:
    for c in e.calls:
        if c.bounds.gradients and c.call.before.frozen and "gradients" not in c.observed.hidden:
            listed = [name for name in PARAMETERS if name in c.observed.gradients]
            yield e.texts("gradient-frozen", "of weights", c.call.index, expected="none", actual=", ".join(listed) or "none")
    yield from _gradients(e, "gradient-frozen")


def check_masked(e: Evidence) -> Iterator[Check]:
    return _gradients(e, "masked-gradient")


def check_renorm(e: Evidence) -> Iterator[Check]:
    return _gradients(e, "renorm-gradient")


def check_second(e: Evidence) -> Iterator[Check]:
    return (e.gradient("gradient-second", "second", c) for c in e.calls if "second" in c.bounds.gradients)


def check_dtypes(e: Evidence) -> Iterator[Check]:
    for c in e.calls:
        for name, actual in c.observed.dtypes.items() if c.bounds.gradients else ():
            expected = e.formats.variable.name if name in PARAMETERS else e.case.dtype
            yield e.texts("gradient-dtypes", f"dL/d{name}", c.call.index, expected=expected, actual=actual)


def check_losses(e: Evidence) -> Iterator[Check]:
    kinds = {name: getattr(e.case.config, f"{name}_regularizer") for name in PARAMETERS}
    kinds = {name: kind for name, kind in kinds.items() if kind and name in e.case.config.weight_names()}
    for c in e.calls if kinds else ():
        if "losses" in c.observed.hidden:
            continue
        if not e.expectation.formulas.penalizes(e.frozen_after(c.call.index)):
            found = ", ".join(f"{loss:g}" for loss in c.observed.losses) or "none"
            yield e.texts("regularizer-losses", "losses", c.call.index, expected="none", actual=found)
            continue
        how = Arithmetic(e.formats.variable, summation_error(c.call.mean.size + 1, e.formats.variable.unit_roundoff))
        errors = {name: c.bounds.moving.get(name, 0.0) for name in kinds}
        terms = [
            regularization(how, kind, how.number(c.call.after.weights[name], errors[name])) for name, kind in kinds.items()
        ]
        total = sum(terms[1:], terms[0])
        numbers = weight_numbers(total.value.reshape(1), total.error.reshape(3, 1), e.formats.variable)
        actual = np.array([float(sum(c.observed.losses))])
        yield e.numbers("regularizer-losses", "losses", c.call.index, actual, numbers, None)


def check_optimizer(e: Evidence) -> Iterator[Check]:
    for c in e.calls:
        if c.call.step is Step.OPTIMIZE and trains(c):
            for name in PARAMETERS:
                if name in c.bounds.moving:
                    yield e.moving("optimizer-step", name, c)


CLAUSES = (
    Clause(
        "gradient-training",
        "gradients in training",
        "training=True: mean and variance are functions of x; with s = gamma/sqrt(var+epsilon), x̂ = (x-mean)/sqrt(var+epsilon) "
        "dL/dx = s*(dL/dy - mean(dL/dy) - x̂*mean(dL/dy*x̂)), dL/dgamma = sum(dL/dy*x̂), dL/dbeta = sum(dL/dy)",
        PAPER + ", section 3",
        check_training_gradients,
    ),
    Clause(
        "gradient-inference",
        "gradients in inference",
        "training=False: mean and variance are constants: dL/dx = s*dL/dy, dL/dgamma = sum(dL/dy*x̂), dL/dbeta = sum(dL/dy)",
        PAPER + ", algorithm 2",
        check_inference_gradients,
    ),
    Clause(
        "gradient-frozen",
        "gradients when frozen",
        "trainable=False: dL/dx is the same as with training=False; gamma and beta have no gradients",
        KERAS_DOC + ", “About setting layer.trainable = False”",
        check_frozen_gradients,
    ),
    Clause(
        "masked-gradient",
        "gradients in training under a mask",
        "the formulas of training, with mean and variance as functions of the unmasked positions only; masked positions have "
        "dL/dx = s*dL/dy",
        KERAS_DOC + ", `mask`",
        check_masked,
    ),
    Clause(
        "renorm-gradient",
        "gradients in training with renorm",
        "the formulas of training with gamma*r in place of gamma; r and d are constants; dL/dgamma = sum(dL/dy*(x̂*r + d))",
        "Ioffe 2017, Batch Renormalization, https://arxiv.org/abs/1702.03275, section 3",
        check_renorm,
    ),
    Clause(
        "gradient-second",
        "second derivatives in training",
        "the derivative of dL/dx in a random direction equals the derivative of the closed form of dL/dx",
        PAPER + ", section 3, differentiated",
        check_second,
    ),
    Clause(
        "gradient-dtypes",
        "dtypes of gradients",
        "dL/dx has the dtype of x; the gradients of gamma and beta have the dtype of the variables",
        KERAS_DTYPE_DOC,
        check_dtypes,
    ),
    Clause(
        "regularizer-losses",
        "losses of regularizers",
        "the sum of layer.losses is the sum of gamma_regularizer and beta_regularizer; a frozen layer has no losses",
        KERAS_DOC + "; https://keras.io/api/layers/regularizers/; frozen: Layer.losses covers trainable_weights only, "
        "https://github.com/keras-team/keras/blob/v3.15.1/keras/src/layers/layer.py",
        check_losses,
    ),
    Clause(
        "optimizer-step",
        "a step of gradient descent",
        f"after a step of SGD({RATE}) gamma is constraint(gamma - {RATE}*dL/dgamma); the same formula holds for beta",
        KERAS_DOC + "; https://keras.io/api/layers/constraints/",
        check_optimizer,
    ),
)
