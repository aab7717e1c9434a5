"""Array files: read .npy and .npz files that may be damaged, or made to fill the memory. Nothing is unpickled."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from bnverify.errors import shortened

MOST_VALUES = 1 << 23  # in a file of fewer bytes; explaining a call takes about 80 bytes for each value
FITS = 8 * MOST_VALUES  # bytes; arrays up to this fit any machine
LARGEST_RATIO = 8  # unpacked / packed, for larger arrays
PACKED_AS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_arrays(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """The array of a .npy file, or the arrays of an .npz file by name.

    Raises OSError, or ValueError with what is wrong with the file.
    """
    with path.open("rb") as file:
        try:
            if zipfile.is_zipfile(file):
                return _archive(file)
            file.seek(0)
            size = os.fstat(file.fileno()).st_size
            return _array(file, size, max(MOST_VALUES, size))
        except (OSError, MemoryError):
            raise
        except Exception as error:  # zlib, zipfile, tokenize and NumPy each raise their own types for damaged files
            raise ValueError(f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)) from None


def check_unpacked(size: int, packed: int, fits: int = FITS, ratio: int = LARGEST_RATIO) -> None:
    """Raises ValueError if values are large, and far larger than the file: a small file must not fill the memory."""
    if size > fits and size > ratio * packed:
        raise ValueError(f"unpacks to {size} bytes, from {packed}; allowed: {ratio} times its size")


def check_packing(archive: zipfile.ZipFile) -> None:
    """Raises ValueError for bzip2 and LZMA: Python unpacks them without a limit, whatever size the archive gives."""
    for member in archive.infolist():
        if member.compress_type not in PACKED_AS:
            raise ValueError(f"the member {shortened(member.filename)!r} is neither stored nor deflated")


def _archive(file: IO[bytes]) -> dict[str, np.ndarray]:
    packed = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        check_packing(archive)
        check_unpacked(sum(member.file_size for member in archive.infolist()), packed)
        found: dict[str, np.ndarray] = {}
        left = max(MOST_VALUES, packed)
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                raise ValueError(f"the member {shortened(member.filename)!r} is not a .npy file")
            with archive.open(member) as stream:
                array = found[member.filename.removesuffix(".npy")] = _array(stream, member.file_size, left)
                left -= array.size
        return found


def _array(stream: IO[bytes], size: int, most: int) -> np.ndarray:
    """The array of a .npy stream of `size` bytes, whose header must not promise more than there is, or than `most` values."""
    version = np.lib.format.read_magic(stream)
    readers: dict[tuple[int, int], Any] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"version {version[0]}.{version[1]} of the .npy format")
    shape, fortran, dtype = readers[version](stream)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects")
    promised = dtype.itemsize
    for length in shape:
        if not isinstance(length, int) or length < 0:
            raise ValueError(f"its header has the shape {shape}")
        promised *= length
    if (count := math.prod(shape)) > most:
        raise ValueError(f"its header promises {count} values, more than the {most} that a file of its size may have")
    if promised > size:
        raise ValueError(f"its header promises {promised} bytes, and it has {size}")
    data = stream.read(promised)
    if len(data) < promised:
        raise ValueError(f"its header promises {promised} bytes, and it has {len(data)}")
    values = np.frombuffer(data, dtype)
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)
