"""What changed between two records, in the words of release notes.

Two numbers that both conform differ by rounding only, because each is within its bound of the same reference. So a number has
changed by more than rounding if its status, grade or cause has changed, or if both are wrong and their values differ.
"""

from __future__ import annotations

import enum
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bnverify.cases.ids import parse
from bnverify.cases.suites import smaller_first
from bnverify.contract import BY_KEY, CLAUSES
from bnverify.contract.eras import ERAS
from bnverify.matrix.records import CaseRecord, CheckRecord, Record
from bnverify.values import Status

GROWN = 10.0  # a margin that grew by this factor is mentioned, even within its bound
FELT = 0.05  # smaller margins are not mentioned, however much they grew
EDGE = 0.1  # share of the checks with a known deviation that may differ from machine to machine
SAME_MARGINS = 1.5  # margins of different elements count as equal up to this factor


class Kind(enum.Enum):
    """The kinds of changes."""

    PROMISE = "promises"
    INTERFACE = "arguments and weights"
    ERROR = "errors"
    CLAUSE = "numbers"
    MARGIN = "margins"
    COVERAGE = "what was asked"


@dataclass(frozen=True)
class Change:
    """One change. worse: True for a regression, False for an improvement, None for neither. case: one that shows it."""

    kind: Kind
    text: str
    worse: bool | None = None
    case: str = ""


def difference(old: Record, new: Record) -> tuple[Change, ...]:
    """All changes from `old` to `new`; changed rules of the contract come first."""
    finders = (_promises, _interface, _errors, _clauses, _margins, _coverage)
    return tuple(change for find in finders for change in find(old, new))


def _promises(old: Record, new: Record) -> Iterator[Change]:
    """A changed promise is not a bug, because each release is judged by its own promises."""
    eras = {era.name: era for era in ERAS}
    before, after = eras[old.era], eras[new.era]
    if before != after:
        yield Change(Kind.PROMISE, f"judged by the promises of {after.name}; before: {before.name}")
    for clause in CLAUSES:
        was, now = before.rules.get(clause.key, clause.rule), after.rules.get(clause.key, clause.rule)
        if was != now:
            yield Change(Kind.PROMISE, f"{clause.title}: the promise is now “{now}”; before: “{was}”")
    for what in sorted({*before.lacks, *after.lacks}):
        if what in before.lacks and what not in after.lacks:
            yield Change(Kind.PROMISE, f"now available: {what} (before: {before.lacks[what]})")
        elif what in after.lacks and what not in before.lacks:
            yield Change(Kind.PROMISE, f"no longer available: {what} ({after.lacks[what]})")


def _interface(old: Record, new: Record) -> Iterator[Change]:
    was, now = (replace(each, arguments=_own(each.arguments)) for each in (old.interface, new.interface))
    for name in [name for name in was.arguments if name not in now.arguments]:
        yield Change(Kind.INTERFACE, f"argument {name} vanished", True)
    for name in [name for name in now.arguments if name not in was.arguments]:
        default = f" (default {now.arguments[name]})" if now.arguments[name] else ""
        yield Change(Kind.INTERFACE, f"argument {name} is new{default}")
    for name in [name for name in was.arguments if name in now.arguments and was.arguments[name] != now.arguments[name]]:
        text = f"default of {name} changed from {was.arguments[name] or 'none'} to {now.arguments[name] or 'none'}"
        yield Change(Kind.INTERFACE, text, True)
    yield from _moved("argument", tuple(was.arguments), tuple(now.arguments))
    yield from _listed("call argument", was.call, now.call)
    yield from _moved("call argument", was.call, now.call)
    yield from _weights(was.weights, now.weights)
    for name in [name for name in was.config if name in now.config and was.config[name] != now.config[name]]:
        if name not in ("dtype", "axis"):  # Keras 3 writes policies differently; a clause covers the axis
            text = f"get_config()[{name!r}] changed from {was.config[name]!r} to {now.config[name]!r}"
            yield Change(Kind.INTERFACE, text, True)


def _own(arguments: Mapping[str, str]) -> dict[str, str]:
    """The arguments without those of every Keras layer, which some classes name and others pass on."""
    return {name: default for name, default in arguments.items() if name not in ("name", "trainable", "dtype")}


def _weights(was: Sequence[str], now: Sequence[str]) -> Iterator[Change]:
    before, after = ({text.split()[0]: text for text in texts} for texts in (was, now))
    yield from _listed("weight", tuple(before), tuple(after))
    yield from _moved("weight", tuple(before), tuple(after))
    for name in [name for name in before if name in after and before[name] != after[name]]:
        was_text, now_text = (texts[name].removeprefix(f"{name} ") for texts in (before, after))
        yield Change(Kind.INTERFACE, f"weight {name} changed from {was_text} to {now_text}", True)


def _listed(what: str, was: Sequence[str], now: Sequence[str]) -> Iterator[Change]:
    for name in [name for name in was if name not in now]:
        yield Change(Kind.INTERFACE, f"{what} {name} vanished", True)
    for name in [name for name in now if name not in was]:
        yield Change(Kind.INTERFACE, f"{what} {name} is new")


