"""The figures that the README quotes, measured on this machine: `python ci/benchmarks.py [NAME …]`.

`seeds` runs only if it is named, because it takes hours; `--backend`, `--suite` and `--seeds 0-30` choose a part of it.

Figures of time are ratios of two things measured in turn in one run, the median of several rounds, so that a noisy machine
disturbs both alike.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

Row = tuple[str, str, str]  # figure, reach, measured


def false_alarms(seeds: int = 20) -> Iterator[Row]:
    """The full suite with many seeds on the installed Keras: whatever is not `blocked` or `sequential` is a finding."""
    from bnverify.cases.suites import suite
    from bnverify.running.run import verify_target
    from bnverify.targets.loading import open_target
    from bnverify.values import Grade, Status

    target = open_target()
    cases, checks, alarms, sequential, known = 0, 0, [], 0, 0
    for seed in range(seeds):
        results = verify_target(target, suite("full"), label="full suite", seed=seed, with_evidence=True)
        cases += len(results.verdicts)
        for verdict in results.verdicts:
            checks += len(verdict.checks)
            sequential += sum(check.grade is Grade.SEQUENTIAL for check in verdict.checks)
            known += verdict.status is Status.KNOWN
            if verdict.status.fails:
                alarms.append(f"{verdict.case.id} --seed {seed}")
        print(f"seed {seed}: {cases:,} cases so far, alarms: {alarms}", file=sys.stderr)
    measured = f"{len(alarms)} of {cases:,} cases ({checks:,} checks; {sequential:,} sequential, {known} known deviations)"
    yield f"false alarms: full suite, {seeds} seeds", "0", measured


def tightness() -> Iterator[Row]:
    """How close correct layers come to the bounds: bounds that are never approached notice little."""
    from bnverify.cases.suites import suite
    from bnverify.running.run import verify_target
    from bnverify.targets.loading import open_target

    chosen = [
        case
        for case in suite("full")
        if case.policy == case.dtype == "float32" and case.fill == "normal" and max(case.shape) <= 4096
    ]
    results = verify_target(open_target(), chosen, label="")
    margins = [verdict.worst_margin for verdict in results.verdicts if verdict.worst_margin is not None]
    figure = f"tightness: median largest margin of {len(margins)} cases, float32, n ≤ 4,096, normal fill"
    yield figure, "≥ 0.02", f"{statistics.median(margins):.2f}"


def sensitivity() -> Iterator[Row]:
    """The smallest relative error of an argument that the default suite notices in float32, found by halving."""
    from bnverify.cases.suites import suite
    from bnverify.targets.mutants import KERAS, formula_layer, gradient_layer, with_argument
    from bnverify.targets.target import InProcess
    from bnverify.values import Status
    from bnverify.verdicts.pipeline import verify

    cases = [case for case in suite("default") if case.policy == case.dtype == "float32" and max(case.shape) <= 4096]
    real = InProcess()
    cases = [case for case in cases if verify(case, real, 0).verdict.status is Status.CONFORMS]

    def noticed(layer: Any, among: Sequence[Any] = cases) -> bool:
        target = InProcess(layer, "mutant")
        return any(verify(case, target, 0).verdict.status.fails for case in among)

    def smallest(make: Callable[[float], Any], start: float) -> float:
        error = start
        while error > 1e-9 and noticed(make(error / 2)):
            error /= 2
        return error

    def scaled(error: float) -> Any:
        return formula_layer(output=lambda xp, x, m, i, g, b: (x - m) * (i * (g * (1 + error))) + b)

    def shifted(error: float) -> Any:
        return formula_layer(output=lambda xp, x, m, i, g, b: (x - m) * (i * g) + b * (1 + error))

    yield "sensitivity: epsilon", "≤ 1e-4", f"{smallest(lambda e: with_argument('epsilon', lambda v: v * (1 + e)), 1e-3):.1e}"
    yield "sensitivity: momentum", "≤ 1e-5", f"{smallest(lambda e: with_argument('momentum', lambda v: v * (1 - e)), 1e-4):.1e}"
    yield "sensitivity: gamma", "≤ 1e-6", f"{smallest(scaled, 1e-5):.1e}"
    yield "sensitivity: beta", "≤ 1e-6", f"{smallest(shifted, 1e-5):.1e}"

    differentiated = [case for case in cases if case.gradients == 1]

    def off(of_x: float, of_gamma: float) -> Any:
        return gradient_layer(1 + of_x, 1 + of_gamma)

    for name, make in (("dL/dx", lambda e: off(e, 0.0)), ("dL/dgamma", lambda e: off(0.0, e))):
        error = 1e-3
        while error > 1e-9 and noticed(make(error / 2), differentiated):
            error /= 2
        yield f"sensitivity: {name}", "≤ 1e-4", f"{error:.1e}"

    from bnverify.cases.ids import parse
    from bnverify.reference.hypotheses import HYPOTHESES

    left_out = next(h for h in HYPOTHESES if h.key == "one-left-out").formulas.moments
    n = 1024
    while n < 1 << 20 and noticed(formula_layer(moments=left_out), [parse(f"shape:{2 * n}x2/fill:exact/steps:T")]):
        n *= 2
    assert KERAS.moments is not left_out
    yield "sensitivity: one value in N left out of the moments", "N ≥ 4,096", f"N = {n:,}"


def cost() -> Iterator[Row]:
    """What verifying costs beside the bare Keras calls of the same cases, each in a process of its own, in turn."""
    here = os.path.dirname(os.path.abspath(__file__))
    bare = f"import sys; sys.path.insert(0, {here!r}); import benchmarks; benchmarks.bare_calls()"
    rounds = 3
    whole, alone = [], []
    for _ in range(rounds):
        alone.append(float(_output([sys.executable, "-c", bare]).split()[-1]))
        started = time.perf_counter()
        out = _output([sys.executable, "-m", "bnverify", "run", "--suite", "default"])
        process = time.perf_counter() - started
        inside = float(out.split(" cases in ")[1].split(" s")[0])
        whole.append((process, inside))
    ratio = statistics.median(inside / calls for (_, inside), calls in zip(whole, alone, strict=True))
    detail = f"{ratio:.2f} (run {statistics.median(i for _, i in whole):.1f} s, bare calls {statistics.median(alone):.1f} s)"
    yield "cost of verifying: `run --suite default` ÷ bare Keras calls, import apart", "≤ 1.25", detail


def bare_calls() -> None:
    """Builds, calls and differentiates the layers of the default suite, and nothing else; prints the seconds."""
    from bnverify.cases.fills import make_inputs
    from bnverify.cases.suites import suite
    from bnverify.targets.target import request
    from bnverify.targets.worker.frameworks import open_framework

    jobs = [request(case, make_inputs(case)) for case in suite("default") if not isinstance(case.config.axis, tuple)]
    framework = open_framework("keras")
    layer_class = framework.keras.layers.BatchNormalization
    layer_class()(framework.tensor([[1.0]], "float32"), training=True)
    started = time.perf_counter()
    for job in jobs:
        layer = layer_class(**job["layer"], dtype=job["policy"])
        layer.build(job["shape"])
        for step in job["steps"]:
            if step["do"] == "trainable":
                layer.trainable = step["value"]
                continue
            given = {} if step["training"] is None else {"training": step["training"]}
            if step["mask"] is not None:
                given["mask"] = framework.mask(step["mask"])
            x = framework.tensor(step["x"], job["dtype"])
            with contextlib.suppress(ValueError):  # of a mask that Keras does not take
                if step["upstream"] is None:
                    layer(x, **given)
                else:
                    framework.differentiate(layer, x, given, step["upstream"], step["direction"], step["rate"])
    print(time.perf_counter() - started)


def large_input() -> Iterator[Row]:
    """A batch of images: reference, bounds and comparison against the layer's own training call."""
    import tracemalloc

    import keras
    import numpy as np

    from bnverify.cases.fills import Inputs
    from bnverify.cases.ids import parse
    from bnverify.contract.evidence import Evidence, expect
    from bnverify.values import Grade, Observation, StepObservation

    case = parse("shape:32x112x112x64/weights:initial/steps:T")
    x = np.random.default_rng(0).standard_normal(case.shape, dtype=np.float32)
    layer = keras.layers.BatchNormalization()
    layer.build(case.shape)
    tensor = keras.ops.convert_to_tensor(x)
    y = np.array(layer(tensor, training=True))
    weights = {w.name: np.array(keras.ops.convert_to_numpy(w)) for w in layer.weights}
    seen = Observation(steps=(StepObservation(weights, (), y, "float32"),))

    def verify() -> None:
        evidence = Evidence(expect(case, Inputs(None, (x,))), seen, Grade.SEQUENTIAL)
        (call,) = evidence.calls
        checks = [evidence.output("", call), *(evidence.moving("", name, call) for name in ("moving_mean", "moving_variance"))]
        assert all(check.status.value == "conforms" for check in checks)

    ratios = []
    for _ in range(7):
        own = _seconds(lambda: layer(tensor, training=True).numpy())
        # the layer's moving statistics have moved on, but the verified call is the recorded one
        ratios.append(_seconds(verify) / own)
    tracemalloc.start()
    verify()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    yield (
        "large input 32×112×112×64: (reference + bounds + comparison) ÷ training call",
        "≤ 1.0",
        f"{statistics.median(ratios):.2f}",
    )
    yield "large input: extra peak memory ÷ the input's size", "≤ 1.0", f"{peak / x.nbytes:.2f}"


