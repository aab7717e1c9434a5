"""The data that networks learn: files that scikit-learn ships, read without importing it, and random images."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np

from bnverify.cases.case import Case
from bnverify.cases.networks import NETWORKS
from bnverify.errors import BadInput
from bnverify.numeric.precision import Array

INSTALL_SCIKIT_LEARN = "networks need the data of scikit-learn: pip install 'bnverify[networks]'"


def missing_data() -> dict[str, str]:
    """By need (see `cases.askable.needs`), what to do about data that is not installed."""
    return (
        {}
        if _file("iris.csv").is_file() and _file("digits.csv.gz").is_file()
        else {"data of scikit-learn": INSTALL_SCIKIT_LEARN}
    )


def network_batches(case: Case, rng: np.random.Generator) -> tuple[tuple[Array | None, ...], tuple[Array | None, ...]]:
    """A batch for each call, and its labels. Samples come in random order, and each comes once before any comes again."""
    rows, order = case.shape[0], np.zeros(0, int)
    samples, labels = _noise(case, rng) if NETWORKS[case.network].data == "noise" else _data(NETWORKS[case.network].data)
    batches: list[tuple[Array | None, Array | None]] = []
    for step in case.steps:
        if not step.is_call:
            batches.append((None, None))
            continue
        while len(order) < rows:
            order = np.concatenate([order, rng.permutation(len(samples))])
        batches.append((samples[order[:rows]], labels[order[:rows]]))
        order = order[rows:]
    return tuple(x for x, _ in batches), tuple(y for _, y in batches)


def _noise(case: Case, rng: np.random.Generator) -> tuple[Array, Array]:
    samples = rng.uniform(0, 255, (4 * case.shape[0], *case.shape[1:])).astype("float32")
    return samples, _one_hot(rng.integers(0, 10, len(samples)), 10)


@cache
def _data(name: str) -> tuple[Array, Array]:
    """Samples and one-hot labels. Raises BadInput if the files of scikit-learn are missing."""
    if not (_file("iris.csv").is_file() and _file("digits.csv.gz").is_file()):
        raise BadInput(INSTALL_SCIKIT_LEARN)
    if name == "iris":
        table = np.loadtxt(_file("iris.csv"), delimiter=",", skiprows=1)
        return table[:, :4].astype("float32"), _one_hot(table[:, 4])
    table = np.loadtxt(_file("digits.csv.gz"), delimiter=",")
    pixels, classes = (table[:, :64] / 16).astype("float32"), table[:, 64]
    if name == "pixels":
        chosen = (classes == 3) | (classes == 8)
        varies = np.flatnonzero(pixels[chosen].std(axis=0) > 0.05)[:14]
        return pixels[chosen][:, varies], _one_hot(classes[chosen] == 8)
    return (pixels if name == "vectors" else pixels.reshape(-1, 8, 8, 1)), _one_hot(classes)


def _one_hot(classes: Array, count: int = 0) -> Array:
    return np.eye(count or int(classes.max()) + 1, dtype="float32")[classes.astype(int)]


def _file(name: str) -> Path:
    """A file of scikit-learn's data sets; it may be missing."""
    try:
        return Path(str(distribution("scikit-learn").locate_file(f"sklearn/datasets/data/{name}")))
    except PackageNotFoundError:
        return Path("scikit-learn is not installed")
