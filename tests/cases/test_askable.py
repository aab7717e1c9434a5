"""What can be asked: no two settings that exclude each other, and every need of a case, the first missing one reported."""

from __future__ import annotations

import pytest

from bnverify.cases.askable import cannot_exist, missing_need, needs
from bnverify.cases.case import Case
from bnverify.cases.ids import parse
from bnverify.cases.layer_config import LayerConfig
from bnverify.cases.steps import Step

T, I, S, O, F = Step.TRAIN, Step.INFER, Step.SAVE, Step.OPTIMIZE, Step.FREEZE  # noqa: E741
PLAIN = {"training", "rank other than 4 and 5", "policy:float32"}


def case(steps: tuple[Step, ...] = (T,), shape: tuple[int, ...] = (4, 3), **changes: object) -> Case:
    config = {name: changes.pop(name) for name in tuple(changes) if name in LayerConfig.__dataclass_fields__}
    return Case(shape=shape, steps=steps, config=LayerConfig(**config), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (case(axis=2), "axis 2 is out of range -2…1 of the shape"),
        (case(axis=-3), "axis -3 is out of range -2…1 of the shape"),
        (case(axis=(0, 2)), "axis 0+2 is out of range -2…1 of the shape"),
        (case(axis=(1, -1)), "axis 1+-1 names an axis twice"),
        (case(shape=(4, 0)), "the kept axis has size 0; only reduced axes may have size 0"),
        (case(renorm_momentum=0.5), "renorm_clipping and renorm_momentum need renorm:True"),
        (case(law="shift", steps=(I,)), "law:shift needs T as its first step; got steps:I"),
        (case(law="epsilon"), "law:epsilon needs I as its first step; got steps:T"),
        (case(law="mask", mask="random"), "law:mask needs mask:full; got mask:random"),
        (case(posted="toy"), "posted:toy has shape:2x2; got shape:4x3"),
        (
            case(posted="toy", shape=(2, 2), fill="tiny"),
            "posted:toy sets the input and the weights; fill:tiny cannot be set with it",
        ),
        (
            case(posted="scale-alone", shape=(1, 2, 1)),
            "posted:scale-alone has the weights gamma, moving_mean, moving_variance, but the layer has gamma, beta, "
            "moving_mean, moving_variance",
        ),
        (case((T, S)), "a step S needs a file, and a file needs a step S; got file:none with steps:TS"),
        (case(file="h5"), "a step S needs a file, and a file needs a step S; got file:h5 with steps:T"),
        (case((T, S, S, I), file="export"), "file:export allows only inference after S; got steps:TS2I"),
        (case((S, I), file="export", mask="one"), "file:export needs one input and no mask; got mask:one and mode:call"),
        (
            case((T, S), file="pickle", mode="mirrored2"),
            "mode:mirrored2 cannot save file:pickle; allowed: keras, weights.h5, h5",
        ),
        (case((T, S), file="keras", mode="parallel2"), "mode:parallel2 cannot save file:keras; allowed: none"),
        (case(gradients=1, mode="xla"), "gradients need mode:call or positional; got mode:xla"),
        (case(gradients=1, dtype="int32"), "gradients and a step O need floating-point inputs; got dtype:int32"),
        (case((O,), dtype="int8"), "gradients and a step O need floating-point inputs; got dtype:int8"),
        (
            case((O,), mode="nested"),
            "a step O needs mode:call, positional, fit, on_batch, evaluate, uncompiled; got mode:nested",
        ),
        (case(network="iris", shape=(4, 4), mode="fit"), "misuse and network need mode:call; got mode:fit"),
        (case(network="iris"), "network:iris takes batches of shape ROWSx4; got shape:4x3"),
        (
            case(network="iris", shape=(4, 4), fill="tiny"),
            "network:iris has its own layers and data; fill:tiny cannot be set with it",
        ),
        (
            case(network="iris", shape=(4, 4), weights="negative"),
            "network:iris needs weights:random or initial; got weights:negative",
        ),
        (case((O,), network="iris", shape=(4, 4)), "network:iris allows the steps T, I, F and U; got steps:O"),
        (case(misuse="keyword", mask="full"), "misuse:keyword cannot be combined with mask:full"),
        (case(misuse="rank-more"), "misuse:rank-more needs shape:4x5; got shape:4x3"),
    ],
    ids=lambda value: value.id if isinstance(value, Case) else "",
)
def test_settings_that_exclude_each_other(asked: Case, reason: str) -> None:
    """The whole reason, which names the setting, what it needs and what was got."""
    assert cannot_exist(asked) == reason


