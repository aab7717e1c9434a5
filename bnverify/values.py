"""The frozen values that pass between the parts: observations, checks, verdicts and the results of a run."""

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
    """How a check, or a case, came out. Unknown never counts as passed."""

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
        """The rank of the status: the graver, the larger."""
        return _GRAVITY[self]

    @property
    def fails(self) -> bool:
        """Whether it makes a run deviate."""
        return self in (Status.UNSTABLE, Status.WRONG, Status.CRASHED)

    @property
    def tested(self) -> bool:
        """Whether the target was really held against the contract."""
        return self not in (Status.INCONCLUSIVE, Status.UNSUPPORTED)


_GRAVITY = {status: rank for rank, status in enumerate(Status)}


def worst(statuses: list[Status]) -> Status:
    """The gravest of them; of no checks at all, nothing is concluded."""
    return max(statuses, key=_GRAVITY.__getitem__, default=Status.INCONCLUSIVE)


class Grade(enum.IntEnum):
    """The most accurate family of algorithms whose error bound explains the numbers; smaller is better."""

    BLOCKED = 0
    SEQUENTIAL = 1
    ONE_PASS = 2
    NONE = 3

    @property
    def label(self) -> str:
        """The name that reports and options use, as one-pass."""
        return self.name.lower().replace("_", "-")

    def __str__(self) -> str:
        return self.label


BOUNDED_GRADES = (Grade.BLOCKED, Grade.SEQUENTIAL, Grade.ONE_PASS)  # that have bounds, and can be asked for
GRADES = {grade.label: grade for grade in BOUNDED_GRADES}


@dataclass(frozen=True)
class WeightInfo:
    """A weight as the layer lists it: name, shape, dtype and whether the layer lists it as trainable."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool


@dataclass(frozen=True)
class StepObservation:
    """What one step left behind. y is None for a step that is no call; weights are values by name.

    gradients: by what they belong to (x, gamma, beta; second for that of x in a direction), None where the framework gives
    none; dtypes: theirs. losses: what regularizers add. config: what get_config() said before a layer was saved, and what it
    says of the loaded one, by argument. hidden: which of "weights", "gradients", "losses" and "y_dtype" nobody could
    see in this way of running. file: what was written, where that was asked for.
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
    """A call that was watched inside a step: of a layer in a network, or on a replica.

    label: which layer or replica makes it; arguments: the layer's, by Keras' names, empty for the case's own; before: its
    weights by name; after: the observation after the call.
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
    """An exception that the target raised: at which stage (constructor, build, step 3), its type and its text.

    kinds: the types that its type is derived from.
    """

    stage: str
    type: str
    text: str
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observation:
    """What the target returned for a case, step by step, as far as it came.

    made: the weights as the layer was made with, and those of a second layer made in the same way, where initializers draw;
    inner: the calls that were watched inside the steps.
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
        seen = bool(self.weights or self.steps) or self.config is not None  # a worker that dies takes along what it saw
        return seen and self.failure.stage not in ("constructor", "build")


@dataclass(frozen=True)
class Environment:
    """What was tested and where.

    module: which Keras, by the name it is imported as ("keras", "tf_keras", "tf.keras"); float64: whether the backend computes
    in float64 when asked to (JAX does only with jax_enable_x64).
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
    """The declared interface of a layer class: arguments of the constructor with defaults as text, and arguments of a call.

    weights: of a layer made with defaults, in order, each as "gamma float32 trainable"; config: its get_config(), plain values.
    """

    arguments: Mapping[str, str] = field(default_factory=dict)
    call: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    config: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Mismatch:
    """The worst element of a check that failed, or the two texts where an attribute differs.

    index: into the array; channel: position along the kept axis; share: fraction of elements beyond the bound.
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
    """One clause held against one quantity after one step. step is the index of the step, None for the layer as built."""

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

    `cause` names the hypothesis that fits a failure; `stage` the first quantity that is off, from the mean on; `reason` says
    why a case was unsupported, or gives the cause's numbers in this case.
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
    """One run: which target, which cases, what came out.

    stale: known deviations that their evidence no longer shows. complete: False when the run ended before its last case, by
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
        """Whether anything at all was held against the contract."""
        return any(check.status.tested for verdict in self.verdicts for check in verdict.checks)

    @cached_property
    def ok(self) -> bool:
        """True only when something was tested, nothing failed, no known deviation is stale and the run is complete."""
        failed = any(verdict.status.fails for verdict in self.verdicts)
        return self.tested and self.complete and not failed and not self.stale
