"""Model files: their configuration and weights, read without Keras, so that no code from a file runs and no file fills the
memory.

Keras runs code that a file names: marshalled functions, pickled weights, functions of any module. A file that shows such code
is refused. Code that it hides cannot run either: the configuration is read as JSON, and nothing is made from it.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from typing import Any

from bnverify.errors import BadInput, shortened
from bnverify.storage.array_files import check_packing, check_unpacked
from bnverify.storage.model_code import check_no_code

UNPACKED_FITS = 1 << 28  # bytes; they go to a temporary file
UNPACKED_RATIO = 50  # unpacked / packed, for larger files
LARGEST_CONFIG = 1 << 24  # bytes; as Python objects up to 30 times as many
WEIGHTS_MEMBER = "model.weights.h5"  # the member of an archive
DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, RecursionError, RuntimeError)


def read_model_config(path: Path, option: str) -> Any:
    """The configuration of the model in a .keras or HDF5 file, as JSON has it.

    Raises BadInput if the file is damaged, holds code, leads to other files, or unpacks to more than it may. A file that is
    both an archive and HDF5 is checked as both. option: what the user gave the file for.
    """
    found = []
    with damage_is_bad_input(path, option):
        if zipfile.is_zipfile(path):
            found.append(_read_archive(path, option))
        if _is_hdf5(path):
            found.append(_read_hdf5(path, path, option))
    if not found:
        raise BadInput(
            f"{option} {path}: is neither a .keras archive nor an HDF5 file", allowed="a .keras or .h5 file of Keras"
        )
    if found[0] is None:
        raise BadInput(f"{option} {path}: has no configuration of a model", allowed="a file that model.save(…) wrote")
    return found[0]


@contextmanager
def open_weights(path: Path) -> Iterator[Any]:
    """The weights of a model file as an HDF5 group. Raises KeyError or OSError if there are none."""
    import h5py

    if not zipfile.is_zipfile(path):
        with h5py.File(path, "r") as root:
            yield root
        return
    with zipfile.ZipFile(path) as archive, _unpacked(archive, WEIGHTS_MEMBER) as file, h5py.File(file, "r") as root:
        yield root


@contextmanager
def damage_is_bad_input(path: Path, option: str) -> Iterator[None]:
    """Turns what zipfile, json and h5py raise for a damaged file into BadInput."""
    try:
        yield
    except (*DAMAGED, zipfile.BadZipFile, zlib.error) as error:
        said = " ".join(str(error).split())
        raise BadInput(f"{option} {path}: is damaged: {type(error).__name__}: {shortened(said)}") from None


@contextmanager
def _unpacked(archive: zipfile.ZipFile, name: str) -> Iterator[Any]:
    """A member of an archive as a file in which HDF5 can move about; in the archive each step back unpacks it again."""
    with tempfile.TemporaryFile() as file:
        with archive.open(name) as member:
            copyfileobj(member, file)
        file.seek(0)
        yield file


def _read_archive(path: Path, option: str) -> Any:
    with zipfile.ZipFile(path) as archive:
        check_packing(archive)
        for member in archive.infolist():
            parts = PurePosixPath(member.filename.replace("\\", "/"))
            if parts.is_absolute() or ".." in parts.parts:
                raise BadInput(f"{option} {path}: the member {shortened(member.filename)!r} leads out of the archive")
        _check_size(sum(member.file_size for member in archive.infolist()), path, f"{option} {path}")
        with archive.open("config.json") as packed:  # read() without a size would unpack up to 2 GiB, whatever the archive says
            config = _parsed(packed.read(LARGEST_CONFIG + 1), path, option)
        for name in {member.filename for member in archive.infolist() if member.filename.endswith(".h5")}:
            with _unpacked(archive, name) as weights:
                _read_hdf5(weights, path, option, name)
        return config


def _parsed(text: Any, what: Path | str, option: str) -> Any:
    """The configuration that a text holds, after a look for code in it."""
    if not isinstance(text, (str, bytes)):
        raise ValueError(f"its configuration is {type(text).__name__}, not a text")
    if len(text) > LARGEST_CONFIG:
        raise BadInput(f"{option} {what}: its configuration is too large", allowed=f"{LARGEST_CONFIG} bytes")
    config = json.loads(text)
    check_no_code(config, what, option)
    return config


def _is_hdf5(path: Path) -> bool:
    import h5py

    return bool(h5py.is_hdf5(str(path)))


def _read_hdf5(file: Any, path: Path, option: str, member: str = "") -> Any:
    """The model configuration in an HDF5 file, or None. Checks sizes and links. member: its name, if it is in an archive."""
    import h5py

    what = f"{path}, {member}" if member else str(path)
    with h5py.File(file, "r") as root:
        total = 0
        for group in _groups(root):
            for name in group:
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    raise BadInput(f"{option} {what}: {group.name}/{name} is a link to another file")
                if isinstance(link, h5py.HardLink) and isinstance(values := group[name], h5py.Dataset):
                    if values.is_virtual or values.external:
                        raise BadInput(f"{option} {what}: {values.name} is stored in another file")
                    total += values.nbytes
        _check_size(total, path, f"{option} {what}")
        if "model_config" not in root.attrs:
            return None
        size = root.attrs.get_id("model_config").get_storage_size()
        if size > LARGEST_CONFIG:
            raise BadInput(f"{option} {what}: its configuration is too large", allowed=f"{LARGEST_CONFIG} bytes")
        return _parsed(root.attrs["model_config"], what, option)


def _groups(root: Any) -> Iterator[Any]:
    """The groups of an HDF5 file, each once; links are not followed to other files."""
    import h5py

    waiting, seen = [root], set()
    while waiting:
        group = waiting.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        yield group
        for name in group:
            if isinstance(group.get(name, getlink=True), h5py.HardLink) and group.get(name, getclass=True) is h5py.Group:
                waiting.append(group[name])


def _check_size(size: int, path: Path, what: str) -> None:
    """Raises BadInput if values are large, and far larger than the file."""
    try:
        check_unpacked(size, path.stat().st_size, UNPACKED_FITS, UNPACKED_RATIO)
    except ValueError as error:
        raise BadInput(f"{what}: {error}") from None
