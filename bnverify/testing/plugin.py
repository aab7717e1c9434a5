"""The pytest plugin: options of the shipped harness. Every pytest run loads it, so it imports nothing else."""

from __future__ import annotations

import pytest


def _seed(text: str) -> int:
    """A whole number of 0 or more, as the command line takes it."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options that `pytest --pyargs bnverify.conformance` takes."""
    group = parser.getgroup("bnverify")
    group.addoption("--bnverify-suite", default="default", metavar="NAME", help="smoke, default, full or regressions")
    group.addoption("--bnverify-seed", default=0, type=_seed, metavar="N", help="seed of the input values")
