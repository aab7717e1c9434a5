"""Run the matrix: for each row make an environment, run the cases in it, and record the results. Finished rows are kept.

Rows run side by side. A row comes from the cache if its environment, cases, seed and verifier are unchanged.
"""

from __future__ import annotations

import ast
import hashlib
import json
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from bnverify.cases.case import Case
from bnverify.errors import BadInput
from bnverify.matrix.environments import NoInterpreter, NotInstallable, cache_folder, find_uv, fingerprint, make_environment
from bnverify.matrix.record_files import load_record
from bnverify.matrix.records import Record, record_as_text, record_of
from bnverify.matrix.rows import Row
from bnverify.running.run import verify_target
from bnverify.storage.writing import write_whole
from bnverify.targets.isolated import ENDED, PATIENCE, Isolated, WorkerLost
from bnverify.values import Environment, Verdict


@dataclass(frozen=True)
class Job:
    """What to run in every row, and how."""

    cases: tuple[Case, ...]
    label: str
    seed: int = 0
    whole: bool = True
    patience: float = PATIENCE
    force: bool = False
    started: float = field(default_factory=time.time)


@dataclass(frozen=True)
class RowOutcome:
    """One row: its record, or why there is none.

    problem: why there is no record, as one line. skipped: whether the only reason is that this machine lacks the row's Python.
    note: why the record was not put into the cache.
    """

    row: Row
    record: Record | None = None
    problem: str = ""
    skipped: bool = False
    cached: bool = False
    note: str = ""
    seconds: float = 0.0


class Interrupted(Exception):
    """The matrix is being stopped; raised inside a row."""


Tell = Callable[[Row, str], None]


def run_rows(
    rows: Sequence[Row], job: Job, jobs: int, tell: Tell = lambda row, text: None
) -> Generator[RowOutcome, None, None]:
    """The outcomes of the rows as they finish, `jobs` at a time.

    Closing the iterator, or Ctrl-C, stops the running rows. Finished rows are in the cache, and the next run continues after
    them. Raises BadInput if no environment can be made at all, for example without uv.
    """
    find_uv()  # in this thread, because several threads must not search at once
    stop = threading.Event()
    pool = ThreadPoolExecutor(max_workers=max(1, jobs))
    try:
        futures = [pool.submit(_outcome, row, job, tell, stop) for row in rows]
        for future in as_completed(futures):
            yield future.result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _outcome(row: Row, job: Job, tell: Tell, stop: threading.Event) -> RowOutcome:
    started = time.perf_counter()

    def taken(**found: object) -> RowOutcome:
        return RowOutcome(row, seconds=time.perf_counter() - started, **found)  # type: ignore[arg-type]

    def told(text: str) -> None:
        if stop.is_set():
            raise Interrupted
        tell(row, text)

    try:
        told("waiting")
        kept = cache_folder() / "records" / f"{_key(row, job)}.json"
        record = None if job.force else _kept(kept)
        if record is not None:
            return taken(record=record, cached=True)
        record = run_row(row, make_environment(row, job.started if job.force else 0.0, told), job, told)
        return taken(record=record, note=_keep(record, kept))
    except Interrupted:
        raise
    except Exception as error:  # an exception in one row must not stop the others
        return taken(problem=_problem(error), skipped=isinstance(error, NoInterpreter))


def _keep(record: Record, path: Path) -> str:
    """Puts a record into the cache, or returns why not. If a worker died, the row is run again next time."""
    returned = [case.checks["returns"].actual for case in record.cases.values() if "returns" in case.checks]
    if any(text.split(":")[0] in ENDED for text in returned):
        return "not cached, because a worker crashed"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, record_as_text(record), "cache")
    except (BadInput, OSError) as error:
        return f"not kept: {error}"
    return ""


def _problem(error: Exception) -> str:
    """Why there is no record, on one line."""
    if isinstance(error, NotInstallable):
        return f"cannot be installed: {error}"
    if isinstance(error, WorkerLost):
        return f"no worker starts: {error}"
    if isinstance(error, OSError):
        return f"{error.filename or 'this machine'}: {error.strerror or error}"
    return str(error) if isinstance(error, (NoInterpreter, BadInput)) else f"internal error: {error!r}"


def run_row(row: Row, python: str, job: Job, tell: Callable[[str], None] = lambda text: None) -> Record:
    """The record of the cases in an environment. Raises WorkerLost if no worker starts."""
    tell("starting")
    with Isolated(python, row.module, row.variables, job.patience, alone=True) as target:
        _check_environment(row, target.environment)
        done = 0

        def step(verdict: Verdict) -> None:
            nonlocal done
            done += 1
            tell(f"{done}/{len(job.cases)}")

        results = verify_target(target, job.cases, label=job.label, seed=job.seed, with_evidence=job.whole, progress=step)
        if results.interrupted:
            raise Interrupted
        return record_of(row.name, results, target.interface)


def _check_environment(row: Row, found: Environment) -> None:
    """Raises WorkerLost if the environment has another Keras or another backend than the row."""
    if row.module != "tf.keras" and row.keras and found.keras != row.keras:
        raise WorkerLost(f"the row says {row.module} {row.keras}, its environment has {found.keras}")
    if found.backend != row.backend:
        raise WorkerLost(f"the row says backend {row.backend}, its environment has {found.backend}")


def _kept(path: Path) -> Record | None:
    if not path.is_file():
        return None
    try:
        return load_record(path, "cache")
    except BadInput:  # of another version of bnverify, or incomplete
        return None


def _key(row: Row, job: Job) -> str:
    """What a record depends on: the environment, the cases, the seed, and all code and data that judge."""
    asked = [fingerprint(row), row.name, row.module, row.variables, [case.id for case in job.cases], job.seed, job.whole]
    return hashlib.sha256(json.dumps([*asked, _verifier(), np.__version__]).encode()).hexdigest()[:24]


JUDGES = ("bnverify.running.run", "bnverify.targets.isolated", "bnverify.matrix.records")  # the functions that make a record


@cache
def _verifier() -> str:
    """A digest of everything that a record depends on: the modules that judge, their imports, the worker, and the data."""
    package = resources.files("bnverify")
    digest = hashlib.sha256()
    for module in sorted(imported_by(JUDGES)):
        digest.update(module.encode() + _source(module).read_bytes())
    for folder in ("targets/worker", "verdicts"):  # not imported: the worker is started by path, and known.toml is read
        for file in sorted(package.joinpath(folder).iterdir(), key=lambda file: file.name):
            if file.name.endswith((".py", ".toml")):
                digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def imported_by(modules: Iterable[str]) -> frozenset[str]:
    """The modules of bnverify that these modules import, directly or not, and these modules."""
    found: set[str] = set()
    open_ = [*modules]
    while open_:
        module = open_.pop()
        if module in found or not _source(module).is_file():
            continue
        found.add(module)
        for node in ast.walk(ast.parse(_source(module).read_bytes())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("bnverify"):
                open_ += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return frozenset(found)


def _source(module: str) -> Traversable:
    """The file of a module of bnverify; it may not exist."""
    inside = module.split(".")[1:]
    folder = resources.files("bnverify").joinpath(*inside)
    return folder / "__init__.py" if folder.is_dir() else resources.files("bnverify").joinpath(*inside[:-1], f"{inside[-1]}.py")
