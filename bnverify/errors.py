"""The exception for bad input: its text is one clear line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_NOTHING = object()
WHAT_LIMIT = 1_000  # characters
# What a CI service takes for an instruction at the start of a line, https://docs.github.com/actions/reference/workflow-commands
COMMAND = re.compile(
    r"::(?=(error|warning|notice|debug|group|endgroup|echo|add-(mask|matcher|path)|remove-matcher|set-(output|env)|save-state"
    r"|stop-commands)\b)|##(?=\[)"
)


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
        what = shortened(what, WHAT_LIMIT)
        parts = [what if got is _NOTHING else f"{what}: got {shown(got)}"]
        parts += [f"allowed: {self.allowed}"] if self.allowed else []
        parts += [self.hint] if self.hint else []
        super().__init__(printable("; ".join(parts)))


def did_you_mean(text: object, choices: Iterable[str], cutoff: float = 0.6, form: str = "{}") -> str:
    """A question with the choice nearest to `text`, written as `form`; empty if none is near, or if `text` is not a text."""
    if not isinstance(text, str):
        return ""
    import difflib  # imported here, because every command imports this module and few need difflib

    near = difflib.get_close_matches(text, list(choices), n=1, cutoff=cutoff)
    return f"did you mean {form.format(near[0])}?" if near else ""


def printable(text: str) -> str:
    """Text of others on one line, harmless wherever it is printed.

    Control characters, such as those that move a terminal's cursor, and characters that change the direction of writing become
    escapes. An instruction to a CI service is broken up.
    """
    if text.isascii() and text.isprintable() and "::" not in text and "##[" not in text:
        return text
    line = " ".join(part.strip() for part in text.splitlines()) if text.splitlines() != [text] else text
    shown = "".join(_escaped(c) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in line)
    return COMMAND.sub(lambda found: "\\".join(found[0]), shown)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def shown(value: object) -> str:
    """A value as Python writes it, in at most 200 characters. The value may be of a class whose repr() raises."""
    try:
        return shortened(repr(value))
    except Exception:
        return f"a value of type {type(value).__name__}"


def shortened(text: str, limit: int = 200) -> str:
    """The text, cut in the middle if it is longer than `limit` characters, because the cause often is at the end."""
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]} … {text[-half:]}"
