"""The workflows that users copy are valid, cover the rows, and hold commands that run.

Their scripts run here as they stand, in the shell that the service would use, with the variables that it would set.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.cli import Ended, environment

from bnverify.cli.main import cli
from bnverify.matrix.rows import load_matrix, select_rows

CI = Path(__file__).parent.parent / "ci"
FILES = {"github": CI / "github-workflow.yml", "gitlab": CI / "gitlab-ci.yml"}
SCHEMAS = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}
GITHUB, GITLAB = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in FILES.values())
JOB = GITLAB["verify"]
ROWS = load_matrix(CI / "matrix.toml").rows
MAKING = 1800.0  # seconds that an environment may take

Shell = Callable[..., Ended]


def steps() -> dict[tuple[str, str], str]:
    """Every script of both files in which bnverify runs, by file and step."""
    github = {
        ("github", step.get("id", "")): step["run"] for job in GITHUB["jobs"].values() for step in job["steps"] if "run" in step
    }
    gitlab = {("gitlab", part): "\n".join(JOB[part]) for part in ("before_script", "script", "after_script") if part in JOB}
    return {place: script for place, script in {**github, **gitlab}.items() if "bnverify " in script}


def combinations() -> list[tuple[str, str]]:
    """ONLY and BACKEND of each job that GitLab makes."""
    return [pair for entry in JOB["parallel"]["matrix"] for pair in itertools.product(entry["ONLY"], entry["BACKEND"])]


@pytest.fixture
def run(tmp_path: Path) -> Shell:
    """Runs a script in an empty checkout with our folder ci, as the service of that name would.

    bnverify: what stands in for the command, else it is the real one; cheap: what is added to its arguments.
    """
    (tmp_path / "ci").symlink_to(CI)
    programs = tmp_path / "programs"
    programs.mkdir()

    def program(name: str, text: str) -> None:
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)

    program("python", f'exec "{sys.executable}" "$@"')
    program("uv", 'echo "$@" >> uv.log; echo programs')
    github_shell = ["-eo", "pipefail"] if GITHUB["defaults"]["run"]["shell"] == "bash" else ["-e"]
    shells = {"github": ["--noprofile", "--norc", *github_shell], "gitlab": ["-eo", "pipefail"]}  # as their manuals say

    def ended(service: str, script: str, *, bnverify: str = "", cheap: str = "", **variables: str) -> Ended:
        program("bnverify", bnverify or f'exec "{sys.executable}" -m bnverify "$@" {cheap}')
        files = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        path = {"PATH": os.pathsep.join((str(programs), os.environ["PATH"]))}
        done = subprocess.run(
            ["bash", *shells[service], "-c", script],
            cwd=tmp_path,
            env=environment({**path, **files, **variables}),
            capture_output=True,
            encoding="utf-8",
            timeout=MAKING,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return ended


def valid(file: Path, service: str) -> Ended:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[service], str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("service", "right", "wrong", "named"),
    [
        ("github", "timeout-minutes: 45", "time-limit: 45", "time-limit"),
        ("gitlab", "interruptible: true", "interruptible: perhaps", "interruptible"),
    ],
    ids=["github", "gitlab"],
)
def test_the_files_are_valid(service: str, right: str, wrong: str, named: str, tmp_path: Path) -> None:
    """Each file fits the schema that its service publishes; a copy with one wrong entry does not, and the entry is named."""
    checked = valid(FILES[service], service)
    assert checked.code == 0, checked.out
    text = FILES[service].read_text(encoding="utf-8")
    assert right in text
    (tmp_path / "broken.yml").write_text(text.replace(right, wrong), encoding="utf-8")
    broken = valid(tmp_path / "broken.yml", service)
    assert broken.code == 1
    assert named in broken.out


def test_every_script_with_bnverify_is_run_here() -> None:
    """No step of the files runs bnverify beside those that the tests below run."""
    assert sorted(steps()) == [("github", "list"), ("github", "verify"), ("gitlab", "before_script"), ("gitlab", "script")]


def test_the_files_ask_for_little() -> None:
    """They read the repository, use no secret, name no address, and every job has an end."""
    assert GITHUB["permissions"] == {"contents": "read"}
    for job in GITHUB["jobs"].values():
        assert "permissions" not in job
        assert 0 < job["timeout-minutes"] <= 60
    assert "timeout" in JOB
    for file in FILES.values():
        text = file.read_text(encoding="utf-8")
        assert "secrets." not in text
        assert "://" not in text


def test_what_starts_the_workflow() -> None:
    """A push, a pull request, the week and a person; on GitHub the last two find no cache, and start afresh."""
    started = GITHUB[True]  # YAML 1.1 reads the key `on` as a truth value
    assert set(started) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    conditions = {step["if"] for step in GITHUB["jobs"]["verify"]["steps"] if step.get("uses", "").startswith("actions/cache")}
    assert conditions == {"github.event_name == 'push' || github.event_name == 'pull_request'"}


def test_only_a_scheduled_gitlab_run_makes_everything_anew(run: Shell) -> None:
    """The rule for schedules, and no other, adds an option to the command, which takes it as --force."""
    scheduled, *others = JOB["rules"]
    assert "schedule" in scheduled["if"]
    assert not any("variables" in rule for rule in others)
    for fresh, force in ((JOB["variables"], False), (scheduled["variables"], True)):
        told = {"ONLY": "keras>=3.12", "BACKEND": "jax", "FRESH": fresh["FRESH"]}
        name, *arguments = run("gitlab", "\n".join(JOB["script"]), bnverify="printf '%s\\n' \"$@\"", **told).out.splitlines()
        assert cli.commands[name].make_context(name, arguments).params["force"] is force


def test_github_lists_every_row(run: Shell, tmp_path: Path) -> None:
    """The list becomes JSON with name and Python of every row of ci/matrix.toml, no more of them than GitHub takes."""
    ended = run("github", steps()["github", "list"])
    assert ended.code == 0, ended.err
    name, _, value = (tmp_path / "GITHUB_OUTPUT").read_text().rstrip("\n").partition("=")
    rows = json.loads(value)
    assert rows == [{"name": row.name, "python": row.python} for row in ROWS]
    assert 0 < len(rows) <= 256
    jobs = GITHUB["jobs"]
    assert jobs["rows"]["outputs"] == {"rows": f"${{{{ steps.list.outputs.{name} }}}}"}
    assert jobs["verify"]["strategy"] == {"fail-fast": False, "matrix": {"row": "${{ fromJSON(needs.rows.outputs.rows) }}"}}


def test_a_list_that_cannot_be_made_fails_the_job(run: Shell, tmp_path: Path) -> None:
    """Where `bnverify matrix --list` fails, so does the step, and there is no list of nothing."""
    ended = run("github", steps()["github", "list"], bnverify="echo 'bnverify: no matrix file' >&2; exit 2")
    assert ended.code == 2
    assert not (tmp_path / "GITHUB_OUTPUT").exists()


def test_gitlab_runs_every_row_once() -> None:
    """Every ONLY with each of its BACKENDs selects rows, and together they are the rows of ci/matrix.toml, each once."""
    chosen = [select_rows(ROWS, only=only, backends=[backend]) for only, backend in combinations()]
    assert Counter(row.name for rows in chosen for row in rows) == Counter(row.name for row in ROWS)


@pytest.mark.parametrize(
    ("only", "backend", "asked"),
    [
        ("keras>=2.4,<2.11", "tensorflow", ["python install 3.10 3.8 3.9", "python dir --bin"]),
        ("keras<2.4", "tensorflow", ["python dir --bin"]),
        ("keras>=3.12", "jax", ["python dir --bin"]),
    ],
)
def test_gitlab_fetches_the_pythons_of_its_rows(run: Shell, tmp_path: Path, only: str, backend: str, asked: list[str]) -> None:
    """uv is asked for the Pythons that the rows of a job need and the image lacks, and for none where it needs none."""
    assert (only, backend) in combinations()
    install, *script = JOB["before_script"]
    assert install == "python -m pip install '.[matrix]'"
    ended = run("gitlab", "\n".join(script), ONLY=only, BACKEND=backend)
    assert ended.code == 0, ended.err
    assert (tmp_path / "uv.log").read_text().splitlines() == asked


@pytest.mark.parametrize(
    ("code", "row_python", "ends"),
    [
        (0, "skipped", 0),
        (1, "skipped", 1),
        (1, "failure", 1),
        (2, "failure", 2),
        (3, "skipped", 3),
        (3, "success", 3),
        (3, "failure", 0),
    ],
)
def test_how_a_github_job_ends(run: Shell, code: int, row_python: str, ends: int) -> None:
    """As `bnverify matrix` ends; a row that was not tested passes only where the runner lacks its Python, with a warning."""
    ended = run(
        "github", steps()["github", "verify"], bnverify=f"exit {code}", ROW="keras-2.1.2-tensorflow", ROW_PYTHON=row_python
    )
    assert ended.code == ends
    warned = ended.out.startswith("::warning title=keras-2.1.2-tensorflow is not verified::")
    assert warned == (code == 3 and ends == 0)


def test_a_row_without_its_python_is_no_success_and_no_mystery(run: Shell, tmp_path: Path) -> None:
    """The real command skips such a row and says why in every report; a GitHub job passes then, a GitLab job ends with 3."""
    (tmp_path / "ci").unlink()
    (tmp_path / "ci" / "baselines").mkdir(parents=True)
    (tmp_path / "ci" / "matrix.toml").write_text('[[row]]\nname = "old"\nkeras = "2.1.2"\npython = "3.99"\npackages = ["x"]\n')
    cache = str(tmp_path / "cache")
    assert run("github", steps()["github", "verify"], BNVERIFY_CACHE=cache, ROW="old", ROW_PYTHON="failure").code == 0
    for report in ("report.xml", "summary.md", "chart.html"):
        assert "python3.99" in (tmp_path / report).read_text(encoding="utf-8").replace("\\", ""), report
    told = {"BNVERIFY_CACHE": cache, "ONLY": "keras<2.4", "BACKEND": "tensorflow", "FRESH": ""}
    assert run("gitlab", "\n".join(JOB["script"]), **told).code == 3


def test_only_pythons_that_no_runner_has_may_be_missing() -> None:
    """A Python that cannot be set up fails the job, but for 3.6 and 3.7; the one that `python` then is comes last."""
    own, main = (step for step in GITHUB["jobs"]["verify"]["steps"] if step.get("uses", "").startswith("actions/setup-python@"))
    assert own["continue-on-error"] == """${{ contains(fromJSON('["3.6", "3.7"]'), matrix.row.python) }}"""
    assert own["with"]["python-version"] == "${{ matrix.row.python }}"
    assert main["with"]["python-version"] == "3.11"
    assert "continue-on-error" not in main
    verify = next(step for step in GITHUB["jobs"]["verify"]["steps"] if step.get("id") == "verify")
    assert verify["env"] == {"ROW": "${{ matrix.row.name }}", "ROW_PYTHON": f"${{{{ steps.{own['id']}.outcome }}}}"}


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_how_a_gitlab_job_ends(run: Shell, code: int) -> None:
    """As `bnverify matrix` ends; to GitLab the exit code that says nothing was tested, and no other, is a warning."""
    ended = run("gitlab", "\n".join(JOB["script"]), bnverify=f"exit {code}", ONLY="keras<2.4", BACKEND="tensorflow", FRESH="")
    assert ended.code == code
    assert JOB["allow_failure"] == {"exit_codes": [3]}


def test_the_summary_is_shown_whatever_came_out(run: Shell, tmp_path: Path) -> None:
    """The summary goes to the page of the run after a failure, too; without one, as after a failed install, the step passes."""
    summary = next(step for step in GITHUB["jobs"]["verify"]["steps"] if step.get("id") == "summary")
    assert summary["if"] == "${{ !cancelled() }}"
    assert run("github", summary["run"]).code == 0
    (tmp_path / "GITHUB_STEP_SUMMARY").write_text("before\n")
    (tmp_path / "summary.md").write_text("# chart\n")
    assert run("github", summary["run"]).code == 0
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text() == "before\n# chart\n"


@pytest.mark.slow
def test_both_really_verify(run: Shell, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Needs the network, unless BNVERIFY_CACHE names a folder with the environment: both verify Keras on NumPy.

    Reports and cache are then where the files say they are.
    """
    name, only, backend = "keras-3.15.1-numpy", "keras>=3.12", "numpy"
    cache = os.environ.get("BNVERIFY_CACHE") or str(tmp_path_factory.mktemp("cache"))

    def reports_name_the_row(files: list[str]) -> None:
        for file in files:
            assert name in (tmp_path / file).read_text(encoding="utf-8"), file
            (tmp_path / file).unlink()

    script = steps()["github", "verify"]
    ended = run("github", script, cheap="--suite smoke", BNVERIFY_CACHE=cache, ROW=name, ROW_PYTHON="skipped")
    assert ended.code == 0, ended.out + ended.err
    uses = [step for step in GITHUB["jobs"]["verify"]["steps"] if "uses" in step]
    (upload,) = (step["with"] for step in uses if step["uses"].startswith("actions/upload-artifact@"))
    reports_name_the_row([*upload["path"].split(), "summary.md"])
    caches = [step["with"]["path"] for step in uses if step["uses"].startswith("actions/cache@")]
    assert sorted(caches) == [f"${{{{ env.BNVERIFY_CACHE }}}}/{path.name}" for path in sorted(Path(cache).iterdir())]

    assert (only, backend) in combinations()
    script = "\n".join(JOB["script"])
    ended = run("gitlab", script, cheap="--suite smoke", BNVERIFY_CACHE=cache, ONLY=only, BACKEND=backend, FRESH="")
    assert ended.code == 0, ended.out + ended.err
    reports_name_the_row([*JOB["artifacts"]["paths"], JOB["artifacts"]["reports"]["junit"]])
    assert JOB["cache"]["paths"] == [JOB["variables"]["BNVERIFY_CACHE"].removeprefix("$CI_PROJECT_DIR/") + "/"]
