"""Array files: what NumPy writes is read back, and what is damaged or made to harm is refused before it is read."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from bnverify.storage.array_files import FITS, check_unpacked, read_arrays


def npy(array: np.ndarray, **options: bool) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def written(folder: Path, data: bytes, name: str = "a.npy") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


@given(
    of_numpy.arrays(st.sampled_from(["<f4", ">f8", "<i2", "|b1", "<f2"]), of_numpy.array_shapes(min_dims=0, max_side=4)),
    st.booleans(),
)
def test_an_array_reads_back(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, fortran: bool) -> None:
    """Every shape, byte order and memory order, bit for bit."""
    given_array = np.asfortranarray(array) if fortran else array
    found = read_arrays(written(tmp_path_factory.mktemp("npy"), npy(given_array)))
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.shape) == (given_array.dtype, given_array.shape)
    assert found.tobytes() == given_array.tobytes()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_reads_back_by_name(tmp_path: Path, save: object) -> None:
    """Compressed or not."""
    save(tmp_path / "a.npz", gamma=np.arange(3.0), beta=np.array([[1, 2]]))  # type: ignore[operator]
    found = read_arrays(tmp_path / "a.npz")
    assert isinstance(found, dict)
    assert {name: value.tolist() for name, value in found.items()} == {"gamma": [0.0, 1.0, 2.0], "beta": [[1, 2]]}


def header(text: str, version: int = 1) -> bytes:
    """A .npy file with a header of its own."""
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text.encode("latin1")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (npy(np.arange(4.0))[:-1], "its header promises 32 bytes, and it has"),
        (
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"),
            "promises 1000000000000 values, more than the 8388608",
        ),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n") + bytes(8), r"has the shape \(-1,\)"),
        (npy(np.array([{}], object), allow_pickle=True), "it holds pickled objects"),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", 9), "9.0"),
        (b"", "EOF|magic"),
        (b"not an array at all", "magic"),
        (header("__import__('os').getpid()\n"), "malformed node"),
    ],
)
def test_a_damaged_or_harmful_file_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    """Cut off, promising more than there is, pickled, of another version, or no array: a ValueError that says which."""
    with pytest.raises(ValueError, match=says):
        read_arrays(written(tmp_path, data))


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    """An object whose unpickling makes a file: the file is not made."""
    mark = tmp_path / "ran"

    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path(mark).touch, ()  # type: ignore[return-value]

    with pytest.raises(ValueError, match="pickled"):
        read_arrays(written(tmp_path, npy(np.array([Harmful()], object), allow_pickle=True)))
    assert not mark.exists()


def test_an_archive_with_something_else_is_refused(tmp_path: Path) -> None:
    """Each member must be a .npy file."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match=r"the member 'readme.txt' is not a .npy file"):
        read_arrays(tmp_path / "a.npz")


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    """The caller says it with the system's words."""
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "none.npy")


@pytest.mark.parametrize(
    ("size", "packed", "allowed"),
    [(FITS, 0, True), (FITS + 1, 1, False), (80000000, 10000000, True), (80000001, 10000000, False)],
)
def test_how_far_a_file_may_unpack(size: int, packed: int, allowed: bool) -> None:
    """Small values always; large ones up to 8 times the size of the file."""
    if allowed:
        check_unpacked(size, packed)
    else:
        with pytest.raises(ValueError, match=f"unpacks to {size} bytes, from {packed}; allowed: 8 times"):
            check_unpacked(size, packed)
