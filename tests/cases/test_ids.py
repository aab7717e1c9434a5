"""Ids of cases are readable and parse back; a malformed one says what is allowed."""

from __future__ import annotations

import pytest
from _pytest.mark.expression import Expression
from hypothesis import given
from hypothesis import strategies as st

from bnverify.cases.case import Case
from bnverify.cases.fields import FILLS, LAWS, MASKS, WEIGHTS
from bnverify.cases.ids import parse
from bnverify.cases.layer_config import CONSTRAINTS, INITIALIZERS, REGULARIZERS, LayerConfig
from bnverify.cases.modes import LAYOUTS
from bnverify.cases.steps import Step
from bnverify.cases.suites import suite
from bnverify.errors import BadInput
from bnverify.numeric.precision import FORMATS, INTEGERS, POLICIES

numbers = st.floats(0, 1, allow_nan=False)
limits = st.floats(0, 1e6, allow_nan=False)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    shape = draw(st.lists(st.integers(1, 12), min_size=2, max_size=6))
    rank = len(shape)
    several = st.lists(st.integers(0, rank - 1), min_size=2, max_size=rank, unique=True).map(tuple)
    axis = draw(st.integers(-rank, rank - 1) | several)
    if isinstance(axis, int) and draw(st.booleans()):
        shape[(axis + 1) % rank] = 0  # a reduced axis may be empty
    before = [step for step in Step if step not in (Step.OPTIMIZE, Step.SAVE)]
    steps = draw(st.lists(st.sampled_from(before), max_size=12))
    last = draw(st.lists(st.just(Step.OPTIMIZE), min_size=not any(step.is_call for step in steps), max_size=1))
    renorm = draw(st.booleans())
    clipping = {name: draw(limits) for name in draw(st.sets(st.sampled_from(("rmax", "rmin", "dmax")))) if renorm}
    if clipping.get("rmin", 0.0) > clipping.get("rmax", 1e6):
        del clipping["rmin"]
    mask = draw(st.sampled_from(("", *MASKS)))
    asked = {
        Step.TRAIN: {"", *LAWS} - {"epsilon", "threads"} - ({"mask"} if mask != "full" else set()),
        Step.INFER: {"", "epsilon"},
    }
    gradients = draw(st.integers(0, 2))
    initializer = draw(st.sampled_from(INITIALIZERS))
    laws = sorted(asked.get((steps + last)[0], {""}))
    return Case(
        shape=tuple(shape),
        steps=tuple(steps + last),
        config=LayerConfig(
            axis=axis,
            momentum=draw(numbers),
            epsilon=draw(st.floats(0, 1e6)),
            center=draw(st.booleans()),
            scale=draw(st.booleans()),
            gamma_initializer=initializer,
            trainable=draw(st.booleans()),
            gamma_regularizer=draw(st.sampled_from(REGULARIZERS)),
            beta_regularizer=draw(st.sampled_from(REGULARIZERS)),
            gamma_constraint=draw(st.sampled_from(CONSTRAINTS)),
            beta_constraint=draw(st.sampled_from(CONSTRAINTS)),
            renorm=renorm,
            renorm_clipping=tuple(clipping.items()),
            renorm_momentum=draw(numbers) if renorm else LayerConfig.renorm_momentum,
        ),
        policy=draw(st.sampled_from(sorted(POLICIES))),
        dtype=draw(st.sampled_from(tuple(FORMATS) if gradients or last else (*FORMATS, *INTEGERS))),
        fill=draw(st.sampled_from(FILLS)),
        mask=mask,
        weights=draw(st.sampled_from(WEIGHTS)) if initializer == "" else "random",
        gradients=gradients,
        layout=draw(st.sampled_from(sorted(LAYOUTS))),
        law=draw(st.sampled_from(laws)),
    )


@given(cases())
def test_ids_parse_back(case: Case) -> None:
    """parse(case.id) == case, whatever the case, and the id of that is the same again."""
    assert parse(case.id) == case
    assert parse(case.id).id == case.id


@given(cases())
def test_ids_need_no_quoting(case: Case) -> None:
    """An id is one word for a shell and for pytest's -k."""
    assert all(c.isalnum() or c in ":/.+-_=" for c in case.id)
    assert Expression.compile(case.id).evaluate(lambda word, **_: word == case.id)


