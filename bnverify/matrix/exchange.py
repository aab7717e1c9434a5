"""Files across versions: save under one row of the matrix, load under another, and judge the result like any other case.

Each row is started once to save and once to load. A loaded file starts a case whose weights are the saved ones.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.cases.ids import parse
from bnverify.cases.layer_config import LayerConfig
from bnverify.cases.steps import Step
from bnverify.contract import saving as files
from bnverify.contract.eras import era_of, keras_version
from bnverify.errors import BadInput
from bnverify.matrix.environments import NoInterpreter, find_uv, make_environment
from bnverify.matrix.known_files import KnownFile, known_files, stale_files
from bnverify.matrix.rows import Row
from bnverify.targets.isolated import PATIENCE, Isolated, WorkerLost
from bnverify.targets.target import request
from bnverify.values import Environment, Observation, Status, StepObservation, Verdict
from bnverify.verdicts import known
from bnverify.verdicts.ask import not_here
from bnverify.verdicts.excuse import excuse
from bnverify.verdicts.judge import judge
from bnverify.verdicts.judged_case import Observed

EXCHANGED_FORMATS = ("keras", "weights.h5", "h5")
LAYERS = (
    "shape:2x3x4/axis:1/momentum:0.5/epsilon:0.01",
    "shape:4x3/center:False/momentum:0.9",
    "shape:4x3/scale:False/gamma_regularizer:l2",
)
SAVED_STEPS = "T2STITI"
ROWS = (  # one of each era, unless rows are named
    "keras-2.3.1-tensorflow",
    "keras-2.4.3-tensorflow",
    "keras-2.12.0-tensorflow",
    "keras-2.15.0-tensorflow",
    "tf_keras-2.21.0-tensorflow",
    "keras-3.0.5-tensorflow",
    "keras-3.3.3-tensorflow",
    "keras-3.8.0-tensorflow",
    "keras-3.15.1-tensorflow",
    "keras-3.15.1-jax",
    "keras-3.15.1-torch",
)
TellRow = Callable[[str, str], None]


@dataclass(frozen=True)
class Saved:
    """What a row saved for a case: the file and the observation before it, or why there is no file."""

    case: Case
    environment: Environment
    observation: Observation
    file: bytes = b""
    reason: str = ""


@dataclass(frozen=True)
class Exchange:
    """A file format from one row to another: its outcome, and the reason unless it is "ok".

    outcome: ok, known deviation, wrong, cannot load, unsupported, or not tested. promised: whether the loading Keras promises
    to load it. known_by: file and line of the record that covers this file, if any.
    """

    format: str
    saved: str
    loaded: str
    outcome: str
    reason: str = ""
    promised: bool = True
    known_by: str = ""

    @property
    def fails(self) -> bool:
        return self.outcome == "wrong" or (self.outcome == "cannot load" and self.promised)

    @property
    def tested(self) -> bool:
        return self.outcome not in ("unsupported", "not tested")


@dataclass(frozen=True)
class Exchanges:
    """All exchanges. problems: by row, why it did not start. skipped: rows of these that only lack an interpreter."""

    rows: tuple[str, ...]
    found: tuple[Exchange, ...]
    problems: Mapping[str, str]
    skipped: frozenset[str]

    @property
    def tested(self) -> bool:
        return any(exchange.tested for exchange in self.found)

    @cached_property
    def stale(self) -> tuple[str, ...]:
        """Records of known files that no exchange shows."""
        return stale_files((exchange.known_by, exchange.outcome) for exchange in self.found)

    @cached_property
    def ok(self) -> bool:
        return not self.stale and not any(exchange.fails for exchange in self.found)

    def document(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        found = [{**asdict(exchange), "fails": exchange.fails} for exchange in self.found]
        for one in found:
            del one["known_by"]
        return {"rows": list(self.rows), "exchanges": found, "problems": dict(self.problems)}


def exchange(rows: Sequence[Row], jobs: int, tell: TellRow = lambda row, text: None, patience: float = PATIENCE) -> Exchanges:
    """Saves under each row and loads under every other one, `jobs` rows at a time. Raises BadInput without uv."""
    if len(rows) < 2:
        raise BadInput(
            f"files need two or more different rows, one that saves and one that loads; got {', '.join(r.name for r in rows)}"
        )
    find_uv()
    run = _Run(patience, tell)
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        try:
            saved = dict(zip((row.name for row in rows), pool.map(run.save, rows), strict=True))
            loaded = list(pool.map(lambda row: run.load(row, saved), rows))
        except KeyboardInterrupt:
            run.stop.set()
            raise
    found = tuple(one for of_row in loaded for one in of_row)
    return Exchanges(tuple(row.name for row in rows), found, dict(run.problems), frozenset(run.skipped))


class _Run:
    """What the rows of one exchange share."""

    def __init__(self, patience: float, tell: TellRow) -> None:
        self.patience, self.tell = patience, tell
        self.problems: dict[str, str] = {}
        self.skipped: set[str] = set()
        self.stop = threading.Event()

    def target(self, row: Row) -> Isolated | None:
        """The row's Keras, started; None, with the problem noted, if it does not start."""
        if row.name in self.problems or self.stop.is_set():
            return None
        try:
            python = make_environment(row, 0.0, lambda text: self.tell(row.name, text))
            return Isolated(python, row.module, row.variables, self.patience, alone=True)
        except (NoInterpreter, BadInput, WorkerLost, OSError) as error:
            self.problems[row.name] = str(error)
            if isinstance(error, NoInterpreter):
                self.skipped.add(row.name)
            return None

    def save(self, row: Row) -> tuple[Saved, ...]:
        target = self.target(row)
        if target is None:
            return ()
        with target:
            found = []
            for case in cases():
                if self.stop.is_set():
                    break
                self.tell(row.name, f"saves {case.file}")
                found.append(save(case, target))
        return tuple(found)

    def load(self, row: Row, saved: Mapping[str, Sequence[Saved]]) -> list[Exchange]:
        others = {name: files for name, files in saved.items() if name != row.name}
        target = self.target(row)
        if target is None:
            why = self.problems.get(row.name, "ended")
            return [Exchange(format, name, row.name, "not tested", why) for name in others for format in EXCHANGED_FORMATS]
        found = []
        with target:
            for name, files in others.items():
                self.tell(row.name, f"loads what {name} saved")
                for format in EXCHANGED_FORMATS:
                    if not self.stop.is_set():
                        own = [file for file in files if file.case.file == format]
                        why = self.problems.get(name, "nothing was saved")
                        found.append(_outcome(name, row.name, format, own, target, why))
        return found


