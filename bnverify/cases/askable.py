"""What can be asked: `cannot_exist` says why no Keras can run a case, `missing_need` why this era, backend or target cannot.

Nothing else decides this. What an era, a backend or a target lacks is data: a need from `needs`, and the reason as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from bnverify.cases.case import DEFAULT_TEXTS, Case
from bnverify.cases.file_formats import FILES
from bnverify.cases.layer_config import LayerConfig
from bnverify.cases.misuse import MISUSES, NO_MISUSE, Misuse
from bnverify.cases.modes import modes_that
from bnverify.cases.networks import NETWORKS, SCIKIT_LEARN
from bnverify.cases.posted import POSTED
from bnverify.cases.steps import Step
from bnverify.numeric.precision import INTEGERS, POLICIES

CaseTest = Callable[[Case], bool]


def cannot_exist(case: Case) -> str:
    """Why no Keras can run the case; empty if one can."""
    return next((reason for objections in OBJECTIONS for reason in objections(case)), "")


def missing_need(case: Case, lacks: Mapping[str, str]) -> str:
    """Why the case cannot be asked here; empty if it can.

    lacks: by need (one of `needs`), why this era, backend or target does not have it.
    """
    return next((lacks[need] for need in needs(case) if need in lacks), "")


def needs(case: Case) -> Iterator[str]:
    """What an era, a backend and a target must have for the case. The first missing need is reported."""
    if case.misuse:
        yield "a misuse"
        yield f"misuse:{case.misuse}"
    yield from (need for need, needed in NEEDS_OF_INPUTS.items() if needed(case))
    yield f"policy:{case.policy}"
    yield from (need for need, needed in NEEDS_OF_LAYERS.items() if needed(case))
    if case.mode != "call":
        yield f"mode:{case.mode}"
        yield from case.how.needs
    yield from (need for need, needed in NEEDS_OF_CALLS.items() if needed(case))
    if case.file:
        yield f"file:{case.file}"
    yield from (need for need, needed in NEEDS_OF_NUMBERS.items() if needed(case))


def _trains(case: Case) -> bool:
    return any(step.is_call and step.training for step in case.steps)


def _differentiates(case: Case) -> bool:
    return case.gradients > 0 or Step.OPTIMIZE in case.steps or bool(case.network and Step.TRAIN in case.steps)


def _mistake(case: Case) -> Misuse:
    return MISUSES.get(case.misuse, NO_MISUSE)


NEEDS_OF_INPUTS: dict[str, CaseTest] = {
    "several axes": lambda case: isinstance(case.config.axis, tuple),
    "integer inputs": lambda case: case.dtype in INTEGERS,
}
NEEDS_OF_LAYERS: dict[str, CaseTest] = {
    "a mask": lambda case: bool(case.mask or case.law == "mask" or _mistake(case).mask is not None),
    "renorm": lambda case: case.config.renorm or case.law == "renorm" or "renorm" in _mistake(case).layer,
}
NEEDS_OF_CALLS: dict[str, CaseTest] = {
    "synchronized": lambda case: case.config.synchronized,
    "fit of bfloat16": lambda case: case.how.trains_model and case.dtype == "bfloat16",
    "fit": lambda case: case.how.trains_model and _trains(case),
    "a network": lambda case: bool(case.network),
    "data of scikit-learn": lambda case: bool(case.network) and NETWORKS[case.network].data in SCIKIT_LEARN,
    "gradients of another dtype": lambda case: case.gradients > 0 and case.dtype != case.policy,
}
NEEDS_OF_NUMBERS: dict[str, CaseTest] = {
    "training": _trains,
    "gradients": _differentiates,
    "a float64 policy": lambda case: case.policy == "float64",
    "gradients of float64": lambda case: (case.gradients > 0 or Step.OPTIMIZE in case.steps) and case.dtype == "float64",
    "rank other than 4 and 5": lambda case: len(case.shape) not in (4, 5),
    "channels before the last axis": lambda case: case.kept != (len(case.shape) - 1,),
    "computing in float64": lambda case: POLICIES[case.policy].compute.name == "float64",
    "a second call with another axis or rank": lambda case: case.law in ("transposition", "axes"),
}


def _layer(case: Case) -> Iterator[str]:
    """The layer's arguments, its input and its weights."""
    rank, config = len(case.shape), case.config
    axes = config.axis if isinstance(config.axis, tuple) else (config.axis,)
    if not all(-rank <= axis < rank for axis in axes):
        yield f"axis {case.fields['axis']} is out of range -{rank}…{rank - 1} of the shape"
        return
    if 0 in (case.shape[axis] for axis in axes):
        yield "the kept axis has size 0; only reduced axes may have size 0"
    if (config.renorm_clipping or config.renorm_momentum != LayerConfig.renorm_momentum) and not config.renorm:
        yield "renorm_clipping and renorm_momentum need renorm:True"
    if len({axis % rank for axis in axes}) < len(axes):
        yield f"axis {case.fields['axis']} names an axis twice"
    if config.draws and case.weights == "initial":
        yield f"weights:initial needs initializers that are not random; {config.draws[0]} is random"