def test_ids_print_only_what_differs_from_the_defaults() -> None:
    """shape and steps always stand, a default never, and the order of the fields is fixed."""
    assert Case(shape=(4, 3), steps=(Step.TRAIN,)).id == "shape:4x3/steps:T"
    given_ = "steps:TI/fill:offset/momentum:0.99/axis:1/shape:2x3/policy:float32/dtype:float16"
    assert parse(given_).id == "shape:2x3/axis:1/dtype:float16/fill:offset/steps:TI"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "case id '': '' is not field:value"),
        ("shape:4x3", "no steps; an id needs shape and steps"),
        ("steps:T", "no shape"),
        ("shape:4x3/steps:T/fil:normal", "did you mean fill:…?"),
        ("shape:4x3/steps:T/fill:ofset", "did you mean fill:offset?"),
        ("shape:4/steps:T", "shape is '4'; allowed: two or more sizes joined by x"),
        ("shape:4x0/steps:T", "the kept axis has size 0; only reduced axes may have size 0"),
        ("shape:0x3/axis:0/steps:T", "the kept axis has size 0"),
        ("shape:4x03/steps:T", "shape is '4x03'"),
        ("shape:4x3/steps:X", "steps is 'X'; allowed: letters T, I, N, F, U, S"),
        (
            "shape:4x3/steps:OT",
            "steps is 'OT'; allowed: letters T, I, N, F, U, S, each with an optional count",
        ),
        ("shape:4x3/steps:TO2", "steps is 'TO2'"),
        ("shape:4x3/steps:FU", "at least one call"),
        ("shape:4x3/steps:T/axis:2", "axis 2 is out of range -2…1"),
        ("shape:4x3/steps:T/axis:1+-1", "names an axis twice"),
        ("shape:4x3/steps:T/axis:1.5", "axis is '1.5'; allowed: an integer"),
        ("shape:4x3/steps:T/momentum:2", "momentum is '2'; allowed: a number from 0 to 1"),
        ("shape:4x3/steps:T/epsilon:nan", "epsilon is 'nan'; allowed: a number from 0 to 1e+06"),
        ("shape:4x3/steps:T/epsilon:-1e-3", "epsilon is '-1e-3'; allowed: a number from 0 to 1e+06"),
        ("shape:4x3/steps:T/gradients:3", "gradients is '3'; allowed: one of 0, 1, 2"),
        ("shape:4x3/steps:T/mask:hiden", "did you mean mask:hidden?"),
        ("shape:4x3/steps:T/law:shifts", "did you mean law:shift?"),
        ("shape:4x3/steps:T/law:epsilon", "law:epsilon needs I as its first step; got steps:T"),
        ("shape:4x3/steps:T/law:mask", "law:mask needs mask:full; got mask:none"),
        ("shape:4x3/steps:T/gamma_constraint:nonneg", "did you mean gamma_constraint:non_neg?"),
        ("shape:4x3/steps:T/renorm_clipping:rmax2", "renorm_clipping and renorm_momentum need renorm:True"),
        ("shape:4x3/steps:T/renorm_momentum:0.5", "renorm_clipping and renorm_momentum need renorm:True"),
        ("shape:4x3/steps:T/renorm:True/renorm_clipping:rmax1+rmax2", "allowed: rmax, rmin and dmax, each at most once"),
        ("shape:4x3/steps:T/renorm:True/renorm_clipping:rmin2+rmax1", "rmin <= rmax"),
        ("shape:4x3/steps:T/renorm:True/renorm_clipping:dmax-1", "allowed: rmax, rmin and dmax"),
        ("shape:4x3/steps:T/center:true", "center is 'true'; allowed: one of True, False; did you mean center:True?"),
        ("shape:4x3/steps:T/steps:I", "the field steps is given twice"),
        ("shape:4x3/steps:TS", "a step S needs a file, and a file needs a step S"),
        ("shape:4x3/file:keras/steps:T", "a step S needs a file, and a file needs a step S; got file:keras with steps:T"),
        ("shape:4x3/file:export/steps:TST", "file:export allows only inference after S; got steps:TST"),
        ("shape:4x3/mode:fits/steps:T", "did you mean mode:fit?"),
        (
            "shape:4x3/mode:fit/gradients:1/steps:T",
            "gradients need mode:call or positional; got mode:fit",
        ),
        (
            "shape:4x3/mode:xla/steps:TO",
            "a step O needs mode:call, positional, fit, on_batch, evaluate, uncompiled; got mode:xla",
        ),
        ("shape:4x3/mask:full/mode:fit/steps:T", "mode:fit has inputs only, no mask; got mask:full"),
        ("shape:4x3/fill:nonfinite/mode:fit/steps:T", "mode:fit trains with SGD(0), which needs a finite gradient of gamma"),
        ("shape:4x3/mode:uncompiled/steps:TFO", "a step O of mode:uncompiled compiles the model; allowed: O without F and U"),
        ("shape:4x3/mode:unbuilt/steps:T", "mode:unbuilt needs weights:initial"),
        (
            "shape:4x3/mode:shared/steps:T3",
            "mode:shared makes two calls at once, so each call must occur twice in a row in the steps; got steps:T3",
        ),
        ("shape:4x3/mode:timedistributed/steps:T", "mode:timedistributed needs three axes or more, axis -1"),
        ("shape:4x3x2/mask:broadcast/mode:timedistributed/steps:T", "axis -1, and a mask with every time step"),
        ("shape:4x3x2/mode:masking/steps:T", "mode:masking makes the mask itself and needs mask:random"),
        ("shape:4x3x2/axis:1/mask:full/mode:embedding/steps:T", "mode:embedding needs three axes or more, and axis -1"),
        ("shape:3x2/mode:mirrored4/steps:T", "mode:mirrored4 needs a batch size of 4 or more; got 3"),
        (
            "shape:4x3/gamma_initializer:random_normal/weights:initial/steps:T",
            "weights:initial needs initializers that are not random; gamma is random",
        ),
    ],
)
def test_bad_ids_say_what_is_allowed(text: str, message: str) -> None:
    """Each malformed id is one line that names the field, what was got and what is allowed."""
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ids_of_the_full_suite_parse_back() -> None:
    """Ways of running, files and networks among them."""
    for case in suite("full"):
        assert parse(case.id) == case, case.id
