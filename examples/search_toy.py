"""Search with parts of your own: a latency rule, an accuracy rule, and the CARS space, in a few seconds.

Nothing is measured or trained here.  Put a fitted `predictor.NetworkPredictor` in the place of `MacsRule`
and a `search.supernet.Supernet` in the place of `SaturatingAccuracy`, and it is the real thing.

Run it with: python examples/search_toy.py [FOLDER]
Stopped with Ctrl-C and run again with the same FOLDER, it goes on where it was.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from predictor import Prediction
from profiler.network import Network
from search import AccuracySource, Cars, EvolutionParams, LatencyBudget, SearchProgress, choose_finalists, run_search
from search.accuracy import DrawArchitectures
from search.spaces.cars import CarsGenotype, CarsParams, CarsSpace

SPACE = CarsSpace(CarsParams(image_shape=(16, 16, 3), classes=10))


class MacsRule:
    """Tells 1 ms per million MACs, give or take a fifth."""

    def predict_many(self, networks: Sequence[Network], *, allow_unknown: bool) -> list[Prediction]:
        """Return the rule's latency of each network; there is none that it does not know."""
        return [self._predict(network.cost().macs / 1e6) for network in networks]

    def _predict(self, latency_ms: float) -> Prediction:
        return Prediction(
            latency_ms,
            low_ms=0.8 * latency_ms,
            high_ms=1.2 * latency_ms,
            in_domain=True,
            out_of_domain=(),
            kernels=(),
            call_ms=0.0,
            device="rule",
            runtime="none",
            threads=1,
            dtype="float32",
        )


class SaturatingAccuracy(AccuracySource[CarsGenotype]):
    """Accuracy that grows with the epochs learned, later and higher in networks with more parameters."""

    def __init__(self) -> None:
        self.epochs = 0

    @property
    def identity(self) -> dict[str, str]:
        """Name the law; a source of other accuracies must not go on with this one's search."""
        return {"accuracy": "saturates with parameters and epochs"}

    def learn(self, draw: DrawArchitectures[CarsGenotype], *, epochs: int, rng: np.random.Generator) -> float:
        """Count the epochs; a supernet would train what `draw` returns."""
        self.epochs += epochs
        return 0.0

    def evaluate(self, genotypes: Sequence[CarsGenotype]) -> NDArray[np.float64]:
        """Return the law's accuracy of each genotype."""
        parameters = np.array([SPACE.lower(genotype).cost().parameters for genotype in genotypes])
        size = np.minimum(parameters / 25_000, 1.0)
        return np.asarray((0.5 + 0.45 * size) * (1 - np.exp(-self.epochs / (1 + 3 * size))))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what `learn` changes."""
        return {"epochs": np.array(self.epochs)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take back what `state` returned."""
        self.epochs = int(state["epochs"])


def show(event: SearchProgress) -> None:
    """Print one line a generation."""
    if event.generation is not None:
        record = event.generation
        print(
            f"step {event.step}/{event.steps}: best {record.best_accuracy:.3f}, front of {record.front_size}, "
            f"hypervolume {record.hypervolume:.3f}, {event.eta_s:.0f} s left"
        )


def main(run_dir: Path) -> None:
    """Search, and print what one would train and measure next."""
    params = EvolutionParams(population=24, generations=8, warmup_epochs=2, generation_epochs=1)
    outcome = run_search(
        Cars(SPACE, params),
        SaturatingAccuracy(),
        {"rule": MacsRule()},
        LatencyBudget(1.0),
        seed=0,
        run_dir=run_dir,
        progress=show,
    )
    print(f"finalists, {outcome.constraint.description}:")
    for member in choose_finalists(outcome, 3):
        latency = f"{member.latency().latency_ms:.2f} (up to {member.latency().high_ms:.2f}) ms by rule"
        print(f"  accuracy {member.accuracy:.3f}, {latency}, {member.parameters} parameters")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
