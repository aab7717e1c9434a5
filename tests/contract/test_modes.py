"""Ways of running: each gives the same numbers on real Keras, faults that show in one of them are noticed, causes are named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from bnverify.cases.case import Case
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.cases.ids import parse
from bnverify.cases.modes import LAYOUTS, MODES, modes_that
from bnverify.contract.evidence import expect
from bnverify.reference.sub_cases import sub_cases_of
from bnverify.running.run import run
from bnverify.targets.loading import open_target
from bnverify.targets.mutants.mode_layers import MODE_MUTANTS
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.targets.target import InProcess, Target
from bnverify.values import Environment, Observation, Status, Verdict
from bnverify.verdicts import known
from bnverify.verdicts.ask import not_here

TRACED = [mode for mode in MODES if MODES[mode].replicas == 1 and mode not in ("pinned", "one_thread")]


def case_of(mode: str) -> Case:
    """A case that mode can do, with training, inference and freezing."""
    more = {"unbuilt": "/weights:initial", **dict.fromkeys(modes_that("makes_mask"), "/mask:padding")}.get(mode, "")
    steps = "T2I2F2T2U2T2" if mode == "shared" else "T2INFTUTI"
    shape = "6x5x4" if mode in ("timedistributed", *modes_that("makes_mask")) else "6x4"
    return parse(f"shape:{shape}{more}/mode:{mode}/steps:{steps}")


def verdict(target: Target, case: Case) -> Verdict:
    return run([case], target, lenient=known.shipped()).verdicts[0]


@pytest.fixture(scope="module")
def keras() -> InProcess:
    return open_target()


@pytest.mark.slow
@pytest.mark.parametrize("mode", TRACED)
def test_keras_gives_the_same_in_every_way(keras: InProcess, mode: str) -> None:
    """Outputs and moving statistics are held against the reference in each way of running, and conform."""
    if mode == "function" and keras.environment.backend != "tensorflow":
        pytest.skip("tf.function runs on TensorFlow only")
    found = verdict(keras, case_of(mode))
    assert found.status is Status.CONFORMS, [c for c in found.checks if c.status.fails]
    judged = {check.clause for check in found.checks}
    masked = {"masked-training", "masked-statistics"}
    assert judged >= (masked if MODES[mode].makes_mask else {"training-output", "moving-mean"})
    assert ("ways-agree" in judged) == (mode not in ("call", "uncompiled", "unbuilt", "shared", "timedistributed"))


@pytest.mark.slow
def test_a_pinned_layer_trains_all_the_same(keras: InProcess) -> None:
    """Ten lines without bnverify: what the guide to fine-tuning says of training=False does not hold in Keras 3."""
    found = verdict(keras, parse("shape:6x4/mode:pinned/steps:T2I"))
    assert found.status is Status.KNOWN
    assert {check.clause for check in found.checks if check.status is Status.KNOWN} == {"pinned", "inference-output"}
    code = """if True:
        import keras, numpy as np
        entry, layer = keras.Input((2,)), keras.layers.BatchNormalization(momentum=0.5)
        base = keras.Model(entry, layer(entry))
        outer = keras.Input((2,))
        model = keras.Model(outer, base(outer, training=False))
        model.compile("sgd", "mse")
        x = np.full((8, 2), 10.0, "float32")
        model.fit(x, x, verbose=0)
        print(layer.get_weights()[2].tolist())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[-2] == "[5.0, 5.0]"  # [0.0, 0.0] in Keras 2


def test_the_calls_of_a_shared_layer_are_made_in_reverse(keras: InProcess) -> None:
    """No order is promised; the moving mean tells which it was, and the checks follow it."""
    case = parse("shape:6x4/momentum:0.5/mode:shared/steps:T2")
    inputs = make_inputs(case, 0)
    (part,) = sub_cases_of(case, inputs, keras.observe(case, inputs), slices=True) or ()
    assert part.steps == (1, 0)
    assert verdict(keras, case).status is Status.CONFORMS


@pytest.mark.parametrize("mask", ["random", "hidden", "broadcast"])
def test_each_input_of_a_shared_layer_has_its_mask(keras: InProcess, mask: str) -> None:
    """With the masks of the two inputs exchanged the same case is wrong."""
    case = parse(f"shape:6x5x4/momentum:0.5/mask:{mask}/mode:shared/steps:T2I2")
    assert verdict(keras, case).status is Status.CONFORMS

    class Exchanging:
        environment = keras.environment

        def observe(self, case: Case, inputs: Inputs) -> Observation:
            return keras.observe(case, replace(inputs, masks=(*inputs.masks[1::-1], *inputs.masks[2:])))

    assert "masked-training" in {check.clause for check in verdict(Exchanging(), case).failures}


