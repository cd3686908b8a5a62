"""The budget that is chosen where none is given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pocketnas.targets import typical_budget
from predictor import Prediction
from profiler.network import Network
from search.errors import SearchError
from tests.search._toy import ToyPredictor, ToySpace, toy_prediction


class HalfBlindPredictor(ToyPredictor):
    """Has no evidence on every other network, for which its rough bound is enormous."""

    def predict_many(self, networks: Sequence[Network], *, allow_unknown: bool) -> list[Prediction]:
        known = super().predict_many(networks, allow_unknown=allow_unknown)
        blind = toy_prediction(1e6, 1e5, 1e7, "dense 1x8 -> 4")
        return [blind if index % 2 else found for index, found in enumerate(known)]


def test_two_in_five_networks_keep_to_the_budget_with_the_upper_end() -> None:
    space, rng = ToySpace(), np.random.default_rng(0)
    budget_ms, _ = typical_budget([ToyPredictor()], space, np.random.default_rng(1))
    drawn = [space.lower(space.sample(rng)) for _ in range(2000)]
    within = [found.high_ms <= budget_ms for found in ToyPredictor().predict_many(drawn, allow_unknown=True)]
    assert np.mean(within) == pytest.approx(0.4, abs=0.08)


def test_networks_without_evidence_neither_end_the_choice_nor_move_it() -> None:
    all_known, _ = typical_budget([ToyPredictor()], ToySpace(), np.random.default_rng(0))
    half_known, _ = typical_budget([HalfBlindPredictor()], ToySpace(), np.random.default_rng(0))
    assert half_known == pytest.approx(all_known, rel=0.2)


def test_no_evidence_at_all_is_an_error() -> None:
    with pytest.raises(SearchError, match="no evidence"):
        typical_budget([ToyPredictor(known=False)], ToySpace(), np.random.default_rng(0))
