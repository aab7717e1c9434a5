"""HTML templates: one engine for all HTML. It escapes every value."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from bnverify.values import Status
from bnverify.views.text import encodable, number, plural, short

if TYPE_CHECKING:
    from jinja2 import Environment

COLOURS_OF_STATUS = {
    Status.CONFORMS: "#2e9e5b",
    Status.UNSTABLE: "#c98a00",
    Status.WRONG: "#d64545",
    Status.CRASHED: "#a34fc4",
}
OTHER_COLOUR = "#4b8bbe"


def render(name: str, **values: Any) -> str:
    """The template `name`.html.j2 of this folder with these values."""
    return encodable(_engine().get_template(f"{name}.html.j2").render(values))


@cache
def _engine() -> Environment:
    import jinja2  # takes 40 ms, so only commands that make HTML import it

    folder = resources.files("bnverify.views")
    loader = jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8"))
    engine = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    engine.globals.update(
        short=short,
        number=number,
        plural=plural,
        colour=lambda status: COLOURS_OF_STATUS.get(status, OTHER_COLOUR),
    )
    return engine
