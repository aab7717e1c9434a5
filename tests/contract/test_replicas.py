"""Replicas: real ones in a process of their own, held against NumPy; and each clause seen failing on a planted fault."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from support.cli import Cli, environment

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.cases.ids import parse
from bnverify.contract.eras import era_of
from bnverify.errors import BadInput
from bnverify.reference.sub_cases import shards, sub_cases_of
from bnverify.running.run import run
from bnverify.targets.isolated import Isolated
from bnverify.values import Environment, InnerCall, Observation, Status
from bnverify.verdicts import known
from bnverify.verdicts.ask import not_here
from bnverify.verdicts.judge import judge
from bnverify.verdicts.judged_case import Observed
from bnverify.verdicts.pipeline import verify

OWN = "shape:7x4/momentum:0.5/mode:mirrored2/steps:TI"
SYNCHRONIZED = "shape:7x4/momentum:0.5/synchronized:True/mode:mirrored3/steps:TI"
SAVED = "shape:7x4/momentum:0.5/mode:mirrored2/file:weights.h5/steps:TSI"
JAX = "shape:8x4/momentum:0.5/mode:parallel4/steps:TI"


@pytest.fixture(scope="module")
def tensorflow() -> Iterator[Isolated]:
    """Keras on TensorFlow, in a process that nobody has used before."""
    with Isolated(env={"KERAS_BACKEND": "tensorflow"}) as target:
        yield target


@pytest.fixture(scope="module")
def jax() -> Iterator[Isolated]:
    with Isolated(env={"KERAS_BACKEND": "jax"}) as target:
        yield target


def observed(target: Isolated, text: str) -> Observation:
    case = parse(text)
    return target.observe(case, make_inputs(case))


def first_calls(observation: Observation) -> list[InnerCall]:
    return [call for call in observation.inner if call.step == 0]


def assert_normalized(call: InnerCall, batch: np.ndarray) -> None:
    """A replica's first call took the statistics of `batch`, and moved its own by half."""
    x, before, after = call.x.astype(np.float64), call.before, call.after
    mean, variance = batch.astype(np.float64).mean(0), batch.astype(np.float64).var(0)
    y = before["gamma"] * (x - mean) / np.sqrt(variance + 1e-3) + before["beta"]
    np.testing.assert_allclose(after.y, y, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(after.weights["moving_mean"], before["moving_mean"] / 2 + mean / 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(after.weights["moving_variance"], before["moving_variance"] / 2 + variance / 2, rtol=1e-4)


@pytest.mark.slow
def test_each_replica_has_a_shard_of_its_own_and_the_shards_may_be_unequal(tensorflow: Isolated) -> None:
    calls = first_calls(observed(tensorflow, OWN))
    assert [call.x.shape for call in calls] == [(4, 4), (3, 4)]
    for call in calls:
        assert_normalized(call, call.x)


def test_synchronized_replicas_take_the_batch_of_all_of_them(tensorflow: Isolated) -> None:
    calls = first_calls(observed(tensorflow, SYNCHRONIZED))
    assert [call.x.shape for call in calls] == [(3, 4), (2, 4), (2, 4)]
    for call in calls:
        assert_normalized(call, np.concatenate([call.x for call in calls]))


@pytest.mark.slow
def test_data_parallelism_of_jax_takes_the_whole_batch_on_every_device(jax: Isolated) -> None:
    calls = first_calls(observed(jax, JAX))
    assert [call.x.shape for call in calls] == [(2, 4)] * 4
    for call in calls:
        assert_normalized(call, np.concatenate([call.x for call in calls]))


REGULARIZED = OWN.replace("/mode", "/gamma_regularizer:l2/mode")


@pytest.mark.parametrize(
    "case", [OWN, SYNCHRONIZED, SAVED, REGULARIZED, OWN + "F2TUT", OWN.replace("7x4/", "7x4x3/mask:random/")]
)
def test_keras_conforms_on_replicas(tensorflow: Isolated, case: str) -> None:
    verdict = run((parse(case),), tensorflow).verdicts[0]
    assert verdict.status is Status.CONFORMS
    assert {"replicas-equal", "replicas-read"} <= {check.clause for check in verdict.checks}


@pytest.mark.slow
def test_keras_conforms_on_devices_of_jax(jax: Isolated) -> None:
    results = run((parse(JAX), parse("shape:8x4x3/mask:random/mode:parallel2/steps:TI")), jax)
    assert [verdict.status for verdict in results.verdicts] == [Status.CONFORMS] * 2


def test_what_keras_3_reads_and_saves_is_what_the_first_replica_holds(tensorflow: Isolated) -> None:
    found = observed(tensorflow, SAVED)
    first, second = first_calls(found)
    np.testing.assert_array_equal(found.steps[0].weights["moving_mean"], first.after.weights["moving_mean"])
    assert not np.array_equal(first.after.weights["moving_mean"], second.after.weights["moving_mean"])
    loaded = [call.before["moving_mean"] for call in found.inner if call.step == 2]
    np.testing.assert_array_equal(loaded, [first.after.weights["moving_mean"]] * 2)


@pytest.mark.parametrize("steps", ["TI", "FTUTI"])
def test_a_mask_undoes_synchronized_which_is_a_known_deviation(tensorflow: Isolated, steps: str) -> None:
    """Keras 3 takes the masked statistics of each shard by itself."""
    case = parse(f"shape:7x5x3/synchronized:True/mask:random/mode:mirrored2/steps:{steps}")
    assert verify(case, tensorflow, 0).verdict.status is Status.WRONG
    calls = [call for call in observed(tensorflow, case.id).inner if call.training and call.trainable]
    one, two = (call.after.weights["moving_mean"] for call in calls[:2])
    assert not np.allclose(one, two)


def changed(observation: Observation, index: int, **weights: np.ndarray) -> Observation:
    """The observation with other weights after one of its inner calls."""
    call = observation.inner[index]
    after = replace(call.after, weights={**call.after.weights, **weights})
    inner = (*observation.inner[:index], replace(call, after=after), *observation.inner[index + 1 :])
    return replace(observation, inner=inner)


def failing(target: Isolated, text: str, plant: Callable[[Observation], Observation]) -> set[str]:
    """The clauses that fail once a fault is planted in what was observed."""
    case, era = parse(text), era_of(target.environment)
    inputs = make_inputs(case)
    found = judge(Observed(case, inputs, plant(target.observe(case, inputs)), era))
    return {check.clause for check in found.verdict.failures}


def test_a_parameter_that_differs_on_one_replica_is_wrong(tensorflow: Isolated) -> None:
    plant = lambda o: changed(o, 1, beta=o.inner[1].after.weights["beta"] * np.float32(1.001))  # noqa: E731
    assert "replicas-equal" in failing(tensorflow, OWN, plant)


@pytest.mark.parametrize(("factor", "status"), [(1.0, Status.KNOWN), (1.001, Status.WRONG)])
def test_what_a_replica_computes_alone_is_known_and_nothing_else(tensorflow: Isolated, factor: float, status: Status) -> None:
    """A synchronized layer under a mask: the record says what comes out of each replica's own shard."""

    class Planted:
        environment = tensorflow.environment

        def observe(self, case: Case, inputs: Inputs) -> Observation:
            found = tensorflow.observe(case, inputs)
            return changed(found, 1, moving_mean=found.inner[1].after.weights["moving_mean"] * np.float32(factor))

    case = parse("shape:7x5x3/synchronized:True/mask:random/mode:mirrored2/steps:T")
    found = run((case,), Planted(), lenient=known.shipped()).verdicts[0]
    assert found.status is status
    quantities = {check.quantity for check in found.failures}
    assert quantities == (set() if status is Status.KNOWN else {"moving_mean of replica 2"})


def test_statistics_that_differ_on_one_replica_are_wrong_if_synchronized(tensorflow: Isolated) -> None:
    plant = lambda o: changed(o, 2, moving_mean=np.nextafter(o.inner[2].after.weights["moving_mean"], 9))  # noqa: E731
    assert failing(tensorflow, SYNCHRONIZED, plant) == {"replicas-equal"}
    assert failing(tensorflow, SYNCHRONIZED, lambda o: o) == set()


def read(observation: Observation, step: int, value: np.ndarray) -> Observation:
    """The observation with another moving mean in get_weights() after a step."""
    steps = list(observation.steps)
    steps[step] = replace(steps[step], weights={**steps[step].weights, "moving_mean": value})
    return replace(observation, steps=tuple(steps))


@pytest.mark.parametrize(
    ("of", "wrong"), [(np.sum, {"replicas-read"}), (np.mean, set()), (np.max, {"replicas-read"}), (lambda v, axis: v[1], set())]
)
def test_what_is_read_is_one_replicas_or_the_mean(tensorflow: Isolated, of: Callable[..., np.ndarray], wrong: set[str]) -> None:
    def plant(o: Observation) -> Observation:
        return read(o, 0, of(np.stack([call.after.weights["moving_mean"] for call in first_calls(o)]), axis=0))

    assert failing(tensorflow, OWN, plant) == wrong


def test_keras_2_promises_the_mean(tensorflow: Isolated) -> None:
    """Keras 3 reads the first replica's statistics, which its predecessor's promise would not allow."""
    case, two = parse(OWN), era_of(replace(tensorflow.environment, keras="2.15.0"))
    observed = verify(case, tensorflow, 0).observed
    assert observed is not None
    found = judge(observed, two.promise)
    assert {check.clause for check in found.verdict.failures} == {"replicas-read"}


def test_a_file_with_other_statistics_is_wrong(tensorflow: Isolated) -> None:
    plant = lambda o: read(o, 1, o.steps[1].weights["moving_mean"] + np.float32(1e-6))  # noqa: E731
    assert failing(tensorflow, SAVED, plant) == {"file-weights", "replicas-file"}


def test_a_file_with_another_configuration_is_wrong(tensorflow: Isolated) -> None:
    """A file of replicas that holds a configuration must bring it back."""
    text = SAVED.replace("file:weights.h5", "file:keras")

    def plant(o: Observation) -> Observation:
        step = replace(o.steps[1], config={**o.steps[1].config, "momentum": ("0.5", "0.99")})
        return replace(o, steps=(o.steps[0], step, *o.steps[2:]))

    assert observed(tensorflow, text).steps[1].config["momentum"] == ("0.5", "0.5")
    assert failing(tensorflow, text, lambda o: o) == set()
    assert failing(tensorflow, text, plant) == {"file-config"}


def test_a_replica_that_does_not_get_what_was_loaded_is_wrong(tensorflow: Isolated) -> None:
    def plant(o: Observation) -> Observation:
        last = replace(o.inner[-1], before={**o.inner[-1].before, "moving_mean": o.inner[-1].before["moving_mean"] * 2})
        return replace(o, inner=(*o.inner[:-1], last))

    assert "replicas-file" in failing(tensorflow, SAVED, plant)


def test_parts_are_shards_or_the_whole_batch() -> None:
    case = parse(SYNCHRONIZED)
    inputs = make_inputs(case)
    assert [own.shape[0] for _, own, _ in shards(case, inputs)] == [3, 2, 2]
    assert sub_cases_of(case, inputs, Observation(), True) == ()


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("shape:4x3/axis:0/mode:mirrored2/steps:T", "so axis 0 cannot be kept"),
        ("shape:3x3/mode:mirrored4/steps:T", "a batch size of 4 or more; got 3"),
        ("shape:7x3/mode:parallel2/steps:T", "a batch size that is a multiple of 2; got 7"),
        ("shape:4x3/mode:mirrored2/file:pickle/steps:TS", "cannot save file:pickle; allowed: keras, weights.h5, h5"),
        ("shape:4x3/mode:parallel2/file:keras/steps:TS", "cannot save file:keras; allowed: none"),
        ("shape:4x3/mode:mirrored2/gradients:1/steps:T", "got mode:mirrored2"),
    ],
)
def test_what_replicas_cannot_do_is_refused(case: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse(case)


def where(keras: str, backend: str, module: str = "keras") -> Environment:
    name = f"{module}.layers.BatchNormalization"
    return Environment(name, module, keras, backend, "0", "CPU", True, "2.0", "3.11", "")


@pytest.mark.parametrize(
    ("keras", "backend", "case", "why"),
    [
        ("3.15.1", "torch", OWN, "MirroredStrategy runs on TensorFlow only"),
        ("3.15.1", "jax", "shape:7x4/synchronized:True/steps:T", "synchronized=True works on TensorFlow only"),
        ("3.15.1", "tensorflow", JAX, "keras.distribution runs on JAX only"),
        ("3.15.1", "jax", JAX, ""),
        ("3.0.0", "tensorflow", SYNCHRONIZED, ""),
        ("2.12.0", "tensorflow", SYNCHRONIZED, ""),
        ("2.11.0", "tensorflow", SYNCHRONIZED, "no `synchronized` before Keras 2.12"),
        ("2.4.3", "tensorflow", OWN, ""),
        ("2.3.1", "tensorflow", OWN, "multi-backend Keras has no replicas"),
    ],
)
def test_eras_say_who_has_replicas(keras: str, backend: str, case: str, why: str) -> None:
    found = not_here(parse(case), where(keras, backend))
    assert found.endswith(why)
    assert bool(found) == bool(why)


RUNS_ALREADY = """
import tensorflow as tf
tf.constant(1.0) + 1.0
from bnverify.cases.ids import parse
from bnverify.verdicts.pipeline import verify
from bnverify.targets.loading import open_target
print(verify(parse("shape:7x4/mode:mirrored2/steps:TI"), open_target(), 0).verdict.reason)
"""


@pytest.mark.slow
def test_a_process_in_which_tensorflow_runs_is_left_as_it_is() -> None:
    found = python(RUNS_ALREADY)
    assert found == "TensorFlow already runs with one logical CPU device in this process"


CAUGHT = """
from bnverify.cases.ids import parse
from bnverify.verdicts.pipeline import verify
from bnverify.targets.loading import open_target
from bnverify.targets.target import InProcess
open_target()
from bnverify.targets.mutants.replica_layers import REPLICA_EQUIVALENT as EQUIVALENT, REPLICA_MUTANTS as MUTANTS
cases = [parse("shape:7x4/momentum:0.5/mode:mirrored2/file:weights.h5/steps:TSTI"),
         parse("shape:7x4/momentum:0.5/synchronized:True/mode:mirrored3/steps:T2I"), parse("shape:7x4/steps:T2I")]
for mutant in (*MUTANTS, *EQUIVALENT):
    statuses = [verify(case, InProcess(mutant.layer, mutant.key), 0).verdict.status for case in cases]
    print(mutant.group, any(s.fails for s in statuses[:2]), statuses[2].fails, [s.name for s in statuses].count("UNSUPPORTED"))
"""


@pytest.mark.slow
def test_mutants_are_caught_on_replicas_and_only_there() -> None:
    lines = python(CAUGHT).splitlines()
    assert lines == ["replicas True False 0"] * 9 + ["equivalent False False 0"]


def python(code: str) -> str:
    """What a process that runs `code` prints."""
    env = {**environment({"KERAS_BACKEND": "tensorflow"}), "TF_CPP_MIN_LOG_LEVEL": "3"}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return os.linesep.join(ran.stdout.split("\n")).strip()


def test_show_tells_what_comes_out_on_each_replica(cli: Cli) -> None:
    out = cli("show", "shape:7x4/mode:mirrored2/file:h5/steps:TSI").out
    assert "shards of 4+3 samples; each uses the statistics of its own shard" in out
    assert out.count("replica 1\n") == out.count("replica 2\n") == 1  # after the file nobody knows which statistics
    assert "all use the statistics of the whole batch" in cli("show", SYNCHRONIZED).out


def test_replicas_have_the_losses_of_regularizers(tensorflow: Isolated) -> None:
    """Each replica has the penalty of gamma, and none when the layer is frozen."""
    case = parse("shape:6x4/gamma_regularizer:l2/mode:mirrored2/steps:TFT")
    one = verify(case, tensorflow, 0).verdict
    assert one.status is Status.CONFORMS
    checks = [check for check in one.checks if check.clause == "regularizer-losses"]
    assert sorted((check.quantity, check.step) for check in checks) == [
        (f"losses of replica {replica}", step) for replica in (1, 2) for step in (0, 2)
    ]
