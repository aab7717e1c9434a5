"""Reports that cannot be written: one clear line, exit code 2, nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import Cli, Ended, assert_refused, environment

from bnverify.errors import BadInput
from bnverify.storage.writing import check_writable, write_whole

SMALL = "shape:2x2/steps:TI"

# Runs bnverify as a user to whom permissions apply: root loses CAP_DAC_OVERRIDE (1) from what it may ever have (24).
WITHOUT_PRIVILEGE = """
import ctypes, os, sys
if os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, 1, 0, 0, 0):
    sys.exit(77)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


OPTIONS = pytest.mark.parametrize("option", ["--json", "--junit"])


@OPTIONS
def test_report_in_a_missing_folder(cli: Cli, folder: Path, option: str) -> None:
    """A report into a folder that does not exist is refused before anything is run, and the folder is not made."""
    ended = cli("run", "--suite", "smoke", option, "no/report")
    assert_refused(ended)
    assert ended.err == f"bnverify: {option} no/report: the folder no does not exist\n"
    assert list(folder.iterdir()) == []


@OPTIONS
def test_report_that_is_a_folder(cli: Cli, folder: Path, option: str) -> None:
    """A report whose path is a folder is refused before anything is run."""
    (folder / "report").mkdir()
    ended = cli("run", "--suite", "smoke", option, "report")
    assert_refused(ended)
    assert ended.err == f"bnverify: {option} report: is a folder, not a file\n"


@OPTIONS
@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + "/report"])
@pytest.mark.usefixtures("folder")
def test_report_with_too_long_a_name(cli: Cli, option: str, name: str) -> None:
    """A name that is too long for the file system is refused before anything is run."""
    assert_refused(cli("run", "--suite", "smoke", option, name), option)


@OPTIONS
def test_report_with_the_longest_name(cli: Cli, layers: Path, option: str) -> None:
    """A name as long as the file system allows is written."""
    name = "a" * os.pathconf(layers, "PC_NAME_MAX")
    assert cli("run", "--case", SMALL, option, name).code == 0
    assert (layers / name).stat().st_size > 0


@OPTIONS
def test_report_to_a_full_disk(cli: Cli, layers: Path, option: str) -> None:
    """A report to a full device is one line on standard error and exit code 2, after the verdicts."""
    (layers / "full").symlink_to("/dev/full")  # by a link, so that a fault here cannot replace the device itself
    ended = cli("run", "--case", SMALL, option, "full")
    assert (ended.code, ended.err) == (2, f"bnverify: {option} full: cannot be written: No space left on device\n")
    assert ended.last.startswith("CONFORMS: ")


@OPTIONS
@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_disk_that_fills_leaves_the_old_report(
    cli: Cli, layers: Path, monkeypatch: pytest.MonkeyPatch, option: str, failing: str
) -> None:
    """Where the disk is full while a report is written, the report of before stays as it was, and nothing lies beside it."""
    (layers / "report").write_text("of yesterday")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    ended = cli("run", "--case", SMALL, option, "report")
    assert (ended.code, ended.err) == (2, f"bnverify: {option} report: cannot be written: No space left on device\n")
    assert (layers / "report").read_text() == "of yesterday"
    assert sorted(path.name for path in layers.iterdir() if path.is_file()) == ["mylayers.py", "report"]


def test_a_real_limit_leaves_the_old_report(tmp_path: Path) -> None:
    """A write that the system cuts off in the middle leaves the file of before, and nothing beside it."""
    path = tmp_path / "report"
    path.write_text("of yesterday")
    script = (
        "import resource, sys\nfrom pathlib import Path\nfrom bnverify.errors import BadInput\n"
        "from bnverify.storage.writing import write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
        "try:\n    write_whole(Path(sys.argv[1]), 'x' * 100_000, '--json')\nexcept BadInput as error:\n    print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], env=environment(), capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == f"--json {path}: cannot be written: File too large\n"
    assert path.read_text() == "of yesterday"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


@OPTIONS
def test_bad_input_leaves_the_old_report(cli: Cli, layers: Path, option: str) -> None:
    """Whatever is refused, the report of before stays as it was."""
    (layers / "report").write_text("of yesterday")
    for arguments in (("--suite", "smok"), ("--case", "foo"), ("--layer", "mylayers:number"), ("--known", "missing")):
        assert_refused(cli("run", option, "report", *arguments))
        assert (layers / "report").read_text() == "of yesterday"


def test_one_file_for_two_reports(cli: Cli, layers: Path) -> None:
    """--json and --junit into one file are refused: one would be lost."""
    assert_refused(cli("run", "--case", SMALL, "--json", "report", "--junit", "report"), "--junit")
    assert not (layers / "report").exists()


def test_a_report_replaces_what_was_there(cli: Cli, layers: Path) -> None:
    """A report takes the place of the one before, longer or not."""
    (layers / "report.json").write_text("x" * 1_000_000)
    assert cli("run", "--case", SMALL, "--json", "report.json").code == 0
    assert json.loads((layers / "report.json").read_text())["ok"] is True


def test_a_report_through_a_link(tmp_path: Path) -> None:
    """A link to a file is written through, and stays a link (so that /dev/stdout stays what it is)."""
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", "new", "--json")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_a_report_to_a_redirected_standard_output(tmp_path: Path) -> None:
    """A name of standard output (a link as /dev/stdout is) is not replaced where standard output is a file."""
    name = tmp_path / "stdout"  # as /dev/stdout, which is not risked here
    name.symlink_to("/proc/self/fd/1")
    script = (
        "from pathlib import Path\n"
        "from bnverify.storage.writing import write_whole\n"
        "write_whole(Path('stdout'), '{}', '--json')\n"
    )
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment(), stdout=out, check=True, timeout=60)
    assert name.is_symlink()
    assert (tmp_path / "out").read_text() == "{}"


