"""The data of networks: what is read from the files of scikit-learn, and the order of samples."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bnverify.cases import data
from bnverify.cases.ids import parse
from bnverify.errors import BadInput

IRIS = "3,4,a,b,c\n1.0,2.0,3.0,4.0,0\n5.0,6.0,7.0,8.0,2\n9.0,10.0,11.0,12.0,1\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Small files in place of those of scikit-learn."""
    monkeypatch.setattr(data, "_file", lambda name: tmp_path / name)
    data._data.cache_clear()
    (tmp_path / "iris.csv").write_text(IRIS)
    rows = [[16 * (pixel == place) for pixel in range(64)] + [digit] for place, digit in enumerate((3, 8, 5, 8))]
    with gzip.open(tmp_path / "digits.csv.gz", "wt") as file:
        file.write("\n".join(",".join(map(str, row)) for row in rows))
    yield tmp_path
    data._data.cache_clear()


def batches(id_: str, seed: int = 0) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
    x, labels = data.network_batches(parse(id_), np.random.default_rng(seed))
    return list(x), list(labels)


def test_each_sample_comes_once_before_any_comes_again(files: Path) -> None:
    """Three flowers in batches of one: every three calls see each of them; a freeze has no batch."""
    x, labels = batches("shape:1x4/network:iris/steps:TTFIT3")
    assert (
        [batch is None for batch in x]
        == [label is None for label in labels]
        == [False, False, True, False, False, False, False]
    )
    firsts = [float(batch[0, 0]) for batch in x if batch is not None]
    assert sorted(firsts[:3]) == sorted(firsts[3:]) == [1.0, 5.0, 9.0]


def test_a_batch_keeps_its_labels(files: Path) -> None:
    """The flower that begins with 5 is of the third species."""
    x, labels = batches("shape:3x4/network:iris/steps:T")
    assert x[0] is not None
    assert labels[0] is not None
    species = {float(row[0]): label.tolist() for row, label in zip(x[0], labels[0], strict=True)}
    assert species == {1.0: [1, 0, 0], 5.0: [0, 0, 1], 9.0: [0, 1, 0]}


def test_pixels_are_shares_of_sixteen(files: Path) -> None:
    """Images of 8x8 with values from 0 to 1 and ten classes; the value 16 is 1."""
    x, labels = batches("shape:4x8x8x1/network:conv/steps:T")
    assert x[0] is not None
    assert labels[0] is not None
    assert (x[0].shape, labels[0].shape) == ((4, 8, 8, 1), (4, 9))
    assert sorted(np.argmax(x[0].reshape(4, 64), axis=1)) == [0, 1, 2, 3]
    assert x[0].max() == 1.0


def test_noise_needs_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random images of 0 to 255 and ten classes; another generator gives others."""
    monkeypatch.setattr(data, "_file", lambda name: tmp_path / name)
    one, labels = batches("shape:2x32x32x3/network:mobilenet/steps:T")
    other, _ = batches("shape:2x32x32x3/network:mobilenet/steps:T", seed=1)
    assert one[0] is not None
    assert labels[0] is not None
    assert (one[0].dtype, one[0].shape, labels[0].shape) == (np.float32, (2, 32, 32, 3), (2, 10))
    assert 200 < float(one[0].max()) <= 255
    assert not np.array_equal(one[0], other[0])


@pytest.mark.parametrize("missing", ["iris.csv", "digits.csv.gz"])
def test_without_its_files_a_network_is_bad_input(files: Path, missing: str) -> None:
    """One line says what to install; either file is missed."""
    (files / missing).unlink()
    assert data.missing_data() == {
        "data of scikit-learn": "networks need the data of scikit-learn: pip install 'bnverify[networks]'"
    }
    with pytest.raises(BadInput, match=r"pip install 'bnverify\[networks\]'"):
        batches("shape:3x4/network:iris/steps:T")


def test_with_its_files_nothing_is_missing(files: Path) -> None:
    """No need is reported."""
    assert data.missing_data() == {}
