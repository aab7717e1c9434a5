"""`bnverify list`: the ids of cases."""

from __future__ import annotations

import click

from bnverify.cli.options import Example, echo_all, selection


@click.command(
    "list",
    cls=Example,
    short_help="List the ids of cases; nothing is run.",
    example="bnverify list --suite smoke\nbnverify list --suite full -k 'axis:1 and offset'",
)
@selection
def list_cases(suite: str, ids: tuple[str, ...], select: str) -> None:
    """List the ids of cases; nothing is run."""
    from bnverify.cases.suites import choose

    lines = [f"{case.id}  # {case.cause}" if case.cause else case.id for case in choose(suite, ids, select)[0]]
    echo_all(lines)