def cases() -> Iterator[Case]:
    """The cases to save: each layer in each format, in the middle of training."""
    return (parse(f"{layer}/file:{format}/steps:{SAVED_STEPS}") for format in EXCHANGED_FORMATS for layer in LAYERS)


def save(case: Case, target: Isolated) -> Saved:
    """The file that a row saves after the steps before S."""
    environment, at = target.environment, case.steps.index(Step.SAVE)
    if reason := not_here(case, environment):
        return Saved(case, environment, Observation(), reason=reason)
    asked = request(case, make_inputs(case))
    steps = asked["steps"][: at + 1]
    observed = target.ask({**asked, "steps": [*steps[:-1], {**steps[-1], "keep": True}]})
    if observed.failure is not None:
        return Saved(case, environment, observed, reason=f"was not saved: {observed.failure.type}: {observed.failure.text}")
    return Saved(case, environment, observed, observed.steps[-1].file)


def promised(saver: Environment, loader: Environment) -> bool:
    """Whether a Keras promises to load a file: only if the same release or an older one saved it."""
    return keras_version(saver.keras).release[:2] <= keras_version(loader.keras).release[:2]


def load_and_judge(saved: Saved, target: Isolated) -> Verdict:
    """The verdict on how a row loads a file: its weights, its configuration, and the calls that follow."""
    at = saved.case.steps.index(Step.SAVE)
    inputs, before = make_inputs(saved.case), saved.observation.steps[-1].weights
    case = replace(saved.case, steps=saved.case.steps[at:])
    after = Inputs({name: v.astype(np.float64) for name, v in before.items()}, inputs.batches[at:])
    start = {"format": case.file, "bytes": np.frombuffer(saved.file, np.uint8)}
    asked = {**request(case, replace(after, weights=None)), "start": start}
    found = target.ask({**asked, "steps": asked["steps"][1:]})
    if found.failure is None or found.steps:
        found = _joined(case, saved.observation, found)
    judged = judge(Observed(case, after, found, era_of(target.environment)))
    return excuse(judged, [d for d in known.shipped() if d.applies(target.environment)]).verdict


