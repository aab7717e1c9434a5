"""A user's layer by its name: found in any module, and each name that leads to none is one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bnverify.targets.worker.layers import BadLayer, load_layer, probe

SOURCE = """
class Outer:
    class Inner:
        pass

def factory():
    return 3

number = 3
"""


class Base:
    pass


class Made(Base):
    pass


@pytest.fixture
def modules(folder: Path) -> Path:
    (folder / "wanted.py").write_text(SOURCE)
    (folder / "broken.py").write_text("raise SystemExit('no licence\\nhere')")
    (folder / "malformed.py").write_text("def f(:")
    return folder


def test_a_class_and_a_factory_are_found(modules: Path) -> None:
    """Also inside a class, and in the current folder."""
    assert load_layer("wanted:Outer.Inner") is sys.modules["wanted"].Outer.Inner
    assert load_layer("wanted:factory")() == 3


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("wanted", "--layer 'wanted' is not module:Class, such as mypackage.layers:MyBatchNormalization"),
        (":Name", "is not module:Class"),
        ("wanted:", "is not module:Class"),
        ("nowhere:Name", "--layer nowhere:Name: nowhere cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("broken:Name", "--layer broken:Name: broken cannot be imported: SystemExit: no licence here"),
        ("malformed:Name", "malformed cannot be imported: SyntaxError"),
        ("wanted:Inner", "--layer wanted:Inner: wanted has no Inner"),
        ("wanted:Outer.Other", "wanted has no Outer.Other"),
        ("wanted:number", "number is a value of type int, not a layer class or a factory of layers"),
    ],
)
def test_a_name_that_leads_to_no_layer(modules: Path, path: str, says: str) -> None:
    """One line that says how far the name led."""
    with pytest.raises(BadLayer) as caught:
        load_layer(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def raising(error: BaseException) -> Callable[[], object]:
    def factory() -> object:
        raise error

    return factory


class Called(Made):
    def __call__(self) -> Made:
        return Made()


class Shy(Base):
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (3, "layer n: got int 3; allowed: a layer class, or a factory of layers"),
        (Made(), "layer n: got Made <"),  # an instance is no factory
        (Called(), "layer n: got Called <"),  # nor if it can be called, as every layer can
        (Shy(), "layer n: got a value of type Shy; allowed"),
        (raising(ValueError("no axis")), "layer n: its constructor raises ValueError: no axis"),
        (raising(SystemExit(3)), "layer n: its constructor raises SystemExit: 3"),
        (dict, "layer n: calling it gives dict, not a keras.layers.Layer"),
    ],
)
def test_a_factory_is_tried_once(layer: object, says: str) -> None:
    """A value that is none, a constructor that raises, and a factory of something else are refused; a class passes."""
    probe(Made, "n", Base)
    with pytest.raises(BadLayer) as caught:
        probe(layer, "n", Base)
    assert str(caught.value).startswith(says)


def test_an_interrupt_of_the_user_passes_through() -> None:
    """Ctrl-C during the probe is no fault of the layer."""
    with pytest.raises(KeyboardInterrupt):
        probe(raising(KeyboardInterrupt()), "n", Base)
