"""Bombs: small files that unpack to more than the memory are refused before they fill it."""

from __future__ import annotations

import bz2
import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.cli import environment
from support.hostile import described, sequential, without_modules
from support.hostile_files import h5_file, keras_file

LARGE = 1 << 29  # bytes that each bomb would take
MOST = 200  # MiB above the imports
# Keras is not imported: a refusal comes before, and a file that is explained needs little.
MEASURED = """
import resource, sys
import h5py, numpy
import bnverify.api.explaining, bnverify.cli.explain, bnverify.views.explanation_text
from bnverify.cli.main import main
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    main()
except SystemExit as end:
    code = end.code
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, code)
"""


def npy(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    held = io.BytesIO()
    np.lib.format.write_array_header_1_0(held, {"descr": kind, "fortran_order": False, "shape": shape})
    return held.getvalue()


def zeros(start: bytes, size: int = LARGE) -> bytes:
    """A deflated member that begins with `start`."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1 << 24)
    parts = [packing.compress(start), *(packing.compress(block) for _ in range(size >> 24)), packing.flush()]
    return b"".join(parts)


def archive(path: Path, name: str, packed: bytes, said: int, method: int = zipfile.ZIP_DEFLATED) -> None:
    """An archive of one member that gives `said` as the size of what it unpacks to."""
    fields = struct.pack("<HHHHHIIIHH", 20, 0, method, 0, 0, 0, len(packed), said, len(name), 0)
    local = b"PK\x03\x04" + fields + name.encode() + packed
    central = b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name.encode()
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    path.write_bytes(local + central + end)


def bn_weights(path: Path, make: Callable[[Any, str], object]) -> None:
    h5_file(path, without_modules(sequential()))
    name = "model_weights/bn/bn/gamma:0"
    with h5py.File(path, "a") as file:
        del file[name]
        make(file, name)


def large_blocks(file: Any, name: str) -> None:
    file.create_dataset(name, shape=(2,), maxshape=(None,), chunks=(LARGE // 4,), dtype="f4", compression="gzip")[:] = 1.0


def hidden_zeros(file: Any, name: str) -> None:
    values = file.create_dataset(name, shape=(2,), maxshape=(None,), chunks=(1 << 18,), dtype="f4", compression="gzip")
    packing = zlib.compressobj(9)
    block = bytes(1 << 24)
    values.id.write_direct_chunk((0,), b"".join(packing.compress(block) for _ in range(LARGE >> 24)) + packing.flush())


def huge_layers() -> dict[str, Any]:
    """Two layers of 20 GB, for which the file has no weights."""
    return sequential(*(described("Dense", "keras.layers", {"name": f"d{n}", "units": 70_000}) for n in range(2)))


BOMBS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "zeros": ("x.npz", lambda p: archive(p, "a.npy", zeros(npy((LARGE // 4,))), LARGE + 128), "unpacks to 536871040 bytes"),
    "false size": ("x.npz", lambda p: archive(p, "a.npy", zeros(npy((4,))), 144), "Bad CRC-32"),
    "bzip2": (
        "x.npz",
        lambda p: archive(p, "a.npy", bz2.compress(npy((4,)) + bytes(LARGE // 2)), 144, zipfile.ZIP_BZIP2),
        "is neither stored nor deflated",
    ),
    "header": ("x.npy", lambda p: p.write_bytes(npy((1 << 20, 1 << 20)) + bytes(99)), "promises 1099511627776 values"),
    "values without a size": ("x.npy", lambda p: p.write_bytes(npy((1 << 40,), "|V0")), "promises 1099511627776 values"),
    "a long text": (
        "x.json",
        lambda p: p.write_text(json.dumps([["a" * 1000] + ["b"] * (LARGE // 4000)])),
        "has a text of 1000 characters",
    ),
    "channels": ("x.npy", lambda p: np.save(p, np.zeros((2, 1 << 20), "int8")), "has 1048576 channels"),
    "configuration": ("x.keras", lambda p: archive(p, "config.json", zeros(b"["), 99), "is damaged: BadZipFile"),
    "configuration of true size": (
        "x.keras",
        lambda p: archive(p, "config.json", zeros(b"[", 1 << 27), (1 << 27) + 1),
        "its configuration is too large; allowed: 16777216 bytes",
    ),
    "blocks": ("x.h5", lambda p: bn_weights(p, large_blocks), "is compressed"),
    "zeros in a block": ("x.h5", lambda p: bn_weights(p, hidden_zeros), "is compressed"),
    "layers": ("x.keras", lambda p: keras_file(p, huge_layers(), None), "is damaged: KeyError"),
    "layers in HDF5": ("x.h5", lambda p: h5_file(p, huge_layers()), "has no layer of that name"),
}


@pytest.mark.parametrize(("name", "make", "said"), BOMBS.values(), ids=BOMBS)
def test_a_bomb(tmp_path: Path, name: str, make: Callable[[Path], object], said: str) -> None:
    """The peak of the memory stays low, and one line says what is wrong."""
    path = tmp_path / name
    make(path)
    assert path.stat().st_size <= 10_000_000
    model = ("[[1, 2], [3, 4]]", "--layer", "missing" if "of that name" in said else "bn", "--model", path)
    asked = model if path.suffix in (".keras", ".h5") else (path,)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "explain", *map(str, asked)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    peak, code = map(int, done.stdout.split()[-2:])
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert code == 2
    assert peak < MOST
