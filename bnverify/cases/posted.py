"""Posted: the numbers of questions that people asked in public, exactly as posted, by their names in case ids.

They include what the layers returned. Tests compare the reference with it, to the last posted digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NestedNumbers = tuple[Any, ...]  # nested like the array


@dataclass(frozen=True)
class Posted:
    """words: the question. x: the input of every call. weights: by Keras' names; empty for Keras' initial ones.

    figures: by quantity (y, moving_mean), what the layer returned. expected: the y that the asker expected.
    """

    words: str
    x: NestedNumbers
    weights: Mapping[str, NestedNumbers] = field(default_factory=dict)
    figures: Mapping[str, NestedNumbers] = field(default_factory=dict)
    expected: NestedNumbers = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of x."""
        sizes, level = [], self.x
        while isinstance(level, tuple):
            sizes.append(len(level))
            level = level[0]
        return tuple(sizes)


ROOT = 2**-0.5

POSTED = {
    "axis-means": Posted(
        "three samples of four features; which mean does the default axis subtract?",
        x=((1, 10, 100, 1000), (2, 20, 200, 2000), (3, 30, 300, 3000)),
        figures={"moving_mean": (2, 20, 200, 2000)},  # after one training call with momentum 0
    ),
    "toy": Posted(
        "a batch whose output is almost equal to the input",
        x=((1, 5), (2, 4)),  # computed from y: the X that was printed, [[1, 2], [5, 4]], is its transpose
        figures={"y": ((0.9995004, 4.997502), (1.9990008, 3.9980016))},
    ),
    "toy-as-printed": Posted(
        "the batch that was printed with that question, and the expected z-scores",
        x=((1, 2), (5, 4)),
        expected=((-ROOT, -ROOT), (ROOT, ROOT)),
    ),
    "scale-alone": Posted(
        "predict gives [0.795, 4.175] for the input [1, 5], where [-1, 1] was expected",
        x=(((1,), (5,)),),
        weights={"gamma": (0.80644524,), "moving_mean": (0.05885344,), "moving_variance": (0.91000736,)},
        figures={"y": (((0.79519051,), (4.17485714,)),)},
        expected=(((-1,), (1,)),),
    ),
    "four-routes": Posted(
        "the layer's predict, NumPy, tf.nn.batch_normalization and the backend's function give the same numbers",
        x=(((1,), (5,)),),
        weights={
            "gamma": (0.22297101,),
            "beta": (0.49253803,),
            "moving_mean": (0.36868709,),
            "moving_variance": (0.41429576,),
        },
        figures={"y": (((0.71096909,), (2.09494853,)),)},
    ),
}
