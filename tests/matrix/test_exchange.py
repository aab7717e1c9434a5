"""Files across versions: two real rows, and bad input to the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli import Cli

from bnverify.matrix.environments import NoInterpreter, find_python
from bnverify.matrix.exchange import Exchange, Exchanges
from bnverify.matrix.known_files import known_files

ROWS = ("keras-2.15.0-tensorflow", "keras-3.15.1-tensorflow")


@pytest.mark.slow
@pytest.mark.network
def test_two_rows_exchange_files(cli: Cli, tmp_path: Path) -> None:
    """Keras 3 loads the weights and the .h5 that Keras 2 saved; exit code 0."""
    try:
        find_python("3.11")
    except NoInterpreter as missing:
        pytest.skip(str(missing))
    ended = cli("files", *ROWS, "--json", str(tmp_path / "files.json"))
    found = json.loads((tmp_path / "files.json").read_text())["exchanges"]
    outcomes = {(one["format"], one["saved"]): one["outcome"] for one in found}
    assert outcomes["h5", ROWS[0]] == outcomes["weights.h5", ROWS[0]] == outcomes["weights.h5", ROWS[1]] == "ok"
    assert outcomes["keras", ROWS[0]] == "known deviation"
    assert ended.code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("keras-9",), "row 'keras-9' is unknown"),
        ((ROWS[0],), "files need two or more different rows"),
        (("--only", "keras>=9"), "selects no row"),
        ((*ROWS, "--json", "/no/such/folder/x.json"), "--json"),
    ],
)
def test_bad_input_ends_with_2(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    """A mistake of the user is told in one line."""
    ended = cli("files", *arguments)
    assert ended.code == 2
    assert said in ended.err


def test_a_record_that_no_file_shows_is_stale() -> None:
    """An exchange that a record covers, and that loads all the same, makes the whole deviate; one that shows it does not."""
    known = known_files()[0]
    loads = Exchange("keras", "a", "b", "ok", known_by=known.where)
    shows = Exchange("keras", "a", "b", "known deviation", known.why, known_by=known.where)
    other = Exchange("h5", "a", "b", "ok")
    gone = Exchanges(("a", "b"), (loads, other), {}, frozenset())
    assert not gone.ok
    assert gone.stale[0].startswith(f"{known.where}: this no longer occurs in any file")
    assert Exchanges(("a", "b"), (loads, shows, other), {}, frozenset()).ok
    assert Exchanges(("a", "b"), (other,), {}, frozenset()).ok
