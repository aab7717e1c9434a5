"""What can be asked of the routes of `targets.worker.routes`: `--target NAME`. Limits are data here, with their reasons."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

from bnverify.cases.case import Case
from bnverify.errors import BadInput
from bnverify.numeric.precision import POLICIES
from bnverify.targets.worker.frameworks import MODULES
from bnverify.targets.worker.functions import FUNCTIONS, NAMES, SYMBOLIC

_Lacks = Mapping[str, Callable[[Case], bool]]

ALL: _Lacks = {
    "{} knows no masks": lambda case: case.mask != "none" or case.law == "mask",
    "what {} refuses is no promise of the layer's": lambda case: case.misuse != "none",
    "{} knows no batch renormalization": lambda case: case.config.renorm or case.law == "renorm",
    "{} knows of no other replicas": lambda case: case.config.synchronized,
}
FUSED: _Lacks = {
    "{} takes inputs of rank 4 and 5": lambda case: len(case.shape) not in (4, 5),
    "{} takes the channels last on CPU": lambda case: case.kept != (len(case.shape) - 1,),
    "{} has no float64": lambda case: POLICIES[case.policy].compute.name == "float64",
    "{} takes neither another axis nor another rank, which the law's second call has": lambda case: (
        case.law in ("transposition", "axes")
    ),
}


def is_function_target(target: str) -> bool:
    """Whether a target, by its name, is a route and no layer."""
    return target in NAMES


def function_of(target: str) -> str:
    """The name without @symbolic."""
    return target.removesuffix(SYMBOLIC)


def lacks(target: str, case: Case) -> str:
    """Why a route cannot be asked for a case; empty where it can, and for layers."""
    if not is_function_target(target):
        return ""
    route = function_of(target)
    limits = {**ALL, **(FUSED if FUNCTIONS[route][0] == "fused" else {})}
    return next((why.format(route) for why, applies in limits.items() if applies(case)), "")


def check_target(name: str) -> None:
    """Raises BadInput for a `--target` that is neither a Keras nor a route, naming what is near."""
    if name in MODULES or is_function_target(name):
        return
    near = difflib.get_close_matches(name, (*MODULES, *NAMES), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    allowed = ", ".join((*MODULES, *FUNCTIONS))
    raise BadInput(f"--target {name!r} is unknown; allowed: {allowed}, functions with {SYMBOLIC}, too{hint}")


__all__ = ["ALL", "FUSED", "NAMES", "check_target", "function_of", "is_function_target", "lacks"]
