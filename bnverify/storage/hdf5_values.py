"""Values of HDF5 files that may be made to fill the memory or to lead to other files: only plain arrays are read."""

from __future__ import annotations

from typing import Any

import numpy as np

MOST_STORED_VALUES = 1 << 23  # in one array


def part_of(group: Any, path: str) -> Any:
    """The group or dataset at a path below a group; None if there is none. Links are not followed."""
    import h5py

    for name in path.split("/"):
        if not isinstance(group, h5py.Group) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
            return None
        group = group[name]
    return group


def datasets(group: Any, path: tuple[str, ...] = (), depth: int = 8) -> dict[tuple[str, ...], Any]:
    """The datasets below a group by their paths. Links are not followed, and not more than `depth` groups into each other."""
    import h5py

    found = {}
    for name in group:
        part = part_of(group, name) if "/" not in name else None
        if isinstance(part, h5py.Dataset):
            found[*path, name] = part
        elif isinstance(part, h5py.Group) and depth:
            found |= datasets(part, (*path, name), depth - 1)
    return found


def plain_values(dataset: Any) -> np.ndarray:
    """The numbers of a dataset.

    Raises ValueError for anything but numbers that the file holds as they are. Keras never compresses its weights; and HDF5
    unpacks a compressed block as far as it goes, whatever size the file gives for it.
    """
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise ValueError("has a group where values are expected")
    kind = dataset.dtype
    # Keras writes bfloat16, which HDF5 does not know, as two bytes without a type, or as integers with a note.
    stored_bfloat16 = kind == np.dtype("V2") or (kind == np.uint16 and dataset.attrs.get("dtype") == "bfloat16")
    if kind.kind not in "iuf" and not stored_bfloat16:
        raise ValueError(f"{dataset.name} holds {kind}, not numbers")
    if dataset.chunks is not None or dataset.is_virtual or dataset.external:
        raise ValueError(f"{dataset.name} is compressed, or stored in parts or in another file")
    if dataset.size is None or dataset.size > MOST_STORED_VALUES:
        raise ValueError(f"{dataset.name} has {dataset.size} values; allowed: {MOST_STORED_VALUES}")
    values = np.asarray(dataset[()])
    if stored_bfloat16:
        return (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return values
