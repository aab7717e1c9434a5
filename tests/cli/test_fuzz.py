"""A table of bad inputs by kind: damaged files for every option, odd texts, and odd values from Python. Each is one line."""

from __future__ import annotations

import io
import itertools
import os
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import bnverify
from bnverify.cli.main import cli as command_line
from bnverify.cli.main import message
from bnverify.errors import BadInput

pytestmark = pytest.mark.slow
X = "[[1, 2], [3, 4]]"
CASE = ("--case", "shape:2x2/steps:I")


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def npz(**members: bytes) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return found.getvalue()


def changed(data: bytes, near: bytes, offset: int, value: int) -> bytes:
    found = bytearray(data)
    found[data.rfind(near) + offset] = value
    return bytes(found)


def saved(save: Callable[..., None], *values: Any, **named: Any) -> bytes:
    found = io.BytesIO()
    save(found, *values, **named)
    return found.getvalue()


def npy_header(descr: str, shape: str) -> str:
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"


GOOD_NPY = saved(np.save, np.ones((2, 2)))
GOOD_NPZ = saved(np.savez, gamma=np.ones(2))
PACKED = saved(np.savez_compressed, gamma=np.arange(2000.0))
FILES = {
    "empty.npy": b"",
    "cut.npy": GOOD_NPY[:-3],
    "header.npy": GOOD_NPY[:40],
    "version.npy": b"\x93NUMPY\x09\x00" + GOOD_NPY[8:],
    "huge.npy": npy(npy_header("<f8", "(1000000000000,)")),
    "overflow.npy": npy(npy_header("<f8", f"({2**62}, {2**62})")),
    "negative.npy": npy(npy_header("<f8", "(-1,)")),
    "float.npy": npy(npy_header("<f8", "(2.5,)")),
    "dtype.npy": npy(npy_header("zz", "(2,)")),
    "object.npy": npy(npy_header("|O", "(2,)"), b"\x80\x04N."),
    "text.npy": npy(npy_header("<U3", "(2,)"), b"a" * 24),
    "record.npy": npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,), }", bytes(16)),
    "deep.npy": npy("(" * 50),
    "code.npy": npy("__import__('os').system('touch ran')"),
    "noise.npy": random.Random(0).randbytes(500),
    "empty.npz": b"",
    "cut.npz": GOOD_NPZ[:60],
    "deflate.npz": PACKED[:60] + b"\xff" * 40 + PACKED[100:],
    "encrypted.npz": changed(GOOD_NPZ, b"PK\x01\x02", 8, 1),
    "method.npz": changed(GOOD_NPZ, b"PK\x01\x02", 10, 99),
    "crc.npz": changed(GOOD_NPZ, b"PK\x01\x02", 16, 7),
    "bomb.npz": npz(**{"gamma.npy": npy(npy_header("<f8", "(50000000,)"), bytes(400_000_000))}),
    "junk.npz": npz(**{"gamma.npy": b"junk"}),
    "other.npz": npz(**{"x.txt": b"text"}),
    "pickle.npz": npz(**{"gamma.npy": npy(npy_header("|O", "(1,)"), b"cos\nsystem\n(S'touch ran'\ntR.")}),
    "empty.json": b"",
    "deep.json": b"[" * 100_000,
    "digits.json": b"[[" + b"9" * 5000 + b"]]",
    "noise.json": random.Random(1).randbytes(300),
    "latin.json": "[[“1”]]".encode("cp1252"),
    "empty.csv": b"",
    "noise.csv": random.Random(2).randbytes(300),
    "ragged.csv": b"1,2\n3\n",
    "words.csv": b"a,b\nc,d\n",
    "nul.csv": b"1,2\0\n",
    "folder.json": None,
    "missing.npy": ...,
}
COMMANDS = (
    lambda f: ("explain", f),
    lambda f: ("explain", X, "--weights", f),
    lambda f: ("explain", X, "--mask", f),
    lambda f: ("explain", X, "--expected", f),
    lambda f: ("explain", X, "--config", f),
    lambda f: ("explain", X, "--model", f, "--layer", "b"),
    lambda f: ("diff", f, f),
    lambda f: ("run", "--baseline", f, *CASE),
    lambda f: ("matrix", "--file", f, "--list"),
    lambda f: ("bisect", CASE[1], "--file", f, "--good", "3.8.0", "--bad", "3.9.0"),
)
ODD = (
    "a\0b",
    "\x1b[31m",
    "x\n::error::y",
    "\udcff",
    "1_0",
    "٣",
    "１",
    "nan",
    "inf",
    "-0",
    "1e999",
    " ",
    "../..",
    "9" * 5000,
    "(" * 400,
)
TEXTS = (
    *(("show", f"shape:4x3/{field}:{odd}/steps:T") for field in ("axis", "epsilon", "fill", "odd") for odd in ODD[:3]),
    *(("show", f"shape:{odd}x3/steps:T") for odd in ODD),
    *(("show", f"shape:4x3/steps:T{odd}") for odd in ODD),
    *(("list", "--suite", odd) for odd in ODD),
    *(("run", "--target", odd) for odd in ODD),
    *(("run", "--backend", odd) for odd in ODD),
    *(("run", "--min-grade", odd) for odd in ODD),
    *(("matrix", "--only", odd, "--list") for odd in ODD),
    *(("matrix", odd, "--list") for odd in ODD),
    *(("diff", odd, odd) for odd in ODD),
    *(("explain", odd) for odd in ODD),
    *(("explain", X, "--training", odd) for odd in ODD),
    *(("explain", X, "--config", odd) for odd in ODD),
    ("list", "-k", "(" * 330 + "a" + ")" * 330),
    ("list", "-k", " or ".join(["a"] * 1000)),
)


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def values() -> tuple[Any, ...]:
    plain = (5, -1, 1.5, float("nan"), True, "x", "a\0b", b"x", [5], [None], {"a": 1}, (1,), {5}, 1j, 10**30, "\udcff")
    return (*plain, object(), Unprintable(), np.array(3), np.array([["a"]]), lambda: 1, int, np, iter([1]))


