"""`bnverify diff`: show what changed from one record to another."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bnverify.cli.options import CONFORMS, DEVIATES, NOTHING_TESTED, Example, matrix_file, read_or_not
from bnverify.errors import BadInput

if TYPE_CHECKING:
    from bnverify.matrix.records import Record


@click.command(
    cls=Example,
    short_help="Show what changed from one Keras to another.",
    example="""
        bnverify diff keras-2.15.0-tensorflow keras-3.15.1-tensorflow
        bnverify diff 3.8.0 3.9.2 --backend torch
        bnverify diff ci/baselines/keras-3.15.1-jax.json mine.json
    """,
)
@click.argument("old")
@click.argument("new")
@matrix_file
@click.option("--backend", default="tensorflow", metavar="NAME", help="Backend, if OLD and NEW are versions.")
def diff(old: str, new: str, path: Path | None, backend: str) -> None:
    """What changed in BatchNormalization from OLD to NEW: records, names of environments, or Keras versions.

    Environments are compared by their committed records; nothing is run. Exit code 0: no regression, 1: regressions.
    """
    from bnverify.matrix.difference import difference, regressions, tested_in_both
    from bnverify.matrix.rows import find_matrix
    from bnverify.views import terminal
    from bnverify.views.diff_text import diff_lines

    folder = None
    if not (_is_file(old) and _is_file(new)):
        folder = (path or find_matrix()).resolve().parent / "baselines"
    before, after = (_record_named(text, folder, backend) for text in (old, new))
    changes = difference(before, after)
    out = terminal.console()
    with read_or_not():
        for line in diff_lines(before, after, changes):
            out.print(line, markup=False, soft_wrap=True)
    if regressions(changes):
        sys.exit(DEVIATES)
    sys.exit(CONFORMS if tested_in_both(before, after) else NOTHING_TESTED)


def _is_file(text: str) -> bool:
    return text.endswith(".json") or os.path.isfile(text)  # unlike Path.is_file, this is False for a text that cannot be a path


def _record_named(text: str, folder: Path | None, backend: str) -> Record:
    """The record in a file, of an environment, or of a Keras version on a backend."""
    import difflib

    from bnverify.matrix.record_files import load_record

    if _is_file(text) or folder is None:
        return load_record(Path(text), "diff")
    known = {file.stem: file for file in sorted(folder.glob("*.json"))}
    for name in (text, f"keras-{text}-{backend}", f"{text}-{backend}"):
        if name in known:
            return load_record(known[name], "diff")
    near = difflib.get_close_matches(f"keras-{text}-{backend}", known, n=2, cutoff=0.5)
    hint = f"; near it: {', '.join(near)}" if near else ""
    raise BadInput(
        f"{text!r} is not a record: there is no such file, and no environment with that name or version in {folder}{hint}"
    )
