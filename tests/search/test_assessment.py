"""Assessing: each network is predicted once, new ones together."""

from __future__ import annotations

import numpy as np

from search.assessment import Assessor
from tests.search._toy import ToyPredictor, ToySpace


def test_only_new_networks_are_predicted_and_in_one_batch() -> None:
    space, predictor, rng = ToySpace(), ToyPredictor(), np.random.default_rng(0)
    genotypes = [space.sample(rng) for _ in range(20)]
    assessor = Assessor(space, predictor)
    first = assessor.assess(genotypes[:12] + genotypes[:3])
    second = assessor.assess(genotypes)
    assert [len(batch) for batch in predictor.batches] == [12, 8]
    assert first[:3] == first[12:] == second[:3]


def test_assessments_are_of_their_own_genotype() -> None:
    space, rng = ToySpace(), np.random.default_rng(1)
    genotypes = [space.sample(rng) for _ in range(5)]
    for genotype, found in zip(genotypes, Assessor(space, ToyPredictor()).assess(genotypes), strict=True):
        network = space.lower(genotype)
        assert (found.network_key, found.macs) == (network.key, network.cost().macs)
        assert found.parameters == network.cost().parameters
        assert found.prediction.latency_ms == found.macs / 1000


def test_nothing_to_assess_asks_nothing() -> None:
    predictor = ToyPredictor()
    assert Assessor(ToySpace(), predictor).assess([]) == []
    assert predictor.batches == []
