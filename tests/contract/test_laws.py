"""Laws between two observations: a case names its law, its companion is the law's second call, and breaking it is noticed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bnverify.cases.case import Case
from bnverify.cases.fields import LAWS
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.cases.ids import parse
from bnverify.contract import BY_KEY
from bnverify.contract import laws as contract
from bnverify.contract.evidence import expect
from bnverify.errors import BadInput
from bnverify.running.run import run
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Failure, Observation, Status, Verdict

CLAUSE_OF = {law.name: law.key for law in contract.LAW_CHECKS}
CASE_OF = {
    "shift": "shape:2x3x5x4/axis:1/law:shift/steps:T",
    "scale": "shape:2x3x5x4/axis:1/law:scale/steps:T",
    "permutation": "shape:2x3x5x4/axis:1/law:permutation/steps:T",
    "channels": "shape:2x3x5x4/axis:1/law:channels/steps:T",
    "transposition": "shape:2x3x5x4/axis:1/law:transposition/steps:T",
    "axes": "shape:2x3x5x4/axis:1/law:axes/steps:T",
    "epsilon": "shape:2x3x5x4/axis:1/law:epsilon/steps:I",
    "statistics": "shape:2x3x5x4/axis:1/law:statistics/steps:T",
    "mask": "shape:5x4x3/mask:full/law:mask/steps:T",
    "renorm": "shape:2x3x5x4/axis:1/law:renorm/steps:T",
}
OF_TRAINING = tuple(law for law in CASE_OF if law != "epsilon")


class OffInCompanion(ReferenceTarget):
    """A perfect layer in every case that names a law; in a companion, which names none, y is off by `error` in one place."""

    def __init__(self, error: float, channel: int = 1) -> None:
        super().__init__()
        self.error, self.channel = error, channel

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        seen = super().observe(case, inputs)
        if case.law or seen.steps[0].y is None:
            return seen
        y = seen.steps[0].y.copy()
        place = [size - 1 for size in case.shape]
        place[case.kept[0]] = self.channel
        y[tuple(place)] += np.float32(self.error)
        return replace(seen, steps=(replace(seen.steps[0], y=y), *seen.steps[1:]))


class Elsewhere(ReferenceTarget):
    """A perfect layer in every case that names a law; in a companion it does what `change` makes of the observation."""

    def __init__(self, change) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.change = change

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        seen = super().observe(case, inputs)
        return seen if case.law else self.change(seen)


def verdict(target: ReferenceTarget, id_: str) -> Verdict:
    return run([parse(id_)], target).verdicts[0]


def companion(id_: str, seed: int = 0) -> tuple[Case, Inputs, tuple[Case, Inputs]]:
    """The case, its inputs, and the one companion that it has."""
    case = parse(id_)
    inputs = make_inputs(case, seed)
    found = {key: clause.companion(case, inputs) for key, clause in BY_KEY.items() if clause.companion is not None}
    asked = {key: other for key, other in found.items() if other is not None}
    assert set(asked) == {CLAUSE_OF[case.law]}
    return case, inputs, asked[CLAUSE_OF[case.law]]


def batch(inputs: Inputs) -> np.ndarray:
    (x, *_) = inputs.batches
    assert x is not None
    return x


def test_every_law_has_a_name_and_a_clause() -> None:
    """Cases can name exactly the laws of the contract, and each is a clause that asks for a second observation."""
    assert set(LAWS) == {"repeat", "threads", *CLAUSE_OF}  # those two are of contract.modes
    assert set(CASE_OF) == set(CLAUSE_OF)
    others = {"ways-agree", "repeatable", "thread-counts", "file-goes-on"}  # of contract.modes and contract.files
    assert {key for key, clause in BY_KEY.items() if clause.companion is not None} == set(CLAUSE_OF.values()) | others
    assert not set(CLAUSE_OF.values()) & others


@pytest.mark.parametrize("law", CASE_OF)
def test_a_perfect_layer_keeps_the_law(law: str) -> None:
    """A law is checked once in the case that names it, and holds."""
    checks = [check for check in verdict(ReferenceTarget(), CASE_OF[law]).checks if check.clause in CLAUSE_OF.values()]
    assert [(check.clause, check.status, check.step) for check in checks] == [(CLAUSE_OF[law], Status.CONFORMS, 0)]


@pytest.mark.parametrize("law", CASE_OF)
def test_a_layer_that_is_wrong_in_the_companion_breaks_this_law(law: str) -> None:
    """Right on the case and wrong on its companion: this clause fails and no other; a hundredth of a roundoff passes."""
    broken = verdict(OffInCompanion(1e-2), CASE_OF[law])
    assert [(check.clause, check.status) for check in broken.failures] == [(CLAUSE_OF[law], Status.WRONG)]
    assert verdict(OffInCompanion(1e-9), CASE_OF[law]).status is Status.CONFORMS


@pytest.mark.parametrize("law", CASE_OF)
def test_a_companion_that_fails_breaks_the_law(law: str) -> None:
    """A layer that raises, or gives another shape, only in the companion does not pass."""
    raises = Elsewhere(lambda seen: replace(seen, steps=(), failure=Failure("step 0", "ValueError", "no")))
    flat = Elsewhere(lambda seen: replace(seen, steps=(replace(seen.steps[0], y=seen.steps[0].y.ravel()),)))
    for target in (raises, flat):
        assert {check.clause for check in verdict(target, CASE_OF[law]).failures} == {CLAUSE_OF[law]}


def test_the_first_channel_may_change_as_it_likes() -> None:
    """Independence says nothing of the channel whose values are replaced."""
    assert verdict(OffInCompanion(1e3, channel=0), CASE_OF["channels"]).status is Status.CONFORMS
    assert verdict(OffInCompanion(1e3, channel=2), CASE_OF["channels"]).status is Status.WRONG


def test_shifted_values() -> None:
    """x + 16 and x - 16 in turn by channel, everything else as it was."""
    case, inputs, (other, moved) = companion("shape:2x3x5x4/axis:1/fill:exact/law:shift/steps:T")
    difference = batch(moved).astype(float) - batch(inputs)
    assert [np.unique(difference[:, c]).tolist() for c in range(3)] == [[16.0], [-16.0], [16.0]]
    assert moved.weights is inputs.weights
    assert other == replace(case, law="")


def test_scaled_values() -> None:
    """4*x with 16*epsilon."""
    case, inputs, (other, moved) = companion(CASE_OF["scale"])
    assert np.array_equal(batch(moved), 4 * batch(inputs))
    assert other == replace(case, law="", config=replace(case.config, epsilon=16 * case.config.epsilon))


def test_permuted_values() -> None:
    """Every channel keeps its values, in another order; a mask goes with them."""
    case, inputs, (_, moved) = companion("shape:5x4x3/mask:random/law:permutation/steps:T")
    assert not np.array_equal(batch(moved), batch(inputs))
    assert np.array_equal(np.sort(batch(moved).reshape(-1, 3), axis=0), np.sort(batch(inputs).reshape(-1, 3), axis=0))
    assert inputs.masks[0] is not None
    assert moved.masks[0] is not None
    unmasked = [np.sort(x[m], axis=0) for x, m in ((batch(moved), moved.masks[0]), (batch(inputs), inputs.masks[0]))]
    assert np.array_equal(*unmasked)
    assert not np.array_equal(moved.masks[0], inputs.masks[0])
    assert case.kept == (2,)


def test_another_first_channel() -> None:
    """Other values in the first channel, the same ones in all others."""
    _, inputs, (_, moved) = companion(CASE_OF["channels"])
    assert not np.isclose(batch(moved)[:, 0], batch(inputs)[:, 0]).any()
    assert np.array_equal(batch(moved)[:, 1:], batch(inputs)[:, 1:])


@pytest.mark.parametrize(
    ("id_", "shape", "axis"),
    [
        ("shape:2x3x5x4/axis:1/law:transposition/steps:T", (3, 2, 5, 4), 0),
        ("shape:2x3x5x4/axis:0/law:transposition/steps:T", (3, 5, 4, 2), 3),
        ("shape:2x3x5x4/axis:1/law:axes/steps:T", (2, 3, 20), 1),
        ("shape:2x3x5x4/axis:0/law:axes/steps:T", (2, 60), 0),
        ("shape:2x3x5x4/law:axes/steps:T", (30, 4), 1),
        ("shape:2x3x5x4/axis:2/law:axes/steps:T", (6, 5, 4), 1),
    ],
)
def test_the_same_values_in_another_shape(id_: str, shape: tuple[int, ...], axis: int) -> None:
    """Each channel holds the same values in the same order; only the shape and the axis argument differ."""
    case, inputs, (other, moved) = companion(id_)
    assert (other.shape, batch(moved).shape, other.config.axis) == (shape, shape, axis)
    for c in range(case.shape[case.kept[0]]):
        assert np.array_equal(batch(moved).take(c, axis).ravel(), batch(inputs).take(c, case.kept[0]).ravel())


def test_epsilon_beside_the_variance() -> None:
    """Half of epsilon goes into the moving variance: their sum is what it was."""
    case, inputs, (other, moved) = companion(CASE_OF["epsilon"])
    assert inputs.weights is not None
    assert moved.weights is not None
    assert other.config.epsilon == case.config.epsilon / 2
    np.testing.assert_allclose(
        moved.weights["moving_variance"] + other.config.epsilon,
        inputs.weights["moving_variance"] + case.config.epsilon,
        rtol=1e-7,
    )
    assert np.all(moved.weights["moving_variance"] > inputs.weights["moving_variance"])


def test_statistics_that_are_loaded() -> None:
    """The batch's own mean and variance as moving statistics, for a call with training=False."""
    case, inputs, (other, moved) = companion(CASE_OF["statistics"])
    assert "".join(step.value for step in other.steps) == "I"
    assert moved.weights is not None
    own = np.moveaxis(batch(inputs).astype(float), 1, -1).reshape(-1, 3)
    np.testing.assert_allclose(moved.weights["moving_mean"], own.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(moved.weights["moving_variance"], own.var(axis=0), rtol=1e-6)
    assert case.steps != other.steps


def test_no_mask_and_renorm_that_corrects_nothing() -> None:
    """The companion of a full mask has none; that of plain training renormalizes with r in [1, 1] and d in [0, 0]."""
    _, inputs, (other, moved) = companion(CASE_OF["mask"])
    assert (other.mask, moved.masks) == ("", ())
    assert np.array_equal(batch(moved), batch(inputs))
    case, _, (other, moved) = companion(CASE_OF["renorm"])
    assert (case.config.renorm, other.config.renorm) == (False, True)
    assert dict(other.config.renorm_clipping) == {"rmax": 1.0, "rmin": 1.0, "dmax": 0.0}
    assert moved.weights is not None
    assert set(moved.weights) == set(other.config.weight_names())


@pytest.mark.parametrize(
    "id_",
    [
        *(CASE_OF[law].replace("steps:T", "steps:IT") for law in OF_TRAINING),  # begins with inference
        CASE_OF["epsilon"].replace("steps:I", "steps:TI"),
        "shape:5x4x3/mask:random/law:mask/steps:T",
    ],
)
def test_a_law_that_is_about_something_else_is_refused(id_: str) -> None:
    """A law of training is no question to a case that begins with inference, nor that of full masks to another mask."""
    with pytest.raises(BadInput, match="needs"):
        parse(id_)


@pytest.mark.parametrize(
    "id_",
    [
        "shape:12x3/fill:exact/steps:TI",  # names no law
        # the shift, or the factor, would be rounded away where values enter the arithmetic
        "shape:12x3/dtype:bfloat16/law:shift/steps:T",
        "shape:12x3/policy:bfloat16/dtype:bfloat16/law:shift/steps:T",
        "shape:12x3/policy:mixed_float16/law:shift/steps:T",
        "shape:12x3/policy:mixed_float16/fill:offset/dtype:float32/law:shift/steps:T",
        "shape:12x3/policy:mixed_bfloat16/fill:offset/law:shift/steps:T",
        # integers that would wrap around
        "shape:40x3/dtype:int8/fill:offset/law:shift/steps:T",
        "shape:40x3/dtype:int8/law:scale/steps:T",
        "shape:12x3/dtype:uint8/law:channels/steps:T",
        # nothing to compare with
        "shape:12x3/law:axes/steps:T",
        "shape:5x4x3/mask:random/law:axes/steps:T",
        "shape:5x4x3/mask:random/law:transposition/steps:T",
        "shape:5x4x3/weights:initial/law:epsilon/steps:I",
        "shape:5x4x3/weights:initial/law:statistics/steps:T",
        "shape:5x4x3/renorm:True/law:renorm/steps:T",
        "shape:5x4x3/renorm:True/law:statistics/steps:T",
    ],
)
def test_where_a_law_is_not_asked(id_: str) -> None:
    """Elsewhere there is no companion, and the clause has no check."""
    case = parse(id_)
    inputs = make_inputs(case)
    assert [clause.key for clause in BY_KEY.values() if clause.companion and clause.companion(case, inputs)] == []
    assert not {check.clause for check in verdict(ReferenceTarget(), id_).checks} & set(CLAUSE_OF.values())


@pytest.mark.parametrize(
    "id_",
    [
        "shape:12x3/policy:mixed_float16/dtype:float16/fill:exact/law:shift/steps:T",
        "shape:12x3/dtype:bfloat16/fill:exact/law:scale/steps:T",
        "shape:12x3/dtype:int32/law:shift/steps:T",
        "shape:12x3/dtype:int16/law:permutation/steps:T",
        "shape:12x3/dtype:uint8/fill:exact/law:permutation/steps:T",
        "shape:5x4x3/mask:hidden/law:shift/steps:T",
        "shape:5x4x3/fill:nonfinite/law:scale/steps:T",
        "shape:5x4x3/mask:empty/law:statistics/steps:T",
        "shape:0x4x3/law:permutation/steps:T",
        "shape:5x4x3/mask:whole/law:statistics/steps:T",
        "shape:5x4x3/mask:whole/law:permutation/steps:T",
        "shape:5x4x3/mask:broadcast/law:statistics/steps:T",
        *(f"shape:2x3x5x4/axis:1/gradients:2/law:{law}/steps:TI" for law in OF_TRAINING if law != "mask"),
        "shape:5x4x3/mask:full/gradients:2/law:mask/steps:T2",
    ],
)
def test_laws_meet_other_fields(id_: str) -> None:
    """With half types, integers, masks, gradients, more steps and values that are not finite a perfect layer passes."""
    checks = verdict(ReferenceTarget(), id_).checks
    law = [check for check in checks if check.clause in CLAUSE_OF.values()]
    assert len(law) == 1
    assert not [check for check in checks if check.status.fails]


@pytest.mark.parametrize("law", OF_TRAINING)
@pytest.mark.parametrize("fill", ["normal", "exact", "offset", "constant", "tiny", "spike"])
def test_a_law_is_no_looser_than_two_bounds(law: str, fill: str) -> None:
    """Off by more than the largest bounds of both calls is outside; off by three times them where an input is rounded."""
    rank = "shape:5x4x3/mask:full" if law == "mask" else "shape:5x4x3/axis:1"
    id_ = f"{rank}/fill:{fill}/law:{law}/steps:T"
    case, inputs, (other, moved) = companion(id_)
    bounds = []
    for one, given in ((case, inputs), (other, moved)):
        expectation = expect(one, given)
        (call,), (bound,) = expectation.calls, expectation.bounds
        bounds.append(float((np.abs(call.x - call.mean) * bound.slope[1] + bound.offset[1]).max()))
    assert math.isfinite(sum(bounds))
    if fill == "exact":
        assert verdict(OffInCompanion(1.5 * sum(bounds)), id_).status.fails
    assert verdict(OffInCompanion(3.0 * sum(bounds)), id_).status.fails
