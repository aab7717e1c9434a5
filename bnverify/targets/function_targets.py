"""Function targets: the functions that `--target NAME` tests inside a layer, and what each of them cannot do."""

from __future__ import annotations

from bnverify.errors import BadInput, did_you_mean
from bnverify.targets.worker.frameworks import MODULES
from bnverify.targets.worker.functions import FUNCTIONS, NAMES, SYMBOLIC

LACKS = {  # by need, why no function target has it
    "a misuse": "the layer's contract does not cover the errors of {}",
    "a mask": "{} takes no mask",
    "renorm": "{} has no batch renormalization",
    "synchronized": "{} does not combine replicas",
}
FUSED_LACKS = {  # by need, why no fused function has it
    "rank other than 4 and 5": "{} takes inputs of rank 4 and 5 only",
    "channels before the last axis": "{} needs the channels on the last axis on CPU",
    "computing in float64": "{} has no float64",
    "a second call with another axis or rank": "the law's second call has another axis or rank, which {} does not take",
}


def is_function_target(target: str) -> bool:
    """Whether the name is the name of a function target."""
    return target in NAMES


def function_of(target: str) -> str:
    """The name without @symbolic."""
    return target.removesuffix(SYMBOLIC)


def function_lacks(target: str) -> dict[str, str]:
    """By need (see `cases.askable.needs`), why a function does not have it; empty for layers."""
    if not is_function_target(target):
        return {}
    function = function_of(target)
    found = {**LACKS, **(FUSED_LACKS if FUNCTIONS[function][0] == "fused" else {})}
    return {need: why.format(function) for need, why in found.items()}


def check_target(name: str) -> None:
    """Raises BadInput if `--target` names neither a Keras nor a function target; the message has the nearest name."""
    if name in MODULES or is_function_target(name):
        return
    allowed = f"{', '.join((*MODULES, *FUNCTIONS))}, each function also with {SYMBOLIC}"
    raise BadInput(f"--target {name!r} is unknown", allowed=allowed, hint=did_you_mean(name, (*MODULES, *NAMES)))
