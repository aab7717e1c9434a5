"""`bnverify selftest`: plant faults in real layers and check that each is caught."""

from __future__ import annotations

import sys

import click

from bnverify.cli.options import CONFORMS, DEVIATES, Example, read_or_not


@click.command(
    cls=Example,
    short_help="Plant faults in real layers; each must be caught.",
    example="bnverify selftest\nbnverify selftest -k epsilon",
)
@click.option("-k", "select", default="", show_default=False, metavar="EXPR", help="Only mutants whose key fits.")
@click.option("--suite", default="smoke", metavar="NAME", help="Suite that must catch them.")
def selftest(select: str, suite: str) -> None:
    """Test bnverify itself: plant faults in real Keras layers and check that each is caught."""
    from bnverify.running.selftest import selftest_score
    from bnverify.views import terminal
    from bnverify.views.selftest_view import show_score

    with terminal.progress() as start:
        score = selftest_score(select, suite, start)
    with read_or_not():
        show_score(score, terminal.console())
    sys.exit(CONFORMS if score.ok else DEVIATES)