def test_a_report_into_a_pipe(tmp_path: Path) -> None:
    """A report to a device or pipe is written into it, and the pipe stays what it is."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [sys.executable, "-c", f"print(open({str(pipe)!r}).read(), end='')"], stdout=subprocess.PIPE
    ) as reader:
        write_whole(pipe, "the report", "--json")
        out, _ = reader.communicate(timeout=60)
    assert out == b"the report"
    assert pipe.is_fifo()


def unprivileged(*arguments: str, cwd: Path) -> Ended:
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_PRIVILEGE, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if ran.returncode == 77:
        pytest.skip("this root may not give up CAP_DAC_OVERRIDE, so that no folder is read-only to it")
    return Ended(ran.returncode, ran.stdout, ran.stderr)


@OPTIONS
@pytest.mark.skipif(sys.platform != "linux", reason="root loses its privilege in Linux' way")
def test_report_in_a_read_only_folder(tmp_path: Path, option: str) -> None:
    """A report into a read-only folder, or over a read-only file, is refused before anything is run."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "report").write_text("of yesterday")
    (folder / "report").chmod(0o444)
    folder.chmod(0o555)
    for name in ("folder/new", "folder/report"):
        ended = unprivileged("-m", "bnverify", "run", "--suite", "smoke", option, name, cwd=tmp_path)
        assert_refused(ended)
        assert ended.err == f"bnverify: {option} {name}: no permission to write\n"
    assert [path.name for path in folder.iterdir()] == ["report"]
    assert (folder / "report").read_text() == "of yesterday"


@pytest.mark.skipif(sys.platform != "linux", reason="root loses its privilege in Linux' way")
@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o555, 0o644), (0o555, 0o444), (0o755, 0o444), (0o755, 0o644)])
def test_what_is_accepted_can_be_written(tmp_path: Path, folder_mode: int, file_mode: int) -> None:
    """A path that is accepted before the run can be written after it: no run of minutes ends without its report."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "report").write_text("old")
    (folder / "report").chmod(file_mode)
    folder.chmod(folder_mode)
    script = (
        "import sys\nfrom pathlib import Path\nfrom bnverify.errors import BadInput\nfrom bnverify.storage.writing import *\n"
        "path = Path(sys.argv[1])\n"
        "try:\n    check_writable(path, '--json')\nexcept BadInput:\n    print('refused')\n"
        "else:\n    write_whole(path, 'new', '--json')\n    print('written')\n"
    )
    ended = unprivileged("-c", script, str(folder / "report"), cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert (ended.out, (folder / "report").read_text()) in {("refused\n", "old"), ("written\n", "new")}


def test_check_writable_writes_nothing(tmp_path: Path) -> None:
    """Looking whether a file can be written neither makes it nor changes it."""
    check_writable(tmp_path / "new", "--json")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BadInput, match=r"--json .*: is a folder, not a file"):
        check_writable(tmp_path, "--json")


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no /dev/shm on this machine")
def test_shared_memory_is_a_folder_like_any_other() -> None:
    """/dev/shm holds files, unlike the devices beside it."""
    path = Path("/dev/shm") / f"bnverify-test-{os.getpid()}.json"
    try:
        check_writable(path, "--json")
        write_whole(path, "text", "--json")
        assert path.read_text() == "text"
    finally:
        path.unlink(missing_ok=True)
