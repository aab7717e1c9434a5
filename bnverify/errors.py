"""The exception for bad input: its text is one clear line."""

from __future__ import annotations

from collections.abc import Iterable

_NOTHING = object()


class BadInput(Exception):
    """Input that cannot be used. The command line prints the text as one line and ends with exit code 2.

    what: the option, file or field at fault, or the whole problem as a sentence. got: what the user gave, shown as Python
    writes it. allowed: what is accepted, as text or as a list of choices; for a list, the message suggests the choice nearest
    to `got`. hint: what to do next. `str(error)` is `what: got 'x'; allowed: a, b; hint`, without line breaks.

    >>> str(BadInput("--suite", got="smok", allowed=("smoke", "default")))
    "--suite: got 'smok'; allowed: smoke, default; did you mean smoke?"
    """

    def __init__(self, what: str, *, got: object = _NOTHING, allowed: str | Iterable[str] = (), hint: str = "") -> None:
        choices = () if isinstance(allowed, str) else tuple(allowed)
        self.what = what
        self.got = None if got is _NOTHING else got
        self.allowed = allowed if isinstance(allowed, str) else ", ".join(choices)
        self.hint = hint or did_you_mean(got, choices)
        parts = [what if got is _NOTHING else f"{what}: got {shortened(repr(got))}"]
        parts += [f"allowed: {self.allowed}"] if self.allowed else []
        parts += [self.hint] if self.hint else []
        super().__init__(on_one_line("; ".join(parts)))


def did_you_mean(text: object, choices: Iterable[str], cutoff: float = 0.6, form: str = "{}") -> str:
    """A question with the choice nearest to `text`, written as `form`; empty if none is near, or if `text` is not a text."""
    if not isinstance(text, str):
        return ""
    import difflib  # imported here, because every command imports this module and few need difflib

    near = difflib.get_close_matches(text, list(choices), n=1, cutoff=cutoff)
    return f"did you mean {form.format(near[0])}?" if near else ""


def on_one_line(text: str) -> str:
    """The text with line breaks turned into spaces."""
    return " ".join(line.strip() for line in text.splitlines()) if "\n" in text or "\r" in text else text


def shortened(text: str, limit: int = 200) -> str:
    """The text, cut in the middle if it is longer than `limit` characters, because the cause often is at the end."""
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]} … {text[-half:]}"