@pytest.mark.parametrize("fill", ["nonfinite", "huge"])
def test_numbers_that_are_none_say_nothing_of_the_order_of_calls(keras: InProcess, fill: str) -> None:
    assert verdict(keras, parse(f"shape:6x5x4/fill:{fill}/mode:shared/steps:T2I2")).status is Status.CONFORMS


def test_a_model_that_knows_no_sizes_takes_masks(keras: InProcess) -> None:
    """In a graph, in which a mask of the inputs' own rank is refused as it is outside of one."""
    assert verdict(keras, parse("shape:6x5x4/axis:1/mask:random/mode:dynamic/steps:T2INT")).status is Status.CONFORMS
    found = verdict(keras, parse("shape:6x5x4/mask:whole/mode:dynamic/steps:T"))
    assert found.status is Status.KNOWN


def test_time_slices_are_calls_of_their_own(keras: InProcess) -> None:
    """TimeDistributed: as many calls as slices; the averages move once for each, and are seen after the last."""
    case = parse("shape:6x5x4/mode:timedistributed/steps:TI")
    found = verdict(keras, case)
    outputs = [check for check in found.checks if check.clause == "training-output"]
    assert len(outputs) == 5
    assert len([check for check in found.checks if check.clause == "moving-mean"]) == 1


class Altered(ReferenceTarget):
    """A perfect layer, but for what `change` makes of what it shows in one way of running."""

    def __init__(self, mode: str, step: int, error: float) -> None:
        super().__init__()
        self.mode, self.step, self.error = mode, step, error

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        seen = super().observe(case, inputs)
        if case.mode != self.mode:
            return seen
        steps = list(seen.steps)
        y = steps[self.step].y
        assert y is not None
        steps[self.step] = replace(steps[self.step], y=y + np.float32(self.error))
        return replace(seen, steps=tuple(steps))


def test_ways_that_disagree_are_said_to() -> None:
    """A way that is off is off against the plain call, too, in the step where it is."""
    found = verdict(Altered("fit", 2, 1e-3), parse("shape:6x4/mode:fit/steps:T2I"))
    wrong = [(check.clause, check.step) for check in found.failures]
    assert wrong == [("inference-output", 2), ("ways-agree", 2)]


def test_ways_may_differ_by_rounding() -> None:
    """Agreement is asked for within the bounds of both."""
    found = verdict(Altered("fit", 2, 1e-9), parse("shape:6x4/mode:fit/steps:T2I"))
    assert found.status is Status.CONFORMS


def test_another_y_the_second_time_is_noticed() -> None:
    """One unit in the last place is enough."""

    class Second(ReferenceTarget):
        def observe(self, case: Case, inputs: Inputs) -> Observation:
            seen = super().observe(case, inputs)
            if case.law == "repeat" or seen.steps[0].y is None:
                return seen
            y = seen.steps[0].y.copy()
            y[0, 0] = np.nextafter(y[0, 0], np.float32(np.inf))
            return replace(seen, steps=(replace(seen.steps[0], y=y), *seen.steps[1:]))

    case = parse("shape:6x4/law:repeat/steps:TI")
    assert verdict(ReferenceTarget(), case).status is Status.CONFORMS
    (check,) = verdict(Second(), case).failures
    assert (check.clause, check.quantity, check.step) == ("repeatable", "y", 0)
    assert check.mismatch is not None
    assert check.mismatch.expected.endswith(" as the first time")
    assert check.mismatch.index == (0, 0)


