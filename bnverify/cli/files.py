"""`bnverify files`: save under one Keras and load under another."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bnverify.cli.options import (
    BAD_INPUT,
    CONFORMS,
    DEVIATES,
    NOTHING_TESTED,
    Example,
    jobs_option,
    read_or_not,
    reporting,
    row_selection,
)

if TYPE_CHECKING:
    from bnverify.matrix.exchange import Exchanges


@click.command(
    cls=Example,
    short_help="Save under each Keras, load under every other one.",
    example="""
        bnverify files
        bnverify files keras-2.15.0-tensorflow keras-3.15.1-tensorflow
        bnverify files --all --only 'keras>=3.8' --backend jax --json files.json
    """,
)
@row_selection
@click.option("--all", "every", is_flag=True, help="All rows, not only one of each era.")
@jobs_option(2)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the results to this file.")
@click.option("-v", "--verbose", is_flag=True, help="Also show why a file was excused or not tested.")
def files(
    rows: tuple[str, ...],
    path: Path | None,
    only: str,
    backends: tuple[str, ...],
    every: bool,
    jobs: int,
    json_file: Path | None,
    verbose: bool,
) -> None:
    """Save a layer under each Keras, load it under every other one, and continue training.

    Formats: .keras, .weights.h5 and the legacy .h5. Without rows, one of each era.
    """
    from bnverify.matrix.exchange import ROWS, exchange
    from bnverify.matrix.rows import find_matrix, load_matrix, select_rows
    from bnverify.views import terminal

    known = load_matrix(path or find_matrix()).rows
    few = [row for row in known if row.name in ROWS]
    chosen = select_rows(known if rows or every or not few else few, rows, only, backends)
    with reporting({"--json": json_file} if json_file else {}) as reports:
        with terminal.row_status(len(chosen)) as status:
            found = exchange(chosen, jobs, status.tell)
        with read_or_not():
            _show(found, verbose)
        if json_file:
            reports.write("--json", json.dumps(found.document(), indent=1) + "\n")
    if set(found.problems) - found.skipped:
        sys.exit(BAD_INPUT)
    sys.exit(NOTHING_TESTED if not found.tested else CONFORMS if found.ok else DEVIATES)


def _show(found: Exchanges, verbose: bool) -> None:
    """Prints a table for each format, the reasons and the conclusion."""
    from rich.text import Text

    from bnverify.matrix.exchange import EXCHANGED_FORMATS
    from bnverify.views import exchange_text, terminal

    out = terminal.console()
    for format in EXCHANGED_FORMATS:
        out.print(exchange_text.exchange_table(found, format))
    out.print(Text(exchange_text.legend(), "dim"), soft_wrap=True)
    for line in exchange_text.exchange_lines(found, verbose):
        out.print(Text(line), soft_wrap=True)
    out.print(Text(f"\n{exchange_text.exchange_conclusion(found)}", "bold"), soft_wrap=True)
