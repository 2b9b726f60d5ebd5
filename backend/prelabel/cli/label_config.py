"""`prelabel label-config`: a labelling config to paste into Label Studio."""

from __future__ import annotations

from typing import Annotated

import typer

from prelabel.cli.common import WEIGHTS, errors_in_one_sentence


def label_config(
    weights: Annotated[str, typer.Option(help=WEIGHTS)] = "starter",
) -> None:
    """Print a labelling config with all labels of the weights, for boxes, and for masks if the weights predict them."""
    from fbnetv3.weights import load_checkpoint
    from prelabel.labelstudio.config.writing import label_config as config_for

    with errors_in_one_sentence():
        checkpoint = load_checkpoint(weights)
    typer.echo(config_for(checkpoint.labels, has_masks=checkpoint.has_masks), nl=False)
