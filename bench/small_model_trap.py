"""The small model trap: which sizes a search's front covers with pNSGA-III, beside plain NSGA-III.

Under shared weights small networks are accurate first, so a selection by accuracy and cost alone may drop large
networks before they are trained.  Both searches are CARS in all else: same space, images, supernet, seeds and epochs,
and really trained.  Sizes are parameters, and latency by a law that is written here, since what is compared is the
selection and not a device.  For each search the front's smallest, middle and largest size count; intervals are
bootstraps over the seeds, of the difference within each seed where both are compared.

There is no target: the figures are what they are.

    python bench/small_model_trap.py [--seeds 10] [--population 12] [--generations 8] [--data digits]
        [--objective parameters|macs|latency_ms] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor import Prediction
from profiler.network import Network
from search.algorithms import Cars, EvolutionParams
from search.constraints import Limit
from search.images import ImageData, load_images
from search.objectives import Objective
from search.outcome import SearchOutcome
from search.run import run_search
from search.spaces.cars import CarsGenotype, CarsParams, CarsSpace
from search.supernet import Supernet, SupernetParams

SELECTIONS: Mapping[str, bool] = {"pnsga3": True, "nsga3": False}
"""Whether growth protects, by the selection's name."""

DEVICE = "law"
CALL_MS, OPERATOR_MS, MS_PER_MEGA_MACS = 0.02, 0.004, 0.5
"""The law of latency: a call, each operator, and the work; about what one core of a phone needs."""

MEASURES = (
    *(f"parameters_{of}" for of in ("low", "median", "high", "ratio")),
    *(f"latency_ms_{of}" for of in ("low", "median", "high", "ratio")),
    "front",
    "accuracy_best",
)
"""What is told of each front: sizes (lowest, median, highest, highest over lowest), members, best accuracy."""

_RESAMPLES = 10_000


class LatencyLaw:
    """A predictor of the law above, sure of itself."""

    def predict_many(self, networks: Sequence[Network], *, allow_unknown: bool) -> list[Prediction]:
        """Return the latency of each network; there is none that it does not know."""
        del allow_unknown
        return [self._predict(network) for network in networks]

    def _predict(self, network: Network) -> Prediction:
        latency_ms = CALL_MS + OPERATOR_MS * len(network.operators) + MS_PER_MEGA_MACS * network.cost().macs / 1e6
        origin: dict[str, Any] = {"device": DEVICE, "runtime": DEVICE, "threads": 1, "dtype": "float32"}
        return Prediction(latency_ms, latency_ms, latency_ms, True, (), kernels=(), call_ms=CALL_MS, **origin)


def main(arguments: Sequence[str] | None = None) -> int:
    """Search, print a table (or only the JSON line), and return 0."""
    options = _options(arguments)
    data = load_images(options.data)
    space = CarsSpace(CarsParams(data.image_shape, data.classes, options.cells, options.channels, options.nodes))
    began_s = time.monotonic()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in SELECTIONS}
    for seed in range(options.seeds):
        for name, protected in SELECTIONS.items():
            found[name].append(described(search(space, data, options, seed, protected=protected)))
            one = {"seed": seed, "selection": name, "since_s": round(time.monotonic() - began_s), **found[name][-1]}
            print(json.dumps(one), file=sys.stderr, flush=True)
    result = summary(found) | {
        "bench": "small_model_trap",
        "settings": vars(options) | {"json": None},
        "seconds": round(time.monotonic() - began_s, 1),
    }
    if not options.json:
        print_table(result)
    print(json.dumps(result))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=10, help="searches of each kind")
    parser.add_argument("--data", default="digits", help="images, as `pocketnas search --data` takes them")
    parser.add_argument("--objective", default="parameters", help="what is minimised beside accuracy")
    parser.add_argument("--population", type=int, default=12, help="individuals")
    parser.add_argument("--generations", type=int, default=8, help="generations")
    parser.add_argument("--warmup-epochs", type=int, default=2, help="epochs before the first generation")
    parser.add_argument("--generation-epochs", type=int, default=1, help="epochs of each generation")
    parser.add_argument("--cells", type=int, default=3, help="cells of a network")
    parser.add_argument("--channels", type=int, default=4, help="channels of a node")
    parser.add_argument("--nodes", type=int, default=3, help="nodes of a cell")
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    return parser.parse_args(arguments)


