"""`pocketnas search`: find accurate networks that are predicted to keep to a budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketnas.cli._options import Cells, Channels, Data, Json, MaybeBudgetMs, Nodes, Seed
from pocketnas.cli._screen import Screen, table
from profiler.errors import ConfigError

if TYPE_CHECKING:
    from pocketnas.front import FoundFront


def command(
    predictor: Annotated[Path, typer.Option("--predictor", metavar="FILE", help="What `pocketnas fit` wrote.")] = Path(
        "predictor.safetensors"
    ),
    budget_ms: MaybeBudgetMs = None,
    data: Data = "digits",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for all that is found.")] = Path("out"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished search in DIR.")] = False,
    cells: Cells = 5,
    channels: Channels = 8,
    nodes: Nodes = 4,
    population: Annotated[int, typer.Option("--population", metavar="N", help="Individuals of a generation.")] = 32,
    generations: Annotated[
        int, typer.Option("--generations", metavar="N", help="Rounds of learning and selection.")
    ] = 20,
    warmup_epochs: Annotated[
        int, typer.Option("--warmup-epochs", metavar="N", help="Epochs on random architectures first.")
    ] = 40,
    generation_epochs: Annotated[
        int, typer.Option("--generation-epochs", metavar="N", help="Epochs of each generation.")
    ] = 4,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Search with CARS on shared weights; the upper end of the predicted interval must keep to the budget.

    Each generation is saved. An interrupted search goes on with --resume and ends with the same front.

    Example: pocketnas search --predictor host.safetensors --budget-ms 0.5 --out out

    Example: pocketnas search --predictor host.safetensors --data animal-shapes --out shapes --resume
    """
    import numpy as np

    from pocketnas.front import SpaceSettings
    from pocketnas.searching import Budget, SearchParams, search, typical_budget
    from predictor import NetworkPredictor
    from search.algorithms import EvolutionParams
    from search.images import load_images
    from search.run import CHECKPOINT_NAME

    screen = Screen(as_json=as_json)
    if not resume and (out / CHECKPOINT_NAME).exists():
        raise ConfigError("holds a search already; go on with --resume, or choose another folder", path=out)
    params = SearchParams(EvolutionParams(population, generations, warmup_epochs, generation_epochs))
    settings = SpaceSettings(cells=cells, channels=channels, nodes=nodes)
    loaded = NetworkPredictor.load(predictor)
    images = load_images(data, seed=seed)
    if budget_ms is None:
        budget = typical_budget(loaded, settings.space_for(images), np.random.default_rng(seed))
    else:
        budget = Budget(budget_ms)
    found = search(loaded, settings, images, data, budget, out, screen, params, seed=seed)
    _show(screen, found, out)


def _show(screen: Screen, found: FoundFront, out: Path) -> None:
    rows = [
        [
            candidate.name,
            "yes" if candidate.on_front else "",
            f"{candidate.search_accuracy:.1%}",
            f"{candidate.predicted_ms:.4g}",
            f"{candidate.predicted_low_ms:.4g} to {candidate.predicted_high_ms:.4g}",
        ]
        for candidate in sorted(found.front, key=lambda candidate: candidate.predicted_ms)
    ]
    columns = ["candidate", "on the front", "accuracy, shared weights", "ms, predicted", "90 % interval"]
    title = f"budget {found.budget_ms:.4g} ms on {found.device}: {found.budget_reason}"
    screen.show(table(title, columns, rows, right=columns[1:]))
    screen.show(f"next: pocketnas verify {out} --device {found.device}")
    screen.document({"out": str(out), **found.to_json()})
