"""Gates on a baseline: nothing that fails and nothing that was not compared gets past them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.cli import Cli, assert_refused

pytestmark = pytest.mark.slow  # each run with a layer starts a process

SMALL = "shape:4x3/steps:T"
OTHER = "shape:5x3/steps:T"
OFFSET = "shape:37x4/fill:offset/steps:TI"
RENORM = "shape:4x3/renorm:True/steps:T"


def run(cli: Cli, layer: str, *cases: str, more: tuple[str, ...] = ()):
    return cli("run", "--layer", f"mylayers:{layer}", *(word for case in cases for word in ("--case", case)), *more)


def test_a_new_case_that_is_wrong_fails_the_gate(cli: Cli, layers: Path) -> None:
    """The baseline does not have the case, so nothing in it excuses the failure."""
    assert run(cli, "EpsilonOutside", SMALL, more=("--record", "record.json")).code == 1
    assert (layers / "record.json").exists()
    ended = run(cli, "EpsilonOutside", SMALL, OTHER, more=("--baseline", "record.json"))
    assert ended.code == 1
    assert "1 case not tested before, now wrong" in ended.out


def test_a_new_case_that_conforms_passes_the_gate(cli: Cli, layers: Path) -> None:
    """What fails in the baseline and fails in the same way is no regression; a new case that conforms is none either."""
    assert layers.is_dir()
    run(cli, "OnePass", OFFSET, more=("--record", "record.json"))
    ended = run(cli, "OnePass", OFFSET, SMALL, more=("--baseline", "record.json"))
    assert ended.code == 0, ended.out


def test_nothing_in_common_is_not_a_pass(cli: Cli, layers: Path) -> None:
    """A baseline with other cases compares nothing: exit code 3."""
    assert layers.is_dir()
    run(cli, "Right", SMALL, more=("--record", "record.json"))
    ended = run(cli, "Right", OTHER, more=("--baseline", "record.json"))
    assert ended.code == 3
    assert "nothing was compared" in ended.out


def test_an_incomplete_record_is_written_beside(cli: Cli, layers: Path) -> None:
    """Ctrl-C during --record leaves the whole record as it was; the incomplete one says so, and is no baseline."""
    run(cli, "Right", SMALL, OFFSET, more=("--record", "record.json"))
    whole = (layers / "record.json").read_text()
    cut = run(cli, "SendsInterrupt", SMALL, OTHER, OFFSET, more=("--record", "record.json"))
    assert cut.code == 130
    assert "the record is incomplete and was written to record.incomplete.json; record.json is unchanged" in cut.out
    assert (layers / "record.json").read_text() == whole
    assert json.loads((layers / "record.incomplete.json").read_text())["complete"] is False
    message = "record.incomplete.json: the record is incomplete, because its run ended before its last case; "
    assert_refused(run(cli, "Right", SMALL, more=("--baseline", "record.incomplete.json")), f"--baseline {message}")
    assert_refused(cli("diff", "record.json", "record.incomplete.json"), f"diff {message}")


def test_an_incomplete_run_does_not_pass(cli: Cli, layers: Path) -> None:
    """--fail-fast at a failure that the baseline has: the rest was not compared, so the gate does not pass."""
    assert layers.is_dir()
    run(cli, "EpsilonOutside", SMALL, OTHER, more=("--record", "record.json"))
    ended = run(cli, "EpsilonOutside", SMALL, OTHER, more=("--baseline", "record.json", "--fail-fast"))
    assert ended.code == 1
    assert "the run ended before its last case; the rest was not compared" in ended.out
    assert run(cli, "EpsilonOutside", SMALL, OTHER, more=("--baseline", "record.json")).code == 0


def test_a_case_that_was_unsupported_and_is_wrong_now(cli: Cli, layers: Path) -> None:
    """A feature that becomes available and is wrong is a failure of the gate."""
    record = layers / "record.json"
    run(cli, "EpsilonOutside", SMALL, OTHER, more=("--record", "record.json"))
    document = json.loads(record.read_text())
    document["cases"][OTHER] = {"status": "unsupported", "reason": "not yet"}
    record.write_text(json.dumps(document))
    ended = run(cli, "EpsilonOutside", SMALL, OTHER, more=("--baseline", "record.json"))
    assert ended.code == 1
    assert "1 case not tested before, now wrong" in ended.out


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_a_report_keeps_its_permissions(cli: Cli, layers: Path, mode: int) -> None:
    """Replacing a report does not open it to others, nor close it."""
    report = layers / "report.json"
    report.write_text("old")
    report.chmod(mode)
    run(cli, "Right", SMALL, more=("--json", "report.json"))
    assert report.stat().st_mode & 0o777 == mode
    assert report.read_text() != "old"
