"""Misuse: mistakes that a layer must refuse with an exception of the right type that names the argument and its value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NAN = float("nan")


@dataclass(frozen=True)
class Misuse:
    """One mistake of a user.

    words: the mistake as text. clause: the key of the clause that requires the refusal. layer: constructor arguments that
    replace those of the case. build: the input shape to build for, None on undefined axes; None builds for the case's shape.
    call: the shape of the input in calls; None for the case's shape. mask: the mask in calls: an array's (shape, dtype), or any
    other value. shape: the only shape of a case in which this is a mistake; None for any shape. raises: the accepted exception
    types and their subclasses. names: words for the wrong argument; the message must contain one of them. shows: texts of the
    wrong value; the message must contain one of them; empty if it need not.
    """

    words: str
    clause: str
    names: tuple[str, ...]
    shows: tuple[str, ...] = ()
    layer: Mapping[str, Any] = field(default_factory=dict)
    build: tuple[int | None, ...] | None = None
    call: tuple[int, ...] | None = None
    mask: Any = None
    shape: tuple[int, ...] | None = None
    raises: tuple[str, ...] = ("ValueError", "TypeError")

    @property
    def wanted(self) -> str:
        """The expected refusal as text."""
        shown = f" and shows {self.shows[0]}" if self.shows else ""
        return f"{' or '.join(self.raises)} that names {self.names[0]}{shown}"

    @property
    def steps(self) -> str:
        """The steps in which the layer can detect the mistake: with a training call if only training reads the value."""
        return "TI" if self.mask is not None or self.clause.endswith(("momentum", "clipping")) else "I"

    @property
    def stage(self) -> str:
        """The stage at which the mistake is made."""
        return "build" if self.build is not None else "step 0" if self.call or self.mask is not None else "constructor"


NO_MISUSE = Misuse("", "", ("",))


def _axis(words: str, value: Any, *shows: str, raises: tuple[str, ...] = ("ValueError", "TypeError")) -> Misuse:
    names = ("axis", "axes", "dimension")
    return Misuse(f"axis={value!r}: {words}", "refuses-axis", names, shows or (repr(value),), {"axis": value}, raises=raises)


def _out_of_range(value: int) -> Misuse:
    names, shape = ("axis", "axes", "dimension"), (4, 3)
    return Misuse(
        f"axis={value}, for an input of two axes",
        "refuses-axis",
        names,
        (str(value),),
        {"axis": value},
        shape=shape,
        raises=("ValueError", "IndexError"),
    )


def _number(argument: str, words: str, value: Any) -> Misuse:
    layer = {argument: value, **({"renorm": True} if argument.startswith("renorm") else {})}
    clause = f"refuses-{argument.replace('_', '-')}"
    return Misuse(f"{argument}={value!r}: {words}", clause, (argument,), (str(value),), layer)


def _clipping(words: str, value: Any, names: tuple[str, ...], *shows: str) -> Misuse:
    layer = {"renorm": True, "renorm_clipping": value}
    return Misuse(f"renorm_clipping={value!r}: {words}", "refuses-renorm-clipping", (*names, "clipping"), shows, layer)


def _unknown(argument: str, value: Any, *names: str) -> Misuse:
    return Misuse(f"{argument}={value!r}: not a known value", "refuses-unknown", names, (str(value),), {argument: value})


def _input(words: str, shape: tuple[int, ...], call: tuple[int, ...], *shows: str, **layer: Any) -> Misuse:
    names = ("shape", "axis", "dim", "rank", "channel")
    told = f"built for {shape}, called with an input of shape {call}: {words}"
    return Misuse(told, "refuses-input", names, shows, layer, call=call, shape=shape)


def _undefined(build: tuple[int | None, ...], shape: tuple[int, ...], **layer: Any) -> Misuse:
    names = ("axis", "dim", "shape", "channel")
    told = f"built for {build}: the number of channels is undefined"
    return Misuse(told, "refuses-undefined-channels", names, ("None", "undefined"), layer, build=build, shape=shape)


def _mask(words: str, mask: Any, *shows: str, shape: tuple[int, ...] = (5, 4, 3)) -> Misuse:
    given = f"a mask of shape {mask[0]} and dtype {mask[1]}" if isinstance(mask, tuple) else f"mask={mask!r}"
    return Misuse(f"an input of shape {shape} with {given}: {words}", "refuses-mask", ("mask",), shows, mask=mask, shape=shape)


MISUSES: dict[str, Misuse] = {
    "axis-range": _out_of_range(2),
    "axis-range-negative": _out_of_range(-3),
    "axis-fraction": _axis("not an integer", 1.5, "1.5", "float"),
    "axis-bool": _axis("not a number", True, "True", "bool"),
    "axis-word": _axis("not a number", "channels", "channels", "str"),
    "axis-digits": _axis("a string", "1", "'1'", '"1"', "str"),
    "axis-none": _axis("not a number", None, "None", "NoneType"),
    "axis-list": _axis("a list of axes is not allowed", [1], "[1]", "list"),
    "momentum-negative": _number("momentum", "outside 0 to 1", -0.5),
    "momentum-large": _number("momentum", "outside 0 to 1", 1.5),
    "momentum-nan": _number("momentum", "outside 0 to 1", NAN),
    "momentum-word": _number("momentum", "not a number", "high"),
    "epsilon-negative": _number("epsilon", "negative", -0.5),
    "epsilon-nan": _number("epsilon", "not a number", NAN),
    "epsilon-word": _number("epsilon", "not a number", "small"),
    "clipping-unknown": _clipping("not a known limit", {"max": 3.0}, ("renorm_clipping",), "max"),
    "clipping-order": _clipping("rmax is below rmin", {"rmax": 0.25, "rmin": 2.5}, ("rmax",), "0.25", "2.5"),
    "clipping-dmax": _clipping("dmax is negative", {"dmax": -1.5}, ("dmax",), "-1.5"),
    "clipping-rmax": _clipping("rmax is below rmin, whose default is 0", {"rmax": -1.5}, ("rmax",), "-1.5"),
    "clipping-nan": _clipping("not a number", {"rmax": NAN}, ("rmax",), "nan"),
    "clipping-word": _clipping("not a number", {"rmax": "three"}, ("rmax",), "three", "str", "string"),
    "clipping-number": _clipping("not a dictionary", 3.5, ("renorm_clipping",), "3.5", "float"),
    "renorm-momentum-negative": _number("renorm_momentum", "outside 0 to 1", -0.5),
    "renorm-momentum-large": _number("renorm_momentum", "outside 0 to 1", 1.5),
    "renorm-momentum-nan": _number("renorm_momentum", "outside 0 to 1", NAN),
    "renorm-momentum-word": _number("renorm_momentum", "not a number", "high"),
    "keyword": Misuse("momentun=0.9: not a known argument", "refuses-unknown", ("momentun",), (), {"momentun": 0.9}),
    "initializer": _unknown("gamma_initializer", "onez", "initializer"),
    "initializer-number": _unknown("beta_initializer", 0.5, "initializer"),
    "regularizer": _unknown("gamma_regularizer", "l3", "regularizer"),
    "constraint": _unknown("beta_constraint", "positive", "constraint"),
    "undefined": _undefined((4, None), (4, 3)),
    "undefined-inner": _undefined((2, None, 5, 4), (2, 3, 5, 4), axis=1),
    "channels-other": _input("another number of channels", (4, 3), (4, 29), "29"),
    "channels-one": _input("a single channel, which would broadcast", (5, 3), (5, 1), "1"),
    "channels-inner": _input("another number of channels", (2, 3, 5, 4), (2, 29, 5, 4), "29", axis=1),
    "rank-more": _input("one axis too many", (4, 5), (4, 7, 5), "3", "7"),
    "rank-less": _input("one axis too few", (4, 7, 5), (4, 5), "2", "(4, 5)"),
    "mask-rank-less": _mask("two axes fewer than the input", ((5,), "bool"), "5", "1"),
    "mask-rank-more": _mask("more axes than the input", ((5, 4, 3, 1), "bool"), "(5, 4, 3, 1)", "[5, 4, 3, 1]", "4"),
    "mask-size": _mask("another number of positions", ((5, 7), "bool"), "7"),
    "mask-batch": _mask("a larger batch", ((7, 4), "bool"), "7", shape=(1, 4, 3)),
    "mask-string": _mask("not booleans", ((5, 4), "<U1"), "string", "str", "<U1", "str32", "unicode"),
    "mask-bool": _mask("not a tensor", True, "True", "bool"),
}
