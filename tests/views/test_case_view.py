"""The view of a case: what its lines say of the layer, the input and each step, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bnverify.cases import data
from bnverify.cases.ids import parse
from bnverify.cases.suites import choose
from bnverify.views.case_view import case_lines

WANTED = "ValueError or TypeError that names rmax and shows 0.25"


def lines(id_: str, seed: int = 0) -> list[str]:
    return list(case_lines(parse(id_), seed))


def line(id_: str, label: str) -> str:
    """The one line that begins with a label, without it."""
    (found,) = [text.split(maxsplit=1)[1] for text in lines(id_) if text.split()[:1] == [label]]
    return found


def test_a_case_as_a_whole() -> None:
    """[[1, 5], [2, 4]] / sqrt(1.001) in inference: from 0.9995 to 4.9975."""
    assert lines("shape:2x2/posted:toy/steps:NF") == [
        "shape:2x2/posted:toy/steps:NF",
        "  layer     BatchNormalization()",
        "  input     float32 of shape (2, 2); posted with the question: a batch whose output is almost equal to the input",
        "  axes      kept 1, reduced 0: each statistic over 2 values",
        "  formats   computed in float32, stored in float32, y in float32; reference in float64",
        "  step 0    call without `training`",
        "    moving mean      0 0",
        "    moving variance  1 1",
        "    y  from 0.9995 to 4.9975, bound at most 3.1e-06",
        "  step 1    set trainable=False",
    ]


def test_a_training_call_shows_the_batch_and_the_moved_statistics() -> None:
    """Of the columns 1, 5 and 2, 4: means 3 and 3, variances 4 and 1, moved by a hundredth."""
    found = lines("shape:2x2/posted:toy-as-printed/steps:T")
    assert "    batch mean      3 3" in found
    assert "    batch variance  4 1" in found
    assert any(text.startswith("    moving_mean     0.03 0.03, bound at most ") for text in found)
    assert any(text.startswith("    moving_variance 1.03 1, bound at most ") for text in found)


def test_the_cause_of_a_regression_is_shown() -> None:
    """Before the layer; a case that is no regression has no such line."""
    case = choose("regressions", ("shape:1x5/steps:TI",))[0][0]
    assert list(case_lines(case, 0))[1].startswith("  regression of  a batch of one: the variance is 0 and y is beta")
    assert not any("regression" in text for text in lines("shape:1x6/steps:TI"))


@pytest.mark.parametrize(("shape", "shown"), [("2x4", 4), ("2x5", 4), ("2x9", 4), ("2x3", 3)])
def test_at_most_four_channels_are_shown(shape: str, shown: int) -> None:
    """The rest is counted."""
    channels = int(shape[2:])
    text = line(f"shape:{shape}/steps:T", "gamma")
    more = f" … ({channels} channels)"
    assert text.endswith(more) is (channels > 4)
    assert len(text.removesuffix(more).split()) == shown


@pytest.mark.parametrize(
    ("id_", "axes"),
    [
        ("shape:2x3x5/axis:1/steps:T", "kept 1, reduced 0, 2: each statistic over 10 values"),
        ("shape:2x3x5/axis:0+2/steps:T", "kept 0, 2, reduced 1: each statistic over 3 values"),
        ("shape:2x3/axis:0+1/steps:T", "kept 0, 1, reduced none: each statistic over 1 value"),
        ("shape:4x2x3/mode:timedistributed/steps:T", "kept 2, reduced 0: each statistic over 4 values of a slice along axis 1"),
        (
            "shape:7x4/mode:mirrored2/steps:T",
            "kept 1, reduced 0: each statistic over 7 values of all shards; each replica uses its own shard",
        ),
        ("shape:8x4/mode:parallel2/steps:T", "kept 1, reduced 0: each statistic over 8 values of all shards"),
    ],
)
def test_axes_and_counts(id_: str, axes: str) -> None:
    """Which are kept, which reduced, and over how many values of one call."""
    assert line(id_, "axes") == axes


@pytest.mark.parametrize(
    ("id_", "label", "text"),
    [
        ("shape:4x3/momentum:0.5/policy:float16/steps:T", "layer", "BatchNormalization(momentum=0.5, dtype='float16')"),
        (
            "shape:4x3/policy:mixed_float16/steps:T",
            "formats",
            "computed in float32, stored in float32, y in float16; reference in float64",
        ),
        ("shape:4x3/layout:fortran/steps:T", "layout", "fortran: the first axis fastest"),
        ("shape:4x2x3/mask:full/steps:T", "mask", "full, 2 axes: all positions count"),
        (
            "shape:4x3/file:clone/steps:TS",
            "file",
            "clone: clone_model(), and the weights in order; observed again without it, and the results must be equal",
        ),
        (
            "shape:4x3/mode:nested/steps:T",
            "mode",
            "nested: the layer is in a model that is part of another model; steps F and U freeze the inner model",
        ),
        ("shape:7x4/mode:mirrored3/steps:T", "replicas", "shards of 3+2+2 samples; each uses the statistics of its own shard"),
        (
            "shape:7x4/synchronized:True/mode:mirrored2/steps:T",
            "replicas",
            "shards of 4+3 samples; all use the statistics of the whole batch",
        ),
    ],
)
def test_what_is_not_the_default(id_: str, label: str, text: str) -> None:
    """One line for each, and none where it is the default."""
    assert line(id_, label) == text
    assert label in ("layer", "formats") or not any(found.split()[:1] == [label] for found in lines("shape:4x3/steps:T"))


def test_every_law_shows_its_rule() -> None:
    """And that a second observation is made."""
    for law in ("shift", "repeat", "threads"):
        assert line(f"shape:4x3/law:{law}/steps:T", "law").endswith("; the layer is observed a second time for it")


def test_each_replica_and_each_slice_has_its_numbers() -> None:
    """Until a file makes the replicas equal."""
    found = lines("shape:7x4/mode:mirrored2/file:h5/steps:TST")
    assert [text for text in found if text.startswith("    replica")] == ["    replica 1", "    replica 2"]
    assert "    from here on every replica has the weights of get_weights(): one replica's statistics, or their mean" in found
    sliced = [text for text in lines("shape:4x2x3/mode:timedistributed/steps:TF") if text.startswith("  step")]
    assert sliced == [
        "  step 0    call with training=True, slice 0",
        "  step 0    call with training=True, slice 1",
        "  step 1    set trainable=False",
    ]


def test_gradients_of_what_can_be_trained() -> None:
    """x always; gamma and beta unless the layer is frozen or has none; the second derivative by its name."""

    def gradients(id_: str) -> list[str]:
        return [text.split("  from")[0].strip() for text in lines(id_) if "dL/d" in text]

    assert gradients("shape:6x3/gradients:2/steps:T") == ["dL/dx", "dL/dgamma", "dL/dbeta", "the derivative of dL/dx"]
    assert gradients("shape:6x3/gradients:1/steps:FT") == ["dL/dx"]
    assert gradients("shape:6x3/scale:False/gradients:1/steps:T") == ["dL/dx", "dL/dbeta"]


def test_renorm_shows_its_correction() -> None:
    """r and d of each channel."""
    assert [text.split("  ")[2] for text in lines("shape:6x4/renorm:True/steps:T") if "of renorm" in text] == [
        "r of renorm",
        "d of renorm",
    ]


def test_a_mistake() -> None:
    """What is done, what is promised and how it must be answered, with every word that counts."""
    assert lines("shape:4x3/misuse:clipping-order/steps:TI") == [
        "shape:4x3/misuse:clipping-order/steps:TI",
        "  mistake   renorm_clipping={'rmax': 0.25, 'rmin': 2.5}: rmax is below rmin",
        "  layer     BatchNormalization(renorm=True, renorm_clipping={'rmax': 0.25, 'rmin': 2.5})",
        "  build     for an input of shape (4, 3)",
        "  step 0    call with training=True, input of shape (4, 3)",
        "  step 1    call with training=False, input of shape (4, 3)",
        "  promised  " + line("shape:4x3/misuse:clipping-order/steps:TI", "promised"),
        f"  answer    {WANTED}, raised by the constructor, by build() or by a call",
        "            it is named by one of rmax, clipping",
        "            what was got is shown by one of 0.25, 2.5",
    ]


def test_a_mistake_with_one_word_needs_no_list_of_them() -> None:
    """The answer names it already."""
    assert lines("shape:4x3/misuse:momentum-large/steps:TI")[-1].startswith("  answer    ")


def test_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its layers, its data, and the batch of each call; what must come out depends on what reaches its layers."""
    samples = np.array([[1.0, 2, 3, 4], [3, 2, 1, 0]], np.float32)
    monkeypatch.setattr(data, "_data", lambda name: (samples, np.array([[0, 1], [0, 1]], np.float32)))
    found = lines("shape:2x4/network:iris/weights:initial/steps:TF")
    assert found[1:3] == [
        "  network   BN, Dense(4, relu), Dense(3, sigmoid); Adam(0.01)",
        "  start     kernels drawn from fixed seeds; Keras' initial weights; dtype policy float32",
    ]
    assert found[-5:] == [
        "  step 0    train_on_batch",
        "    batch mean      2 2 2 2",
        "    batch variance  1 0 1 4",
        "    of each class   0 2",
        "  step 1    the model's trainable = False, compiled again",
    ]


def test_the_seed_changes_the_numbers() -> None:
    """And nothing else."""
    one, other = lines("shape:4x3/steps:T"), lines("shape:4x3/steps:T", seed=1)
    assert one[:5] == other[:5]
    assert one != other
