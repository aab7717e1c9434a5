"""Observing: an exception as plain values, and warnings that must not become exceptions."""

from __future__ import annotations

import logging
import warnings

import pytest

from bnverify.targets.worker.observing import empty, failure, silence


class AxisError(ValueError, IndexError):
    """As NumPy's."""


@pytest.mark.parametrize(
    ("error", "type_", "kinds"),
    [
        (ValueError("no\nno"), "ValueError", []),
        (AxisError("no no"), "AxisError", ["ValueError", "IndexError", "LookupError"]),
        (SystemExit("no no"), "SystemExit", []),
    ],
)
def test_an_exception_as_plain_values(error: BaseException, type_: str, kinds: list[str]) -> None:
    """Its stage, its class, its text on one line, and the classes that it is derived from, without the most general."""
    assert failure("step 3", error) == {"stage": "step 3", "type": type_, "text": "no no", "kinds": kinds}


def test_warnings_are_silent_and_back_afterwards() -> None:
    """Also if the case raises; TensorFlow's messages are back to their level."""
    logger = logging.getLogger("tensorflow")
    before = logger.level

    def raising() -> None:
        with silence():
            warnings.warn("a framework's", stacklevel=1)
            assert logger.level == logging.ERROR
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        raising()
    assert logger.level == before
    with pytest.raises(UserWarning):
        warnings.warn("an error again, as pytest is configured", stacklevel=1)


def test_an_empty_answer_is_a_new_one_each_time() -> None:
    """One case cannot add to the next."""
    first = empty()
    first["steps"].append(1)
    assert empty() == {"weights": [], "initial": {}, "made": None, "config": None, "steps": [], "failure": None}
