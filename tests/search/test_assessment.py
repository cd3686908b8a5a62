"""Assessing: each network is predicted once, new ones together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from predictor import NetworkPredictor, Prediction
from profiler.kernels import FUSION_RULES, sample_kernels
from profiler.network import Network
from search.accuracy import AccuracySource, DrawArchitectures
from search.algorithms import Cars, EvolutionParams
from search.assessment import Assessor, predict_batch
from search.constraints import LatencyBudget
from search.run import run_search
from search.spaces.cars import CarsGenotype, CarsParams, CarsSpace
from tests.predictor._synthetic import kernel_rows, row, table_of_rows, true_network_ms
from tests.search._toy import ToyPredictor, ToySpace


def test_only_new_networks_are_predicted_and_in_one_batch() -> None:
    space, predictor, rng = ToySpace(), ToyPredictor(), np.random.default_rng(0)
    genotypes = [space.sample(rng) for _ in range(20)]
    assessor = Assessor(space, {"device": predictor})
    first = assessor.assess(genotypes[:12] + genotypes[:3])
    second = assessor.assess(genotypes)
    assert [len(batch) for batch in predictor.batches] == [12, 8]
    assert first[:3] == first[12:] == second[:3]


def test_assessments_are_of_their_own_genotype() -> None:
    space, rng = ToySpace(), np.random.default_rng(1)
    genotypes = [space.sample(rng) for _ in range(5)]
    for genotype, found in zip(genotypes, Assessor(space, {"toy": ToyPredictor()}).assess(genotypes), strict=True):
        network = space.lower(genotype)
        assert found.macs == network.cost().macs
        assert found.parameters == network.cost().parameters
        assert found.latency().latency_ms == found.macs / 1000


def test_nothing_to_assess_asks_nothing() -> None:
    predictor = ToyPredictor()
    assert Assessor(ToySpace(), {"toy": predictor}).assess([]) == []
    assert predictor.batches == []


class _Lowered:
    """A network predictor that takes no counts."""

    def __init__(self, predictor: NetworkPredictor) -> None:
        self._predictor = predictor

    def predict_many(self, networks: Sequence[Network], *, allow_unknown: bool) -> list[Prediction]:
        return self._predictor.predict_many(networks, allow_unknown=allow_unknown)


@pytest.fixture(scope="module")
def cars() -> tuple[CarsSpace, NetworkPredictor]:
    """A space and a predictor that knows most of its kernels: not those of pooling."""
    space, rng = CarsSpace(CarsParams(image_shape=(8, 8, 1), classes=3, cells=3, nodes=2)), np.random.default_rng(2)
    networks = [space.lower(space.sample(rng)) for _ in range(12)]
    kernels = [kernel for kernel in sample_kernels(networks, 60, rng, rules=FUSION_RULES["litert"])]
    known = [kernel for kernel in kernels if kernel.family != "max_pool2d"]
    rows = kernel_rows(known, rng) + [row(n, "network", true_network_ms(n)) for n in networks]
    return space, NetworkPredictor().fit(table_of_rows(rows))


def test_counts_are_assessed_like_networks(cars: tuple[CarsSpace, NetworkPredictor]) -> None:
    (space, predictor), rng = cars, np.random.default_rng(3)
    genotypes = [space.sample(rng) for _ in range(40)]
    counted = Assessor(space, {"device": predictor}).assess(genotypes)
    lowered = Assessor(space, {"device": _Lowered(predictor)}).assess(genotypes)
    assert {found.in_domain for found in counted} == {True, False}
    for one, other in zip(counted, lowered, strict=True):
        assert (one.macs, one.parameters) == (other.macs, other.parameters)
        assert one.in_domain == other.in_domain
        for name in ("latency_ms", "low_ms", "high_ms"):
            assert getattr(one.latency(), name) == pytest.approx(getattr(other.latency(), name), rel=1e-9, abs=1e-9)


def test_what_is_unknown_is_named(cars: tuple[CarsSpace, NetworkPredictor]) -> None:
    (space, predictor), rng = cars, np.random.default_rng(3)
    assessor = Assessor(space, {"device": predictor})
    for genotype in (space.sample(rng) for _ in range(10)):
        assert bool(assessor.unknown(genotype)) != assessor.assess([genotype])[0].in_domain


def test_the_same_seed_gives_the_same_front_by_counts_and_by_networks(
    cars: tuple[CarsSpace, NetworkPredictor], tmp_path: Path
) -> None:
    space, predictor = cars
    params = EvolutionParams(population=10, generations=3, warmup_epochs=1, generation_epochs=1)
    budget = LatencyBudget(
        float(np.median([p.high_ms for p in predictor.predict_many(_drawn(space), allow_unknown=True)]))
    )
    fronts = []
    for name, choice in (("counts", predictor), ("networks", _Lowered(predictor))):
        outcome = run_search(
            Cars(space, params), _Sizes(space), {"device": choice}, budget, seed=5, run_dir=tmp_path / name
        )
        fronts.append([(member.genotype, member.network_key, member.accuracy, member.macs) for member in outcome.front])
    assert fronts[0] == fronts[1]
    assert fronts[0]


def test_a_batch_is_predicted_in_chunks(
    cars: tuple[CarsSpace, NetworkPredictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    space, predictor = cars
    array = space.sample_array(50, np.random.default_rng(4))
    whole = predict_batch(space, predictor, array)
    monkeypatch.setattr("search.assessment._CHUNK", 16)
    parts = predict_batch(space, predictor, space.from_array(array))
    np.testing.assert_allclose(parts.high_ms, whole.high_ms, rtol=1e-12)
    assert parts.in_domain.tolist() == whole.in_domain.tolist()
    assert len(predict_batch(space, predictor, [])) == 0


def _drawn(space: CarsSpace) -> list[Network]:
    rng = np.random.default_rng(6)
    return [space.lower(space.sample(rng)) for _ in range(30)]


class _Sizes(AccuracySource[CarsGenotype]):
    """Accuracy by the number of weights."""

    def __init__(self, space: CarsSpace) -> None:
        self._space = space

    @property
    def identity(self) -> dict[str, str]:
        return {"accuracy": "sizes"}

    def learn(self, draw: DrawArchitectures[CarsGenotype], *, epochs: int, rng: np.random.Generator) -> float:
        return float(len(draw(rng)) * 0 + epochs)

    def evaluate(self, genotypes: Sequence[CarsGenotype]) -> np.ndarray:
        sizes = np.array([self._space.lower(genotype).cost().parameters for genotype in genotypes])
        return sizes / (sizes + 1e4)

    def state(self) -> dict[str, np.ndarray]:
        return {}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        del state