def _moved(what: str, was: Sequence[str], now: Sequence[str]) -> Iterator[Change]:
    """Names that both have, in a different order."""
    before, after = [name for name in was if name in now], [name for name in now if name in was]
    if before != after:
        moved = [name for name, other in zip(before, after, strict=True) if name != other]
        first = f"{moved[0]} from position {was.index(moved[0]) + 1} to {now.index(moved[0]) + 1}"
        yield Change(Kind.INTERFACE, f"{what}s moved: {first}; the order is now {', '.join(after)}", True)


def _errors(old: Record, new: Record) -> Iterator[Change]:
    """Cases that raise an exception, or another one than before, in groups of the same exception."""
    groups: dict[tuple[str, str], list[str]] = {}
    for id_ in tested_in_both(old, new):
        was, now = (_raised(record.cases[id_]) for record in (old, new))
        if was != now:
            groups.setdefault((was, now), []).append(id_)
    for (was, now), ids in groups.items():
        n, example = _shown(ids)
        if not was:
            yield Change(Kind.ERROR, f"{n} now {_raise(ids, now)}", True, example)
        elif not now:
            yield Change(Kind.ERROR, f"{n} no longer {_raise(ids, was)}", False, example)
        else:
            statuses = [record.cases[example].checks["returns"].status.gravity for record in (old, new)]
            worse = None if statuses[0] == statuses[1] else statuses[0] < statuses[1]
            yield Change(Kind.ERROR, f"{n} now {_raise(ids, now)}, no longer {was}", worse, example)


def _raised(case: CaseRecord) -> str:
    """The exception of a case: the known reason, or else type and text; empty if it did not raise."""
    check = case.checks.get("returns")
    if check is None:
        return ""
    text = re.sub(r"0x[0-9a-f]+", "0x…", " ".join(check.actual.split()))[:160]
    return f"({check.reason})" if check.status is Status.KNOWN else text


def _raise(ids: Sequence[str], what: str) -> str:
    return f"{'raises' if len(ids) == 1 else 'raise'} {what}"


CaseOutcome = tuple[Status, str]  # the status and the reason of a check


def _clauses(old: Record, new: Record) -> Iterator[Change]:
    """Cases with changed checks, in groups with the same change and cause over all clauses."""
    groups: dict[tuple[CaseOutcome, CaseOutcome], dict[str, list[str]]] = {}
    for clause in CLAUSES:
        for id_ in tested_in_both(old, new):
            was, now = old.cases[id_], new.cases[id_]
            if clause.key == "returns" or _raised(was) or _raised(now):
                continue
            before, after = was.checks.get(clause.key), now.checks.get(clause.key)
            if _differ(before, after):
                key = (_status(before), was.why(clause.key)), (_status(after), now.why(clause.key))
                groups.setdefault(key, {}).setdefault(clause.key, []).append(id_)
    shown = [Counter(check.reason for case in record.cases.values() for check in case.checks.values()) for record in (old, new)]
    for (was_outcome, now_outcome), members in groups.items():
        known = [why for status, why in (was_outcome, now_outcome) if status is Status.KNOWN]
        counts = [count[why] for why in known for count in shown]
        often = max(counts, default=0) if all(counts) else 0
        few = sum(map(len, members.values())) <= EDGE * often
        yield _clause_change(was_outcome, now_outcome, members, new, few)


def _clause_change(was: CaseOutcome, now: CaseOutcome, members: Mapping[str, Sequence[str]], new: Record, few: bool) -> Change:
    """The change of these cases by clause. few: of many cases with a known deviation, these few show it in one record only.

    They are at the edge of the deviation and may fall on either side, depending on the machine, so this is not a regression.
    """
    n, example = _shown(list(dict.fromkeys(id_ for ids in members.values() for id_ in ids)))
    where = ", ".join(f"{BY_KEY[clause].title} ({len(ids)})" for clause, ids in members.items())
    edge = few and {was[0], now[0]} <= {Status.CONFORMS, Status.KNOWN}
    worse = None if was[0] == now[0] or edge else now[0].gravity > was[0].gravity
    before, after = (f"{status}{f' ({why})' if why else ''}" for status, why in (was, now))
    verb = "wrong with other values" if was == now else f"{before} before, now {after}"
    check = next((c for clause in members if (c := new.cases[example].checks.get(clause)) and c.actual), None)
    values = f"; in it {check.quantity} is {check.actual}, expected {check.expected}" if check else ""
    return Change(Kind.CLAUSE, f"{n}: {verb}: {where}{values}", worse, example)


def _status(check: CheckRecord | None) -> Status:
    return check.status if check else Status.CONFORMS


