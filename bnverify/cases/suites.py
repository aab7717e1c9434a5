"""The suites: smoke ⊂ default ⊂ full, and regressions. A suite is a tuple of cases, without repetition."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from bnverify.cases.case import Case, parse
from bnverify.cases.expression import compile_expression
from bnverify.cases.regressions import REGRESSIONS
from bnverify.errors import BadInput

SUITES = ("smoke", "default", "full", "regressions")

# One shape of each rank, sizes all different, so that an axis taken for another one shows in the shape of the statistics.
SHAPES = ("6x5", "4x6x3", "2x3x5x4", "2x3x4x2x5", "2x3x2x4x2x5")
POLICIES = (
    ("float64", "float64"),
    ("mixed_float16", "float16"),
    ("mixed_bfloat16", "bfloat16"),
    ("float16", "float16"),
    ("bfloat16", "bfloat16"),
)


@cache
def suite(name: str) -> tuple[Case, ...]:
    """The cases of a suite, in a fixed order. Raises BadInput for an unknown name, naming what is near."""
    if name == "regressions":
        return tuple(dataclasses.replace(parse(id_), cause=cause) for id_, cause in REGRESSIONS)
    layers = {"smoke": (_smoke,), "default": (_smoke, _default), "full": (_smoke, _default, _full)}
    if name not in layers:
        near = difflib.get_close_matches(name, SUITES, n=1)
        raise BadInput(f"suite {name!r} is unknown; allowed: {', '.join(SUITES)}" + (f"; did you mean {near[0]}?" if near else ""))
    return tuple(dict.fromkeys(parse(text) for layer in layers[name] for text in layer()))


def _smoke() -> Iterator[str]:
    """Few cases, each for several clauses at once: enough to catch every mutant."""
    yield "shape:6x5/weights:initial/steps:TIN"
    yield "shape:8x3/steps:T2IN"
    yield "shape:4x3/steps:TIFTINUTI"
    yield "shape:7x5/axis:1/steps:TI"
    yield "shape:2x3x5x4/axis:1/steps:T2I"
    yield "shape:2x3x5x4/axis:-3/steps:TI"
    yield "shape:2x3x5x4/axis:2/steps:TI"
    yield "shape:3x4x2/axis:0/steps:TI"
    yield "shape:2x4x3x5/steps:T2I"
    yield "shape:2x3x4x2x5/axis:1/steps:TI"
    yield "shape:4x3/momentum:0.5/steps:T3I"
    yield "shape:4x3/momentum:0.0/steps:TI"
    yield "shape:4x3/momentum:1.0/steps:TI"
    yield "shape:5x3/momentum:0.9/epsilon:1e-05/steps:T2I"
    yield "shape:16x4/epsilon:0.1/steps:TI"
    yield "shape:16x4/epsilon:1e-07/steps:TI"
    yield "shape:6x4/center:False/steps:TI"
    yield "shape:6x4/scale:False/steps:TI"
    yield "shape:6x4/center:False/scale:False/steps:TI"
    yield "shape:1x4/steps:TI"
    yield "shape:5x1/steps:TI"
    yield "shape:2x2/steps:TI"
    for fill in ("exact", "offset", "constant", "tiny", "spike", "huge", "subnormal", "nonfinite"):
        yield f"shape:37x4/fill:{fill}/steps:TI"
    yield "shape:4x3x11x2/axis:1/fill:exact/steps:TI"
    yield "shape:4x3x11x2/axis:1/fill:offset/steps:TI"
    yield "shape:4096x4/fill:exact/steps:TI"
    yield "shape:2500x4/fill:constant/steps:TI"
    yield "shape:8x16x16x3/fill:offset/steps:TI"
    for policy, dtype in POLICIES:
        yield f"shape:37x4/policy:{policy}/dtype:{dtype}/steps:T2I"
    yield "shape:37x4/policy:mixed_float16/dtype:float16/fill:huge/steps:TI"
    yield "shape:37x4/policy:float64/dtype:float64/fill:offset/steps:TI"
    yield "shape:37x4/policy:float16/dtype:float16/fill:offset/steps:TI"
    yield "shape:20x4/policy:mixed_bfloat16/steps:TI"
    yield "shape:20x4/dtype:int32/steps:TI"
    yield "shape:20x4/dtype:float16/steps:TI"
    yield "shape:20x4/dtype:float64/steps:TI"
    yield "shape:4x3/weights:initial/steps:FTUT"


def _default() -> Iterator[str]:
    """Every value of every field, and the pairs of fields that are known to meet: axis × rank, fill × layout, policy × fill."""
    for shape in SHAPES:
        rank = shape.count("x") + 1
        for axis in range(-rank, rank):
            yield f"shape:{shape}/axis:{axis}/steps:T2I"
            yield f"shape:{shape}/axis:{axis}/fill:offset/steps:TI"
    for fill, layout in itertools.product(
        ("exact", "offset", "constant", "tiny", "spike", "huge", "subnormal", "nonfinite"),
        ("shape:13x7", "shape:3x5x7x4", "shape:3x4x5x7/axis:1", "shape:2x3x4x3x2/axis:-2", "shape:1009x3", "shape:7x2x11/axis:0"),
    ):
        yield f"{layout}/fill:{fill}/steps:T2I"
    for momentum in (0.0, 0.1, 0.5, 0.9, 0.999, 0.9999, 1.0):
        yield f"shape:8x3/momentum:{momentum}/steps:T5I"
        yield f"shape:2x3x4x5/axis:1/momentum:{momentum}/steps:T2ITI"
    for epsilon, fill in itertools.product((1e-12, 1e-9, 1e-7, 1e-5, 1e-2, 1.0), ("normal", "tiny", "constant", "exact")):
        yield f"shape:23x4/epsilon:{epsilon}/fill:{fill}/steps:TI"
    for (center, scale), shape in itertools.product(((0, 1), (1, 0), (0, 0)), SHAPES):
        flags = "/center:False" * (not center) + "/scale:False" * (not scale)
        yield f"shape:{shape}{flags}/steps:TI"
        yield f"shape:{shape}/axis:1{flags}/steps:TFTUT"
    for (policy, dtype), fill in itertools.product(
        POLICIES, ("normal", "exact", "offset", "constant", "tiny", "spike", "huge", "subnormal", "nonfinite")
    ):
        yield f"shape:29x5/policy:{policy}/dtype:{dtype}/fill:{fill}/steps:T2I"
        if fill in ("normal", "offset"):
            yield f"shape:3x4x5x6/axis:1/policy:{policy}/dtype:{dtype}/fill:{fill}/steps:TI"
            yield f"shape:29x5/policy:{policy}/fill:{fill}/steps:TI"
        if fill == "normal":
            yield f"shape:8x3/policy:{policy}/dtype:{dtype}/momentum:0.5/steps:T20I"
            yield f"shape:8x3/policy:{policy}/dtype:{dtype}/weights:initial/steps:TIN"
    for dtype in ("int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float64"):
        yield f"shape:29x5/dtype:{dtype}/steps:TI"
        yield f"shape:2x3x4x5/axis:1/dtype:{dtype}/fill:exact/steps:TI"
    for dtype in ("int32", "float16", "bfloat16"):
        yield f"shape:29x5/policy:mixed_float16/dtype:{dtype}/steps:TI"
        yield f"shape:29x5/policy:float64/dtype:{dtype}/steps:TI"
    for steps in ("T", "I", "N", "IT", "NTN", "T10I", "TITITI", "FT", "FTUT", "TFTIT", "TIFTUTI", "TFNUN", "FIUT2I", "T2FT2UT2I"):
        yield f"shape:8x4/steps:{steps}"
        yield f"shape:2x3x4x5/axis:1/steps:{steps}"
        yield f"shape:8x4/weights:initial/steps:{steps}"
    for shape in ("1x1", "1x7", "7x1", "2x1", "2x7", "3x2", "1x1x1", "1x5x1x1", "1x1x1x5", "31x37", "2x3x1", "1x3x4x4", "127x1"):
        for fill in ("normal", "exact", "constant", "offset"):
            yield f"shape:{shape}/fill:{fill}/steps:TI"
    for shape in ("4096x3", "65536x2", "16x32x32x3", "64x2x64/axis:1"):
        for fill in ("normal", "exact", "offset", "constant", "spike"):
            yield f"shape:{shape}/fill:{fill}/steps:TI"
    yield "shape:3x4x5/axis:1+2/steps:TI"


def _full() -> Iterator[str]:
    """Every axis with every fill, policy and trace, and large inputs."""
    fills = ("normal", "exact", "offset", "constant", "tiny", "spike", "huge", "subnormal", "nonfinite")
    for shape in (*SHAPES, "7x11", "5x7x3", "3x5x7x2", "2x3x3x5x3"):
        rank = shape.count("x") + 1
        for axis, fill in itertools.product(range(-rank, rank), fills):
            yield f"shape:{shape}/axis:{axis}/fill:{fill}/steps:TI"
        for axis, (policy, dtype) in itertools.product(range(rank), POLICIES):
            for fill in ("normal", "offset", "exact"):
                yield f"shape:{shape}/axis:{axis}/policy:{policy}/dtype:{dtype}/fill:{fill}/steps:TI"
    for epsilon, momentum, fill in itertools.product((1e-12, 1e-8, 1e-5, 1e-3, 1.0), (0.0, 0.3, 0.99, 1.0), fills):
        yield f"shape:17x3/momentum:{momentum}/epsilon:{epsilon}/fill:{fill}/steps:T3I"
    for n, fill in itertools.product((2, 3, 5, 16, 64, 257, 1024, 16384, 65537, 262144), fills):
        yield f"shape:{n}x3/fill:{fill}/steps:TI"
        yield f"shape:2x3x{n}/axis:1/fill:{fill}/steps:TI"
    for (policy, dtype), steps in itertools.product(
        (("float32", "float32"), *POLICIES), ("T100I", "T7I", "ITNT", "TFT2IUT2I", "FTUTFTUT")
    ):
        yield f"shape:6x3/policy:{policy}/dtype:{dtype}/steps:{steps}"
        yield f"shape:6x3/policy:{policy}/dtype:{dtype}/momentum:0.9/weights:initial/steps:{steps}"
    for axis in ("0+1", "1+2", "-1+0", "0+1+2"):
        yield f"shape:3x4x5/axis:{axis}/steps:TI"


def choose(name: str, ids: Sequence[str] = (), expression: str = "") -> tuple[tuple[Case, ...], str]:
    """The cases asked for (single ids instead of a suite; those that fit a `-k` expression) and what reports call them.

    Raises BadInput for an unknown suite, a malformed id or expression, and where no case is left.
    """
    regressions = {case: case for case in suite("regressions")}
    if ids:
        cases = tuple(dict.fromkeys(regressions.get(case, case) for case in map(parse, ids)))
        label = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
    else:
        cases, label = suite(name), f"{name} suite"
    if expression:
        cases = select(cases, expression)
        if not cases:
            raise BadInput(f"-k {expression!r} selects nothing in the {label}; `bnverify list` shows the ids")
        label += f" with -k {expression!r}"
    return cases, label


def select(cases: Iterable[Case], expression: str) -> tuple[Case, ...]:
    """The cases whose id fits a `-k` expression: words joined by and, or, not and parentheses; a word fits as a substring."""
    fits = compile_expression(expression)
    return tuple(case for case in cases if fits(case.id))


def matches(case: Case, selection: str) -> bool:
    """Whether every `field:value` of `selection` is the case's, defaults included; `|` separates alternative values."""
    parts = (part.partition(":") for part in selection.split("/") if part)
    return all(case.fields.get(name) in values.split("|") for name, _, values in parts)


def smaller_first(cases: Iterable[Case]) -> list[Case]:
    """Cases from the easiest to read to the hardest: by elements, then steps, then length of the id."""

    def effort(case: Case) -> tuple[Any, ...]:
        size = 1
        for n in case.shape:
            size *= n
        return size * len(case.steps), len(case.id), case.id

    return sorted(cases, key=effort)

