"""Modes: how the calls of a case are made, and the facts about each mode. Layouts: how inputs lie in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

Objections = Callable[[Any], Iterator[str]]  # of a case: texts that say why it cannot exist in this mode


def _none(case: Any) -> Iterator[str]:
    yield from ()


@dataclass(frozen=True)
class Mode:
    """How the calls of a case are made, and every fact about the mode that other code needs.

    words: the mode as text, for reports.
    needs: what an era or a backend must have for it (see `cases.askable.needs`); the mode's name is always one of them.
    differentiates: whether gradients of its calls can be taken.
    trains_model: whether a step T trains a compiled model, with fit or train_on_batch.
    freezes_late: whether a freeze does not recompile the model. Keras then promises the freeze only after the next compile().
    pins_inference: whether the model passes training=False to the layer.
    makes_mask: whether another layer of the model makes the mask.
    builds_late: whether the first call builds the layer.
    replicas: the number of devices that share a batch.
    one_computation: whether they compute as one, with the whole batch.
    calls_per_step: "one"; "slices" if each slice along axis 1 is a call; "pairs" if two steps are made as one.
    compiles_anew: whether a loaded layer is compiled again, which may change the order of its sums.
    plain: whether it makes the same calls as mode:call, so that both must agree.
    objections: texts that say why a case cannot exist in this mode.
    """

    words: str
    needs: tuple[str, ...] = ()
    differentiates: bool = False
    trains_model: bool = False
    freezes_late: bool = False
    pins_inference: bool = False
    makes_mask: bool = False
    builds_late: bool = False
    replicas: int = 1
    one_computation: bool = False
    calls_per_step: str = "one"
    compiles_anew: bool = False
    plain: bool = True
    objections: Objections = _none


def _unbuilt(case: Any) -> Iterator[str]:
    if case.weights != "initial":
        yield "mode:unbuilt needs weights:initial, because only a built layer can be given weights"


def _shared(case: Any) -> Iterator[str]:
    if any(step.is_call and len(list(run)) % 2 for step, run in groupby(case.steps)):
        steps = case.fields["steps"]
        yield f"mode:shared makes two calls at once, so each call must occur twice in a row in the steps; got steps:{steps}"


def _slices(case: Any) -> Iterator[str]:
    if len(case.shape) < 3 or case.config.axis != -1 or case.mask == "broadcast":
        yield "mode:timedistributed needs three axes or more, axis -1, and a mask with every time step"


def _masks(case: Any) -> Iterator[str]:
    if case.mask not in ("random", "padding", "one", "full", "empty"):
        got = case.fields["mask"]
        yield f"mode:{case.mode} makes the mask itself and needs mask:random, padding, one, full or empty; got mask:{got}"
    if case.config.axis != -1 or len(case.shape) < 3:
        yield f"mode:{case.mode} needs three axes or more, and axis -1"


def _trains(case: Any) -> Iterator[str]:
    kinds = ("gamma_regularizer", "beta_regularizer", "gamma_constraint", "beta_constraint")
    if names := [name for name in kinds if getattr(case.config, name)]:
        yield f"mode:{case.mode} cannot be combined with {names[0]}; test it with mode:call"
    if case.mask:
        yield f"mode:{case.mode} has inputs only, no mask; got mask:{case.mask}"
    if case.fill == "nonfinite" or case.config.epsilon == 0:
        needed = "a finite gradient of gamma; allowed: another fill, and an epsilon above 0"
        yield f"mode:{case.mode} trains with SGD(0), which needs {needed}"
    if 0 in case.shape:
        yield f"mode:{case.mode} cannot train with an empty batch; got shape:{case.fields['shape']}"


def _late(case: Any) -> Iterator[str]:
    yield from _trains(case)
    changes = any(not step.is_call and step.value in "FU" for step in case.steps)
    if case.steps[-1].value == "O" and changes:
        steps = case.fields["steps"]
        yield f"a step O of mode:uncompiled compiles the model; allowed: O without F and U; got steps:{steps}"


def _replicas(case: Any) -> Iterator[str]:
    count, batch = case.how.replicas, case.shape[0]
    if count > max(1, batch):
        yield f"mode:{case.mode} needs a batch size of {count} or more; got {batch}"
    if case.how.one_computation and batch % count:
        yield f"mode:{case.mode} needs a batch size that is a multiple of {count}; got {batch}"
    if 0 in case.kept:
        yield f"mode:{case.mode} spreads the batch over replicas, so axis 0 cannot be kept"


def _mirrored(count: int) -> Mode:
    words = f"tf.distribute.MirroredStrategy over {count} logical CPU devices"
    return Mode(words, ("mirrored",), replicas=count, plain=False, objections=_replicas)


def _parallel(count: int) -> Mode:
    words = f"keras.distribution.DataParallel over {count} host devices of JAX"
    return Mode(
        words,
        ("parallel",),
        replicas=count,
        one_computation=True,
        compiles_anew=True,
        plain=False,
        objections=_replicas,
    )


MODES = {
    "call": Mode("the layer is called", differentiates=True, plain=False),
    "unbuilt": Mode(
        "the layer is not built before its first call; earlier steps find it unbuilt",
        builds_late=True,
        plain=False,
        objections=_unbuilt,
    ),
    "positional": Mode("the constructor gets its arguments by position, in Keras' order", differentiates=True),
    "function": Mode("tf.function calls the layer", compiles_anew=True),
    "xla": Mode("XLA compiles the call (tf.function with jit_compile=True, jax.jit)", compiles_anew=True),
    "stateless": Mode("stateless_call; the variables get the values that it returns"),
    "parent": Mode("a parent layer calls the layer and passes `training` on"),
    "subclassed": Mode("a subclassed model calls the layer without `training`"),
    "sequential": Mode("the layer is in a Sequential model between other layers; steps F and U freeze the model"),
    "functional": Mode("the layer is in a Functional model, between other layers"),
    "nested": Mode("the layer is in a model that is part of another model; steps F and U freeze the inner model"),
    "dynamic": Mode("a Functional model with inputs whose sizes are unknown, except the channels"),
    "pinned": Mode("a Functional model that passes training=False to the layer", pins_inference=True, plain=False),
    "fit": Mode(
        "fit with SGD(0), consecutive steps in one epoch, and predict; the model is compiled again after a freeze",
        trains_model=True,
        objections=_trains,
    ),
    "on_batch": Mode(
        "train_on_batch with SGD(0), predict_on_batch; the model is compiled again after a freeze",
        trains_model=True,
        objections=_trains,
    ),
    "evaluate": Mode("fit with SGD(0), and evaluate instead of predict", trains_model=True, objections=_trains),
    "uncompiled": Mode(
        "fit and predict; the model is not compiled again after a freeze, so fit may ignore it",
        trains_model=True,
        freezes_late=True,
        plain=False,
        objections=_late,
    ),
    "shared": Mode(
        "one layer has two inputs in one model: two calls in one", calls_per_step="pairs", plain=False, objections=_shared
    ),
    "timedistributed": Mode(
        "TimeDistributed: each slice along axis 1 is a call", calls_per_step="slices", plain=False, objections=_slices
    ),
    "masking": Mode("a Masking layer makes the mask, and sets masked values to 0", makes_mask=True, objections=_masks),
    "embedding": Mode(
        "an Embedding layer with mask_zero=True makes inputs and mask, 0 for masked values", makes_mask=True, objections=_masks
    ),
    "one_thread": Mode("the layer is called in a process that computes with one thread"),
    **{f"mirrored{count}": _mirrored(count) for count in (2, 3, 4)},
    **{f"parallel{count}": _parallel(count) for count in (2, 4)},
}
LAYOUTS = {
    "plain": "values in row-major order, the last axis fastest",
    "fortran": "the first axis fastest",
    "strided": "every second value of a larger array",
    "reversed": "negative strides",
}


def modes_that(fact: str) -> tuple[str, ...]:
    """The names of the modes for which a truth value of `Mode` is true."""
    return tuple(name for name, mode in MODES.items() if getattr(mode, fact))
