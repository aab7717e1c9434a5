"""`bnverify bisect`: find the release in which a case changed."""

from __future__ import annotations

from pathlib import Path

import click

from bnverify.cli.options import Example, matrix_file, seed_option


@click.command(
    cls=Example,
    short_help="Find the release of Keras in which a case changed.",
    example="bnverify bisect shape:37x4/policy:float64/dtype:float64/steps:T --good 3.8.0 --bad 3.15.1 --backend torch",
)
@click.argument("case")
@click.option("--good", required=True, metavar="VERSION", help="A release where the case is right.")
@click.option("--bad", required=True, metavar="VERSION", help="A release where the case is wrong.")
@click.option("--backend", default="tensorflow", metavar="NAME", help="The backend.")
@click.option("--module", default="keras", type=click.Choice(["keras", "tf_keras"]), help="Which Keras.")
@seed_option
@matrix_file
def bisect(case: str, good: str, bad: str, backend: str, module: str, seed: int, path: Path | None) -> None:
    """Find the release of Keras in which a case changed."""
    from bnverify.cases.suites import choose
    from bnverify.matrix.bisecting import between, releases
    from bnverify.matrix.bisecting import find_release as find
    from bnverify.matrix.rows import find_matrix, load_matrix
    from bnverify.targets.backends import check_backend
    from bnverify.views.diff_text import found_lines

    check_backend(backend)
    asked = choose("regressions", (case,))[0][0]
    rows = load_matrix(path or find_matrix())
    candidates = between(releases(module), good, bad)
    for end in (candidates[0], candidates[-1]):
        rows.release(end, backend, module)
    click.echo(f"{len(candidates)} releases from {good} to {bad}", err=True)

    def tell(release: str, how: str) -> None:
        click.echo(f"{release}: {how}", err=True)

    found = find(asked, rows, candidates, backend, module, seed, tell)
    for line in found_lines(found, module, asked.id):
        click.echo(line)
