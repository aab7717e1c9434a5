"""`bnverify cache`: what it shows, what it removes, and what it never removes."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.cli import Cli, assert_refused, environment

from bnverify.cli.main import cli as commands

ENVIRONMENT, OTHER_ENVIRONMENT = "0123456789abcdef0123", "fedcba9876543210fedc"
ROW = "0123456789abcdef01234567.json"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, which is not there yet."""
    monkeypatch.setenv("BNVERIFY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def cache(*words: str) -> Result:
    """`bnverify cache WORDS`, which must end with exit code 0."""
    ended = CliRunner().invoke(commands, ["cache", *words])
    assert ended.exit_code == 0, ended.output
    return ended


def lines(*words: str) -> list[str]:
    return [" ".join(line.split()) for line in cache(*words).output.splitlines()]


def make_environment(home: Path, name: str = ENVIRONMENT) -> Path:
    """What bnverify leaves when it has made an environment, of 100,000 bytes."""
    made = home / "environments" / name
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "python").symlink_to(sys.executable)
    (made / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (made / "big").write_bytes(os.urandom(100_000))
    (made / "made.json").write_text(json.dumps({"python": sys.executable, "packages": ["keras"]}))
    return made


def make_row(home: Path, name: str = ROW) -> Path:
    (home / "records").mkdir(parents=True, exist_ok=True)
    path = home / "records" / name
    path.write_text('{\n "schema": 1,\n "name": "keras-3.15.1-jax"\n}\n')
    return path


def ended_process() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    return process.pid


def on_disk(*paths: Path) -> str:
    """What the files take on the disk, measured by du, in kB."""
    command = ["du", "--block-size=1", "--summarize", "--total", *map(str, paths)]
    size = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()[0]) / 1000
    return f"{size:.1f} kB" if size < 99.95 else f"{size:.0f} kB"


@pytest.mark.parametrize("make", [lambda home: None, lambda home: home.mkdir()], ids=["missing", "empty"])
@pytest.mark.parametrize(("words", "said"), [(("info",), "the cache {} is empty"), (("clear",), "nothing to remove in {}")])
def test_an_empty_cache(home: Path, make: Callable[[Path], None], words: tuple[str, ...], said: str) -> None:
    """A cache without anything in it, or without a folder, is one line, and no folder is made."""
    make(home)
    before = home.exists()
    assert cache(*words).output == said.format(home) + "\n"
    assert home.exists() == before


@pytest.mark.parametrize("words", ["info", "clear"])
def test_a_cache_that_is_a_file(home: Path, cli: Cli, words: str) -> None:
    """A file in the place of the cache folder is one line with the reason."""
    home.write_text("")
    ended = cli("cache", words)
    assert_refused(ended)
    assert ended.err == f"bnverify: the cache folder {home}: Not a directory\n"


def test_info_counts_each_kind(home: Path) -> None:
    """Each kind has its count, its size, and what is in use or dead."""
    make_environment(home)
    (make_environment(home, OTHER_ENVIRONMENT) / "bin" / "python").unlink()
    for number in range(3):
        make_row(home, f"{number:024x}.json")
    dead = home / "environments" / f".making-{platform.node()}-{ended_process()}-abc"
    alive = home / "environments" / f".making-{platform.node()}-{os.getpid()}-abc"
    dead.mkdir()
    alive.mkdir()
    (home / "notes.txt").write_text("mine")
    said = lines("info")
    assert said[0] == str(home)
    words = [line.split() for line in said]
    assert [line[0] for line in words[1:]] == ["environments", "finished", "unfinished", "other"]
    assert words[1][1:] == [
        "2",
        *on_disk(*(home / "environments").glob("[0-9a-f]*")).split(),
        "1",
        "dead:",
        "its",
        "interpreter",
        "was",
        "removed",
    ]
    assert said[2] == f"finished rows 3 {on_disk(*(home / 'records').glob('*.json'))}"
    assert said[3].endswith("1: a process may still be writing it; 1 dead: its process was killed")
    assert said[4] == f"other 1 {on_disk(home / 'notes.txt')} not made by bnverify, never removed"


def test_clear_removes_what_bnverify_made(home: Path) -> None:
    """Everything that bnverify made is removed, without a question, and the space that it took is said."""
    make_environment(home)
    make_row(home)
    (home / "environments" / f".removing-{platform.node()}-{ended_process()}-abc").mkdir()
    (home / "records" / f".bnverify.{platform.node()}-{ended_process()}-abc").write_text("half")
    (said,) = lines("clear")
    start = f"removed 1 environment, 1 finished row, 2 unfinished items from {home}; "
    assert said.startswith(start)
    number, unit, freed = said.removeprefix(start).split()
    assert (unit, freed) == ("kB", "freed")
    assert 100 <= float(number) <= 150
    assert {path.name for path in home.rglob("*")} == {"environments", "records"}