def start_up() -> Iterator[Row]:
    """Commands that run no layer against importing NumPy alone."""
    numpy = [sys.executable, "-c", "import numpy"]
    for command in ("--help", "list"):
        ours = [sys.executable, "-m", "bnverify", command]
        ratios = []
        for _ in range(9):
            base = _seconds(partial(_output, numpy))
            ratios.append(_seconds(partial(_output, ours)) / base)
        yield f"`bnverify {command}` ÷ `python -c 'import numpy'`", "≤ 3", f"{statistics.median(ratios):.1f}"


def rate() -> Iterator[Row]:
    """Checks per second once Keras is imported."""
    from bnverify.cases.suites import suite
    from bnverify.running.run import verify_target
    from bnverify.targets.loading import open_target

    target = open_target()
    rates = []
    for seed in range(4):
        results = verify_target(target, suite("smoke"), label="", seed=seed)
        rates.append(sum(len(verdict.checks) for verdict in results.verdicts) / results.seconds)
    yield "checks per second after import, `smoke`", "≥ 200", f"{statistics.median(rates):,.0f}"


def worker_cost() -> Iterator[Row]:
    """What a case costs in the isolated worker against this process: the same Keras, the same cases, in turn."""
    from bnverify.cases.suites import suite
    from bnverify.running.run import verify_target
    from bnverify.targets.isolated import Isolated
    from bnverify.targets.loading import open_target

    here, ratios = open_target(), []
    with Isolated() as there:
        for round_ in range(5):
            seconds = [verify_target(t, suite("smoke"), label="", seed=round_).seconds for t in (here, there)]
            ratios.append(seconds[1] / seconds[0])
    yield "a case in the isolated worker ÷ in this process, `smoke`", "≤ 1.3", f"{statistics.median(ratios[1:]):.2f}"


