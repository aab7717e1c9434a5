"""`bnverify explain`: explain one call with the user's numbers."""

from __future__ import annotations

import sys
from typing import Any

import click

from bnverify.cli.options import CONFORMS, DEVIATES, Example, read_or_not
from bnverify.errors import BadInput


@click.command(
    cls=Example,
    short_help="Explain one call with your own numbers, step by step.",
    example="""
        bnverify explain '[[1, 2], [5, 4]]' --training true
        bnverify explain x.npy --config axis:1/epsilon:1e-05 --weights weights.npz
        bnverify explain x.npy --model model.keras --layer batch_normalization_1
        bnverify explain '[[[1], [5]]]' --training true --expected '[[[-1], [1]]]'
        bnverify explain '[[1, 2], [5, 4]]' --row keras-2.3.1-tensorflow
    """,
)
@click.argument("x", metavar="X")
@click.option("--training", type=click.Choice(["true", "false"]), help="Value of `training`; omit to call without it.")
@click.option("--config", metavar="CONFIG", help="Arguments of the layer: axis:1/epsilon:1e-05, JSON, or a .json file.")
@click.option(
    "--weights",
    metavar="VALUES",
    show_default="initial",
    help="The layer's weights by Keras' names: JSON, or a .npz or .json file.",
)
@click.option("--model", metavar="FILE", help="A Keras model file that contains the layer.")
@click.option("--layer", metavar="NAME", help="The layer in it.")
@click.option("--trust-code", is_flag=True, help="Let Keras load the whole model and run code in the file.")
@click.option("--mask", metavar="VALUES", help="The call's mask; its axes are those of X except the last.")
@click.option(
    "--expected", metavar="VALUES", help="The y that you expected; or a JSON object with y, mean, variance, moving_mean …"
)
@click.option("--backend", metavar="NAME", help="Backend of Keras 3.")
@click.option(
    "--row", metavar="NAME", help="Make the layer in an environment of the version matrix (`bnverify matrix --list`)."
)
def explain(x: str, training: str | None, backend: str | None, trust_code: bool, **given: str | None) -> None:
    """Explain one call of a batch normalization step by step, with your own numbers.

    X is the layer's input: numbers in JSON, or a .npy, .json or .csv file.
    """
    from bnverify.api.explaining import explain as explained
    from bnverify.explaining import reading
    from bnverify.explaining.model_layer import read_layer
    from bnverify.targets.loading import choose_backend, load_held
    from bnverify.views import explanation_text, terminal

    model, layer, row = given["model"], given["layer"], given["row"]
    config, weights, mask, expected = (given[name] for name in ("config", "weights", "mask", "expected"))
    if (model is None) != (layer is None):
        raise BadInput("--model and --layer must be given together, such as --model model.keras --layer batch_normalization")
    taken = {"--config": config, "--weights": weights}
    if model and (other := next((option for option, value in taken.items() if value), None)):
        raise BadInput(f"{other} cannot be used with --model: the layer keeps the arguments and weights of its model")
    if row and trust_code:
        raise BadInput("--trust-code cannot be used with --row: the Keras of this process loads the model")
    if row and backend:
        raise BadInput("--backend cannot be used with --row: the row has its own backend")
    options: dict[str, Any] = {
        "training": None if training is None else training == "true",
        "mask": reading.read_values(mask, "--mask") if mask else None,
        "expected": reading.read_expected(expected, "--expected") if expected else None,
    }
    values = reading.read_values(x, "X")
    given = reading.read_config(config, "--config") if config else {}
    table = reading.read_table(weights, "--weights") if weights else None
    if backend:
        choose_backend(backend)
    if model and layer and trust_code:
        found = explained(load_held(model, layer), values, **options)
    elif model and layer:
        found = explained(read_layer(model, layer), values, row=row or "", **options)
    else:
        found = explained(given, values, weights=table, row=row or "", **options)
    with read_or_not():
        terminal.console().print(explanation_text.explanation(found.explanation, found.expected))
    sys.exit(CONFORMS if found.ok else DEVIATES)
