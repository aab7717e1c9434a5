"""Tables: TOML files read into dataclasses, and the file, line and field of whatever is wrong in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bnverify.errors import BadInput
from bnverify.storage.tables import Source, read_tables, read_text


@dataclass(frozen=True)
class Row:
    name: str
    packages: tuple[str, ...] = ()
    note: str = ""
    where: str = field(default="", metadata={"internal": True})


@dataclass(frozen=True)
class Group:
    title: str


FORMS = {"row": Row, "group": Group}
TEXT = """# rows
[[row]]
name = "a"

[[row]]
name = "b"
packages = [
  "keras==3.0.0",
]

[[group]]
title = "t"
"""


def test_tables_become_values() -> None:
    """By kind, in the order of the file, with their places and the fields that were given."""
    found = read_tables(TEXT, "m.toml", FORMS)
    assert [table.values for table in found["row"]] == [Row("a"), Row("b", ("keras==3.0.0",))]
    assert [table.values for table in found["group"]] == [Group("t")]
    assert [table.place for table in found["row"]] == ["m.toml:2", "m.toml:5"]
    assert found["row"][1].given == {"name", "packages"}
    assert read_tables("", "m.toml", FORMS) == {"row": (), "group": ()}


def test_the_place_of_a_field() -> None:
    """Its own line; that of the table if the field is missing."""
    second = read_tables(TEXT, "m.toml", FORMS)["row"][1]
    assert (second.place_of("packages"), second.place_of("note")) == ("m.toml:7", "m.toml:5")
    assert str(second.fail("packages", "no such package")) == "m.toml:7: row 2, field packages: no such package"
    assert str(second.fail("note", got=1, allowed="a text")) == "m.toml:5: row 2, field note: got 1; allowed: a text"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[row]]\nname = 3\n", "m.toml:2: row 1, field name: got 3; allowed: a text in quotes"),
        (
            '[[row]]\nname = "a"\npackages = "x"\n',
            "m.toml:3: row 1, field packages: got 'x'; allowed: a list of texts in quotes",
        ),
        (
            '[[row]]\nname = "a"\npackages = [1]\n',
            "m.toml:3: row 1, field packages: got [1]; allowed: a list of texts in quotes",
        ),
        ('[[row]]\nname = "a"\n\n[[row]]\nnote = "x"\n', "m.toml:4: row 2, field name: missing"),
        ('[[row]]\nname = ""\n', "m.toml:2: row 1, field name: missing"),
        ('[[row]]\nname = "a"\nnotes = "x"\n', "m.toml:3: row 1, field notes: unknown; allowed: name, packages, note"),
        ('[[row]]\nname = "a"\nwhere = "x"\n', "m.toml:3: row 1, field where: unknown; allowed: name, packages, note"),
        ('[[rows]]\nname = "a"\n', "m.toml:1: 'rows' is unknown; allowed: [[row]] and [[group]] tables"),
        ("# a comment\nrow = 3\n", "m.toml:2: 'row' must be written as [[row]] tables"),
        ('[row]\nname = "a"\n', "m.toml:1: 'row' must be written as [[row]] tables"),
        ("[[row]]\nname = \n", "m.toml:2: not valid TOML: Invalid value"),
        ("[[row]]\nname = 'a", "m.toml:2: not valid TOML"),
        ("x = " + "[" * 5000, "m.toml:1: not valid TOML"),
    ],
)
def test_what_is_wrong_and_where(text: str, message: str) -> None:
    """The file, the line, the table and its field, what was got and what is allowed."""
    with pytest.raises(BadInput) as caught:
        read_tables(text, "m.toml", FORMS)
    assert str(caught.value).startswith(message)


def test_lines_of_tables_of_another_kind_do_not_count() -> None:
    """Fields are found in their own table, quoted names included."""
    lines = Source('[other]\nname = 1\n[["row"]]\n"name" = "a"\n  note = "b"\n', "m.toml").lines
    assert lines == {("row", 1, ""): 3, ("row", 1, "name"): 4, ("row", 1, "note"): 5, ("", 1, ""): 1}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a folder, or no UTF-8: one line with the option and the path."""
    (tmp_path / "latin.toml").write_bytes(b"\xe9")
    for name, says in (("none.toml", "No such file"), (".", "Is a directory"), ("latin.toml", "not a text file in UTF-8")):
        with pytest.raises(BadInput, match=f"^--known .*{says}"):
            read_text(tmp_path / name, "--known")
    (tmp_path / "fine.toml").write_text("ä", encoding="utf-8")
    assert read_text(tmp_path / "fine.toml", "--known") == "ä"
