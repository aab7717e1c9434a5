"""Networks whose batch normalizations are tested while they train, by their names in case ids."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """A network as text; the data that it learns; and the shape of one sample, with None for any size."""

    words: str
    data: str
    sample: tuple[int | None, ...]
    smallest: int = 1  # for the sizes that may be chosen

    @property
    def takes(self) -> str:
        """The shapes of its batches, as text."""
        sizes = "x".join("SIZE" if size is None else str(size) for size in self.sample)
        free = f" with SIZE {self.smallest} or more" if None in self.sample else ""
        return f"ROWSx{sizes}{free}"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether batches of a shape fit the network."""
        sizes = shape[1:]
        return (
            shape[0] > 0
            and len(sizes) == len(self.sample)
            and all(n >= self.smallest if own is None else n == own for n, own in zip(sizes, self.sample, strict=True))
        )


DATA_WORDS = {
    "iris": "the 150 iris flowers, four lengths in cm, not scaled, three species (scikit-learn)",
    "pixels": "handwritten digits 3 and 8, the first 14 pixels that are not constant, from 0 to 1 (scikit-learn)",
    "vectors": "handwritten digits, 64 pixels from 0 to 1, ten classes (scikit-learn)",
    "digits": "handwritten digits, images of 8x8 pixels from 0 to 1, ten classes (scikit-learn)",
    "noise": "random images of 0 to 255 and random labels of ten classes",
}
SCIKIT_LEARN = ("iris", "pixels", "vectors", "digits")  # the data that scikit-learn ships


def _application(model: str) -> Network:
    words = f"keras.applications.{model} without its top and with random weights, then an average and Dense(10); SGD(0.01)"
    return Network(words, "noise", (None, None, 3), 32)


NETWORKS: dict[str, Network] = {
    "iris": Network("BN, Dense(4, relu), Dense(3, sigmoid); Adam(0.01)", "iris", (4,)),
    "posted": Network(
        "Dense(64), BN, tanh, Dropout(0.5), the same again, Dense(2), BN, softmax; SGD(0.1, momentum 0.9, nesterov)",
        "pixels",
        (14,),
    ),
    "before-activation": Network("twice Dense(32), BN, relu; Dense(10), softmax; SGD(0.1)", "vectors", (64,)),
    "after-activation": Network("twice Dense(32), relu, BN; Dense(10), softmax; SGD(0.1)", "vectors", (64,)),
    "saturating": Network("Dense(32), sigmoid, BN, Dense(32), BN, sigmoid; Dense(10), softmax; SGD(0.1)", "vectors", (64,)),
    "no-bias": Network(
        "twice Dense(32, use_bias=False), BN, relu, the second BN with momentum 0.9 and epsilon 1e-05; Dense(10), softmax; "
        "SGD(0.1)",
        "vectors",
        (64,),
    ),
    "dropout-before": Network("Dense(32), relu, Dropout(0.5), BN; Dense(10), softmax; SGD(0.1)", "vectors", (64,)),
    "softmax": Network("Dense(32), relu, Dense(10), BN, softmax; SGD(0.1)", "vectors", (64,)),
    "conv": Network(
        "twice Conv2D(8, use_bias=False), BN(axis=3), relu; average, Dense(10), softmax; Adam(0.01)", "digits", (8, 8, 1)
    ),
    "conv-relu-bn": Network("twice Conv2D(8), relu, BN; average, Dense(10), softmax; Adam(0.01)", "digits", (8, 8, 1)),
    "residual": Network(
        "Conv2D(8), BN, relu; two residual blocks with BN in both branches, momentum 0.9 and epsilon 1e-05 in the shortcut; "
        "average, Dense(10), softmax; Adam(0.01)",
        "digits",
        (8, 8, 1),
    ),
    "mobilenet": _application("MobileNet"),
    "mobilenetv2": _application("MobileNetV2"),
    "resnet50": _application("ResNet50"),
    "efficientnet": _application("EfficientNetB0"),
    "densenet": _application("DenseNet121"),
}
