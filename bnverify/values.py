"""The frozen values that the rooms exchange: observations, checks, verdicts and the results of a run."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bnverify.cases.case import Case
from bnverify.numeric.precision import Array


class Status(enum.Enum):
    """The result of a check or of a case. A case that could not be tested never counts as passed."""

    CONFORMS = "conforms"
    KNOWN = "known deviation"
    INCONCLUSIVE = "inconclusive"
    UNSUPPORTED = "unsupported"
    UNSTABLE = "unstable"
    WRONG = "wrong"
    CRASHED = "crashed"

    def __str__(self) -> str:
        return self.value

    @property
    def gravity(self) -> int:
        """The severity of the status; larger is worse."""
        return _GRAVITY[self]

    @property
    def fails(self) -> bool:
        """Whether the status makes a run fail."""
        return self in (Status.UNSTABLE, Status.WRONG, Status.CRASHED)

    @property
    def tested(self) -> bool:
        """Whether the target was really tested."""
        return self not in (Status.INCONCLUSIVE, Status.UNSUPPORTED)


_GRAVITY = {status: rank for rank, status in enumerate(Status)}


def worst(statuses: list[Status]) -> Status:
    """The most severe status; without any checks, INCONCLUSIVE."""
    return max(statuses, key=_GRAVITY.__getitem__, default=Status.INCONCLUSIVE)


class Grade(enum.IntEnum):
    """The most accurate family of algorithms whose error bound explains the numbers. Smaller is better."""

    BLOCKED = 0
    SEQUENTIAL = 1
    ONE_PASS = 2
    NONE = 3

    @property
    def label(self) -> str:
        """The name in reports and options, such as one-pass."""
        return self.name.lower().replace("_", "-")

    def __str__(self) -> str:
        return self.label


BOUNDED_GRADES = (Grade.BLOCKED, Grade.SEQUENTIAL, Grade.ONE_PASS)  # the grades that have bounds, which an option may name
GRADES = {grade.label: grade for grade in BOUNDED_GRADES}


@dataclass(frozen=True)
class WeightInfo:
    """A weight in the layer's list: name, shape, dtype, and whether the layer lists it as trainable."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool


@dataclass(frozen=True)
class StepObservation:
    """What one step left behind. y is None for a step without a call; weights are values by name.

    gradients: by name (x, gamma, beta; second for the gradient of x's gradient), None if the framework gives none. dtypes: the
    dtypes of the gradients. losses: of the regularizers. config: by argument, the text in get_config() before a layer was
    saved, and the text in the loaded layer's. hidden: which of "weights", "gradients", "losses" and "y_dtype" cannot be
    observed in this mode. file: the bytes that were written, if they were requested.
    """

    weights: Mapping[str, Array]
    trainable: tuple[str, ...]
    y: Array | None = None
    y_dtype: str | None = None
    gradients: Mapping[str, Array | None] = field(default_factory=dict)
    dtypes: Mapping[str, str] = field(default_factory=dict)
    losses: tuple[float, ...] = ()
    config: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    file: bytes = b""


@dataclass(frozen=True)
class InnerCall:
    """A call that was observed inside a step: of one layer in a network, or on one replica.

    label: which layer or replica. arguments: the layer's arguments by Keras' names; empty if they are the case's. before: its
    weights by name. after: the observation after the call.
    """

    label: str
    step: int
    training: bool | None
    trainable: bool
    policy: str
    dtype: str
    x: Array
    mask: Array | None
    before: Mapping[str, Array]
    after: StepObservation
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """An exception that the target raised: its stage (constructor, build, step 3), its type and its text.

    kinds: the base classes of its type.
    """

    stage: str
    type: str
    text: str
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observation:
    """What the target returned for a case, step by step, up to the first exception.

    made: for random initializers, the initial weights of this layer and of a second one made in the same way. inner: the calls
    that were observed inside the steps.
    """

    weights: tuple[WeightInfo, ...] = ()
    initial: Mapping[str, Array] = field(default_factory=dict)
    config: Mapping[str, object] | None = None
    steps: tuple[StepObservation, ...] = ()
    failure: Failure | None = None
    made: tuple[Mapping[str, Array], ...] = ()
    inner: tuple[InnerCall, ...] = ()

    @property
    def built(self) -> bool:
        """Whether the layer was constructed and built, so that its weights can be judged."""
        if self.failure is None:
            return True
        seen = (
            bool(self.weights or self.steps) or self.config is not None
        )  # a worker that crashed cannot report the steps before
        return seen and self.failure.stage not in ("constructor", "build")


@dataclass(frozen=True)
class Environment:
    """What was tested and where.

    module: which Keras: "keras", "tf_keras" or "tf.keras". float64: whether the backend computes in float64 when asked to (JAX
    does only with jax_enable_x64).
    """

    target: str
    module: str
    keras: str
    backend: str
    backend_version: str
    device: str
    float64: bool
    numpy: str
    python: str
    cpu: str

    @property
    def own(self) -> bool:
        """Whether the target is Keras' own layer."""
        return self.target == f"{self.module}.layers.BatchNormalization"


@dataclass(frozen=True)
class Interface:
    """The interface of a layer class: arguments of the constructor with defaults as text, and arguments of a call.

    weights: of a layer made with defaults, in order, each as "gamma float32 trainable". config: its get_config(), plain values
    only.
    """

    arguments: Mapping[str, str] = field(default_factory=dict)
    call: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    config: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Mismatch:
    """The worst element of a check that failed, or the two texts of an attribute that differs.

    index: of the element in the array. channel: its position along the kept axis. share: fraction of elements that exceed their
    bound.
    """

    expected: str
    actual: str
    index: tuple[int, ...] | None = None
    channel: int | None = None
    error: float | None = None
    bound: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class Check:
    """One clause checked on one quantity after one step. step is the index of the step; None for the layer as built."""

    clause: str
    quantity: str
    step: int | None
    status: Status
    grade: Grade | None = None
    margin: float | None = None
    mismatch: Mismatch | None = None
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """All checks of one case.

    `cause` names the hypothesis that explains a failure. `stage` is the first quantity that is wrong, starting with the mean.
    `reason` says why a case is unsupported, or gives the numbers of the cause in this case.
    """

    case: Case
    checks: tuple[Check, ...]
    status: Status
    reason: str = ""
    cause: str = ""
    stage: str = ""

    @cached_property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.status.fails)

    @cached_property
    def worst_margin(self) -> float | None:
        margins = [check.margin for check in self.checks if check.margin is not None]
        return max(margins, default=None)


@dataclass(frozen=True)
class Results:
    """One run: its target, its cases and their verdicts.

    stale: known deviations that their evidence no longer shows. complete: False if the run ended before its last case, by
    Ctrl-C (interrupted) or at the first failure.
    """

    environment: Environment
    suite: str
    seed: int
    verdicts: tuple[Verdict, ...]
    required: Grade = Grade.SEQUENTIAL
    stale: tuple[str, ...] = ()
    complete: bool = True
    interrupted: bool = False
    seconds: float = 0.0

    @cached_property
    def statuses(self) -> Counter[Status]:
        """Cases per status."""
        return Counter(verdict.status for verdict in self.verdicts)

    @cached_property
    def tested(self) -> bool:
        """Whether any case was really tested."""
        return any(check.status.tested for verdict in self.verdicts for check in verdict.checks)

    @cached_property
    def ok(self) -> bool:
        """True only if something was tested, nothing failed, no known deviation is stale and the run is complete."""
        failed = any(verdict.status.fails for verdict in self.verdicts)
        return self.tested and self.complete and not failed and not self.stale
