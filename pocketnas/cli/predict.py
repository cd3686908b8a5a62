"""`pocketnas predict`: the latency of model files without running them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketnas.cli._options import Force, InputShapes, Json, parse_input_shapes
from pocketnas.cli._prediction_view import show_kernels, show_prediction
from pocketnas.cli._screen import Screen

if TYPE_CHECKING:
    from predictor import Prediction


def command(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Model files: .tflite or .onnx.")],
    predictor: Annotated[Path, typer.Option("--predictor", metavar="FILE", help="What `pocketnas fit` wrote.")] = Path(
        "predictor.safetensors"
    ),
    inputs: InputShapes = None,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Give a rough bound where kernels have no evidence.")
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", metavar="NAME", help="Device that the latency is wanted for. Default: the predictor's own."
        ),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Predict latency with its interval, and name kernels that nothing like them was measured of.

    Such kernels make the interval wide. With a kind of operator that was never measured there is no number
    at all unless --allow-unknown asks for a bound.  What was learnt on one device is taken for another, which
    --device names, only with --force.  "bound" is what a kernel waits for: `pocketnas explain` says more.

    Example: pocketnas predict model.tflite --predictor host.safetensors

    Example: pocketnas predict model.onnx --input image:1x224x224x3 --json
    """
    from pocketnas.explanation import explained_kernels
    from predictor import NetworkPredictor
    from profiler.formats import read_model

    screen = Screen(as_json=as_json)
    shapes = parse_input_shapes(inputs or [])
    loaded = NetworkPredictor.load(predictor)
    label = loaded.check_device(device or loaded.device, force=force)
    networks = [read_model(path, input_shapes=shapes) for path in models]
    predictions = [loaded.predict(network, allow_unknown=allow_unknown) for network in networks]
    for path, network, prediction in zip(models, networks, predictions, strict=True):
        show_prediction(screen, str(path), prediction, loaded.card.source, label)
        show_kernels(screen, explained_kernels(loaded.card, network, prediction))
    screen.document(
        {
            "models": [
                {"model": str(path), **_document(prediction), "learnt_from": loaded.card.source, "label": label}
                for path, prediction in zip(models, predictions, strict=True)
            ]
        }
    )


def _document(prediction: Prediction) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(prediction)
