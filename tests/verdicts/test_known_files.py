"""Files of known deviations: those that ship, and those that a user gives."""

from __future__ import annotations

import importlib
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli

from bnverify.api.checking import check_layer
from bnverify.cases.ids import parse
from bnverify.cases.suites import matches, suite
from bnverify.contract import BY_KEY
from bnverify.values import Environment
from bnverify.verdicts import known
from bnverify.verdicts.known import Deviation, parse_known

SMALL = "shape:2x2/steps:TI"
OTHER = "shape:3x2/steps:TI"
KERAS = Environment(
    "keras.layers.BatchNormalization", "keras", "3.15.1", "tensorflow", "2.21.0", "CPU", True, "2.4.6", "3.11.7", ""
)
KNOWN_FILE = """# what is known of this layer

[[deviation]]
clauses = [{clauses}]
case = "{case}"
why = "epsilon as in the thesis"
link = "https://example.org/1"
evidence = "{evidence}"
"""


def record(folder: Path, clauses: str, evidence: str = SMALL, case: str = "") -> None:
    (folder / "known.toml").write_text(KNOWN_FILE.format(clauses=clauses, evidence=evidence, case=case))


def test_a_record_excuses_a_layer(cli: Cli, layers: Path) -> None:
    """A layer that deviates as recorded conforms, and the report says how often and, with -v, why."""
    record(layers, '"training-output", "inference-output"')
    options = ("--layer", "mylayers:EpsilonOutside", "--known", "known.toml", "--json", "r.json")
    ended = cli("run", "--case", SMALL, "--case", OTHER, *options)
    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(r"CONFORMS: 66 checks of 14 clauses in 2 cases; 2 known deviations?", ended.last)
    assert re.search(r"\n2 known deviations? \(-v lists them\)\n", ended.out)
    report = json.loads((layers / "r.json").read_text())
    known_checks = [c for v in report["verdicts"] for c in v["checks"] if c["status"] == "known deviation"]
    assert {(c["clause"], c["reason"]) for c in known_checks} == {
        ("training-output", "epsilon as in the thesis"),
        ("inference-output", "epsilon as in the thesis"),
    }
    assert cli("run", "--case", SMALL, *options, "-v").out.count("epsilon as in the thesis") == 1


def test_half_a_record_is_not_enough(cli: Cli, layers: Path) -> None:
    """A failing clause that is not recorded fails the run, whatever else is recorded."""
    record(layers, '"training-output"')
    ended = cli("run", "--layer", "mylayers:EpsilonOutside", "--known", "known.toml", "--case", SMALL)
    assert ended.code == 1
    assert "failing checks: output in inference (1)\n" in ended.out


def test_a_stale_record_fails_the_run(cli: Cli, layers: Path) -> None:
    """A record that a layer no longer shows ends the run with exit code 1 and a line with the record's file and line."""
    record(layers, '"training-output", "inference-output"')
    ended = cli("run", "--layer", "mylayers:Right", "--known", "known.toml", "--case", SMALL, "--json", "r.json")
    assert (ended.code, ended.err) == (1, "")
    lines = [line for line in ended.out.splitlines() if line.startswith("STALE")]
    for line, clause in zip(lines, ("training-output", "inference-output"), strict=True):
        assert line.startswith("STALE  known deviation at known.toml:3 ")
        assert "no longer occurs" in line
        assert clause in line
    assert ended.last == "DEVIATES: 33 checks of 14 clauses in 1 case; 2 known deviations stale"
    report = json.loads((layers / "r.json").read_text())
    assert (report["ok"], report["stale"]) == (False, [line.removeprefix("STALE  ") for line in lines])


