"""`bnverify contract`: the clauses, and how many checks each has."""

from __future__ import annotations

import click

from bnverify.cli.options import Example


@click.command(
    cls=Example,
    short_help="Print the clauses of the contract with their checks.",
    example="bnverify contract\nbnverify contract --suite smoke",
)
@click.option("--suite", default="default", metavar="NAME", help="Suite to count checks in: smoke, default, full, regressions.")
def contract(suite: str) -> None:
    """Print the clauses of the Keras BatchNormalization contract, and the number of checks that a suite makes of each."""
    from bnverify.views import terminal
    from bnverify.views.contract_view import contract_lines

    out = terminal.console()
    for line in contract_lines(suite):
        out.print(line, markup=False, soft_wrap=True)
