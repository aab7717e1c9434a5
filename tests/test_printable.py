"""Text of others: harmless in a terminal, on a CI service and in every report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli import Cli

from bnverify.errors import BadInput, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 100% harmless", "plain text, 100% harmless"),
        ("²−✓ über 張", "²−✓ über 張"),
        ("two\nlines\r\nand more\u2028", "two lines and more"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("a\0b\x7f\x9b", "a\\x00b\\x7f\\x9b"),
        ("right\u202eleft\u2066", "right\\u202eleft\\u2066"),
        ("\ud800", "\\ud800"),
        ("::error file=a,line=1::forged", ":\\:error file=a,line=1::forged"),
        ("x\n::set-output name=a::b", "x :\\:set-output name=a::b"),
        ("::stop-commands::token", ":\\:stop-commands::token"),
        ("##[group]forged", "#\\#[group]forged"),
        ("std::vector<float>, ov::Node, ::errors", "std::vector<float>, ov::Node, ::errors"),
        ("", ""),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_messages_are_printable() -> None:
    """Whatever is quoted, a message is one line that moves no cursor."""
    error = BadInput("--model \x1b[2J\n::error::x: no such file", hint="try\nagain")
    assert str(error) == "--model \\x1b[2J :\\:error::x: no such file; try again"
    assert len(str(BadInput("x" * 50_000, got="y" * 50_000))) < 2_000


@pytest.mark.slow
def test_a_layer_cannot_forge_a_report(cli: Cli, layers: Path) -> None:
    """An exception's text reaches the terminal, JSON, JUnit and a record, and is harmless in each."""
    source = (
        "import keras\n"
        "class Forges(keras.layers.BatchNormalization):\n"
        "    def call(self, inputs, training=None, mask=None):\n"
        "        raise ValueError('x\\n::error file=a::forged\\x1b[2J\\u202e')\n"
    )
    (layers / "forging.py").write_text(source)
    files = ("--json", "r.json", "--junit", "r.xml", "--record", "record.json")
    ended = cli("run", "--layer", "forging:Forges", "--case", "shape:4x3/steps:T", "-v", *files)
    assert ended.code == 1
    for text in (ended.out, *((layers / name).read_text() for name in ("r.xml", "record.json"))):
        assert "forged" in text
        assert "\x1b[2J" not in text
        assert "\u202e" not in text
        assert not [line for line in text.splitlines() if line.strip().startswith("::error")]
    assert "::error" not in json.dumps(json.loads((layers / "r.json").read_text()), ensure_ascii=False).replace(":\\\\:", "")
