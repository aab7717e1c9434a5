"""Networks: real data, every call of every batch normalization judged while they train, faults found where they are."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from bnverify.cases import data
from bnverify.cases.askable import missing_need
from bnverify.cases.case import Case
from bnverify.cases.fills import make_inputs
from bnverify.cases.ids import parse
from bnverify.cases.networks import DATA_WORDS, NETWORKS
from bnverify.cases.suites import suite
from bnverify.errors import BadInput
from bnverify.targets.mutants import MUTANTS
from bnverify.targets.target import InProcess
from bnverify.targets.worker.networks import MAKERS as BUILDERS
from bnverify.values import Status, Verdict
from bnverify.verdicts.diagnose import name_causes
from bnverify.verdicts.excuse import excuse
from bnverify.verdicts.known import Deviation, shipped
from bnverify.verdicts.pipeline import verify
from bnverify.views.case_view import case_lines

pytestmark = pytest.mark.slow

SMALL = "shape:8x64/network:no-bias/steps:T2I"
KERAS = InProcess()


def verdict(id_: str, layer: Any = None) -> Verdict:
    return verify(parse(id_), KERAS if layer is None else InProcess(layer, "a layer"), 0).verdict


def quantities(found: Verdict) -> set[str]:
    return {check.quantity for check in found.failures}


@pytest.mark.parametrize(
    ("id_", "layers", "calls"),
    [
        ("shape:16x14/network:posted/steps:TIFTUT", 3, 4),
        ("shape:4x8x8x1/network:residual/steps:T2I", 7, 3),
        ("shape:4x8x8x1/network:conv/policy:mixed_float16/steps:TI", 2, 2),
        ("shape:4x8x8x1/network:conv-relu-bn/weights:initial/steps:T", 2, 1),
    ],
)
def test_every_call_of_every_layer_is_judged_and_conforms(id_: str, layers: int, calls: int) -> None:
    """One check of the output, and one of each moving statistic, for each layer and step that calls it."""
    found = verdict(id_)
    assert found.status is Status.CONFORMS
    outputs = [check for check in found.checks if check.quantity.startswith("y of ")]
    moving = [check for check in found.checks if check.quantity.startswith("moving_mean of ")]
    assert len(outputs) == len(moving) == layers * calls
    assert len({check.quantity for check in outputs}) == layers


def test_what_reaches_the_first_layer_is_the_batch_and_weights_are_followed_step_by_step() -> None:
    """In the iris network the layer stands first; an optimizer moves gamma between the steps and not in the calls."""
    case = parse("shape:8x4/network:iris/steps:T3I")
    inputs = make_inputs(case)
    calls = KERAS.observe(case, inputs).inner
    for call, batch in zip(calls, inputs.batches, strict=True):
        assert np.array_equal(call.x, batch)
    for call, later in itertools.pairwise(calls):
        assert np.array_equal(call.after.weights["moving_mean"], later.before["moving_mean"])
    assert not np.array_equal(calls[0].before["gamma"], calls[1].before["gamma"])
    assert not np.array_equal(calls[0].before["moving_mean"], calls[1].before["moving_mean"])


def test_a_frozen_network_trains_nothing() -> None:
    case = parse("shape:8x4/network:iris/steps:FTUT")
    frozen, thawed = KERAS.observe(case, make_inputs(case)).inner
    assert (frozen.trainable, thawed.trainable) == (False, True)
    for name, before in frozen.before.items():
        assert np.array_equal(before, frozen.after.weights[name])
        assert np.array_equal(before, thawed.before[name])
    assert not np.array_equal(thawed.before["moving_mean"], thawed.after.weights["moving_mean"])


def test_a_case_gives_the_same_numbers_again() -> None:
    case = parse("shape:8x14/network:posted/steps:T2")
    first, second = (KERAS.observe(case, make_inputs(case)).inner for _ in range(2))
    assert all(np.array_equal(a.after.y, b.after.y) for a, b in zip(first, second, strict=True))


class FaultyWhenNarrow(keras.layers.BatchNormalization):
    """Adds a thousandth to what it gives where there are two channels: the last of three layers in `posted`."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        y = super().call(inputs, training=training, mask=mask)
        return y + 1e-3 if inputs.shape[-1] == 2 else y


