"""`bnverify show`: one case explained."""

from __future__ import annotations

import click

from bnverify.cli.options import Example, seed_option


@click.command(
    cls=Example,
    short_help="Explain one case: its inputs, results and bounds.",
    example="bnverify show shape:2x3x5x7/axis:1/fill:offset/steps:T3",
)
@click.argument("case")
@seed_option
def show(case: str, seed: int) -> None:
    """Explain a case: the layer, its inputs, and the expected result of each step with its bound."""
    from bnverify.cases.suites import choose
    from bnverify.views import terminal
    from bnverify.views.case_view import case_lines

    out = terminal.console()
    for line in case_lines(choose("regressions", (case,))[0][0], seed):
        out.print(line, markup=False)