def calls() -> dict[str, Callable[[Any], Any]]:
    """Each function with one argument replaced."""
    found: dict[str, Callable[[Any], Any]] = {}

    def add(name: str, function: Callable[..., Any], parameters: tuple[str, ...], **fixed: Any) -> None:
        for parameter in parameters:
            found[f"{name}({parameter})"] = lambda value, p=parameter: function(**{**fixed, p: value})

    def explain(**given: Any) -> Any:
        return bnverify.explain({}, [[1.0, 2.0]], **given)

    def layer(**given: Any) -> Any:
        return bnverify.explain(given, [[1.0, 2.0], [3.0, 4.0]])

    def trace(**given: Any) -> Any:
        return bnverify.trace({}, **{"batches": [[[1.0, 2.0]]], **given})

    one = {"cases": ["shape:2x2/steps:I"]}
    add(
        "check_layer",
        bnverify.check_layer,
        ("layer_class_or_factory", "select", "seed", "min_grade", "known_deviations"),
        **one,
    )
    add("check_layer", bnverify.check_layer, ("suite", "cases"))
    add("assert_conforms", bnverify.assert_conforms, ("layer_class_or_factory",), **one)
    add("explain", explain, ("training", "mask", "expected", "weights", "row"))
    add(
        "explain layer", layer, ("axis", "momentum", "epsilon", "center", "scale", "dtype", "renorm", "renorm_clipping", "name")
    )
    add("trace", trace, ("batches", "masks", "within", "weights", "row"))
    add("parametrize", lambda **given: bnverify.parametrize_conformance(int, **{"suite": "smoke", **given}), ("suite", "seed"))
    add("parametrize", lambda **given: bnverify.parametrize_conformance(int, suite="smoke", **given), ("expected_failures",))
    found["explain(layer)"] = lambda value: bnverify.explain(value, [[1.0, 2.0]])
    found["explain(x)"] = lambda value: bnverify.explain({}, value)
    found["explain_across(rows)"] = lambda value: bnverify.explain_across(value, {}, [[1.0, 2.0]])
    return found


def problem(action: Callable[[], Any], fine: bool) -> str:
    """What is wrong with how bad input is answered; empty if it is one line. fine: whether the input may be accepted."""
    try:
        action()
    except BadInput as error:
        text = str(error)
    except click.ClickException as error:
        text = message(error)
    except SystemExit as ended:
        return "" if fine or ended.code == 2 else f"exit code {ended.code}"
    except AssertionError:
        return "" if fine else "a verdict"
    except BaseException as error:
        return f"{type(error).__name__}: {error!s:.100}"
    else:
        return "" if fine else "accepted"
    return "" if len(text) < 3000 and text.splitlines() == [text] else f"not one line: {text[:100]!r}"


@pytest.fixture
def bad_files(folder: Path) -> Path:
    for name, data in FILES.items():
        if data is None:
            (folder / name).mkdir()
        elif isinstance(data, bytes):
            (folder / name).write_bytes(data)
    return folder


def test_files_and_texts(bad_files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every kind of damaged file for every option that takes one, and odd texts for every option: no traceback, no code run."""
    asked = [command(name) for name, command in itertools.product(FILES, COMMANDS)] + list(TEXTS)
    found = {words: problem(lambda w=words: command_line.main(list(w), standalone_mode=False), fine=False) for words in asked}
    may = ("-0", "nan", "inf", "1e999", " ", "shape:4x3/steps:T ", "text.npy")  # values that an option may have
    wrong = {words: told for words, told in found.items() if told and not (told == "accepted" and set(words) & set(may))}
    capsys.readouterr()
    assert [(told, [word[:60] for word in words]) for words, told in wrong.items()] == []
    assert not (bad_files / "ran").exists()
    assert len(asked) >= 500


def test_values_from_python(folder: Path) -> None:
    """Every argument with values of other types: BadInput, or an answer; never another exception."""
    os.chdir(folder)
    tried = [(name, call, value) for (name, call), value in itertools.product(calls().items(), values())]
    found = [(name, type(value).__name__, problem(lambda c=call, v=value: c(v), fine=True)) for name, call, value in tried]
    assert [each for each in found if each[2]] == []
    assert len(tried) >= 500
