"""Records that users write: TOML files of one kind of table, and messages that name file, line and field."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from bnverify.errors import BadInput


class TableRecord:
    """One table of a file, with the place of each of its fields for the messages."""

    def __init__(self, kind: str, values: dict[str, object], number: int, text: str, name: str) -> None:
        self.kind, self.values, self.number, self._text, self._name = kind, values, number, text, name

    def place(self, field: str = "") -> str:
        """File and line of a field, or of the table."""
        return f"{self._name}:{_line(self._text, self.kind, self.number, field)}"

    def fail(self, field: str, problem: str) -> BadInput:
        """The exception that says what is wrong with a field, and where."""
        return BadInput(f"{self.place(field)}: {self.kind} {self.number}, field {field}: {problem}")

    def check(self, allowed: Sequence[str], required: Sequence[str]) -> None:
        """Raises BadInput for a field that is unknown, or missing."""
        for field in self.values:
            if field not in allowed:
                raise self.fail(field, f"unknown; allowed: {', '.join(allowed)}")
        for field in required:
            if not self.values.get(field):
                raise self.fail(field, "missing")

    def text(self, field: str, default: str = "") -> str:
        """A field that must be a text."""
        value = self.values.get(field, default)
        if not isinstance(value, str):
            raise self.fail(field, f"must be a text in quotes, is {value!r}")
        return value

    def texts(self, field: str, example: str) -> tuple[str, ...]:
        """A field that must be a list of texts."""
        value = self.values.get(field, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fail(field, f"must be a list of texts, as {example}, is {value!r}")
        return tuple(value)


def read_text(path: Path, option: str) -> str:
    """The text of a user's file. Raises BadInput where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{option} {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{option} {path}: not a text file in UTF-8") from None


def parse_tables(text: str, name: str, kinds: Sequence[str]) -> dict[str, tuple[TableRecord, ...]]:
    """The records of a TOML text that holds `[[kind]]` tables of the given kinds and nothing else."""
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise BadInput(f"{name}:1: not valid TOML: nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        at = line.group(1) if line else str(text.count("\n") + 1)
        raise BadInput(f"{name}:{at}: not valid TOML: {error}") from None
    allowed = " and ".join(f"[[{kind}]]" for kind in kinds)
    extra = sorted(set(document) - set(kinds))
    if extra:
        raise BadInput(f"{name}:{_first_line(text, extra[0])}: {extra[0]!r} is unknown; allowed: {allowed} tables")
    found = {}
    for kind in kinds:
        records = document.get(kind, [])
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise BadInput(f"{name}:{_first_line(text, kind)}: {kind!r} must be written as [[{kind}]] tables")
        found[kind] = tuple(TableRecord(kind, record, number, text, name) for number, record in enumerate(records, 1))
    return found


def _first_line(text: str, word: str) -> int:
    """The first line that begins with a word, quotes and brackets apart."""
    lines = enumerate(text.splitlines(), 1)
    return next((at for at, line in lines if line.strip().lstrip("[\"' ").startswith(word)), 1)


def _line(text: str, kind: str, number: int, field: str) -> int:
    """The line of a field in the number-th table of a kind, or of the table's head where the field is missing."""
    table, head, inside = 0, 1, False
    for at, line in enumerate(text.splitlines(), 1):
        if line.strip().startswith("["):
            inside = re.match(rf"\[\[\s*[\"']?{re.escape(kind)}[\"']?\s*\]\]", line.strip()) is not None
            table += inside
            head = at if inside and table == number else head
        elif inside and table == number and field and re.match(rf"\s*[\"']?{re.escape(field)}[\"']?\s*=", line):
            return at
    return head