def matrix_runs() -> Iterator[Row]:
    """A matrix of five rows, the first time (environments are made) and the second (nothing has changed)."""
    rows = [f"keras-{version}-tensorflow" for version in ("3.15.1", "3.13.2", "3.10.0", "3.5.0", "2.15.0")]
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "bnverify", "matrix", *rows, "--suite", "smoke"]
        env = {**os.environ, "BNVERIFY_CACHE": cache}
        first, second, base = (
            _seconds(partial(subprocess.run, line, env=env, capture_output=True, check=True))
            for line in (command, command, [sys.executable, "-c", "import numpy"])
        )
        yield "matrix of five rows, first run", "", f"{first:.0f} s"
        yield (
            "the same again, nothing changed: ÷ first run",
            "≤ 0.1",
            f"{second / first:.2f} ({second / base:.0f} × import numpy)",
        )
        kept = next(Path(cache, "records").glob("*.json"))
        kept.unlink()
        again = _seconds(partial(subprocess.run, command, env=env, capture_output=True, check=True))
        yield "one of the rows again (its import and its calls) ÷ first run", "", f"{again / first:.2f}"


SEEDS = {"smoke": range(200), "default": range(30)}
SEEDED_BACKENDS = ("tensorflow", "numpy", "jax")


def seeds(
    backends: Sequence[str] = SEEDED_BACKENDS, suites: Sequence[str] = tuple(SEEDS), chosen: range | None = None
) -> Iterator[Row]:
    """Alarms of a conforming Keras by seed. Each backend and suite has a process of its own; an alarm stops nothing."""
    here = os.path.dirname(os.path.abspath(__file__))
    for backend in backends:
        for suite in suites:
            asked = SEEDS[suite] if chosen is None else chosen
            code = f"import sys; sys.path.insert(0, {here!r}); import benchmarks; benchmarks.print_alarms({suite!r}, {asked!r})"
            out = _output([sys.executable, "-c", code], {**os.environ, "KERAS_BACKEND": backend})
            alarms = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
            said = "; ".join(f"seed {alarm['seed']}: {', '.join(alarm['cases'])}" for alarm in alarms)
            figure = f"seeds with alarms: {backend}, {suite}, seeds {asked[0]}–{asked[-1]}"
            yield figure, "0", f"{len(alarms)} of {len(asked)}{f' ({said})' if said else ''}"


