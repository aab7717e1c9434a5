"""Fixtures of the matrix: no test finds an environment in use because another test used it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from bnverify.matrix import in_use


@pytest.fixture(autouse=True)
def nothing_held() -> Iterator[None]:
    """Locks of one test must not reach the next one."""
    yield
    for descriptor in in_use._HELD.values():
        os.close(descriptor)
    in_use._HELD.clear()