def test_a_fault_in_one_layer_of_several_is_named_by_that_layer() -> None:
    found = verdict("shape:16x14/network:posted/steps:TI", FaultyWhenNarrow)
    assert found.status is Status.WRONG
    assert quantities(found) == {"y of bn3"}


class FreezesOutputOnly(keras.layers.BatchNormalization):
    """Frozen, it goes on moving its mean."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        y = super().call(inputs, training=training, mask=mask)
        if training and not self.trainable:
            self.moving_mean.assign(self.moving_mean * 1.01 + 0.01)
        return y


def test_a_frozen_layer_that_moves_is_caught() -> None:
    found = verdict("shape:8x4/network:iris/steps:TFT", FreezesOutputOnly)
    assert {(check.clause, check.step) for check in found.failures} == {("frozen-updates-nothing", 2)}


@pytest.mark.parametrize("key", [mutant.key for mutant in MUTANTS if mutant.group == "networks"])
def test_what_is_wrong_in_a_network_only_is_caught_there(key: str) -> None:
    layer = next(mutant.layer for mutant in MUTANTS if mutant.key == key)
    assert SMALL in [case.id for case in suite("smoke")]
    assert verdict("shape:4x3/steps:TIFTINUTI", layer).status is Status.CONFORMS
    assert verdict(SMALL, layer).status is Status.WRONG


def test_a_cause_is_named_and_no_stage_is_looked_for_outside_the_network() -> None:
    layer = next(mutant.layer for mutant in MUTANTS if mutant.key == "shared-statistics")
    case, target = parse(SMALL), InProcess(layer, "a layer")

    def observe(*_: Any) -> Any:
        raise AssertionError("the layer is observed by itself")

    (named,) = name_causes([verify(case, target, 0)], observe)
    assert named.stage in ("", "moving averages")
    bessel = next(mutant.layer for mutant in MUTANTS if mutant.key == "unbiased-moving")
    (named,) = name_causes([verify(case, InProcess(bessel, "a layer"), 0)], observe)
    assert "n-1" in named.cause


def test_what_is_known_of_a_layer_excuses_it_in_a_network() -> None:
    layer = next(mutant.layer for mutant in MUTANTS if mutant.key == "unbiased-moving")
    one = verify(parse("shape:4x8x8x1/network:conv/steps:TI"), InProcess(layer, "a layer"), 0)
    assert one.verdict.status is Status.WRONG
    bessel = next(d for d in shipped() if d.computes == "unbiased-moving" and d.case == "rank:4/axis:-3|-1|1|3")
    assert excuse(one, (bessel,)).verdict.status is Status.KNOWN
    elsewhere = Deviation(clauses=bessel.clauses, why="", link="", evidence="", case="rank:5", computes=bessel.computes)
    assert excuse(one, (elsewhere,)).verdict.status is Status.WRONG


def test_one_of_keras_applications_conforms() -> None:
    found = verdict("shape:2x32x32x3/network:mobilenet/steps:TI")
    assert found.status is Status.CONFORMS
    outputs = {check.quantity for check in found.checks if check.quantity.startswith("y of ")}
    assert len(outputs) == 27
    assert "y of conv_pw_13_bn" in outputs


def test_arguments_of_a_network_are_those_it_was_made_with() -> None:
    case = parse("shape:2x32x32x3/network:mobilenetv2/steps:I")
    calls = KERAS.observe(case, make_inputs(case)).inner
    assert {(call.arguments["momentum"], call.arguments["epsilon"]) for call in calls} == {(0.999, 1e-3)}


def test_the_data_are_real() -> None:
    """The means of the iris data are known; digits are those that scikit-learn loads."""
    datasets = pytest.importorskip("sklearn.datasets")
    flowers, species = data._data("iris")
    assert np.allclose(flowers.mean(axis=0), [5.843333, 3.057333, 3.758, 1.199333], atol=1e-5)
    assert np.array_equal(flowers, datasets.load_iris().data.astype("float32"))
    assert np.array_equal(species.argmax(axis=1), datasets.load_iris().target)
    digits = datasets.load_digits()
    images, classes = data._data("digits")
    assert np.array_equal(images[..., 0] * 16, digits.images.astype("float32"))
    assert np.array_equal(classes.argmax(axis=1), digits.target)
    pixels, eight = data._data("pixels")
    assert pixels.shape == (357, 14)
    assert int(eight[:, 1].sum()) == 174


def test_an_epoch_has_every_sample_once() -> None:
    inputs = make_inputs(parse("shape:50x4/network:iris/steps:T3IT2"))
    flowers, _ = data._data("iris")
    epoch = np.concatenate([x for x in inputs.batches[:3] if x is not None])
    assert sorted(map(tuple, epoch)) == sorted(map(tuple, flowers))
    assert not np.array_equal(epoch[:50], flowers[:50])
    assert inputs.labels[0] is not None
    assert inputs.labels[0].sum() == 50


def test_without_scikit_learn_networks_are_unsupported_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise data.PackageNotFoundError(name)

    monkeypatch.setattr(data, "distribution", absent)
    data._data.cache_clear()
    found = verdict(SMALL)
    assert (found.status, found.reason) == (Status.UNSUPPORTED, data.INSTALL_SCIKIT_LEARN)
    assert "pip install 'bnverify[networks]'" in data.INSTALL_SCIKIT_LEARN
    with pytest.raises(BadInput, match="bnverify\\[networks\\]"):
        make_inputs(parse(SMALL))
    assert missing_need(parse("shape:2x32x32x3/network:densenet/steps:T"), data.missing_data()) == ""


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_explained_and_can_be_built(name: str) -> None:
    sample = tuple(32 if size is None else size for size in NETWORKS[name].sample)
    case = parse(f"shape:{'x'.join(map(str, (2, *sample)))}/network:{name}/steps:TFIU")
    text = "\n".join(case_lines(case, 0))
    assert NETWORKS[name].words in text
    assert DATA_WORDS[NETWORKS[name].data] in text
    assert "step 3    the model's trainable = True, compiled again" in text
    assert name in BUILDERS


@pytest.mark.parametrize(
    ("id_", "says"),
    [
        ("shape:8x5/network:iris/steps:T", "network:iris takes batches of shape ROWSx4; got shape:8x5"),
        ("shape:0x4/network:iris/steps:T", "got shape:0x4"),
        ("shape:2x16x16x3/network:resnet50/steps:T", "ROWSxSIZExSIZEx3 with SIZE 32 or more"),
        ("shape:8x4/network:iris/axis:1/steps:T", "axis:1 cannot be set with it"),
        ("shape:8x4/network:iris/fill:exact/steps:T", "fill:exact cannot be set with it"),
        ("shape:8x4/network:iris/steps:TN", "network:iris allows the steps T, I, F and U; got steps:TN"),
        ("shape:8x4/network:iris/weights:negative/steps:T", "weights:random or initial"),
        ("shape:8x4/network:iris/mode:fit/steps:T", "got mode:fit"),
        ("shape:8x4/network:irs/steps:T", "did you mean network:iris?"),
    ],
)
def test_what_a_network_cannot_be_asked_is_refused_in_one_line(id_: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(id_)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_without_a_watched_layer_never_conforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILDERS, "softmax", (lambda net, x: net.classes(x), BUILDERS["softmax"][1]))
    found = verdict("shape:8x64/network:softmax/steps:T")
    assert found.status is Status.CRASHED
    assert "contains no batch normalization" in found.reason or "contains no batch normalization" in found.failures[0].reason


def test_the_id_of_a_network_case_parses_back() -> None:
    for case in [case for case in suite("full") if case.network]:
        assert parse(case.id) == case
        assert isinstance(replace(case, network=""), Case)
