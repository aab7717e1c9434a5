"""`bnverify cache`: show and empty the folder of environments and finished rows."""

from __future__ import annotations

import sys

import click

from bnverify.cli.options import BAD_INPUT, Example, ExampleGroup, echo_all


@click.group(
    cls=ExampleGroup,
    short_help="Show or empty the folder of environments and finished rows.",
    example="bnverify cache info\nbnverify cache clear\nbnverify cache clear --runs",
)
def cache() -> None:
    """The folder in which bnverify keeps environments and finished rows.

    It is ~/.cache/bnverify, or the folder that the environment variable BNVERIFY_CACHE names.
    """


@cache.command(cls=Example, short_help="What the cache holds.", example="bnverify cache info")
def info() -> None:
    """Show the cache folder: how much of each kind it holds, what a running process uses, and what is dead."""
    from bnverify.matrix.cache import entries
    from bnverify.matrix.environments import cache_folder
    from bnverify.views.cache_text import info_lines

    echo_all(info_lines(cache_folder(), entries()))


@cache.command(
    cls=Example,
    short_help="Remove what bnverify keeps.",
    example="bnverify cache clear\nbnverify cache clear --environments\nbnverify cache clear --runs",
)
@click.option("--environments", is_flag=True, help="Only environments; a row that needs one makes it again.")
@click.option("--runs", is_flag=True, help="Only finished rows; the next matrix runs them again.")
def clear(environments: bool, runs: bool) -> None:
    """Remove environments and finished rows, without asking, except those that a running process uses.

    Other files in the folder are never removed. Exit code 2 if something could not be removed.
    """
    from bnverify.matrix.cache import FOLDERS, empty_cache
    from bnverify.matrix.environments import cache_folder
    from bnverify.views.cache_text import cleared_lines

    wanted = [folder for folder, asked in zip(FOLDERS, (environments, runs), strict=True) if asked]
    done = empty_cache(wanted or FOLDERS)
    echo_all(cleared_lines(cache_folder(), done))
    if done.failed:
        sys.exit(BAD_INPUT)
