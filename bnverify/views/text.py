"""Words and numbers that all views share: how to write a failure, a margin, a count and an environment."""

from __future__ import annotations

import shlex

from bnverify.cases.steps import Step
from bnverify.contract import BY_KEY
from bnverify.contract.eras import ERAS, era_of
from bnverify.targets.function_targets import is_function_target
from bnverify.values import Check, Environment, Grade, Results, Status, Verdict
from bnverify.verdicts.tally import Group


def number(value: int) -> str:
    """A number with a thin space between thousands."""
    return f"{value:,}".replace(",", " ")


def encodable(text: str) -> str:
    """The text with lone surrogates, which no encoding can write, shown as escapes."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")


def short(value: float | None) -> str:
    """A margin, error or bound with two or three significant digits."""
    if value is None:
        return ""
    if abs(value) >= 1e5 or 0 < abs(value) < 1e-3:
        return f"{value:.1e}"
    return number(round(value)) if abs(value) >= 1000 else f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"


def plural(count: int, word: str) -> str:
    """A count with its noun."""
    return f"{number(count)} {word}" + ("" if count == 1 else "s")


def environment_line(e: Environment) -> str:
    """What was tested, on one line."""
    layer = "" if e.own else f"{e.target} · "
    module = "Keras" if e.module == "keras" else e.module
    return f"{layer}{module} {e.keras} · {e.backend} {e.backend_version} on {e.device} · NumPy {e.numpy} · Python {e.python}"


def promise_line(e: Environment) -> str:
    """Whose promises a run was judged by; empty for today's."""
    era = era_of(e)
    return "" if era.name == ERAS[-1].name else f"judged by the promises of {era.name} ({era.source})"


def reproduce(verdict: Verdict, results: Results) -> str:
    """The command that runs this case again."""
    parts = ["bnverify", "run", "--case", verdict.case.id]
    if results.seed:
        parts += ["--seed", str(results.seed)]
    if results.required is not Grade.SEQUENTIAL:
        parts += ["--min-grade", results.required.label]
    environment = results.environment
    if is_function_target(environment.target):
        parts += ["--target", environment.target]
        parts += ["--backend", environment.backend] if environment.backend != "tensorflow" else []
    elif not environment.own:
        parts += ["--layer", environment.target]
    return shlex.join(parts)


def step_words(check: Check, steps: tuple[Step, ...]) -> str:
    """When a check was made: after which step, or as built."""
    if check.status is Status.CRASHED:
        return check.quantity
    return "as built" if check.step is None else f"step {check.step} ({steps[check.step].words})"


def mismatch_lines(check: Check, steps: tuple[Step, ...]) -> list[str]:
    """Where a check failed and by how much: quantity, worst element, both values, error, bound, margin, share."""
    m = check.mismatch
    if m is None:
        return [f"{check.quantity}: {check.reason}"]
    place = "" if m.index is None else "[" + ", ".join(map(str, m.index)) + "]"
    channel = "" if m.channel is None else f", channel {m.channel}"
    quantity = "" if check.status is Status.CRASHED else f"{check.quantity}{place}{channel}: "
    lines = [f"{step_words(check, steps)}: {quantity}expected {m.expected}, got {m.actual}"]
    details = []
    if m.error is not None:
        details = [f"error {short(m.error)}", f"bound {short(m.bound)}", f"margin {short(check.margin)}"]
        details.append(f"grade {check.grade.label}" if check.grade is not None else "")
    if m.share is not None:
        details.append(f"{m.share:.2%} of the elements" if m.share < 1 else "every element")
    return lines + ([", ".join(filter(None, details))] if details else [])


def group_lines(group: Group, results: Results) -> list[str]:
    """A paragraph for one group of failures. Its first line is the title."""
    example = group.example
    counts = ", ".join(f"{BY_KEY[key].title} ({number(n)})" for key, n in group.clauses.items())
    affected = plural(len(group.verdicts), "case")
    lines = [group.title, f"{affected} of {number(len(results.verdicts))}; failing checks: {counts or 'none made'}"]
    lines.append(f"smallest case  {example.case.id}")
    if example.failures:
        first = max(example.failures, key=lambda check: check.status is Status.CRASHED)
        lines.append(f"clause         {era_of(results.environment).rules.get(first.clause, BY_KEY[first.clause].rule)}")
        lines += [f"               {line}" for line in mismatch_lines(first, example.case.steps)]
    if example.stage:
        lines.append(f"first wrong    {example.stage}")
    if group.cause:
        detail = f" ({example.reason})" if example.reason else ""
        lines.append(f"cause          {group.cause}{detail}")
    if example.case.cause:
        lines.append(f"regression of  {example.case.cause}")
    lines.append(f"reproduce      {reproduce(example, results)}")
    return lines


def conclusion(results: Results) -> str:
    """The last line: the result, the counts, and what was not tested."""
    checks = [check for verdict in results.verdicts for check in verdict.checks]
    clauses = len({check.clause for check in checks})
    what = f"{plural(len(checks), 'check')} of {plural(clauses, 'clause')} in {plural(len(results.verdicts), 'case')}"
    counts = [
        f"{number(n)} {status.value}"
        for status in reversed(Status)
        if status is not Status.CONFORMS and (n := results.statuses[status])
    ]
    if results.stale:
        counts.append(f"{plural(len(results.stale), 'known deviation')} stale")
    rest = f"; {', '.join(counts)}" if counts else ""
    if not results.tested and not any(verdict.status.fails for verdict in results.verdicts):
        return f"NOTHING TESTED: {what}{rest}"
    deviates = results.stale or any(verdict.status.fails for verdict in results.verdicts)
    word = "CONFORMS" if results.ok else "DEVIATES" if deviates else ""
    incomplete = "" if results.complete else "INCOMPLETE"
    return f"{', '.join(filter(None, (word, incomplete)))}: {what}{rest}"