def _differ(was: CheckRecord | None, now: CheckRecord | None) -> bool:
    """Whether two checks of a clause differ by more than rounding: in status or grade, or in a wrong value."""
    if was is None or now is None:
        return was is not now
    if was.status is now.status is Status.KNOWN:
        return was.reason != now.reason  # otherwise the reason is in the same record
    if (was.status, was.grade, was.quantity) != (now.status, now.grade, now.quantity):
        return True
    if was.margin is None or now.margin is None or was.expected != now.expected:  # not numbers, or different elements
        same = was.margin == now.margin or (
            was.margin and now.margin and 1 / SAME_MARGINS < was.margin / now.margin < SAME_MARGINS
        )
        return not same if was.margin and now.margin else (was.expected, was.actual) != (now.expected, now.actual)
    return _apart(was, now)


def _apart(was: CheckRecord, now: CheckRecord) -> bool:
    """Whether two wrong values of one element differ by more than rounding explains, which is the bound."""
    try:
        expected, before, after = (float(text) for text in (was.expected, was.actual, now.actual))
    except ValueError:
        return was.actual != now.actual
    if not (math.isfinite(before) and math.isfinite(after)):
        return was.actual != now.actual
    bound = abs(before - expected) / was.margin if was.margin else 0.0
    return abs(before - after) > 2 * bound


def _margins(old: Record, new: Record) -> Iterator[Change]:
    """For each clause that conforms in both: a margin that grew by a large factor within the bound."""
    for clause in CLAUSES:
        was, now = old.clauses.get(clause.key), new.clauses.get(clause.key)
        if was and now and was.margin and now.margin and was.status is now.status is Status.CONFORMS:
            if now.margin >= FELT and now.margin > GROWN * was.margin:
                text = f"{clause.title}: the worst margin grew from {was.margin:g} to {now.margin:g}, within the bound"
                yield Change(Kind.MARGIN, text)
            elif now.grade != was.grade:
                yield Change(Kind.MARGIN, f"{clause.title}: the worst grade was {was.grade}, now {now.grade}")
    grown = [id_ for id_ in tested_in_both(old, new) if _grown(old.cases[id_], new.cases[id_])]
    if grown:
        n, example = _shown(grown)
        was_margin, now_margin = old.cases[example].margin, new.cases[example].margin
        verb = "conforms" if len(grown) == 1 else "conform"
        by = f"from {was_margin:g} to {now_margin:g}"
        text = f"{n} {verb} with a margin more than {GROWN:g} times larger than before, such as {by}"
        yield Change(Kind.MARGIN, text, None, example)


def _grown(was: CaseRecord, now: CaseRecord) -> bool:
    if was.status is not Status.CONFORMS or now.status is not Status.CONFORMS or was.margin is None or now.margin is None:
        return False
    return now.margin >= FELT and now.margin > GROWN * was.margin


def _coverage(old: Record, new: Record) -> Iterator[Change]:
    """Cases that only one of two records has or could test, and a changed seed. A new case that fails is a regression."""
    if old.seed != new.seed:
        yield Change(Kind.COVERAGE, f"the seed of the inputs is {new.seed}; before: {old.seed}")
    failing = [
        id_ for id_, case in new.cases.items() if case.status.fails and not (id_ in old.cases and _asked(old.cases[id_]))
    ]
    if failing:
        n, example = _shown(failing)
        yield Change(Kind.COVERAGE, f"{n} not tested before, now {new.cases[example].status}", True, example)
    for record, other, what in ((old, new, "no longer asked"), (new, old, "newly asked")):
        if old.suite != new.suite:
            break
        ids = [id_ for id_ in record.cases if id_ not in other.cases]
        if ids:
            n, example = _shown(ids)
            yield Change(Kind.COVERAGE, f"{n} {what}", None, example)
    reasons: dict[tuple[bool, str], list[str]] = {}
    for id_ in set(old.cases) & set(new.cases):
        was, now = old.cases[id_], new.cases[id_]
        if _asked(was) != _asked(now):
            lost = not _asked(now)
            reasons.setdefault((lost, (now if lost else was).reason), []).append(id_)
    for (lost, reason), ids in sorted(reasons.items()):
        n, example = _shown(ids)
        text = f"{n} no longer supported: {reason}" if lost else f"{n} newly supported; before: {reason}"
        yield Change(Kind.COVERAGE, text, True if lost and old.era == new.era else None, example)


def _asked(case: CaseRecord) -> bool:
    """Whether a case was tested: some clause was checked."""
    return case.status is not Status.UNSUPPORTED and (case.status is not Status.INCONCLUSIVE or bool(case.checks))


def tested_in_both(old: Record, new: Record) -> list[str]:
    """The cases that were tested in both records."""
    return [id_ for id_ in old.cases if id_ in new.cases and _asked(old.cases[id_]) and _asked(new.cases[id_])]


def _shown(ids: Sequence[str]) -> tuple[str, str]:
    """The number of cases, and the smallest of them."""
    example = smaller_first(map(parse, ids))[0].id
    return (f"{len(ids)} cases" if len(ids) > 1 else "1 case"), example


def regressions(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes that make a gate fail."""
    return tuple(change for change in changes if change.worse)
