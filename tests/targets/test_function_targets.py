"""Other routes to the same number: functions of Keras and TensorFlow as targets, what they lack, and where they deviate."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from typing import Any

import keras
import pytest
from support.cli import Cli, assert_refused

from bnverify.api.checking import Report
from bnverify.cases.askable import missing_need
from bnverify.cases.ids import parse
from bnverify.cases.suites import suite
from bnverify.errors import BadInput
from bnverify.running.run import verify_target
from bnverify.targets import function_targets as routes
from bnverify.targets.isolated import Isolated
from bnverify.targets.loading import open_target
from bnverify.targets.worker import functions as worker
from bnverify.values import Results, Status
from bnverify.verdicts import known
from bnverify.verdicts.known import Deviation, parse_known
from bnverify.views.text import reproduce

SMALL = "shape:2x2/steps:TI"
FUSED = [name for name in routes.NAMES if "used" in name]
RECORD = """[[deviation]]
clauses = ["moving-mean"]
target = "{target}"
why = "why"
link = "https://example.org/1"
evidence = "shape:2x2/steps:TI"
"""


def verified(name: str, *ids: str, **options: Any) -> Results:
    cases = [parse(text) for text in ids] if ids else suite("smoke")
    return verify_target(open_target(module=name), cases, label="", **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", routes.NAMES)
def test_a_route_conforms(name: str) -> None:
    """Each route passes the smoke suite; what it cannot be asked for is counted with its reason, and nothing is wrong."""
    results = verified(name, with_evidence=True)
    assert results.environment.target == name
    assert results.environment.module == "keras"
    assert results.ok, str(Report(results))
    assert all(v.reason for v in results.verdicts if v.status is Status.UNSUPPORTED)
    assert all(v.checks for v in results.verdicts if v.status is not Status.UNSUPPORTED)


@pytest.mark.slow
def test_what_a_route_lacks_is_counted() -> None:
    """Masks and renorm are what no route knows, and the fused ones take few shapes: each case is counted with its reason."""
    masked = [case for case in suite("smoke") if case.mask]
    renorm = [case for case in suite("smoke") if (case.config.renorm or case.law == "renorm") and case not in masked]
    misused = [case for case in suite("smoke") if case.misuse]
    expected = {
        "tf.nn.moments takes no mask": len(masked),
        "tf.nn.moments has no batch renormalization": len(renorm),
        "tf.nn.moments does not combine replicas": sum(case.config.synchronized for case in suite("smoke")),
        "the layer's contract does not cover the errors of tf.nn.moments": len(misused),
        "keras.distribution runs on JAX only": sum(case.mode.startswith("parallel") for case in suite("smoke")),
    }
    results = verified("tf.nn.moments@symbolic")
    assert Counter(verdict.reason for verdict in results.verdicts if verdict.reason) == expected
    assert results.statuses[Status.UNSUPPORTED] == sum(expected.values())
    fused = {missing_need(case, routes.function_lacks("tf.nn.fused_batch_norm")) for case in suite("smoke")}
    assert fused == {
        "",
        "tf.nn.fused_batch_norm takes no mask",
        "tf.nn.fused_batch_norm has no batch renormalization",
        "tf.nn.fused_batch_norm does not combine replicas",
        "the layer's contract does not cover the errors of tf.nn.fused_batch_norm",
        "tf.nn.fused_batch_norm takes inputs of rank 4 and 5 only",
        "tf.nn.fused_batch_norm needs the channels on the last axis on CPU",
    }


LIMITS = {
    "shape:2x2x3x4/policy:float64/dtype:float64/steps:T": "tf.nn.fused_batch_norm has no float64",
    "shape:2x2x3x4/law:axes/steps:T": (
        "the law's second call has another axis or rank, which tf.nn.fused_batch_norm does not take"
    ),
    "shape:2x3x4/mask:random/steps:T": "tf.nn.fused_batch_norm takes no mask",
    "shape:2x2x3x4/axis:1/steps:T": "tf.nn.fused_batch_norm needs the channels on the last axis on CPU",
    "shape:2x2x3x4/renorm:True/steps:T": "tf.nn.fused_batch_norm has no batch renormalization",
    "shape:2x2x3x4/axis:3/policy:float16/dtype:float16/steps:T": "",
    "shape:2x2x3x2x4/center:False/scale:False/gradients:2/steps:T": "",
}


@pytest.mark.parametrize("id_", LIMITS)
def test_the_limits_of_the_fused_op(id_: str) -> None:
    """A case beyond a limit is unsupported with the reason; at the limit it is verified."""
    (verdict,) = verified("tf.nn.fused_batch_norm", id_).verdicts
    assert verdict.reason == LIMITS[id_]
    assert verdict.status is (Status.UNSUPPORTED if verdict.reason else Status.KNOWN)


def test_what_was_not_tested_is_shown(cli: Cli) -> None:
    """A run of nothing but unsupported cases ends with exit code 3 and says why with -v."""
    ended = cli("run", "--target", "tf.nn.fused_batch_norm", "--case", SMALL, "-v")
    assert ended.code == 3
    assert "tf.nn.fused_batch_norm takes inputs of rank 4 and 5 only" in ended.out


def watched(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    """The inputs that a route's function is called with from now on."""
    seen: list[Any] = []
    piece, function = worker.FUNCTIONS[name]

    def watch(keras: Any, *settings: Any, **tensors: Any) -> Any:
        seen.append(tensors["x"])
        return function(keras, *settings, **tensors)

    monkeypatch.setitem(worker.FUNCTIONS, name, (piece, watch))
    return seen


