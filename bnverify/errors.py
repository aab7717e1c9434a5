"""What a user can get wrong: one exception whose text is one clear line."""

from __future__ import annotations


class BadInput(Exception):
    """Unusable input: says what was got, what is allowed and where. The command line exits with 2."""