def print_alarms(suite: str, chosen: range) -> None:
    """Prints a line for each seed with which the installed Keras does not conform: its failing cases, in JSON."""
    import bnverify

    for seed in chosen:
        report = bnverify.check_layer(suite=suite, seed=seed)
        failing = [verdict.case.id for verdict in report.verdicts if verdict.status.fails]
        print(f"{suite}, seed {seed}: {len(report.verdicts)} cases, alarms: {failing}", file=sys.stderr, flush=True)
        if not report.ok:
            print(json.dumps({"seed": seed, "cases": failing or ["a known deviation no longer occurs"]}), flush=True)


FIGURES = (false_alarms, tightness, sensitivity, cost, large_input, start_up, rate, worker_cost, matrix_runs)


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _output(command: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def _range(text: str) -> range:
    """The seeds of 0-30 or 7."""
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed: 7, or 0-30")
    return range(int(first), int(last or first) + 1)


def main(arguments: Sequence[str]) -> None:
    """Prints the table, row by row as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = {figure.__name__: figure for figure in (*FIGURES, seeds)}
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; default: all except seeds")
    parser.add_argument("--backend", action="append", choices=SEEDED_BACKENDS, help="for seeds (repeatable)")
    parser.add_argument("--suite", action="append", choices=tuple(SEEDS), help="for seeds (repeatable)")
    parser.add_argument("--seeds", type=_range, metavar="A-B", help="for seeds: from A to B instead of all")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; allowed: {', '.join(known)}")
    chosen = partial(seeds, given.backend or SEEDED_BACKENDS, given.suite or tuple(SEEDS), given.seeds)
    print("| figure | reach | measured |\n|---|---|---|")
    for name in given.names or [figure.__name__ for figure in FIGURES]:
        for row in chosen() if name == "seeds" else known[name]():
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