@pytest.mark.slow
def test_one_thread_gives_what_many_give(keras: InProcess) -> None:
    """In a process of its own, with Keras' own layer; a layer of one's own cannot be sent there, and that is said."""
    case = parse("shape:65536x2/law:threads/steps:T2I")
    found = verdict(keras, case)
    assert [check.status for check in found.checks if check.clause == "thread-counts"] == [Status.CONFORMS] * 3
    import keras as module

    other = verdict(InProcess(module.layers.BatchNormalization, "mine"), case)
    (check,) = (check for check in other.checks if check.clause == "thread-counts")
    assert check.status is Status.INCONCLUSIVE
    assert "another process" in check.reason


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_change_no_value(keras: InProcess, layout: str) -> None:
    """Fortran order, gaps and negative strides: the same values, the same numbers."""
    case, other = (parse(f"shape:6x5x4/layout:{name}/steps:TI") for name in (layout, "plain"))
    inputs = make_inputs(other, 0)
    one, two = (keras.observe(c, inputs) for c in (case, other))
    for a, b in zip(one.steps, two.steps, strict=True):
        assert a.y is not None
        assert np.array_equal(a.y, b.y)
    assert verdict(keras, case).status is Status.CONFORMS


def test_initializers_that_share_their_numbers_are_noticed() -> None:
    """The same numbers in two weights, or in two layers, or one number for all values."""
    case = parse("shape:6x4/gamma_initializer:random_normal/beta_initializer:random_normal/steps:TI")
    inputs = make_inputs(case, 0)
    seen = ReferenceTarget().observe(case, inputs)
    first, second = seen.made

    def wrong(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> list[tuple[str, str]]:
        class Made(ReferenceTarget):
            def observe(self, case: Case, inputs: Inputs) -> Observation:
                return replace(super().observe(case, inputs), made=(one, two))

        return [(c.quantity, c.mismatch.actual) for c in verdict(Made(), case).failures if c.mismatch]

    assert wrong(dict(first), dict(second)) == []
    assert wrong({**first, "beta": first["gamma"]}, dict(second)) == [
        ("gamma", "the same numbers twice"),
        ("beta", "the same numbers twice"),
    ]
    assert wrong(dict(first), dict(first))[0] == ("gamma", "the same numbers twice")
    assert wrong({**first, "gamma": np.full(4, 0.5)}, dict(second)) == [("gamma", "1 different numbers")]
    assert wrong({**first, "moving_mean": np.ones(4)}, dict(second)) == [("moving_mean", "1")]


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MODE_MUTANTS, ids=lambda m: m.key)
def test_faults_of_one_way_are_caught_by_smoke(mutant) -> None:  # type: ignore[no-untyped-def]
    """Each by a case of the smoke suite in which Keras itself conforms; not by crashing."""
    from bnverify.cases.suites import suite
    from bnverify.running.selftest import first_failure

    ways = [c for c in suite("smoke") if c.mode not in ("call", "pinned") or c.config.draws or c.law == "repeat"]
    ways += [c for c in suite("smoke") if not c.config.trainable or c.config.gamma_initializer]
    ways = [c for c in ways if c.how.replicas == 1]
    found = first_failure(tuple(dict.fromkeys(ways)), InProcess(mutant.layer, mutant.key))
    assert found is not None
    assert found.status is Status.WRONG, found


def test_formulas_of_a_model_that_pins_training() -> None:
    """The reference infers where the layer was called with training=False, whatever the model is told."""
    case = parse("shape:6x4/mode:pinned/steps:T2I")
    calls = expect(case, make_inputs(case, 0)).calls
    assert all(call.batch is None and call.after is call.before for call in calls)


def test_a_way_that_is_not_there_is_unsupported() -> None:
    """Each backend's and era's lack is said in words beforehand, and nothing is counted as passed."""

    def environment(keras: str, backend: str) -> Environment:
        return replace(ReferenceTarget().environment, keras=keras, backend=backend)

    for keras, backend, id_, why in (
        ("3.15.1", "torch", "shape:4x3/mode:xla/steps:T", "XLA compiles calls on TensorFlow and JAX only"),
        ("3.15.1", "jax", "shape:4x3/mode:function/steps:T", "tf.function runs on TensorFlow only"),
        ("3.15.1", "numpy", "shape:4x3/mode:fit/steps:T", "Keras' NumPy backend has no fit()"),
        ("2.15.0", "tensorflow", "shape:4x3/mode:stateless/steps:T", "stateless_call needs Keras 3"),
        ("2.3.1", "tensorflow", "shape:4x3/mode:positional/steps:T", "takes keyword arguments only"),
        ("2.3.1", "tensorflow", "shape:4x3/mode:evaluate/steps:TI", "what evaluate computes cannot be observed"),
    ):
        where = environment(keras, backend)
        assert why in not_here(parse(id_), where)
    where = environment("3.15.1", "numpy")
    assert not_here(parse("shape:4x3/mode:fit/steps:I"), where) == ""
