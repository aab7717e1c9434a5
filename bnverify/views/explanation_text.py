"""The text views of a user's numbers: an explained call, expected values, and moving statistics over batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bnverify.contract import BY_KEY
from bnverify.contract.eras import era_of
from bnverify.explaining.expected import Answer
from bnverify.explaining.explanation import Explanation, Quantity
from bnverify.explaining.trajectory import Trajectory
from bnverify.numeric.precision import Array
from bnverify.values import Failure, Status
from bnverify.views.terminal import COLOURS, WIDTH
from bnverify.views.text import environment_line, mismatch_lines, number, plural, short, step_words

LISTED_CHANNELS = 3  # channels to show
OWN = "the batch's own"
MOMENTA = (0.9, 0.99, 0.999)  # quantities that are compared with the layer's


def explanation(e: Explanation, comparisons: Sequence[Answer] = ()) -> RenderableType:
    """The whole explanation, for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, style in (("", ""), ("formula", "dim"), ("reference", ""), ("the layer's own", "")):
        table.add_column(name, style=style, overflow="fold")
    table.add_column("margin", justify="right")
    for quantity in e.quantities:
        table.add_row(*map(escape, cells(quantity)[:4]), margin_markup(quantity))
    head = [Text(line) for line in heading(e)]
    colour = COLOURS.get(e.verdict.status, "cyan")
    lines = [Text(line) for comparison in comparisons for line in comparison_lines(comparison)]
    return Group(*head, Text(""), table, Text(""), Text(explanation_conclusion(e), f"bold {colour}"), *lines)


def heading(e: Explanation) -> Iterator[str]:
    """The call, the kept and reduced axes, and which statistics normalize and why."""
    yield f"{e.name} · {environment_line(e.environment)}"
    case = e.case
    given = f"training={case.steps[0].training}" if case.steps[0].training is not None else "training not given"
    masked = ", with a mask" if case.mask else ""
    policy = f", dtype policy {case.policy}" if case.policy != "float32" else ""
    yield f"call        {given}{masked}; x is {case.dtype} of shape {case.shape}{policy}"
    kept, reduced = _axes(case.kept), _axes(e.reduced)
    channels = plural(int(np.prod(case.channels_shape)), "channel")
    yield f"axes        axis={axis_words(e)}: axis {kept} is kept ({channels}), {reduced} reduced; n is {counts(e.count)}"
    yield f"statistics  {OWN if e.source == 'batch' else 'the moving statistics'}: {e.why}"
    era = era_of(e.environment)
    if era.rules:
        yield f"promises    judged by those of {era.name}"


def axis_words(e: Explanation) -> str:
    """The axis argument as it was given."""
    axis = e.case.config.axis
    return str(list(axis) if isinstance(axis, tuple) else axis)


def counts(n: Array) -> str:
    """The number of values in each statistic. Under a mask it differs by channel."""
    low, high = int(np.min(n)), int(np.max(n))
    return plural(low, "value") if low == high else f"{low} to {high} values"


def _axes(axes: tuple[int, ...]) -> str:
    return ", ".join(map(str, axes)) or "none"


def cells(quantity: Quantity) -> tuple[str, str, str, str, str]:
    """A quantity as texts: its name, formula, reference, layer and margin."""
    own = "" if quantity.layer is None else shown_values(quantity.layer)
    name = f"{quantity.name}, first sample" if quantity.name in ("x̂", "y") else quantity.name
    if quantity.name in ("x̂", "y"):
        own = "" if quantity.layer is None else shown_values(quantity.layer[:1])
        return name, quantity.formula, shown_values(quantity.reference[:1]), own, short(quantity.margin)
    return name, quantity.formula, shown_values(quantity.reference), own, short(quantity.margin)


def margin_markup(quantity: Quantity) -> str:
    """The margin, coloured by the status of its check."""
    if quantity.check is None:
        return ""
    status = quantity.check.status
    mark = "" if status is Status.CONFORMS else f" {status.value}"
    return f"[{COLOURS.get(status, 'cyan')}]{escape(short(quantity.margin) + mark)}[/]"


def shown_values(array: Array) -> str:
    """The first values of an array, with float32's number of digits."""
    flat = np.asarray(array).ravel()
    shown = " ".join(f"{float(v):.7g}" for v in flat[:LISTED_CHANNELS])
    return shown + (f" … ({number(flat.size)})" if flat.size > LISTED_CHANNELS else "")


def explanation_conclusion(e: Explanation) -> str:
    """Whether the layer's numbers are what Keras promises."""
    if e.failure is not None:
        return raised(e.failure)
    verdict = e.verdict
    if verdict.status.fails:
        stage = f"; first wrong: {verdict.stage}" if verdict.stage else ""
        return f"{verdict.status.name}: {verdict.cause or what_fails(e)}{stage}"
    if e.unsteady:
        return f"WRONG: in a second call, with other gamma and beta, these are wrong: {', '.join(q.name for q in e.unsteady)}"
    reasons = dict.fromkeys(check.reason for check in verdict.checks if check.status is Status.KNOWN)
    if reasons:
        return f"a known deviation of this Keras: {'; '.join(reasons)}"
    return "The layer computes what Keras promises: rounding explains every difference (margin = error / bound, up to 1)."


