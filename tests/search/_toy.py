"""A small search that costs nothing: a space of dense chains, a latency by rule, accuracy by law.

The law has the small model trap: small networks are accurate soon, large ones become better later.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from predictor import Prediction
from profiler.errors import PocketnasError
from profiler.network import Dense, Network, TensorSpec
from search.accuracy import AccuracySource, DrawArchitectures
from search.algorithms import Cars, EvolutionParams
from search.assessment import Assessment, LatencyInterval
from search.closed_loop import Feedback
from search.constraints import Constraint, LatencyBudget
from search.errors import GenotypeError
from search.objectives import LATENCY, Objective
from search.outcome import SearchOutcome
from search.run import run_search
from search.space import SearchSpace

LAYERS, CHOICES = 5, 8


@dataclass(frozen=True)
class ToyGenotype:
    widths: tuple[int, ...]

    @property
    def key(self) -> str:
        return "".join(f"{width:x}" for width in self.widths)


class ToySpace(SearchSpace[ToyGenotype]):
    def __init__(self, choices: int = CHOICES) -> None:
        self.choices = choices

    @property
    def name(self) -> str:
        return "toy"

    @property
    def identity(self) -> str:
        return f"toy choices={self.choices}"

    @property
    def size(self) -> int:
        return self.choices**LAYERS

    def sample(self, rng: np.random.Generator) -> ToyGenotype:
        return ToyGenotype(tuple(int(width) for width in rng.integers(self.choices, size=LAYERS)))

    def mutate(self, genotype: ToyGenotype, rng: np.random.Generator) -> ToyGenotype:
        return self.crossover(genotype, self.sample(rng), rng)

    def crossover(self, first: ToyGenotype, second: ToyGenotype, rng: np.random.Generator) -> ToyGenotype:
        swapped = rng.random(LAYERS) < 0.5
        pairs = zip(first.widths, second.widths, swapped, strict=True)
        return ToyGenotype(tuple(b if swap else a for a, b, swap in pairs))

    def lower(self, genotype: ToyGenotype) -> Network:
        layers = [Dense(f"d{i}", (f"d{i - 1}" if i else "x",), 4 * (w + 1)) for i, w in enumerate(genotype.widths)]
        return Network("toy", [TensorSpec("x", (1, 8))], layers, [layers[-1].name])

    def covering(self) -> Iterator[ToyGenotype]:
        yield ToyGenotype((0,) * LAYERS)

    def largest(self) -> ToyGenotype:
        return ToyGenotype((self.choices - 1,) * LAYERS)

    def features(self, genotypes: Sequence[ToyGenotype]) -> np.ndarray:
        return np.array([genotype.widths for genotype in genotypes], dtype=np.float64).reshape(-1, LAYERS)

    def input_parts(self, genotype: ToyGenotype) -> dict[str, tuple[str, ...]]:
        return {}

    def encode(self, genotype: ToyGenotype) -> dict[str, object]:
        return {"widths": list(genotype.widths)}

    def decode(self, encoded: object) -> ToyGenotype:
        if not isinstance(encoded, dict) or len(encoded.get("widths", [])) != LAYERS:
            raise GenotypeError(f"must have {LAYERS} widths")
        return ToyGenotype(tuple(encoded["widths"]))


def size_of(genotype: ToyGenotype) -> float:
    """How large a genotype is, 0 to 1."""
    return sum(genotype.widths) / (LAYERS * (CHOICES - 1))


def toy_prediction(latency_ms: float, low_ms: float, high_ms: float, *unknown: str) -> Prediction:
    """A prediction that is in domain unless kernels without evidence are named."""
    origin = {"device": "toy", "runtime": "toy", "threads": 1, "dtype": "float32"}
    return Prediction(latency_ms, low_ms, high_ms, not unknown, unknown, kernels=(), call_ms=0.0, **origin)


def toy_assessment(
    latency_ms: float, low_ms: float = 0.0, high_ms: float = 0.0, *, macs: int = 10, parameters: int = 10
) -> Assessment:
    """What is known of an architecture on the only device; the interval is a tenth about the latency if not given."""
    interval = LatencyInterval(latency_ms, low_ms or 0.9 * latency_ms, high_ms or 1.1 * latency_ms)
    return Assessment({"toy": interval}, macs, parameters)


@dataclass
class ToyPredictor:
    """1 ms for each 1000 MACs, give or take a tenth; counts what it is asked."""

    scale: float = 1.0
    known: bool = True
    spread: float = 0.1
    batches: list[list[str]] = field(default_factory=list)

    def predict_many(self, networks: Sequence[Network], *, allow_unknown: bool) -> list[Prediction]:
        assert allow_unknown, "else one network without evidence would end the search"
        self.batches.append([network.key for network in networks])
        return [self._predict(network) for network in networks]

    def _predict(self, network: Network) -> Prediction:
        if not self.known:
            return toy_prediction(5.0, 1.0, 25.0, "dense 1x8 -> 4")
        latency_ms = self.scale * network.cost().macs / 1000
        return toy_prediction(latency_ms, 0.9 * latency_ms, (1 + self.spread) * latency_ms)


@dataclass
class ToyFeedback(Feedback):
    """A device that is slower than the predictor says, by a share that each round teaches; remembers what it measured.

    Attributes:
        slower: Latency on the device over what the first predictor says.
        measured: Keys of each round, those of an earlier process not among them.
        broken_at: The round in which the device does not answer, from 0.
    """

    slower: float = 1.25
    measured: list[list[str]] = field(default_factory=list)
    broken_at: int | None = None
    devices: tuple[str, ...] = ("toy",)

    def measure(self, networks: Sequence[Network]) -> dict[str, ToyPredictor]:
        if len(self.measured) == self.broken_at:
            raise DeviceLostError
        self.measured.append([network.key for network in networks])
        # Each round halves what is left of the error, and of the interval; its own networks move it a little, too.
        left = 0.5 ** len(self.measured)
        own = sum(int(key[:4], 16) for keys in self.measured for key in keys) % 97 / 1e5
        learned = ToyPredictor(scale=self.slower - (self.slower - 1) * left + own, spread=0.1 * left)
        return dict.fromkeys(self.devices, learned)


class DeviceLostError(PocketnasError):
    """The device of ToyFeedback does not answer."""

    exit_code = 75

    def __init__(self) -> None:
        super().__init__("the device does not answer; connect it again")


class LawSource(AccuracySource[ToyGenotype]):
    """Accuracy by a law of size and epochs learned; large genotypes rise late and end higher."""

    def __init__(self, seconds: float = 0.0, images: str = "none") -> None:
        self.seconds = seconds
        self.images = images
        self.epochs = 0
        self.drawn: list[list[str]] = []
        self.evaluated: list[list[str]] = []

    @property
    def identity(self) -> dict[str, str]:
        return {"accuracy": "law", "images": self.images}

    def learn(self, draw: DrawArchitectures[ToyGenotype], *, epochs: int, rng: np.random.Generator) -> float:
        self.drawn += [[genotype.key for genotype in draw(rng)] for _ in range(epochs)]
        self.epochs += epochs
        time.sleep(self.seconds)
        return 1.0 / (1 + self.epochs)

    def evaluate(self, genotypes: Sequence[ToyGenotype]) -> np.ndarray:
        self.evaluated.append([genotype.key for genotype in genotypes])
        return np.array([law(size_of(genotype), self.epochs) for genotype in genotypes])

    def state(self) -> dict[str, np.ndarray]:
        return {"epochs": np.array(self.epochs)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self.epochs = int(state["epochs"])


def law(size: float, epochs: float) -> float:
    """Accuracy of a network of a size after some epochs, 0 to 1."""
    return (0.5 + 0.45 * size) * (1 - np.exp(-epochs / (1 + 20 * size**2)))


PARAMS = EvolutionParams(population=24, generations=6, warmup_epochs=2, generation_epochs=1)


def toy_search(
    run_dir: Path,
    source: LawSource | None = None,
    *,
    predictor: ToyPredictor | None = None,
    seed: int = 0,
    budget_ms: float = 2.0,
    constraint: Constraint | None = None,
    objectives: Sequence[Objective] = (LATENCY,),
    params: EvolutionParams = PARAMS,
    **options: object,
) -> SearchOutcome[ToyGenotype]:
    """Run the toy search in a folder."""
    return run_search(
        Cars(ToySpace(), params, objectives),
        source or LawSource(),
        {"toy": predictor or ToyPredictor()},
        constraint or LatencyBudget(budget_ms),
        seed=seed,
        run_dir=run_dir,
        **options,
    )


def described(outcome: SearchOutcome[ToyGenotype]) -> str:
    """All that must be equal after a resume, as text."""
    members = [(m.genotype.key, m.accuracy, m.latency().latency_ms) for m in outcome.population]
    front = [m.genotype.key for m in outcome.front]
    measured = [[genotype.key for genotype in round_] for round_ in outcome.measured]
    return json.dumps([front, members, [asdict(record) for record in outcome.history], measured, outcome.dropped])
