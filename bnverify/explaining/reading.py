"""Reading values, weights and a layer config from the command line or from a file."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bnverify.cases.ids import parse_fields
from bnverify.cases.layer_config import ARGUMENTS
from bnverify.errors import BadInput, shortened
from bnverify.storage.array_files import read_arrays

VALUES = "numbers as [[1, 2], [5, 4]], or a .npy, .json or .csv file"
TABLES = '{"gamma": [1, 2]}, or a .npz or .json file'
LONGEST_TEXT = 100  # characters
CONFIGS = 'axis:1/epsilon:1e-05, {"axis": 1}, or a .json file with get_config()'


def read_values(text: str, option: str) -> Any:
    """Numbers: nested lists in JSON, or the array of a file. Raises BadInput."""
    found = _numbers(text, option, VALUES)
    if isinstance(found, Mapping):
        raise BadInput(f"{option} {_short(text)}: has named values", allowed=VALUES)
    return found


def read_table(text: str, option: str) -> dict[str, Any]:
    """Values by name: a JSON object, or the arrays of an .npz file. Raises BadInput."""
    found = _numbers(text, option, TABLES)
    if not isinstance(found, Mapping):
        raise BadInput(f"{option} {_short(text)}: has no named values", allowed=TABLES)
    return dict(found)


def read_expected(text: str, option: str) -> Any:
    """Numbers, or numbers by the name of a quantity."""
    return _numbers(text, option, f"{VALUES}; or {TABLES.replace('gamma', 'moving_mean')}")


def read_config(text: str, option: str) -> dict[str, Any]:
    """A layer's arguments by Keras' names: as fields of a case id, or as JSON of get_config(). Raises BadInput."""
    if not text.lstrip().startswith("{") and not text.endswith(".json"):
        names = (*(name for name in ARGUMENTS if "izer" not in name and "constraint" not in name), "policy")
        given = parse_fields(text, names, f"{option} {text!r}")
        if "policy" in given:
            given["dtype"] = given.pop("policy")
        if "renorm_clipping" in given:
            given["renorm_clipping"] = dict(given["renorm_clipping"])
        return given
    found = _written(text, option, CONFIGS)
    if not isinstance(found, Mapping):
        raise BadInput(f"{option} {_short(text)}: has no layer config", allowed=CONFIGS)
    kind = found.get("class_name", "BatchNormalization")
    if "config" in found and "BatchNorm" not in str(kind):
        raise BadInput(f"{option} {_short(text)}: is the config of {kind!r}", allowed="the config of a BatchNormalization")
    inner = found.get("config", found)
    if not isinstance(inner, Mapping):
        raise BadInput(f"{option} {_short(text)}: has no layer config", allowed=CONFIGS)
    return dict(inner)


def _numbers(text: str, option: str, allowed: str) -> Any:
    """Arrays, or lists that NumPy may turn into arrays. It would give each value the space of the longest text among them."""
    found = _written(text, option, allowed)
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise BadInput(f"{option} {_short(text)}: has a text of {len(value)} characters", allowed=allowed)
        if isinstance(value, (list, dict)):
            inner = value.values() if isinstance(value, dict) else value
            waiting += [part for part in inner if isinstance(part, (str, list, dict))]
    return found


def _written(text: str, option: str, allowed: str) -> Any:
    """The value of JSON on the command line, or of a file."""
    if text.lstrip().startswith(("[", "{")):
        return _json(text, option, _short(text), allowed)
    path = Path(text)
    try:
        if path.suffix in (".npy", ".npz"):
            return read_arrays(path)
        if path.suffix == ".json":
            return _json(path.read_text(encoding="utf-8"), option, text, allowed)
        if path.suffix in (".csv", ".txt"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NumPy warns about an empty file; a message below says so
                return np.loadtxt(path, delimiter="," if path.suffix == ".csv" else None, ndmin=2)
    except OSError as error:
        raise BadInput(f"{option} {text}: {error.strerror or error}") from None
    except (ValueError, MemoryError) as error:
        raise BadInput(f"{option} {text}: cannot be read: {shortened(' '.join(str(error).split()))}", allowed=allowed) from None
    raise BadInput(f"{option} {_short(text)}: is neither JSON nor a readable file", allowed=allowed)


def _json(text: str, option: str, name: str, allowed: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also ValueError, for an integer of thousands of digits
        raise BadInput(f"{option} {name}: is not JSON: {shortened(' '.join(str(error).split()))}", allowed=allowed) from None


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