@pytest.mark.parametrize(
    "asked",
    [
        case(shape=(0, 3)),
        case(shape=(3, 0), axis=0),
        case(axis=(0, -1), shape=(2, 3, 4)),
        case(renorm=True, renorm_momentum=0.5),
        case(law="repeat", steps=(I,)),
        case(law="threads", steps=(F, I)),
        case((T, S, I), file="export"),
        case((T, S, F, T), file="keras"),
        case((T, S), file="h5", mode="mirrored2"),
        case((O,), mode="fit"),
        case(posted="scale-alone", shape=(1, 2, 1), center=False),
        case(network="iris", shape=(1, 4), policy="mixed_float16"),
        case(misuse="keyword", policy="float16"),
    ],
    ids=lambda asked: asked.id,
)
def test_settings_that_go_together(asked: Case) -> None:
    """Cases at the edge of what is refused."""
    assert cannot_exist(asked) == ""


@pytest.mark.parametrize(
    ("id_", "more"),
    [
        ("shape:4x3/steps:T", set()),
        ("shape:4x3/dtype:int8/steps:T", {"integer inputs"}),
        ("shape:3x4x5/axis:1+2/steps:T", {"several axes", "channels before the last axis"}),
        ("shape:4x3/axis:0/steps:T", {"channels before the last axis"}),
        ("shape:4x3x2/mask:one/steps:T", {"a mask"}),
        ("shape:4x3x2/mask:full/law:mask/steps:T", {"a mask"}),
        ("shape:4x3/renorm:True/steps:T", {"renorm"}),
        ("shape:4x3/law:renorm/steps:T", {"renorm"}),
        ("shape:4x3/law:axes/steps:T", {"a second call with another axis or rank"}),
        ("shape:4x3/gradients:1/steps:T", {"gradients"}),
        ("shape:4x3/steps:O", {"gradients"}),
        ("shape:4x3/dtype:float64/steps:O", {"gradients", "gradients of float64"}),
        ("shape:4x3/dtype:float64/gradients:1/steps:T", {"gradients", "gradients of float64", "gradients of another dtype"}),
        ("shape:4x3/mode:xla/steps:T", {"mode:xla"}),
        ("shape:4x3/mode:mirrored2/steps:T", {"mode:mirrored2", "mirrored"}),
        ("shape:4x3/synchronized:True/steps:T", {"synchronized"}),
        ("shape:4x3/mode:fit/steps:T", {"mode:fit", "fit"}),
        ("shape:4x3/mode:fit/dtype:bfloat16/steps:T", {"mode:fit", "fit", "fit of bfloat16"}),
        ("shape:4x3/file:keras/steps:TS", {"file:keras"}),
        ("shape:4x4/network:iris/steps:T", {"a network", "data of scikit-learn", "gradients"}),
    ],
)
def test_the_needs_of_a_case(id_: str, more: set[str]) -> None:
    """What an era, a backend and a target must have, beside what a plain training call needs."""
    assert set(needs(parse(id_))) == PLAIN | more


@pytest.mark.parametrize(
    ("id_", "all_"),
    [
        ("shape:2x3x4x5/steps:I", {"policy:float32"}),
        ("shape:2x3x4x5/mode:fit/steps:I", {"policy:float32", "mode:fit"}),
        ("shape:32x32x32x3/network:mobilenet/steps:I", {"policy:float32", "a network"}),
        (
            "shape:2x3x4x5/policy:float64/steps:I",
            {"policy:float64", "a float64 policy", "computing in float64"},
        ),
        (
            "shape:4x3/misuse:clipping-nan/steps:I",
            {"a misuse", "misuse:clipping-nan", "policy:float32", "renorm"} | PLAIN - {"training"},
        ),
        ("shape:5x4x3/misuse:mask-size/steps:TI", {"a misuse", "misuse:mask-size", "a mask"} | PLAIN),
    ],
)
def test_the_needs_of_inference_and_of_mistakes(id_: str, all_: set[str]) -> None:
    """Inference needs no training; noise images need no data of scikit-learn; a mistake needs what it is about."""
    assert set(needs(parse(id_))) == all_


def test_the_first_missing_need_is_the_reason() -> None:
    """In the order of needs: inputs, policy, layer, mode, calls, file, numbers."""
    asked = parse("shape:4x3/dtype:int8/renorm:True/mode:fit/steps:T")
    lacks = {need: need for need in needs(asked)}
    order = []
    while reason := missing_need(asked, lacks):
        order.append(reason)
        del lacks[reason]
    assert order == ["integer inputs", "policy:float32", "renorm", "mode:fit", "fit", "training", "rank other than 4 and 5"]
    assert missing_need(asked, {"a mask": "not needed here"}) == ""
