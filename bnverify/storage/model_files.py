"""Model files: look into one before Keras loads it, so that no code from the file runs and no file fills the memory.

New releases of Keras refuse most of this themselves; older ones run what a legacy .h5 file says. The configuration is read
as JSON, and nothing is made from it.
"""

from __future__ import annotations

import builtins
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from bnverify.errors import BadInput
from bnverify.storage.array_files import check_unpacked

# Layers that run Python code, or load another file, when they are made from a configuration.
CODE_LAYERS = {"FlaxLayer", "JaxLayer", "Lambda", "SlicingOpLambda", "TFOpLambda", "TFSMLayer", "TorchModuleWrapper"}
MARSHALLED = {"__lambda__"}
KERAS_MODULES = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras", "builtins")
# Modules of Keras with functions that read, download or unpack files, which a configuration must not call.
HELPERS = ("utils", "saving", "config", "backend", "datasets", "export", "src.utils", "src.saving", "src.backend", "src.export")

LARGEST_CONFIG = 1 << 26  # bytes
TRUST = "--trust-code runs it"


def check_model_file(path: Path, option: str) -> None:
    """Raises BadInput if a .keras or HDF5 file holds code, leads to other files, or unpacks to more than it may.

    A file that is both is checked as both.
    """
    found = False
    try:
        if zipfile.is_zipfile(path):
            found = True
            _check_archive(path, option)
        if _is_hdf5(path):
            found = True
            _check_hdf5(path, option, str(path))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, NotImplementedError, RecursionError, RuntimeError) as error:
        raise BadInput(f"{option} {path}: is damaged: {type(error).__name__}: {error}") from None
    if not found:
        raise BadInput(
            f"{option} {path}: is neither a .keras archive nor an HDF5 file", allowed="a .keras or .h5 file of Keras"
        )


def _check_archive(path: Path, option: str) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            parts = PurePosixPath(member.filename.replace("\\", "/"))
            if parts.is_absolute() or ".." in parts.parts:
                raise BadInput(f"{option} {path}: the member {member.filename!r} leads out of the archive")
        _check_size(sum(member.file_size for member in archive.infolist()), path, option)
        config = archive.getinfo("config.json")
        if config.file_size > LARGEST_CONFIG:
            raise BadInput(f"{option} {path}: its config.json has {config.file_size} bytes", allowed=f"{LARGEST_CONFIG} bytes")
        _check_config(json.loads(archive.read(config)), path, option)
        for name in archive.namelist():
            if name.endswith(".h5"):
                with archive.open(name) as weights:
                    _check_hdf5(weights, option, f"{path}, {name}")


def _is_hdf5(path: Path) -> bool:
    import h5py

    return bool(h5py.is_hdf5(str(path)))


def _check_hdf5(file: Any, option: str, what: str) -> None:
    """Checks the sizes and links of an HDF5 file, and the model configuration if it has one."""
    import h5py

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
        _check_size(total, what, option, None if not isinstance(file, (str, Path)) else Path(file).stat().st_size)
        if "model_config" in root.attrs:
            size = root.attrs.get_id("model_config").get_storage_size()
            if size > LARGEST_CONFIG:
                raise BadInput(f"{option} {what}: its configuration has {size} bytes", allowed=f"{LARGEST_CONFIG} bytes")
            _check_config(json.loads(root.attrs["model_config"]), what, option)


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


def _check_size(size: int, what: Path | str, option: str, packed: int | None = None) -> None:
    """Raises BadInput if values are large, and far larger than the file."""
    if packed is None:
        packed = Path(str(what).split(", ")[0]).stat().st_size
    try:
        check_unpacked(size, packed)
    except ValueError as error:
        raise BadInput(f"{option} {what}: {error}") from None


def _check_config(config: Any, what: Path | str, option: str) -> None:
    """Raises BadInput for a configuration from which Keras would run or import code that is not its own."""
    for owner, part in _described(config, ""):
        kind, module = str(part.get("class_name")), part.get("module")
        registered = part.get("registered_name")
        where = f"{option} {what}: layer {owner!r}"
        if kind in CODE_LAYERS:
            raise BadInput(f"{where} is a {kind}, which runs code from the file", hint=TRUST)
        if kind in MARSHALLED or "function_type" in part:
            raise BadInput(f"{where} holds a pickled function", hint=TRUST)
        if module is not None and not _is_keras(str(module)):
            raise BadInput(f"{where} needs {module}.{kind}, which is not part of Keras", hint=TRUST)
        if module == "builtins" and kind == "function" and str(part.get("config")) in vars(builtins):
            raise BadInput(f"{where} calls Python's {part['config']}", hint=TRUST)
        if isinstance(registered, str) and ">" in registered:
            raise BadInput(f"{where} needs the registered class {registered!r}, which is not part of Keras", hint=TRUST)


def _described(value: Any, owner: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object that a configuration describes, with the name of the layer that it belongs to."""
    waiting = [(value, owner)]
    while waiting:
        value, owner = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                inner = value.get("config")
                named = inner.get("name") if isinstance(inner, dict) else None
                owner = str(named or value.get("name") or owner or value["class_name"])
                yield owner, value
            elif "function_type" in value:
                yield owner, value
            waiting += [(part, owner) for part in value.values()]
        elif isinstance(value, list):
            waiting += [(part, owner) for part in value]


def _is_keras(module: str) -> bool:
    for root in KERAS_MODULES:
        if module == root:
            return True
        if module.startswith(root + "."):
            rest = module.removeprefix(root + ".")
            return not any(rest == helper or rest.startswith(helper + ".") for helper in HELPERS)
    return False