def _joined(case: Case, saved: Observation, loaded: Observation) -> Observation:
    """The loaded layer, as the state after a step that saves and loads; the saved state comes before it."""
    pairs: dict[str, tuple[str, str]] = {}
    config = dict(loaded.config or {})
    if case.file != "weights.h5":
        both = (_arguments(saved.config or {}, case), _arguments(config, case))
        names = set(both[0]) & set(both[1])
        pairs = {name: (repr(both[0][name]), repr(both[1][name])) for name in names}
        config.update(both[1])
    trainable = tuple(weight.name for weight in loaded.weights if weight.trainable)
    step = StepObservation(loaded.initial, trainable, config=pairs)
    return replace(loaded, initial=saved.steps[-1].weights, steps=(step, *loaded.steps), config=config)


def _arguments(config: Mapping[str, object], case: Case) -> dict[str, object]:
    """The constructor's arguments in a config. An axis that means the case's axis is written as in the case."""
    found = {f.name: config[f.name] for f in fields(LayerConfig) if f.name in config}
    axis = found.get("axis")
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if isinstance(axis, int) and (axis % len(case.shape),) == case.kept:
        found["axis"] = case.config.axis
    return found


def _outcome(saver: str, loader: str, format: str, files: Sequence[Saved], target: Isolated, why: str) -> Exchange:
    """The worst outcome of the layers that one row saved and another loads."""
    if not files:
        return Exchange(format, saver, loader, "not tested", why)
    environment = target.environment
    for file in files:
        if reason := file.reason or not_here(file.case, environment):
            outcome = "not tested" if file.observation.failure else "unsupported"
            return Exchange(format, saver, loader, outcome, reason)
    expected = promised(files[0].environment, environment)
    outcomes = [_told(load_and_judge(file, target)) for file in files]
    outcome, reason = max(outcomes, key=lambda one: SEVERITY.index(one[0]))
    known = _known(format, files[0].environment, environment)
    if outcome == "cannot load" and known:
        outcome, reason = "known deviation", known.why
    if outcome == "cannot load" and not expected:
        reason += "; no release promises to load files of a newer one"
    return Exchange(format, saver, loader, outcome, reason, expected, known.where if known else "")


def _known(format: str, saver: Environment, loader: Environment) -> KnownFile | None:
    """The record of a file that is known to fail on loading."""
    return next((known for known in known_files() if known.covers(format, saver.keras, loader.keras)), None)


OF_FILES = ("returns", *(clause.key for clause in files.CLAUSES))
SEVERITY = ("ok", "known deviation", "cannot load", "wrong")


def _told(verdict: Verdict) -> tuple[str, str]:
    """The outcome of one layer, and the problem as text."""
    failed = verdict.failures
    if not failed:
        excuse = [c for c in verdict.checks if c.status is Status.KNOWN and c.clause in OF_FILES]
        return ("known deviation", excuse[0].reason) if excuse else ("ok", "")
    check = failed[0]
    what = f"{check.mismatch.actual}" if check.mismatch else check.reason
    if check.clause == "returns" and check.quantity in ("loading", "build", "constructor"):
        return "cannot load", what
    expected = f"expected {check.mismatch.expected}, got {what}" if check.mismatch else what
    return "wrong", f"{check.clause}: {check.quantity} {expected} in {verdict.case.id}"
