"""The files that one Keras saves and another is known not to load, read from known_files.toml."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from bnverify.contract.eras import keras_version
from bnverify.storage.tables import Table, read_tables


@dataclass(frozen=True)
class KnownFile:
    """Files that cannot be loaded: their formats, the Keras that saved them, and the Keras that cannot load them.

    saved, loaded: version ranges (PEP 440). why: the cause. link: where it is documented. where: file and line of the record.
    """

    formats: tuple[str, ...]
    saved: str
    loaded: str
    why: str
    link: str
    where: str = field(default="", metadata={"internal": True})

    def covers(self, format: str, saved: str, loaded: str) -> bool:
        """Whether the record covers a file of this format, saved and loaded by these versions of Keras."""
        ranges = ((self.saved, saved), (self.loaded, loaded))
        return format in self.formats and all(SpecifierSet(r).contains(keras_version(v)) for r, v in ranges)


@cache
def known_files() -> tuple[KnownFile, ...]:
    """The records that ship with bnverify."""
    text = (resources.files("bnverify.matrix") / "known_files.toml").read_text(encoding="utf-8")
    return tuple(map(_checked, read_tables(text, "known_files.toml", {"file": KnownFile})["file"]))


def stale_files(outcomes: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """A line for each record that covers some exchanges but that none of them shows.

    outcomes: for each exchange, the place of the record that covers it, and its outcome.
    """
    lines = []
    pairs = list(outcomes)
    for record in known_files():
        found = {outcome for where, outcome in pairs if where == record.where}
        if found and "known deviation" not in found:
            lines.append(
                f"{record.where}: this no longer occurs in any file ({record.why}); outcomes: {', '.join(sorted(found))}"
            )
    return tuple(lines)


def _checked(table: Table[KnownFile]) -> KnownFile:
    for name in ("saved", "loaded"):
        try:
            SpecifierSet(getattr(table.values, name))
        except InvalidSpecifier:
            raise table.fail(name, got=getattr(table.values, name), allowed="a version range as >=2.13,<3") from None
    return replace(table.values, where=table.place)