def _law(case: Case) -> Iterator[str]:
    """A law compares the first step with a second call."""
    first = "I" if case.law == "epsilon" else "T"
    if case.law and case.law not in ("repeat", "threads") and case.steps[0].value != first:
        yield f"law:{case.law} needs {first} as its first step; got steps:{case.fields['steps']}"
    if case.law == "mask" and case.mask != "full":
        yield f"law:mask needs mask:full; got mask:{case.fields['mask']}"


def _posted(case: Case) -> Iterator[str]:
    """The posted numbers are the input and the weights of a layer with exactly these arguments."""
    if not case.posted:
        return
    posted = POSTED[case.posted]
    if posted.shape != case.shape:
        yield f"posted:{case.posted} has shape:{'x'.join(map(str, posted.shape))}; got shape:{case.fields['shape']}"
    if others := _not_default(case, ("fill", "weights")):
        yield f"posted:{case.posted} sets the input and the weights; {others[0]} cannot be set with it"
    if posted.weights and set(posted.weights) != set(names := case.config.weight_names()):
        yield f"posted:{case.posted} has the weights {', '.join(posted.weights)}, but the layer has {', '.join(names)}"


def _calls(case: Case) -> Iterator[str]:
    """The mode, and what it can be combined with."""
    if case.gradients and not case.how.differentiates:
        yield f"gradients need mode:{' or '.join(modes_that('differentiates'))}; got mode:{case.mode}"
    if (case.gradients or Step.OPTIMIZE in case.steps) and case.dtype in INTEGERS:
        yield f"gradients and a step O need floating-point inputs; got dtype:{case.dtype}"
    if Step.OPTIMIZE in case.steps and not (case.how.differentiates or case.how.trains_model):
        allowed = (*modes_that("differentiates"), *modes_that("trains_model"))
        yield f"a step O needs mode:{', '.join(allowed)}; got mode:{case.mode}"
    if (case.misuse or case.network) and case.mode != "call":
        yield f"misuse and network need mode:call; got mode:{case.mode}"
    yield from case.how.objections(case)


def _file(case: Case) -> Iterator[str]:
    """A file is written by a step S."""
    steps = case.fields["steps"]
    if (Step.SAVE in case.steps) != bool(case.file):
        yield f"a step S needs a file, and a file needs a step S; got file:{case.fields['file']} with steps:{steps}"
        return
    if not case.file:
        return
    format = FILES[case.file]
    after = case.steps[case.steps.index(Step.SAVE) + 1 :]
    if format.only_infers and not set(after) <= {Step.INFER, Step.NOT_GIVEN}:
        yield f"file:{case.file} allows only inference after S; got steps:{steps}"
    if format.only_infers and (case.mask or case.how.calls_per_step == "pairs"):
        yield f"file:{case.file} needs one input and no mask; got mask:{case.fields['mask']} and mode:{case.mode}"
    if case.how.replicas > 1 and (case.how.one_computation or not format.of_replicas):
        allowed = "none" if case.how.one_computation else ", ".join(name for name in FILES if FILES[name].of_replicas)
        yield f"mode:{case.mode} cannot save file:{case.file}; allowed: {allowed}"


def _misuse(case: Case) -> Iterator[str]:
    """A mistake is made without other settings, and may need a certain shape."""
    if not case.misuse:
        return
    if others := _not_default(case, ("axis", "renorm", "mask", "gradients", "law", "file", "network")):
        yield f"misuse:{case.misuse} cannot be combined with {others[0]}"
    shape = MISUSES[case.misuse].shape
    if shape not in (None, case.shape):
        yield f"misuse:{case.misuse} needs shape:{'x'.join(map(str, shape or ()))}; got shape:{case.fields['shape']}"


def _network(case: Case) -> Iterator[str]:
    """A network brings its own layers and data."""
    if not case.network:
        return
    network, name = NETWORKS[case.network], case.network
    if not network.fits(case.shape):
        yield f"network:{name} takes batches of shape {network.takes}; got shape:{case.fields['shape']}"
    free = ("shape", "policy", "weights", "network", "steps", "mode", "misuse")
    if others := _not_default(case, [field for field in case.fields if field not in free]):
        yield f"network:{name} has its own layers and data; {others[0]} cannot be set with it"
    if case.weights not in ("random", "initial"):
        yield f"network:{name} needs weights:random or initial; got weights:{case.weights}"
    if not set(case.steps) <= {Step.TRAIN, Step.INFER, Step.FREEZE, Step.UNFREEZE}:
        yield f"network:{name} allows the steps T, I, F and U; got steps:{case.fields['steps']}"


def _not_default(case: Case, fields: Iterable[str]) -> list[str]:
    """The fields that differ from their defaults, as texts of an id."""
    return [f"{name}:{case.fields[name]}" for name in fields if case.fields[name] != DEFAULT_TEXTS.get(name)]


OBJECTIONS = (_layer, _law, _posted, _file, _calls, _network, _misuse)