@pytest.mark.slow
def test_a_suite_is_run_with_its_evidence(cli: Cli, layers: Path) -> None:
    """A whole suite on Keras is run with the evidence of what ships and of --known; a selection is run as it stands."""
    evidence = "shape:11x2/steps:TI"
    record(layers, '"output-dtype"', evidence)
    shipped = list(dict.fromkeys(d.evidence for d in known.shipped() if d.applies(KERAS)))
    assert shipped
    ended = cli("run", "--suite", "regressions", "--known", "known.toml", "--json", "r.json")
    regressions = [case.id for case in suite("regressions")]
    found = json.loads((layers / "r.json").read_text())
    assert [v["case"] for v in found["verdicts"]] == [*regressions, evidence, *shipped]
    assert ended.code == 1  # Keras does not deviate as recorded here
    assert len(found["stale"]) == 1
    cli("run", "--suite", "regressions", "-k", "shape", "--json", "r.json")
    assert [v["case"] for v in json.loads((layers / "r.json").read_text())["verdicts"]] == regressions


@pytest.mark.slow
@pytest.mark.usefixtures("keras", "folder")
def test_keras_deviates_as_shipped(cli: Cli) -> None:
    """The evidence of every shipped record that applies shows it on the installed Keras, for several seeds."""
    evidence = list(dict.fromkeys(d.evidence for d in known.shipped() if d.applies(KERAS)))
    assert len(evidence) > 10
    for seed in range(3):
        ended = cli("run", *(word for id_ in evidence for word in ("--case", id_)), "--seed", seed)
        assert ended.code == 0
        assert ended.last.endswith(f"; {len(evidence)} known deviation")


@pytest.mark.usefixtures("keras", "folder")
def test_keras_conforms_in_a_case_that_hides_a_deviation(cli: Cli) -> None:
    """A case of a shipped record that conforms in some clauses (a batch of one has y = beta) does not fail the run."""
    ended = cli("run", "--case", "shape:1x4/weights:initial/policy:float64/dtype:int32/steps:T")
    assert "STALE" not in ended.out
    assert ended.code == 0


def shipped_text() -> str:
    return (resources.files("bnverify.verdicts") / "known.toml").read_text(encoding="utf-8")


def test_what_ships_is_well_formed() -> None:
    """Every shipped record says why and where it is documented, and its evidence is one of the cases that it selects."""
    shipped = known.shipped()
    assert len(shipped) == shipped_text().count("[[deviation]]") > 0
    for deviation in shipped:
        assert matches(parse(deviation.evidence), deviation.case)
        assert parse(deviation.evidence).id == deviation.evidence
        assert set(deviation.clauses) <= set(BY_KEY)
        assert len(deviation.why.split()) > 5
        assert deviation.link.startswith("https://")


def test_records_know_their_line() -> None:
    """`where` is the file and the line on which the record's table begins."""
    heads = [n for n, line in enumerate(shipped_text().splitlines(), 1) if line == "[[deviation]]"]
    assert [deviation.where for deviation in known.shipped()] == [f"known.toml:{line}" for line in heads]


def test_a_file_becomes_records(tmp_path: Path) -> None:
    """A file is read into records with every field; an empty file holds none."""
    path = tmp_path / "mine.toml"
    path.write_text(
        KNOWN_FILE.format(clauses='"moving-mean"', evidence=SMALL, case="shape:2x2") + 'backend = "jax"\nkeras = "<4"\n'
    )
    assert known.load(path) == (
        Deviation(
            clauses=("moving-mean",),
            why="epsilon as in the thesis",
            link="https://example.org/1",
            evidence=SMALL,
            case="shape:2x2",
            backend="jax",
            keras="<4",
            where=f"{path}:3",
        ),
    )
    assert parse_known("", "empty.toml") == ()


def test_the_python_interface_takes_a_file(layers: Path, keras: Any) -> None:
    """`check_layer(known_deviations=…)` excuses and is as strict as --known."""
    record(layers, '"training-output", "inference-output"')
    mylayers = importlib.import_module("mylayers")
    assert check_layer(mylayers.EpsilonOutside, cases=[SMALL], known_deviations="known.toml").ok
    report = check_layer(keras.layers.BatchNormalization, cases=[SMALL], known_deviations=layers / "known.toml")
    assert (report.ok, len(report.results.stale)) == (False, 2)
