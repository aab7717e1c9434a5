"""The reference as a target: what a perfect layer returns, correctly rounded. It needs no Keras."""

from __future__ import annotations

import platform

import numpy as np

from bnverify.cases.case import Case, Step
from bnverify.cases.fills import Inputs
from bnverify.model import Environment, Failure, Observation, StepObservation, WeightInfo
from bnverify.precision import FORMATS, Array, precision
from bnverify.reference.formulas import KERAS, Formulas
from bnverify.reference.machine import Call, initial_state, trace
from bnverify.reference.parameters import regularization

ARGUMENTS = ("axis", "momentum", "epsilon", "center", "scale", "renorm", "renorm_momentum")


class ReferenceTarget:
    """Observes what the reference expects; with other formulas, what a perfect layer with that fault returns."""

    def __init__(self, formulas: Formulas = KERAS) -> None:
        self._formulas = formulas
        self.environment = Environment(
            target="bnverify's reference",
            module="keras",
            keras="3.15.0",
            backend="reference",
            backend_version=np.__version__,
            device="CPU",
            float64=True,
            numpy=np.__version__,
            python=platform.python_version(),
            cpu="",
        )

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        """Every step of the case, each number rounded once."""
        if case.network != "none":
            return Observation(failure=Failure("constructor", "NotHere", "the reference is a layer, and no network"))
        formats = precision(case.policy, case.dtype)
        names = case.config.weight_names()
        parameters = tuple(name for name in names if name in ("gamma", "beta"))

        def stored(weights: dict[str, Array]) -> dict[str, Array]:
            return {name: formats.variable.round(weights[name].reshape(case.channels_shape)) for name in names}

        state = initial_state(case, inputs)
        calls = {call.index: call for call in trace(case, inputs, self._formulas)}
        frozen, steps = not case.config.trainable, []
        for index, step in enumerate(case.steps):
            frozen = frozen if step.is_call or step is Step.SAVE else step is Step.FREEZE
            call = calls.get(index)
            state = call.after if call else state
            listed = () if frozen else parameters
            weights = stored(dict(state.weights))
            steps.append(_observed(case, call, weights, listed) if call else StepObservation(weights, listed))
        config = {name: getattr(case.config, name) for name in ARGUMENTS}
        infos = tuple(WeightInfo(name, case.channels_shape, formats.variable.name, name in parameters) for name in names)
        initial = stored(dict(initial_state(case, inputs).weights))
        return Observation(infos, initial, config, tuple(steps))


def _observed(case: Case, call: Call, weights: dict[str, Array], listed: tuple[str, ...]) -> StepObservation:
    """What a call shows: each number rounded to what it is stored in."""
    formats = precision(case.policy, case.dtype)
    gradients, dtypes = {}, {}
    for name, value in call.gradients().items():
        own = formats.variable if name in ("gamma", "beta") else FORMATS[case.dtype]
        entry = own if name in ("gamma", "beta") else formats.autocast or own
        if name in ("x", "second", *listed):
            shape = case.channels_shape if name in ("gamma", "beta") else case.shape
            gradients[name], dtypes[name] = own.round(entry.round(value)).reshape(shape), own.name
    kinds = {name: getattr(case.config, f"{name}_regularizer") for name in ("gamma", "beta")}
    losses = [float(regularization(np, kind, weights[name])) for name, kind in kinds.items() if kind and name in weights]
    y = formats.output.round(call.y())
    return StepObservation(weights, listed, y, formats.output.name, gradients, dtypes, tuple(losses))