def search(
    space: CarsSpace, data: ImageData, options: argparse.Namespace, seed: int, *, protected: bool
) -> SearchOutcome[CarsGenotype]:
    """Return what one search finds.

    Args:
        space: Where networks come from.
        data: What they are trained and scored on.
        options: The command line's.
        seed: Of the search and of the shared weights.
        protected: Whether growth protects.
    """
    evolution = EvolutionParams(
        options.population,
        options.generations,
        options.warmup_epochs,
        options.generation_epochs,
        protected=protected,
    )
    supernet = Supernet(space, data, SupernetParams(epochs=evolution.epochs), seed=seed)
    objective = Objective.parse(options.objective)
    everything = Limit(Objective("parameters"), 1e12)
    with tempfile.TemporaryDirectory() as folder:
        return run_search(
            Cars(space, evolution, (objective,)),
            supernet,
            {DEVICE: LatencyLaw()},
            everything,
            seed=seed,
            run_dir=Path(folder),
        )


def described(outcome: SearchOutcome[CarsGenotype]) -> dict[str, float]:
    """Return the measures of a front by name."""
    members = outcome.front.members
    sizes = {
        "parameters": [float(member.parameters) for member in members],
        "latency_ms": [member.latency().latency_ms for member in members],
    }
    measures: dict[str, float] = {}
    for quantity, values in sizes.items():
        low, middle, high = np.quantile(values, [0.0, 0.5, 1.0])
        measures |= {f"{quantity}_low": low, f"{quantity}_median": middle, f"{quantity}_high": high}
        measures[f"{quantity}_ratio"] = high / low
    measures |= {"front": len(members), "accuracy_best": max(member.accuracy for member in members)}
    return {name: float(measures[name]) for name in MEASURES}


def summary(found: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Return mean and interval of each measure for both selections, and of their difference.

    Args:
        found: By selection, the measures of each seed's front, in the same order of seeds.
    """
    rng = np.random.default_rng(0)
    measures: dict[str, Any] = {}
    for measure in MEASURES:
        values = {name: np.array([one[measure] for one in found[name]]) for name in SELECTIONS}
        values["difference"] = values["pnsga3"] - values["nsga3"]
        measures[measure] = {name: _mean_and_interval(series, rng) for name, series in values.items()}
    return {
        "n": len(found["pnsga3"]),
        "measures": measures,
        "fronts": {name: list(ones) for name, ones in found.items()},
    }


def _mean_and_interval(values: npt.NDArray[np.float64], rng: np.random.Generator) -> dict[str, Any]:
    """Return the mean over seeds and its 95 % bootstrap interval (percentiles)."""
    means = values[rng.integers(len(values), size=(_RESAMPLES, len(values)))].mean(axis=1)
    return {"mean": float(values.mean()), "interval": [float(end) for end in np.quantile(means, [0.025, 0.975])]}


def print_table(result: Mapping[str, Any]) -> None:
    """Print means over the seeds with their intervals."""
    print(f"mean over {result['n']} seeds (95 % bootstrap interval); difference is pNSGA-III minus NSGA-III, by seed")
    print(f"{'of the final front':<20}{'pNSGA-III':>28}{'NSGA-III':>28}{'difference':>28}")
    for measure, columns in result["measures"].items():
        cells = []
        for column in columns.values():
            low, high = column["interval"]
            cells.append(f"{column['mean']:.4g} ({low:.4g} to {high:.4g})")
        print(f"{measure:<20}" + "".join(f"{cell:>28}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
