"""Tables: TOML files that users write, read into dataclasses. Messages give the file, the line and the field."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from bnverify.errors import BadInput

Form = TypeVar("Form")
HEAD = re.compile(r"\[\[\s*[\"']?([^\"'\]]+?)[\"']?\s*\]\]")
FIELD = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*=")
PLACE = re.compile(r" - at `\$\.([\w-]+)(\[.*)?`$")  # the part of a msgspec message that says where the value is


class Source:
    """A TOML text with the line of each table and of each field."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name

    @cached_property
    def lines(self) -> Mapping[tuple[str, int, str], int]:
        """Line numbers. Keys: the kind of table, its index among tables of that kind, and a field ("" for its first line)."""
        found: dict[tuple[str, int, str], int] = {}
        counts: dict[str, int] = {}
        kind = ""
        for at, line in enumerate(self.text.splitlines(), 1):
            if line.lstrip().startswith("["):
                head = HEAD.match(line.strip())
                kind = head.group(1) if head else ""
                counts[kind] = counts.get(kind, 0) + 1
                found.setdefault((kind, counts[kind], ""), at)
            elif kind and (field := FIELD.match(line)):
                found.setdefault((kind, counts[kind], field.group(1)), at)
        return found


@dataclass(frozen=True)
class Table(Generic[Form]):
    """One table of a file: its place, and its values as a dataclass.

    kind: the name in its head, for example row in [[row]]. number: from 1. given: the names of the fields that the file sets.
    """

    source: Source
    kind: str
    number: int
    given: frozenset[str]
    values: Form

    @property
    def place(self) -> str:
        """File and line of the table."""
        return self.place_of("")

    def place_of(self, field: str) -> str:
        """File and line of a field; of the table if the field is missing."""
        return _place(self.source, self.kind, self.number, field)

    def fail(self, field: str, problem: str = "", **parts: Any) -> BadInput:
        """The exception for a field, made from a text, or from what was got and what is allowed (see BadInput)."""
        where = f"{self.place_of(field)}: {self.kind} {self.number}, field {field}"
        return BadInput(f"{where}: {problem}" if problem else where, **parts)


def _place(source: Source, kind: str, number: int, field: str) -> str:
    lines = source.lines
    return f"{source.name}:{lines.get((kind, number, field), lines.get((kind, number, ''), 1))}"


def read_text(path: Path, option: str) -> str:
    """The text of a user's file. Raises BadInput if it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{option} {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{option} {path}: not a text file in UTF-8") from None


def read_tables(text: str, name: str, forms: Mapping[str, type[Any]]) -> dict[str, tuple[Table[Any], ...]]:
    """The tables of a TOML text by kind, each as an instance of that kind's dataclass.

    forms: by kind, the dataclass. Its fields are the table's fields; a field without a default is required. A field whose
    metadata has `internal` cannot be set in the file. Raises BadInput for anything else in the text.
    """
    document = _toml(text, name)
    source = Source(text, name)
    allowed = " and ".join(f"[[{kind}]]" for kind in forms)
    if extra := sorted(set(document) - set(forms)):
        raise BadInput(f"{name}:{_first_line(text, extra[0])}: {extra[0]!r} is unknown", allowed=f"{allowed} tables")
    found = {}
    for kind, form in forms.items():
        tables = document.get(kind, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise BadInput(f"{name}:{_first_line(text, kind)}: {kind!r} must be written as [[{kind}]] tables")
        found[kind] = tuple(_table(source, kind, number, values, form) for number, values in enumerate(tables, 1))
    return found


def _toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise BadInput(f"{name}:1: not valid TOML: nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        at = line.group(1) if line else str(text.count("\n") + 1)
        raise BadInput(f"{name}:{at}: not valid TOML: {error}") from None


def _table(source: Source, kind: str, number: int, values: dict[str, Any], form: type[Form]) -> Table[Form]:
    import msgspec  # takes 15 ms, which only commands that read tables pay

    def fail(field: str, problem: str, allowed: Sequence[str] | str = ()) -> BadInput:
        where = f"{_place(source, kind, number, field)}: {kind} {number}, field {field}"
        return BadInput(f"{where}: {problem}", allowed=allowed if isinstance(allowed, str) else ", ".join(allowed))

    known = [field for field in fields(form) if not field.metadata.get("internal")]  # type: ignore[arg-type]
    for name in values:
        if name not in {field.name for field in known}:
            raise fail(name, "unknown", [field.name for field in known])
    for field in known:
        required = field.default is MISSING and field.default_factory is MISSING
        if required and not values.get(field.name):
            raise fail(field.name, "missing")
    try:
        return Table(source, kind, number, frozenset(values), msgspec.convert(values, form))
    except msgspec.ValidationError as error:
        said = str(error)
    name, item = PLACE.findall(said)[0]
    allowed = "a list of texts in quotes" if item or "Expected `array`" in said else "a text in quotes"
    raise fail(name, f"got {values[name]!r}", allowed)


def _first_line(text: str, word: str) -> int:
    """The first line that begins with a word, after quotes and brackets."""
    lines = enumerate(text.splitlines(), 1)
    return next((at for at, line in lines if line.strip().lstrip("[\"' ").startswith(word)), 1)
