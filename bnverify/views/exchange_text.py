"""The view of files across versions: one table per format; rows saved the file, columns loaded it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bnverify.matrix.exchange import EXCHANGED_FORMATS, Exchange, Exchanges
from bnverify.views.text import plural

EXCHANGE_SIGNS = {"ok": "✓", "known deviation": "k", "wrong": "✗", "cannot load": "!", "unsupported": "–", "not tested": "?"}


def sign(one: Exchange) -> str:
    """One character for the outcome of an exchange: one Keras saved the file, another loaded it."""
    return "n" if one.outcome == "cannot load" and not one.promised else EXCHANGE_SIGNS[one.outcome]


def exchange_table(found: Exchanges, format: str) -> Group:
    """The rows that saved, by the rows that loaded; columns have the numbers of the first column."""
    title = Text(f"{format}: saved under (down), loaded under (across)", "italic")  # a title of a narrow table would be wrapped
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for number in range(1, len(found.rows) + 1):
        table.add_column(str(number), justify="center")
    signs = {(one.saved, one.loaded): sign(one) for one in found.found if one.format == format}
    for number, saved in enumerate(found.rows, 1):
        table.add_row(f"{number:>2} {saved}", *(signs.get((saved, loaded), "·") for loaded in found.rows))
    return Group(title, table)


def legend() -> str:
    """What the signs mean."""
    return "   ".join(
        [*(f"{mark} {outcome}" for outcome, mark in EXCHANGE_SIGNS.items()), "n cannot load, and does not promise to"]
    )


def exchange_lines(found: Exchanges, verbose: bool) -> Iterator[str]:
    """One line per reason why an exchange fails; with `verbose` also why one is excused, unsupported or not tested."""
    for format in EXCHANGED_FORMATS:
        by_reason: dict[tuple[str, str], list[Exchange]] = {}
        for one in found.found:
            if one.format == format and one.reason and (one.fails or verbose):
                by_reason.setdefault((one.outcome, one.reason), []).append(one)
        for (outcome, reason), ones in by_reason.items():
            pairs = ", ".join(f"{one.saved} → {one.loaded}" for one in ones[:3])
            more = f" and {len(ones) - 3} more" if len(ones) > 3 else ""
            yield f"{format}: {outcome}: {reason}"
            yield f"  {pairs}{more}"
    for line in found.stale:
        yield f"STALE  {line}"
    for row, problem in found.problems.items():
        yield f"{row}: {'skipped' if row in found.skipped else 'not started'}: {problem}"


def exchange_conclusion(found: Exchanges) -> str:
    """The result of all exchanges, on one line."""
    counts = {outcome: sum(one.outcome == outcome for one in found.found) for outcome in EXCHANGE_SIGNS}
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    verdict = "NOTHING TESTED" if not found.tested else "CONFORMS" if found.ok else "DEVIATES"
    return f"{verdict}: {plural(len(found.found), 'exchange')}: {told}"
