"""Known files: which exchange a record covers, and when a record is stale."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bnverify.errors import BadInput
from bnverify.matrix import known_files as module
from bnverify.matrix.known_files import KnownFile, known_files, stale_files
from bnverify.storage.tables import read_tables

RECORD = KnownFile(("keras", "h5"), "==2.12.*", ">=2.13,<3", "why", "link", "known_files.toml:4")


@pytest.mark.parametrize(
    ("format_", "saved", "loaded", "covered"),
    [
        ("keras", "2.12.0", "2.13.1", True),
        ("h5", "2.12.1", "2.15.0", True),
        ("weights", "2.12.0", "2.13.1", False),
        ("keras", "2.13.0", "2.13.1", False),
        ("keras", "2.12.0", "3.0.0", False),
        ("keras", "2.12.0", "2.12.0", False),
        ("keras", "2.12.0-tf", "2.13.1", True),
    ],
)
def test_what_a_record_covers(format_: str, saved: str, loaded: str, covered: bool) -> None:
    """The format and both versions."""
    assert RECORD.covers(format_, saved, loaded) is covered


def test_a_record_is_stale_if_what_it_covers_never_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One exchange that shows it is enough; a record that covers no exchange of this run is not judged."""
    monkeypatch.setattr(module, "known_files", lambda: (replace(RECORD, where="known_files.toml:1"), RECORD))
    place = RECORD.where
    assert stale_files([]) == ()
    assert stale_files([("elsewhere", "conforms")]) == ()
    assert stale_files([(place, "conforms"), (place, "known deviation")]) == ()
    (line,) = stale_files(iter([(place, "conforms"), (place, "cannot load"), (place, "conforms")]))
    assert line == "known_files.toml:4: this no longer occurs in any file (why); outcomes: cannot load, conforms"


def test_a_range_that_is_none_is_bad_input() -> None:
    """The line of the field and the form of a range."""
    text = '[[file]]\nformats = ["h5"]\nsaved = "two"\nloaded = ">=3"\nwhy = "w"\nlink = "l"\n'
    (table,) = read_tables(text, "f.toml", {"file": KnownFile})["file"]
    with pytest.raises(BadInput, match=r"f.toml:3: file 1, field saved: got 'two'; allowed: a version range"):
        module._checked(table)


def test_the_records_that_ship() -> None:
    """A record covers its formats between its two ranges of versions, and nothing else."""
    (old_keras, moved) = known_files()
    assert old_keras.covers("keras", "2.15.0", "3.0.5")
    assert not old_keras.covers("keras", "3.0.5", "3.15.1")
    assert not old_keras.covers("h5", "2.15.0", "3.0.5")
    assert moved.covers("weights.h5", "2.12.0", "2.15.0")
    assert not moved.covers("weights.h5", "2.12.0", "3.15.1")
    assert all(record.link.startswith("https://") and record.where.startswith("known_files.toml:") for record in known_files())
