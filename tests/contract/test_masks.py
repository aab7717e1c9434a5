"""Masks: what each kind is, that statistics are those of the unmasked positions, and that both can fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bnverify.cases.case import Case
from bnverify.cases.fields import MASKS
from bnverify.cases.fills import Inputs, make_inputs
from bnverify.cases.ids import parse
from bnverify.reference.hypotheses import HYPOTHESIS_BY_KEY
from bnverify.reference.machine import trace_case
from bnverify.running.run import run
from bnverify.targets.reference_target import ReferenceTarget
from bnverify.values import Observation, Status

KINDS = MASKS
SHAPES = ("9x4", "5x4x3", "2x3x5x4", "2x3x4x2x5", "5x4x1", "1x6x2", "1x1")


def mask_of(id_: str, seed: int = 0) -> np.ndarray:
    (mask, *_) = make_inputs(parse(id_), seed).masks
    assert mask is not None
    return mask


def whole(case: Case, mask: np.ndarray) -> np.ndarray:
    """The mask in the shape of x: True where a value counts."""
    return np.broadcast_to(mask if mask.ndim == len(case.shape) else mask[..., None], case.shape) != 0


def by_definition(case: Case, x: np.ndarray, mask: np.ndarray) -> tuple[list[float], list[float], list[int]]:
    """Mean, biased variance and count per channel, value by value."""
    means, variances, counts = [], [], []
    for c in range(case.shape[case.kept[0]]):
        values = []
        for index in np.ndindex(*case.shape):
            if index[case.kept[0]] == c and mask[index]:
                values.append(float(x[index]))
        n = len(values)
        mean = sum(values) / n if n else float("nan")
        means.append(mean)
        variances.append(sum((v - mean) ** 2 for v in values) / n if n else float("nan"))
        counts.append(n)
    return means, variances, counts


# --- the masks


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_masks_have_the_shape_and_dtype_that_keras_takes(kind: str, shape: str) -> None:
    """Of x without its last axis; of size 1 there for whole, and beyond the first axis for broadcast; boolean but for two."""
    case = parse(f"shape:{shape}/mask:{kind}/steps:T2IFTN")
    masks = make_inputs(case).masks
    assert [mask is None for mask in masks] == [not step.is_call for step in case.steps]
    positions = case.shape[:-1]
    expected = {"broadcast": (positions[0], *(1 for _ in positions[1:])), "whole": (*positions, 1)}.get(kind, positions)
    for mask in masks:
        if mask is not None:
            assert mask.shape == expected
            assert mask.dtype == (kind if kind in ("int32", "float32") else "bool")
            assert set(np.unique(mask).tolist()) <= {0, 1}


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape not in ("1x1", "1x6x2")])
@pytest.mark.parametrize("kind", ["random", "int32", "float32", "broadcast", "hidden", "whole"])
def test_random_masks_have_both_values(kind: str, shape: str) -> None:
    """For every seed some positions count and some do not, and different seeds and steps have different masks."""
    masks = [mask_of(f"shape:{shape}/mask:{kind}/steps:T", seed) for seed in range(20)]
    assert all(mask.any() and not mask.all() for mask in masks)
    assert len({mask.tobytes() for mask in masks}) > 1
    first, second = make_inputs(parse(f"shape:31x4/mask:{kind}/steps:T2")).masks
    assert first is not None
    assert second is not None
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("shape", SHAPES)
def test_full_empty_and_single_masks(shape: str) -> None:
    """full: every position counts; empty: none; one: exactly one."""
    size = np.prod(parse(f"shape:{shape}/steps:T").shape[:-1])
    assert [int(mask_of(f"shape:{shape}/mask:{kind}/steps:T").sum()) for kind in ("full", "empty", "one")] == [size, 0, 1]


@pytest.mark.parametrize("shape", ["5x4x3", "2x3x5x4", "4x6x2"])
def test_padding_masks_the_end_of_each_sample(shape: str) -> None:
    """Along the second axis a sample counts from its start to its length; the last sample is masked as a whole."""
    for seed in range(10):
        mask = mask_of(f"shape:{shape}/mask:padding/steps:T", seed)
        assert not mask[-1].any()
        assert mask[:-1, 0].all()
        assert not np.any(np.diff(mask.astype(int), axis=1) > 0)
        assert np.all(
            mask == mask.reshape(*mask.shape[:2], -1)[:, :, :1].reshape(*mask.shape[:2], *(1 for _ in mask.shape[2:]))
        )
    lengths = {int(row.sum()) for seed in range(10) for row in mask_of("shape:5x4x3/mask:padding/steps:T", seed)[:-1]}
    assert lengths == {1, 2, 3, 4}


def test_padding_of_rows_and_of_a_single_sample() -> None:
    """Without a second axis the later rows are masked; a sample that is alone is not masked away."""
    assert mask_of("shape:5x2/mask:padding/steps:T").tolist() == [True, True, True, False, False]
    assert mask_of("shape:1x6x2/mask:padding/steps:T").all()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_what_is_hidden_is_exactly_what_is_masked(dtype: str) -> None:
    """NaN or an infinity stands in every masked position and in no other."""
    case = parse(f"shape:5x4x3/dtype:{dtype}/mask:hidden/steps:T2I")
    inputs = make_inputs(case)
    for x, mask in zip(inputs.batches, inputs.masks, strict=True):
        assert x is not None
        assert mask is not None
        assert np.array_equal(np.isfinite(x), whole(case, mask))
        assert np.isnan(x).any()
        assert np.isinf(x).any()


def test_integers_hide_nothing() -> None:
    """Integer inputs have no NaN; the mask is there all the same."""
    inputs = make_inputs(parse("shape:5x4x3/dtype:int32/mask:hidden/steps:T"))
    assert inputs.batches[0].dtype == np.int32  # type: ignore[union-attr]
    assert not inputs.masks[0].all()  # type: ignore[union-attr]


# --- statistics


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "empty"])
@pytest.mark.parametrize(
    "layer", ["9x4", "5x4x3", "2x3x5x4/axis:1", "4x3x5/axis:0", "3x4x2x2x2/axis:2", "5x4x1", "7x3x4/fill:offset"]
)
def test_masked_moments_by_definition(kind: str, layer: str) -> None:
    """Mean, biased variance and count are those of the unmasked values, one by one, and NumPy's masked arrays agree."""
    case = parse(f"shape:{layer}/mask:{kind}/steps:T")
    inputs = make_inputs(case)
    (call,) = trace_case(case, inputs)
    x, mask = call.x.astype(float), whole(case, inputs.masks[0])  # type: ignore[arg-type]
    assert call.batch is not None
    means, variances, counts = by_definition(case, x, mask)
    assert np.broadcast_to(call.batch.n, call.batch.mean.shape).ravel().tolist() == counts
    np.testing.assert_allclose(call.batch.mean.ravel(), means, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(call.batch.variance.ravel(), variances, rtol=1e-10, atol=1e-13)
    masked = np.ma.masked_array(np.nan_to_num(x, posinf=0.0), ~mask)
    axes = tuple(axis for axis in range(x.ndim) if axis not in case.kept)
    np.testing.assert_allclose(call.batch.mean.ravel(), masked.mean(axes).filled(np.nan), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(call.batch.variance.ravel(), masked.var(axes).filled(np.nan), rtol=1e-10, atol=1e-13)


def test_an_axis_that_is_masked_loses_whole_channels() -> None:
    """With the kept axis under the mask a channel may have no value: its statistics are NaN, the others' are not."""
    case = parse("shape:9x4/axis:0/mask:random/steps:T")
    inputs = make_inputs(case)
    (call,) = trace_case(case, inputs)
    mask = inputs.masks[0]
    assert mask is not None
    assert call.batch is not None
    assert np.array_equal(np.isnan(call.batch.mean.ravel()), ~mask)
    np.testing.assert_allclose(call.batch.mean.ravel()[mask], call.x[mask].astype(float).mean(axis=1), rtol=1e-12)


def test_all_positions_are_normalized() -> None:
    """Masked positions are normalized with the same statistics as all others."""
    case = parse("shape:5x4x3/mask:random/epsilon:0.1/steps:T")
    inputs = make_inputs(case)
    (call,) = trace_case(case, inputs)
    x, mask = call.x.astype(float), whole(case, inputs.masks[0])  # type: ignore[arg-type]
    assert inputs.weights is not None
    for c in range(3):
        own = x[..., c][mask[..., c]]
        y = (x[..., c] - own.mean()) / np.sqrt(own.var() + 0.1) * inputs.weights["gamma"][c] + inputs.weights["beta"][c]
        np.testing.assert_allclose(call.y()[..., c], y, rtol=1e-12)


def test_moving_statistics_move_towards_the_unmasked() -> None:
    """moving*momentum + own*(1-momentum), step by step, each with its own mask."""
    case = parse("shape:5x4x3/mask:random/momentum:0.7/steps:T3")
    inputs = make_inputs(case)
    assert inputs.weights is not None
    mean, variance = (inputs.weights[name].copy() for name in ("moving_mean", "moving_variance"))
    for call, mask in zip(trace_case(case, inputs), inputs.masks, strict=True):
        assert mask is not None
        own = [call.x[..., c].astype(float)[mask] for c in range(3)]
        mean = mean * 0.7 + np.array([v.mean() for v in own]) * 0.3
        variance = variance * 0.7 + np.array([v.var() for v in own]) * 0.3
        np.testing.assert_allclose(call.after.weights["moving_mean"].ravel(), mean, rtol=1e-12)
        np.testing.assert_allclose(call.after.weights["moving_variance"].ravel(), variance, rtol=1e-12)


@pytest.mark.parametrize("steps", ["I", "N", "FT"])
def test_a_mask_changes_nothing_outside_training(steps: str) -> None:
    """In inference, and frozen, a call under a mask gives what it gives without."""
    masked = parse(f"shape:5x4x3/mask:random/steps:{steps}")
    inputs = make_inputs(masked)
    (call,), (plain,) = trace_case(masked, inputs), trace_case(replace(masked, mask=""), replace(inputs, masks=()))
    assert np.array_equal(call.y(), plain.y())
    assert call.after is call.before


def test_a_full_mask_changes_nothing() -> None:
    """With every position unmasked all numbers are those without a mask."""
    case = parse("shape:5x4x3/mask:full/steps:T2I")
    inputs = make_inputs(case)
    plain = trace_case(replace(case, mask=""), replace(inputs, masks=()))
    for a, b in zip(trace_case(case, inputs), plain, strict=True):
        np.testing.assert_allclose(a.y(), b.y(), rtol=1e-12)
        for name in case.config.statistics:
            np.testing.assert_allclose(a.after.weights[name], b.after.weights[name], rtol=1e-12)


def test_an_empty_mask_leaves_nothing_to_say() -> None:
    """Where no position counts the statistics are 0/0: no number is asked for, and none is called wrong."""
    case = parse("shape:5x4x3/mask:empty/steps:T")
    (call,) = trace_case(case, make_inputs(case))
    assert call.batch is not None
    assert np.isnan(call.batch.mean).all()
    assert np.isnan(call.y()).all()


def test_hidden_values_reach_nothing_that_is_not_masked() -> None:
    """NaN under the mask leaves the statistics and the unmasked outputs finite; the masked outputs are not."""
    case = parse("shape:5x4x3/mask:hidden/steps:TI")
    for call in trace_case(case, make_inputs(case)):
        assert np.isfinite(call.after.weights["moving_mean"]).all()
        assert np.isfinite(call.after.weights["moving_variance"]).all()
        assert np.array_equal(np.isfinite(call.y()), call.mask)


# --- verdicts


class Masked(ReferenceTarget):
    """A perfect layer that is given another mask than the case's."""

    def __init__(self, change) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.change = change

    def observe(self, case: Case, inputs: Inputs) -> Observation:
        return super().observe(case, replace(inputs, masks=tuple(map(self.change, inputs.masks))))


@pytest.mark.parametrize("layer", ["5x4x3", "9x4", "2x3x5x4/axis:1", "7x50x2"])
def test_one_position_more_or_less_is_noticed(layer: str) -> None:
    """A layer that counts one position too many, or flips the mask, is wrong in output and statistics."""

    def with_one_more(mask: np.ndarray) -> np.ndarray:
        changed = mask.copy()
        changed.flat[int(np.argmin(mask))] = True
        return changed

    for change in (with_one_more, np.logical_not):
        (verdict,) = run([parse(f"shape:{layer}/mask:random/steps:T")], Masked(change)).verdicts
        assert {check.clause for check in verdict.failures} == {"masked-training", "masked-statistics"}


@pytest.mark.parametrize("key", [key for key in HYPOTHESIS_BY_KEY if key.startswith("mask-")])
def test_hypotheses_about_masks_differ_from_the_right_formula(key: str) -> None:
    """Each is found wrong in some case with a mask, and changes nothing without one."""
    ids = [f"shape:5x4x3/mask:{kind}/steps:TI" for kind in KINDS]
    target = ReferenceTarget(HYPOTHESIS_BY_KEY[key].formulas)
    assert any(verdict.status is Status.WRONG for verdict in run([*map(parse, ids)], target).verdicts)
    assert run([parse("shape:5x4x3/steps:T2I")], target).ok
