"""The reference as a target: it returns what a perfect layer returns, correctly rounded. It does not need Keras."""

from __future__ import annotations

import platform
from dataclasses import replace

import numpy as np

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs
from bnverify.cases.misuse import MISUSES
from bnverify.cases.steps import Step
from bnverify.numeric.precision import FORMATS, Array, precision
from bnverify.reference.formulas import KERAS, Formulas
from bnverify.reference.machine import Call, initial_state, trace_case
from bnverify.reference.parameters import regularization
from bnverify.reference.sub_cases import sub_cases_of
from bnverify.values import Environment, Failure, Observation, StepObservation, WeightInfo

LISTED_ARGUMENTS = ("axis", "momentum", "epsilon", "center", "scale", "renorm", "renorm_momentum", "synchronized")


class ReferenceTarget:
    """Observes what the reference expects. With other formulas, it observes what a perfect layer with that fault returns."""

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
        """Every step of the case, with each number rounded once. A mistake is refused as the contract demands."""
        if case.network or case.file or case.how.replicas > 1:
            text = "the reference is not a layer in a model: it has no networks, replicas or files"
            return Observation(failure=Failure("start", "NotHere", text))
        if case.misuse:
            mistake = MISUSES[case.misuse]
            text = " ".join((mistake.names[0], "is wrong:", *mistake.shows[:1]))
            return Observation(failure=Failure(mistake.stage, mistake.raises[0], text))
        if case.how.calls_per_step == "slices":
            return self._slices(case, inputs)
        formats = precision(case.policy, case.dtype)
        names = case.config.weight_names()
        parameters = tuple(name for name in names if name in ("gamma", "beta"))

        def stored(weights: dict[str, Array]) -> dict[str, Array]:
            return {name: formats.variable.round(weights[name].reshape(case.channels_shape)) for name in names}

        state = initial_state(case, inputs)
        calls = {call.index: call for call in trace_case(case, inputs, self._formulas)}
        frozen, steps = not case.config.trainable, []
        for index, step in enumerate(case.steps):
            frozen = frozen if step.is_call or step is Step.SAVE else step is Step.FREEZE
            call = calls.get(index)
            state = call.after if call else state
            listed = () if frozen else parameters
            weights = stored(dict(state.weights))
            steps.append(_observed(case, call, weights, listed) if call else StepObservation(weights, listed))
            if call and not self._formulas.penalizes(frozen):
                steps[-1] = replace(steps[-1], losses=())
        config = {name: getattr(case.config, name) for name in LISTED_ARGUMENTS}
        trains = (
            not frozen if case.how.builds_late else case.config.trainable
        )  # before the first step, when the weights are listed
        infos = tuple(
            WeightInfo(name, case.channels_shape, formats.variable.name, name in parameters and trains) for name in names
        )
        initial = stored(dict(initial_state(case, inputs).weights))
        made = tuple(self._made(case, seed) for seed in (1, 2)) if case.config.draws else ()
        return Observation(infos, initial, config, tuple(steps), made=made)

    def _made(self, case: Case, seed: int) -> dict[str, Array]:
        """The initial weights of a layer."""
        rng = np.random.default_rng(seed)
        drawn = {name: rng.standard_normal(case.channels_shape) for name in case.config.weight_names()}
        given = {name: np.full(case.channels_shape, case.config.initial(name)) for name in drawn}
        return {name: drawn[name] if name in case.config.draws else given[name] for name in drawn}

    def _slices(self, case: Case, inputs: Inputs) -> Observation:
        """One call per slice along axis 1; the outputs are put together."""
        (part,) = sub_cases_of(case, inputs, Observation(), True) or ()
        found = self.observe(replace(part.case, mode="call"), part.inputs)
        steps: list[StepObservation] = []
        for index in range(len(case.steps)):
            own = [step for step, place in zip(found.steps, part.steps, strict=True) if place == index]
            y = [step.y for step in own if step.y is not None]
            steps.append(replace(own[-1], y=np.stack(y, axis=1) if y else None))
        return replace(found, steps=tuple(steps))


def _observed(case: Case, call: Call, weights: dict[str, Array], listed: tuple[str, ...]) -> StepObservation:
    """What a call shows: each number rounded to its storage format."""
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
