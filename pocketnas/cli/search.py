"""`pocketnas search`: find accurate networks that keep to a budget, as predicted or on devices."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketnas.cli._agents import ready_agents
from pocketnas.cli._configured import configured_devices_named
from pocketnas.cli._options import Budgets, Config, Data, Distil, Force, Json, Seed, TrainSet, budgets_ms
from pocketnas.cli._result_view import show_result
from pocketnas.cli._screen import Screen, table
from pocketnas.cli._space_options import Cells, Channels, Nodes, Space, SpaceSet, Width, space_of, space_overrides

if TYPE_CHECKING:
    from pocketnas.front import FoundFront

_DEFAULT_PREDICTOR = Path("predictor.safetensors")
_OFFERED = "Default with devices: by the work there is."


def command(
    space: Space = "cars",
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            metavar="NAME",
            help="Measure on this device and end with networks that were measured there; may be repeated. Without it "
            "the search goes by predictions alone.",
            show_default=False,
        ),
    ] = None,
    for_all: Annotated[
        bool, typer.Option("--for-all", help="One network that keeps to the budget on all devices, not one on each.")
    ] = False,
    budget_ms: Budgets = None,
    alpha: Annotated[
        float, typer.Option("--alpha", metavar="P", help="How likely a budget may be exceeded, by prediction.")
    ] = 0.05,
    data: Data = "digits",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for all that is found.")] = Path("out"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished search in DIR.")] = False,
    algorithm: Annotated[
        str,
        typer.Option("--algorithm", metavar="NAME", help="What searches: cars, spos, nsga2, nsga3, random or bayes."),
    ] = "cars",
    selection: Annotated[
        str,
        typer.Option(
            "--selection", metavar="NAME", help="Of cars: pnsga3, which protects what still learns, or plain nsga3."
        ),
    ] = "pnsga3",
    objective: Annotated[
        list[str] | None,
        typer.Option(
            "--objective",
            metavar="QUANTITY",
            help="Minimise this beside accuracy: latency_ms, latency_ms@DEVICE, macs, parameters, memory_bytes or "
            "energy_uj; may be repeated. [default: latency on each device]",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            "--limit",
            metavar="QUANTITY=VALUE",
            help="Most that a network may have of a quantity; for accuracy the least, as in accuracy=0.8; repeatable.",
            show_default=False,
        ),
    ] = None,
    predictor: Annotated[
        list[Path] | None,
        typer.Option(
            "--predictor",
            metavar="FILE",
            help="What `pocketnas fit` wrote; may be repeated. A --device without one is profiled. "
            "[default without devices: predictor.safetensors]",
            show_default=False,
        ),
    ] = None,
    force: Force = False,
    config: Config = None,
    cells: Cells = None,
    channels: Channels = None,
    nodes: Nodes = None,
    width: Width = None,
    space_set: SpaceSet = None,
    resolution: Annotated[
        int | None,
        typer.Option("--resolution", metavar="N", help="Height and width of images, in pixels.", show_default=False),
    ] = None,
    limit_images: Annotated[
        int | None, typer.Option("--limit-images", metavar="N", min=10, help="Most images to use.", show_default=False)
    ] = None,
    population: Annotated[
        int | None,
        typer.Option(
            "--population",
            metavar="N",
            help=f"Individuals a generation. Default: 32. {_OFFERED}",
            show_default=False,
        ),
    ] = None,
    generations: Annotated[
        int | None,
        typer.Option(
            "--generations",
            metavar="N",
            help=f"Rounds of learning and selection. Default: 20. {_OFFERED}",
            show_default=False,
        ),
    ] = None,
    warmup_epochs: Annotated[
        int | None,
        typer.Option(
            "--warmup-epochs",
            metavar="N",
            help=f"Epochs on random architectures first. Default: 40. {_OFFERED}",
            show_default=False,
        ),
    ] = None,
    generation_epochs: Annotated[
        int | None,
        typer.Option(
            "--generation-epochs",
            metavar="N",
            help=f"Epochs of each generation. Default: 4. {_OFFERED}",
            show_default=False,
        ),
    ] = None,
    loop_rounds: Annotated[
        int,
        typer.Option(
            "--loop-rounds", metavar="N", min=0, help="Rounds in which the search measures networks on the devices."
        ),
    ] = 3,
    augmentation: Annotated[
        str, typer.Option("--augmentation", metavar="NAME", help="Of the final training: none, basic or randaugment.")
    ] = "basic",
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            metavar="N",
            min=1,
            help="Epochs of each final training. Default: by the work there is.",
            show_default=False,
        ),
    ] = None,
    train_set: TrainSet = None,
    supernet_set: Annotated[
        list[str] | None,
        typer.Option(
            "--supernet-set",
            metavar="KEY=VALUE",
            help="Setting of the training of shared weights, as in label_smoothing=0.1; may be repeated.",
            show_default=False,
        ),
    ] = None,
    distil: Distil = False,
    finalists: Annotated[
        int, typer.Option("--finalists", metavar="N", min=1, help="Most networks to train for each budget.")
    ] = 3,
    baselines: Annotated[
        int,
        typer.Option(
            "--baselines",
            metavar="N",
            min=0,
            help="Finalists beside which ShuffleNetV2 and MobileNetV3 of as much latency are trained and measured.",
        ),
    ] = 2,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            help="Processes that score and train networks. Default: one a core.",
            show_default=False,
        ),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log the search as TensorBoard's event files.")
    ] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Search with shared weights for networks whose latency keeps to a budget.

    With --device each device is profiled, learned, and measured again as the search goes on; the finalists are
    trained, measured, exported and put beside known networks of as much latency. Without it nothing is measured.
    An interrupted search goes on with --resume and ends with the same front.

    Example: pocketnas search --space cars --device pixel4-emulated --budget-ms 1 --data animal-shapes

    Example: pocketnas search --device pixel4-emulated --device host --for-all --budget-ms 0.5,1 --out both

    Example: pocketnas search --predictor host.safetensors --budget-ms 0.5 --out out
    """
    from pocketnas.effort import SCORING_IMAGES, AskedSizes, is_protected
    from pocketnas.finalists import training_settings
    from pocketnas.front import ImageChoice
    from pocketnas.learning import by_device
    from pocketnas.report import write_report
    from pocketnas.road import (
        Question,
        RoadParams,
        claim_folder,
        require_free,
        search_by_predictions,
        search_on_devices,
    )
    from pocketnas.searching import SearchParams
    from pocketnas.settings_texts import with_settings
    from pocketnas.sizing import has_size
    from pocketnas.targets import Wish, limits_of, objectives_of
    from pocketnas.verify import VerifyParams
    from predictor import NetworkPredictor
    from profiler.near_names import require_known
    from search.algorithms import ALGORITHMS
    from search.engine import InProcess, Processes
    from search.supernet import SupernetParams

    screen = Screen(as_json=as_json)
    budgets = budgets_ms(budget_ms)
    overrides = space_overrides(cells, channels, nodes, width, space_set)
    settings = space_of(space, overrides if resolution is None else {**overrides, "resolution": resolution})
    wish = Wish(budgets, for_all=for_all, alpha=alpha, limits=limits_of(limit or (), alpha=alpha))
    images = ImageChoice(name=data, resolution=settings.resolution, limit=limit_images)
    sized = space != settings.kind or has_size(settings.kind, tuple(overrides))
    question = Question(settings, images, wish, seed=seed, fit_size=bool(device) and not sized)
    params = RoadParams(
        search=SearchParams(
            algorithm=require_known(algorithm, ALGORITHMS, what="algorithm", key="--algorithm"),
            objectives=objectives_of(objective or ()),
            scoring_images=SCORING_IMAGES if device else None,
            rounds=loop_rounds,
            tensorboard=tensorboard,
            supernet=with_settings(SupernetParams(), supernet_set or (), "--supernet-set"),
        ),
        verify=VerifyParams(
            finalists=finalists,
            epochs=epochs,
            force=force,
            baselines=baselines,
            training=training_settings(augmentation, train_set or ()),
            distil=distil,
        ),
        sizes=AskedSizes(population, generations, warmup_epochs, generation_epochs, protected=is_protected(selection)),
    )
    devices = configured_devices_named(config, device or ())
    require_free(out, resume=resume)
    paths = predictor or ([] if devices else [_DEFAULT_PREDICTOR])
    predictors = by_device([NetworkPredictor.load(path) for path in paths], devices, force=force)
    wish.check_devices([entry.name for entry in devices] or list(predictors), params.search.objectives)
    ready_agents(screen, devices)
    claim_folder(question, devices, params, out)
    count = workers or os.cpu_count() or 1
    with Processes(count, warn=screen.warn) if count > 1 else InProcess() as engine:
        if devices:
            result = search_on_devices(question, devices, out, screen, params, given=predictors, engine=engine)
            show_result(screen, result, out, write_report(result, out))
        else:
            _show(screen, search_by_predictions(question, predictors, out, screen, params, engine=engine), out)


def _show(screen: Screen, found: FoundFront, out: Path) -> None:
    screen.show("predictions only: nothing was measured, and accuracies are of shared weights")
    by_name = {candidate.name: candidate for candidate in found.front}
    columns = ["candidate", "front", "accuracy, shared", "ms, predicted", "90 % interval"]
    for target in found.wanted:
        candidates = [by_name[name] for name in target.candidates]
        rows = [
            [
                candidate.name,
                "yes" if candidate.on_front else "",
                f"{candidate.search_accuracy:.1%}",
                f"{candidate.predicted_ms:.4g}",
                f"{candidate.predicted_low_ms:.4g} to {candidate.predicted_high_ms:.4g}",
            ]
            for candidate in sorted(candidates, key=lambda candidate: candidate.predicted_ms)
        ]
        screen.show(
            table(
                f"budget {target.describe()}: {target.budget_reason}",
                columns,
                rows,
                right=columns[1:],
                whole=columns[:1],
            )
        )
    devices = " ".join(f"--device {entry.device}" for entry in found.searched_on)
    screen.show(f"next: pocketnas verify {out} {devices}")
    screen.document({"out": str(out), **found.to_json()})
