"""The layer config: what is passed to Keras' constructor, and which weights follow from it."""

from __future__ import annotations

import pytest

from bnverify.cases.layer_config import ARGUMENTS, LayerConfig


def test_only_what_differs_is_passed() -> None:
    """Defaults are left out, so that Keras' own are tested; several axes are a list, limits a dictionary."""
    assert LayerConfig().arguments() == {}
    given = LayerConfig(axis=(1, 2), momentum=0.5, center=False, renorm=True, renorm_clipping=(("rmax", 2.0),), trainable=False)
    assert given.arguments() == {
        "axis": [1, 2],
        "momentum": 0.5,
        "center": False,
        "renorm": True,
        "renorm_clipping": {"rmax": 2.0},
        "trainable": False,
    }
    assert LayerConfig(momentum=0.99, epsilon=1e-3).arguments() == {}


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (LayerConfig(), ("gamma", "beta", "moving_mean", "moving_variance")),
        (LayerConfig(scale=False), ("beta", "moving_mean", "moving_variance")),
        (LayerConfig(center=False), ("gamma", "moving_mean", "moving_variance")),
        (
            LayerConfig(center=False, scale=False, renorm=True),
            ("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev"),
        ),
    ],
)
def test_the_weights_in_order(config: LayerConfig, names: tuple[str, ...]) -> None:
    """gamma, beta, the two statistics, and three more with renorm; only the statistics are updated by calls."""
    assert config.weight_names() == names
    assert config.statistics == tuple(name for name in names if name not in ("gamma", "beta"))


def test_initial_values() -> None:
    """gamma and the variances start at 1, beta and the means at 0; an initializer changes its own weight."""
    config = LayerConfig(renorm=True)
    assert {name: config.initial(name) for name in config.weight_names()} == {
        "gamma": 1.0,
        "beta": 0.0,
        "moving_mean": 0.0,
        "moving_variance": 1.0,
        "moving_stddev": 1.0,
        "renorm_mean": 0.0,
        "renorm_stddev": 1.0,
    }
    changed = LayerConfig(renorm=True, beta_initializer="ones", moving_variance_initializer="zeros")
    ones = {name for name in changed.weight_names() if changed.initial(name) == 1.0}
    assert ones == {"gamma", "beta"}


def test_the_statistics_of_renorm_take_the_initializers_of_the_others() -> None:
    """renorm_mean that of the mean; moving_stddev and renorm_stddev that of the variance."""
    config = LayerConfig(renorm=True, moving_mean_initializer="random_normal", gamma_initializer="random_uniform")
    assert config.draws == ("gamma", "moving_mean", "renorm_mean")
    assert config.initializer("moving_stddev") == "ones"
    assert LayerConfig(scale=False, gamma_initializer="random_normal").draws == ()


def test_arguments_have_the_names_and_order_of_keras() -> None:
    """The first arguments of keras.layers.BatchNormalization, as its documentation lists them."""
    assert ARGUMENTS[:5] == ("axis", "momentum", "epsilon", "center", "scale")
    assert LayerConfig() == LayerConfig(axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, renorm=False)
