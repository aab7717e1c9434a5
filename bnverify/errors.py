"""What a user can get wrong: one exception whose text is one clear line."""

from __future__ import annotations

from collections.abc import Iterable

_NOTHING = object()


class BadInput(Exception):
    """Input that cannot be used. The command line prints its text as one line and exits with 2.

    what: the option, file or field at fault, or the whole problem in words. got: what the user gave, shown as Python writes it.
    allowed: what is accepted, as text or as a list of choices; for a list, a choice that is near `got` is suggested.
    hint: what to do next. `str(error)` is `what: got 'x'; allowed: a, b; hint`, without line breaks.

    >>> str(BadInput("--suite", got="smok", allowed=("smoke", "default")))
    "--suite: got 'smok'; allowed: smoke, default; did you mean smoke?"
    """

    def __init__(self, what: str, *, got: object = _NOTHING, allowed: str | Iterable[str] = (), hint: str = "") -> None:
        choices = () if isinstance(allowed, str) else tuple(allowed)
        self.what = what
        self.got = None if got is _NOTHING else got
        self.allowed = allowed if isinstance(allowed, str) else ", ".join(choices)
        self.hint = hint or (did_you_mean(got, choices) if isinstance(got, str) else "")
        parts = [what if got is _NOTHING else f"{what}: got {shortened(repr(got))}"]
        parts += [f"allowed: {self.allowed}"] if self.allowed else []
        parts += [self.hint] if self.hint else []
        super().__init__(on_one_line("; ".join(parts)))


def did_you_mean(text: str, choices: Iterable[str], cutoff: float = 0.6) -> str:
    """A question that names the choice nearest to `text`; empty where none is near."""
    import difflib  # only where something is refused, as every command imports this module

    near = difflib.get_close_matches(text, list(choices), n=1, cutoff=cutoff)
    return f"did you mean {near[0]}?" if near else ""


def on_one_line(text: str) -> str:
    """The text with line breaks turned into spaces."""
    return " ".join(line.strip() for line in text.splitlines()) if "\n" in text or "\r" in text else text


def shortened(text: str, limit: int = 200) -> str:
    """The text, cut in the middle where it is longer than `limit` characters: both ends say what it is."""
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]} … {text[-half:]}"
