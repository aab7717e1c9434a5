"""Networks: which batches a network takes, and the words for them."""

from __future__ import annotations

import pytest

from bnverify.cases.networks import DATA_WORDS, NETWORKS, SCIKIT_LEARN, Network

IMAGES = Network("images of any size", "noise", (None, None, 3), 32)
ROWS = Network("rows of four", "iris", (4,))


@pytest.mark.parametrize(
    ("network", "shape", "fits"),
    [
        (ROWS, (8, 4), True),
        (ROWS, (1, 4), True),
        (ROWS, (0, 4), False),
        (ROWS, (8, 5), False),
        (ROWS, (8, 4, 1), False),
        (ROWS, (8,), False),
        (IMAGES, (2, 32, 40, 3), True),
        (IMAGES, (2, 31, 40, 3), False),
        (IMAGES, (2, 32, 31, 3), False),
        (IMAGES, (2, 32, 32, 1), False),
    ],
)
def test_which_batches_fit(network: Network, shape: tuple[int, ...], fits: bool) -> None:
    """One row or more, of the network's own sizes; a free size has a least value."""
    assert network.fits(shape) is fits


def test_what_it_takes_is_said() -> None:
    """Fixed sizes as numbers, free ones as SIZE with their least value."""
    assert ROWS.takes == "ROWSx4"
    assert IMAGES.takes == "ROWSxSIZExSIZEx3 with SIZE 32 or more"


def test_every_data_set_has_words_and_a_source() -> None:
    """All but random images come from scikit-learn, and the words of each say where it comes from."""
    assert {network.data for network in NETWORKS.values()} == set(DATA_WORDS)
    assert set(DATA_WORDS) - set(SCIKIT_LEARN) == {"noise"}
    assert {name for name, words in DATA_WORDS.items() if "scikit-learn" in words} == set(SCIKIT_LEARN)
