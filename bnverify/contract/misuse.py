"""Clauses on misuse: for a mistake, the layer must raise an exception of the right type that names the fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from bnverify.cases.misuse import MISUSES, Misuse
from bnverify.contract.clause import KERAS_DOC, KERAS_LAYER_DOC, PAPER, Clause
from bnverify.contract.evidence import Evidence
from bnverify.contract.renorm import RENORM_PAPER
from bnverify.values import Check, Failure, Mismatch, Observation, Status

UNFILLED = re.compile(
    r"(?<![{\w])\{[A-Za-z_][\w.]*(\[\w+\])?(![rsa])?(:[^{}\s]*)?\}(?!\})"
)  # a placeholder that was not filled in: {rmax} or {mask.shape!r}, but not the text of a dict, {'a': 1}


def _check(key: str) -> Callable[[Evidence], Iterator[Check]]:
    def check(e: Evidence) -> Iterator[Check]:
        mistake = MISUSES.get(e.case.misuse)
        if mistake is None or mistake.clause != key:
            return
        wrong = objection(mistake, e.observation)
        mismatch = Mismatch(expected=mistake.wanted, actual=wrong) if wrong else None
        yield Check(key, mistake.names[0], None, Status.WRONG if wrong else Status.CONFORMS, mismatch=mismatch)

    return check


def objection(mistake: Misuse, observation: Observation) -> str:
    """What is wrong with a layer's response to a mistake; empty if the response is right."""
    failure = observation.failure
    if failure is None:
        return f"no exception{_became(mistake, observation)}"
    answer = f"{failure.type}: {failure.text} (in {failure.stage})"
    return "".join(f"{answer}; {what}" for what in [", ".join(_faults(mistake, failure))] if what)


def _faults(mistake: Misuse, failure: Failure) -> Iterator[str]:
    if not {failure.type, *failure.kinds} & set(mistake.raises):
        yield f"{failure.type} is not one of {', '.join(mistake.raises)}"
    if not any(name.lower() in failure.text.lower() for name in mistake.names):
        yield f"the message does not name {mistake.names[0]}"
    if found := UNFILLED.search(failure.text):
        yield f"the placeholder {found.group()} is not filled in"
    if mistake.shows and not any(_shown(what, failure.text) for what in mistake.shows):
        yield f"the message does not show {mistake.shows[0]}"


def _shown(what: str, text: str) -> bool:
    """Whether a text contains a word or number, and not only as a part of a longer one."""
    before, after = (r"(?<![\w.])" if what[0].isalnum() else ""), (r"(?!\w|\.\d)" if what[-1].isalnum() else "")
    return re.search(before + re.escape(what) + after, text, re.IGNORECASE) is not None


def _became(mistake: Misuse, observation: Observation) -> str:
    """What the layer did with a mistake that it did not refuse."""
    changed = [name for name in mistake.layer if name in (observation.config or {}) and name != "renorm"]
    if mistake.stage == "constructor":
        return "".join(f"; {name} became {(observation.config or {})[name]!r}" for name in changed)
    shapes = [step.y.shape for step in observation.steps if step.y is not None]
    return f"; y of shape {shapes[0]}" if shapes else ""


def _clause(key: str, title: str, rule: str, source: str) -> Clause:
    return Clause(key, title, rule, source, _check(key))


CLAUSES = (
    _clause(
        "refuses-axis",
        "a wrong axis is refused",
        "an axis that the input does not have, or that is not an integer, raises ValueError or TypeError; the message "
        "names the argument and shows the given value (IndexError is accepted for an axis out of range)",
        KERAS_DOC + " (axis: “Integer, the axis that should be normalized (typically the features axis)”)",
    ),
    _clause(
        "refuses-momentum",
        "a wrong momentum is refused",
        "a momentum that is not a number from 0 to 1 raises ValueError or TypeError, since moving_mean would not be an "
        "average; the message names the argument and shows the given value",
        KERAS_DOC + " (momentum: “Momentum for the moving average”; no range is documented: it follows from “average”)",
    ),
    _clause(
        "refuses-epsilon",
        "a wrong epsilon is refused",
        "an epsilon that is negative or not a number raises ValueError or TypeError; the message names the argument and "
        "shows the given value",
        KERAS_DOC + " (epsilon: “Small float added to variance to avoid dividing by zero”; no range is documented: it follows "
        "from the purpose); " + PAPER + ", algorithm 1",
    ),
    _clause(
        "refuses-renorm-clipping",
        "a wrong renorm_clipping is refused",
        "a renorm_clipping with unknown keys, rmax below rmin, a negative dmax, or limits that are not numbers "
        "raises ValueError or TypeError; the message names the argument and shows the given value",
        RENORM_PAPER + " (renorm_clipping: “Maps optional keys "
        '"rmax", "rmin", "dmax" to floats”; “with `r` clipped to `[rmin, rmax]`, and `d` to `[-dmax, dmax]`”)',
    ),
    _clause(
        "refuses-renorm-momentum",
        "a wrong renorm_momentum is refused",
        "with renorm, a renorm_momentum that is not a number from 0 to 1 raises ValueError or TypeError; the message names "
        "the argument and shows the given value",
        RENORM_PAPER + " (renorm_momentum: “Momentum used to update the moving means and standard deviations with renorm”)",
    ),
    _clause(
        "refuses-unknown",
        "unknown arguments are refused",
        "an unknown argument, initializer, regularizer or constraint raises ValueError or TypeError; the message names the "
        "argument and shows the given value",
        KERAS_DOC + " (**kwargs: “Base layer keyword arguments (e.g. `name` and `dtype`)”); "
        "https://keras.io/api/layers/initializers/",
    ),
    _clause(
        "refuses-undefined-channels",
        "undefined channels are refused",
        "building for an input whose size along `axis` is None raises ValueError or TypeError; the message names the axis "
        "and shows the given shape",
        KERAS_LAYER_DOC + ", build(); " + KERAS_DOC + ", `axis`",
    ),
    _clause(
        "refuses-input",
        "inputs of another shape are refused",
        "an input of another rank or another number of channels than the layer was built for raises ValueError or "
        "TypeError; the message names the input and shows the given shape",
        "keras.layers.InputSpec, https://github.com/keras-team/keras/blob/v3.15.1/keras/src/layers/input_spec.py; " + KERAS_DOC,
    ),
    _clause(
        "refuses-mask",
        "a mask that does not fit is refused",
        "a mask of the wrong rank, size or type raises ValueError or TypeError; the message names the mask and shows what "
        "was given",
        KERAS_DOC
        + " (mask: “Binary tensor of shape broadcastable to `inputs` tensor”), and the layer's own message: “The mask "
        "provided should be one dimension less than the inputs”",
    ),
)
