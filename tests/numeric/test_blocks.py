"""Blocks cover an array once and in memory order, and every share of them is worked on."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnverify.numeric import blocks as module
from bnverify.numeric.blocks import BLOCK, PARALLEL, blocks, over_blocks


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple), st.integers(1, 40))
def test_blocks_cover_each_element_once_and_in_memory_order(shape: tuple[int, ...], limit: int) -> None:
    """The elements of the blocks, one block after another, are 0, 1, 2 … of the whole array."""
    whole = np.arange(np.prod(shape)).reshape(shape)
    found = [whole[index].ravel() for index in blocks(shape, limit)]
    np.testing.assert_array_equal(np.concatenate(found), whole.ravel())
    assert max(map(len, found)) <= limit


@pytest.mark.parametrize(
    ("shape", "limit", "sizes"),
    [
        ((10, 3), 12, [12, 12, 6]),  # four rows of three fit
        ((2, 10), 4, [4, 4, 2, 4, 4, 2]),  # a row alone is too long, so each row is cut
        ((3, 4), 12, [12]),  # the whole array fits
        ((0, 7), 3, [0]),
        ((2, 0, 5), 3, [0]),
    ],
)
def test_the_sizes_of_blocks(shape: tuple[int, ...], limit: int, sizes: list[int]) -> None:
    """A block has as many whole rows as fit; a row that does not fit is cut; an empty array is one block."""
    assert [np.zeros(shape)[index].size for index in blocks(shape, limit)] == sizes


@pytest.mark.parametrize("threads", [1, 3, 7])
def test_the_shares_of_a_large_array_are_worked_on_by_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From PARALLEL elements on, each thread gets a share; together the shares are all blocks, in order."""
    monkeypatch.setattr(module.os, "cpu_count", lambda: threads)
    shape = (PARALLEL // 64, 64)
    workers: set[int] = set()

    def work(cut: object) -> list[int]:
        workers.add(threading.get_ident())
        return [index[0].start for index in cut]  # type: ignore[attr-defined]

    shares = over_blocks(shape, work)
    assert len(shares) == threads
    assert [start for share in shares for start in share] == list(range(0, shape[0], BLOCK // 64))
    assert (threading.get_ident() in workers) == (threads == 1)


def test_a_small_array_is_one_share_in_this_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below PARALLEL elements no thread starts."""
    monkeypatch.setattr(module.os, "cpu_count", lambda: 8)
    assert over_blocks((PARALLEL - 1,), lambda cut: threading.get_ident()) == [threading.get_ident()]