def what_fails(e: Explanation) -> str:
    """The first failing check, as text, if no cause is known."""
    first = e.verdict.failures[0]
    where = mismatch_lines(first, e.case.steps)[0].removeprefix(f"{step_words(first, e.case.steps)}: ")
    unknown = "; no known formula gives these numbers" if first.grade is not None else ""
    return f"{BY_KEY[first.clause].title}: {where}{unknown}"


def raised(failure: Failure) -> str:
    """What the layer raised instead of returning numbers."""
    return f"CRASHED: at {failure.stage} the layer raises {failure.type}: {failure.text}"


def comparison_lines(c: Answer) -> Iterator[str]:
    """What was expected, and which reading gives it."""
    precise = "exactly these numbers" if c.digits is None else f"these numbers, to {plural(c.digits, 'decimal place')},"
    if c.as_is and c.digits is None:
        yield f"expected {c.quantity}: exactly what the layer must give."
    elif c.as_is:
        yield f"expected {c.quantity}: what the layer must give, to {plural(c.digits or 0, 'decimal place')}."
    elif c.readings:
        yield f"expected {c.quantity}: {precise} result if {c.readings[0]}"
        for other in c.readings[1:]:
            yield f"  or if {other}"
    else:
        words, error = c.nearest or ("", np.inf)
        near = f"; the nearest differs by {short(error)}: {words or 'what the layer must give'}" if np.isfinite(error) else ""
        yield f"expected {c.quantity}: none of {plural(c.tried, 'reading')} gives these numbers{near}"


def trajectory(t: Trajectory) -> RenderableType:
    """The moving statistics over batches, for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("step", "moving_mean", "reference", "moving_variance", "reference", "apart"):
        table.add_column(name, justify="right" if name in ("step", "apart") else "left", overflow="fold")
    for step in shown_steps(t):
        table.add_row(*row(t, step))
    table.add_row("data", shown_values(t.data["mean"]), "", shown_values(t.data["variance"]), "", "", style="dim")
    lines = [Text(line) for line in trajectory_lines(t)]
    return Group(Text(f"{t.name} · {environment_line(t.environment)}"), Text(""), table, Text(""), *lines)


def shown_steps(t: Trajectory) -> list[int]:
    """The steps of a trajectory that a table shows: 0, 1, 2, 5, 10, 20 and so on, and the last."""
    steps = [0, *(n * 10**k for k in range(9) for n in (1, 2, 5))]
    return sorted({*(step for step in steps if step <= t.steps), t.steps})


def row(t: Trajectory, step: int) -> tuple[str, ...]:
    """One step of a trajectory as texts."""
    pairs = [text for name in t.moving for text in (shown_values(t.moving[name][step]), shown_values(t.reference[name][step]))]
    return str(step), *pairs, short(float(t.apart[step]))


def trajectory_lines(t: Trajectory) -> Iterator[str]:
    """Whether the moving statistics are what Keras promises, and when inference agrees with training."""
    if t.failure is not None:
        yield raised(t.failure)
        return
    if t.ok:
        margin = f" (largest margin {short(t.margin)})" if t.margin is not None else ""
        yield f"The moving statistics are {'a known deviation: ' + t.known if t.known else 'what Keras promises' + margin}."
    else:
        yield f"WRONG: the moving statistics are not what Keras promises (margin {short(t.margin)})" + f": {t.cause}" * bool(
            t.cause
        )
    apart = f"{short(float(t.apart[-1]))} standard deviations apart"
    within = f"within {t.within:g} standard deviations"
    if t.agrees_after is not None:
        yield f"Inference agrees with training {within} from step {t.agrees_after} on; after {t.steps} steps: {apart}."
    else:
        yield f"After {plural(t.steps, 'step')} inference and training are {apart}."
    if t.still:
        yield "The layer is frozen (trainable=False): its moving statistics do not change."
        return
    found = {t.momentum: t.needed, **{m: t.needed_with(m) for m in MOMENTA}}
    told = ", ".join(f"{momentum:g}: {needed_words(steps)}" for momentum, steps in sorted(found.items()))
    if t.needed is None and t.shrunk < 1:
        yield f"Never, because the batches differ: on average their variance is {t.shrunk:.2g} of the variance of all values."
    yield f"Steps needed to agree {within}, if all batches were alike, by momentum: {told}."


def needed_words(steps: int | None) -> str:
    """A number of steps, or that no number is enough."""
    return "never" if steps is None else number(steps)


def as_text(what: RenderableType, width: int = WIDTH) -> str:
    """A view as plain text."""
    out = Console(file=StringIO(), width=width, highlight=False, emoji=False, no_color=True, force_jupyter=False)
    out.print(what, soft_wrap=False)
    assert isinstance(out.file, StringIO)
    return "\n".join(line.rstrip() for line in out.file.getvalue().splitlines())
