"""Reading values, weights and a layer config: from JSON, from fields of an id, and from files of each kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bnverify.errors import BadInput
from bnverify.explaining.reading import read_config, read_expected, read_table, read_values

ARRAY = np.array([[1.0, 2.0], [5.0, 4.0]])


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same array in every kind of file."""
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", ARRAY)
    np.savez("a.npz", gamma=ARRAY[0], beta=ARRAY[1])
    np.savetxt("a.csv", ARRAY, delimiter=",")
    np.savetxt("a.txt", ARRAY)
    Path("a.json").write_text(json.dumps(ARRAY.tolist()))
    Path("table.json").write_text('{"gamma": [1, 2]}')
    Path("empty.csv").write_text("")
    Path("words.csv").write_text("a,b\n")
    return tmp_path


@pytest.mark.parametrize("text", ["[[1, 2], [5, 4]]", " [[1.0,2],[5,4]]", "a.npy", "a.csv", "a.txt", "a.json"])
def test_every_form_of_numbers_is_the_same_array(files: Path, text: str) -> None:
    """JSON on the line, and files by their suffix."""
    np.testing.assert_array_equal(np.asarray(read_values(text, "X")), ARRAY)
    np.testing.assert_array_equal(np.asarray(read_expected(text, "--expected")), ARRAY)


@pytest.mark.parametrize(
    ("text", "names"), [('{"gamma": [1, 2]}', {"gamma"}), ("a.npz", {"gamma", "beta"}), ("table.json", {"gamma"})]
)
def test_named_values(files: Path, text: str, names: set[str]) -> None:
    """A JSON object or an archive; a text with no names is refused, and names where numbers are wanted, too."""
    found = read_table(text, "--weights")
    assert set(found) == names
    assert np.asarray(found["gamma"]).tolist() == [1.0, 2.0]
    with pytest.raises(BadInput, match="has named values"):
        read_values(text, "X")
    with pytest.raises(BadInput, match="has no named values"):
        read_table("[1]", "--weights")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("none.npy", "No such file"),
        ("empty.csv", None),
        ("words.csv", "cannot be read"),
        ("[1, 2", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("1 2 3", "is neither JSON nor a readable file"),
        ("a.png", "is neither JSON nor a readable file"),
        ("", "is neither JSON nor a readable file"),
    ],
)
def test_what_cannot_be_read_is_one_line(files: Path, text: str, says: str | None) -> None:
    """With the option, a short form of the text, and what is allowed; an empty table has no values, without a warning."""
    if says is None:
        assert np.asarray(read_values(text, "X")).size == 0
        return
    with pytest.raises(BadInput) as caught:
        read_values(text, "X")
    assert says in str(caught.value)
    assert str(caught.value).startswith("X ")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("axis:1/epsilon:1e-05", {"axis": 1, "epsilon": 1e-5}),
        ("policy:mixed_float16", {"dtype": "mixed_float16"}),
        ("renorm:True/renorm_clipping:rmax3+dmax1", {"renorm": True, "renorm_clipping": {"rmax": 3.0, "dmax": 1.0}}),
        ("axis:1+2", {"axis": (1, 2)}),
        ('{"axis": 1}', {"axis": 1}),
        ('{"class_name": "BatchNormalization", "config": {"axis": [1]}}', {"axis": [1]}),
        ('{"class_name": "mine>MyBatchNorm", "config": {"axis": 0}}', {"axis": 0}),
        ('{"config": {"momentum": 0.5}}', {"momentum": 0.5}),
    ],
)
def test_a_config_is_read(text: str, config: dict[str, object]) -> None:
    """Fields of a case id, get_config(), and the form that a model file has."""
    assert read_config(text, "--config") == config


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("axis", "'axis' is not field:value"),
        ("gamma_initializer:ones", "is not field:value with a field of"),  # it does not change a call
        ("axis:x", "axis is 'x'"),
        ('{"class_name": "Dense", "config": {}}', "is the config of 'Dense'"),
        ('{"config": 3}', "has no layer config"),
        ("[1]", "is not field:value"),
    ],
)
def test_what_is_no_config(text: str, says: str) -> None:
    """Another layer, a field that no call depends on, or no mapping."""
    with pytest.raises(BadInput) as caught:
        read_config(text, "--config")
    assert says in str(caught.value)


def test_a_config_in_a_file(files: Path) -> None:
    """A .json file; one with a list in it has no config."""
    Path("config.json").write_text('{"axis": 1, "momentum": 0.5}')
    assert read_config("config.json", "--config") == {"axis": 1, "momentum": 0.5}
    with pytest.raises(BadInput, match="has no layer config"):
        read_config("a.json", "--config")