@pytest.mark.parametrize(
    ("option", "stays"),
    [("--environments", f"records/{ROW}"), ("--runs", f"environments/{ENVIRONMENT}")],
)
def test_clear_one_kind(home: Path, option: str, stays: str) -> None:
    """--environments leaves rows and --runs leaves environments."""
    make_environment(home)
    make_row(home)
    cache("clear", option)
    assert [str(path.relative_to(home)) for path in sorted(home.glob("*/*"))] == [stays]


def test_clear_with_both_kinds(home: Path) -> None:
    """Both options together are the same as none."""
    make_environment(home)
    make_row(home)
    cache("clear", "--environments", "--runs")
    assert list(home.glob("*/*")) == []


def test_space_shared_with_uv_is_not_freed(home: Path, tmp_path: Path) -> None:
    """A file that also lies in uv's cache takes no space of its own: it is not counted as freed. One in two environments is."""
    made, other = make_environment(home), make_environment(home, OTHER_ENVIRONMENT)
    os.link(made / "big", tmp_path / "in_uv")
    (other / "big").unlink()
    (other / "in_both").write_bytes(os.urandom(50_000))
    os.link(other / "in_both", made / "in_both")
    assert lines("info")[1].endswith("102 kB of it also in uv's cache")
    (said,) = lines("clear", "--environments")
    freed = float(said.split("; ")[1].split()[0])
    assert 50 <= freed <= 102
    assert said.endswith("kB freed (102 kB more are still in uv's cache; `uv cache clean` frees them)")


def test_only_what_bnverify_made_is_removed(home: Path, tmp_path: Path) -> None:
    """Other things in the folder, which may be a home folder, are never removed, and no link is followed."""
    outside = make_environment(tmp_path / "outside")
    (home / "environments").mkdir(parents=True)
    (home / "environments" / OTHER_ENVIRONMENT).symlink_to(outside)
    (home / "environments" / "thesis").mkdir()
    for number, files in enumerate(([], ["pyvenv.cfg"], ["made.json"])):  # no environments, only their names
        (home / "environments" / f"{number:020x}").mkdir()
        for name in files:
            (home / "environments" / f"{number:020x}" / name).write_text("mine")
    (home / "environments" / ".making-notes").mkdir()
    (home / "records").mkdir()
    (home / "records" / ROW).write_text('{"bank": "statement"}')
    (home / "records" / "taxes.json").write_text('{\n "schema": 1\n}\n')
    (home / ("0123456789abcdef01234567.json")).write_text('{\n "schema": 1,\n}\n')
    (home / "thesis.tex").write_text("mine")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    assert cache("clear").output.splitlines()[0].startswith(("nothing to remove", "left "))
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_a_folder_of_the_cache_that_is_a_link(home: Path, tmp_path: Path) -> None:
    """Nothing outside the cache folder is removed, even if one of its two folders is a link."""
    make_environment(tmp_path / "elsewhere")
    home.mkdir()
    (home / "environments").symlink_to(tmp_path / "elsewhere" / "environments")
    assert cache("clear").output == f"nothing to remove in {home}\n"
    assert (tmp_path / "elsewhere" / "environments" / ENVIRONMENT / "big").is_file()


def test_what_cannot_be_removed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that the system does not remove is one line with the reason and exit code 2, and it is not counted as freed."""
    make_row(home)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    ended = CliRunner().invoke(commands, ["cache", "clear"])
    assert (ended.exit_code, ended.output) == (2, f"not removed: {home / 'records' / ROW}: Permission denied\n")


def test_an_environment_that_another_process_uses(home: Path) -> None:
    """While a process uses an environment `cache clear` leaves it and says so; once the process is killed it is removed."""
    made = make_environment(home)
    make_environment(home, OTHER_ENVIRONMENT)
    code = (
        "import sys\nfrom pathlib import Path\nfrom bnverify.matrix.in_use import hold\n"
        "print(hold(Path(sys.argv[1])), flush=True)\nsys.stdin.read()\n"
    )
    command = [sys.executable, "-m", "bnverify", "cache"]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(made)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        shown = subprocess.run([*command, "info"], env=environment(), capture_output=True, text=True, check=True)
        first = subprocess.run([*command, "clear"], env=environment(), capture_output=True, text=True, check=True)
        process.kill()
    assert "1: a running process uses it" in shown.stdout
    assert first.stdout.splitlines()[1] == f"left {made}: a running process uses it"
    assert first.stdout.startswith(f"removed 1 environment from {home}; ")
    again = subprocess.run([*command, "clear"], env=environment(), capture_output=True, text=True, check=True)
    assert again.stdout.startswith(f"removed 1 environment from {home}; ")
    assert list((home / "environments").iterdir()) == []
