"""`pocketnas predict`: the latency of model files without running them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketnas.cli._options import Force, InputShapes, Json, parse_input_shapes
from pocketnas.cli._screen import Screen, table

if TYPE_CHECKING:
    from predictor import Prediction

_SHOWN_KERNELS = 8
_NAMED_UNKNOWNS = 3


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
    --device names, only with --force.

    Example: pocketnas predict model.tflite --predictor host.safetensors

    Example: pocketnas predict model.onnx --input image:1x224x224x3 --json
    """
    from predictor import NetworkPredictor
    from profiler.formats import read_model

    screen = Screen(as_json=as_json)
    shapes = parse_input_shapes(inputs or [])
    loaded = NetworkPredictor.load(predictor)
    label = loaded.check_device(device or loaded.device, force=force)
    networks = [read_model(path, input_shapes=shapes) for path in models]
    predictions = [loaded.predict(network, allow_unknown=allow_unknown) for network in networks]
    for path, prediction in zip(models, predictions, strict=True):
        _show(screen, path, prediction, loaded.card.source, label)
    screen.document(
        {
            "models": [
                {"model": str(path), **_document(prediction), "learnt_from": loaded.card.source, "label": label}
                for path, prediction in zip(models, predictions, strict=True)
            ]
        }
    )


def _show(screen: Screen, path: Path, prediction: Prediction, learnt_from: str, label: str) -> None:
    interval = f"{prediction.low_ms:.4g} to {prediction.high_ms:.4g}"
    device = f"{prediction.device} (emulated)" if learnt_from == "emulated" else prediction.device
    where = f"{device}, {prediction.runtime}, {prediction.threads} thread(s), {prediction.dtype}"
    screen.show(
        f"{path}: {prediction.latency_ms:.4g} ms predicted ({interval}) on {where}" + (f"; {label}" if label else "")
    )
    if prediction.out_of_domain:
        named = "; ".join(prediction.out_of_domain[:_NAMED_UNKNOWNS])
        more = len(prediction.out_of_domain) - _NAMED_UNKNOWNS
        screen.warn(
            f"{path}: out of domain, so the number is rough; nothing like these kernels was measured: {named}"
            + (f" and {more} more (--json names all)" if more > 0 else "")
        )
    largest = sorted(prediction.kernels, key=lambda kernel: -kernel.latency_ms)[:_SHOWN_KERNELS]
    rows = [[kernel.kernel, f"{kernel.latency_ms:.4g}", f"{kernel.share:.0%}"] for kernel in largest]
    screen.show(table("", ["largest kernels", "ms, predicted", "share"], rows, right=["ms, predicted", "share"]))


def _document(prediction: Prediction) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(prediction)