@pytest.mark.parametrize("name", worker.FUNCTIONS)
def test_symbolic_is_symbolic(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With @symbolic the function sees tensors of a graph, which hold no values; without it, values."""
    import tensorflow

    seen = watched(monkeypatch, name)
    ids = ("shape:2x2x3x4/steps:T",)
    assert not verified(name, *ids).verdicts[0].status.fails
    assert len(seen) == 1
    assert hasattr(seen.pop(), "numpy")
    assert not verified(name + "@symbolic", *ids).verdicts[0].status.fails
    assert len(seen) == 1
    symbolic = tensorflow.is_symbolic_tensor if name.startswith("tf.") else lambda x: isinstance(x, keras.KerasTensor)
    assert symbolic(seen[0])


@pytest.mark.parametrize("name", routes.NAMES)
def test_a_fault_in_a_route_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousandth more in what a function gives is noticed, whichever way it runs."""
    piece, function = worker.FUNCTIONS[routes.function_of(name)]

    def faulty(keras: Any, *settings: Any, **tensors: Any) -> Any:
        found = function(keras, *settings, **tensors)
        return found * 1.001 if piece == "normalize" else (found[0] * 1.001, *found[1:])

    monkeypatch.setitem(worker.FUNCTIONS, routes.function_of(name), (piece, faulty))
    results = verified(name, "shape:2x4x3x5/steps:T")
    assert results.verdicts[0].status is Status.WRONG
    assert reproduce(results.verdicts[0], results) == f"bnverify run --case shape:2x4x3x5/steps:T --target {name}"


def test_reproducing_a_failure(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that a report gives for a failing case runs it again, with the same outcome."""
    monkeypatch.setitem(worker.FUNCTIONS, "tf.nn.moments", ("moments", lambda keras, axes, x: (x[0], x[0] * 0)))
    ended = cli("run", "--target", "tf.nn.moments", "--case", SMALL)
    assert ended.code == 1
    line = re.findall(r"reproduce +bnverify (.*)", ended.out)[0]
    again = cli(*shlex.split(line))
    assert (again.code, again.out.splitlines()[-1]) == (1, ended.out.splitlines()[-1])


def test_gradients_flow_through_every_route() -> None:
    """First derivatives are checked, also where there is no scale or no offset."""
    for name in routes.NAMES:
        scales = (
            ("", "/center:False") if name == "keras.ops.batch_normalization@symbolic" else ("", "/center:False/scale:False")
        )
        for scale in scales:
            (verdict,) = verified(name, f"shape:3x2x2x4{scale}/gradients:1/steps:T").verdicts
            assert not verdict.status.fails, (name, verdict)
            assert {check.quantity for check in verdict.checks if check.clause == "gradient-training"}, name


# --- how they are asked for


@pytest.mark.usefixtures("folder")
def test_unknown_target(cli: Cli) -> None:
    """An unknown target is refused with those that there are and the one that was probably meant."""
    ended = cli("run", "--target", "tf.nn.momnts")
    assert_refused(ended)
    assert ended.err == (
        "bnverify: --target 'tf.nn.momnts' is unknown; allowed: keras, tf_keras, tf.keras, keras.ops.batch_normalization, "
        "keras.ops.moments, tf.nn.batch_normalization, tf.nn.moments, tf.nn.fused_batch_norm, tf.raw_ops.FusedBatchNormV3, "
        "each function also with @symbolic; did you mean tf.nn.moments?\n"
    )


@pytest.mark.parametrize(
    "name", ["tf.nn.moments@symbol", "keras.layers", "KERAS.OPS.MOMENTS", "@symbolic", "keras@symbolic", ""]
)
def test_malformed_target(name: str) -> None:
    """Only the names as documented are taken."""
    with pytest.raises(BadInput, match="is unknown; allowed: keras, "):
        routes.check_target(name)


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_tensorflow_functions_run_on_tensorflow_alone(cli: Cli) -> None:
    """Another backend is refused in one line, named on the command line or by the environment."""
    ended = cli("run", "--target", "tf.nn.moments", "--backend", "tensorflow", "--backend", "jax")
    assert_refused(ended)
    assert ended.err == "bnverify: --backend jax: tf.nn.moments runs on tensorflow only; allowed: --target keras\n"
    command = [sys.executable, "-m", "bnverify", "run", "--target", "tf.nn.moments", "--case", SMALL]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "jax"}, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "bnverify: --target tf.nn.moments: tf.nn.moments runs on tensorflow only, and this Keras runs on jax"
    )


@pytest.mark.usefixtures("layers")
def test_a_layer_and_a_function_are_two_targets(cli: Cli) -> None:
    """Both at once are refused."""
    ended = cli("run", "--target", "tf.nn.moments", "--layer", "mylayers:Right")
    assert_refused(ended)
    assert "--layer mylayers:Right and --target tf.nn.moments are two targets; allowed: one of them" in ended.err


@pytest.mark.slow
def test_a_function_on_several_backends(cli: Cli) -> None:
    """Keras' own run in a process for each backend, and say which they are."""
    ended = cli("run", "--target", "keras.ops.moments@symbolic", "--backend", "tensorflow", "--backend", "jax", "--case", SMALL)
    assert ended.code == 0, ended.out + ended.err
    assert [line.split(" on ")[0] for line in ended.out.splitlines() if line.startswith("keras.ops")] == [
        f"keras.ops.moments@symbolic · Keras {keras.__version__} · {name} {version}"
        for name, version in re.findall(r"· (tensorflow|jax) (\S+) on", ended.out)
    ]
    assert len(re.findall(r"· (tensorflow|jax) (\S+) on", ended.out)) == 2


@pytest.mark.slow
def test_the_worker_starts_with_a_route() -> None:
    """In a process of its own, too, where the worker's name is the route's."""
    with Isolated(module="tf.nn.moments") as target:
        assert target.environment.target == "tf.nn.moments"
        assert not target.environment.own


def test_an_old_keras_has_no_routes() -> None:
    """Keras 2 has no layer that they fit in, which is said."""

    class Old:
        __version__ = "2.15.0"

    with pytest.raises(worker.NoFunction, match=r"inside a layer of Keras 3, and this is Keras 2\.15\.0"):
        worker.function_layer("keras.ops.moments", Old)


def test_naming_routes_imports_no_framework() -> None:
    """The names and limits of routes, and the module that has their layers, leave Keras and TensorFlow alone."""
    code = "import sys, bnverify.targets.function_targets; print({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# --- known deviations


def record(target: str) -> Deviation:
    (found,) = parse_known(RECORD.format(target=target), "known.toml")
    return found


def test_a_record_for_a_route_applies_to_it_alone() -> None:
    """Named without @symbolic it applies to both forms of each, with it to that alone; without a target it applies to all."""
    environments = {
        name: open_target(module=name).environment
        for name in ("keras", "tf.nn.moments", "tf.nn.moments@symbolic", "keras.ops.moments")
    }

    def applies(target: str) -> list[str]:
        return [name for name, environment in environments.items() if record(target).applies(environment)]

    assert applies("tf.nn.moments") == ["tf.nn.moments", "tf.nn.moments@symbolic"]
    assert applies("tf.nn.moments@symbolic") == ["tf.nn.moments@symbolic"]
    assert applies("tf.nn.moments|keras.ops.moments") == ["tf.nn.moments", "tf.nn.moments@symbolic", "keras.ops.moments"]


@pytest.mark.parametrize("target", ["tf.nn.momnts", "keras", "tf.nn.moments|", "tf.nn.moments, keras.ops.moments", "x"])
def test_a_record_for_no_route_is_refused(target: str) -> None:
    """A target that is no route's name is refused with file, line and the names that there are."""
    with pytest.raises(BadInput, match=rf"known\.toml:3.*got {re.escape(repr(target))}; allowed: keras\.ops\.batch"):
        record(target)


def test_a_records_target_is_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record for a route that its evidence no longer shows makes that route's run fail, and no other's."""
    monkeypatch.setattr(known, "shipped", lambda: (record("tf.nn.moments"),))
    assert verified("tf.nn.moments", SMALL).stale
    assert verified("keras.ops.moments", SMALL).ok
    assert verified("keras", SMALL).ok


def test_the_fused_op_without_its_record_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded of the fused op is what it does: without the record the cause is found and named."""
    monkeypatch.setattr(known, "shipped", lambda: ())
    for name in FUSED:
        (verdict,) = verified(name, "shape:2x4x3x5/steps:T2I").verdicts
        assert verdict.status is Status.WRONG
        assert verdict.cause == "the moving variance gets the variance with divisor n-1, not n"


def test_records_of_routes_show_plainly() -> None:
    """The shipped records, in plain TensorFlow and Keras: n/(n-1), and a symbolic offset without a scale that raises."""
    import tensorflow

    x = tensorflow.constant([0.0, 1.0, 2.0, 5.0], shape=(4, 1, 1, 1))
    _, _, variance = tensorflow.compat.v1.nn.fused_batch_norm(x, [1.0], [0.0])
    assert float(variance[0]) == pytest.approx(3.5 * 4 / 3)
    entry, ones = keras.Input((4,)), keras.ops.ones(4)
    keras.ops.batch_normalization(entry, ones, ones, -1, scale=ones)
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'shape'"):
        keras.ops.batch_normalization(entry, ones, ones, -1, offset=ones)
