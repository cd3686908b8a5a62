"""A whole search: same seed same front, whatever stops it; and what it scores, trains and predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from search.errors import CheckpointError, InfeasibleError
from search.progress import SearchProgress
from search.run import CHECKPOINT_NAME
from tests.search._toy import (
    PARAMS,
    LawSource,
    ToyGenotype,
    ToyPredictor,
    ToySpace,
    described,
    law,
    size_of,
    toy_search,
)


class StoppedSource(LawSource):
    """Is interrupted when it is asked to learn or evaluate for the n-th time."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls_left = calls

    def _count(self) -> None:
        self.calls_left -= 1
        if self.calls_left < 0:
            raise KeyboardInterrupt

    def learn(self, *args: object, **options: object) -> float:
        self._count()
        return super().learn(*args, **options)

    def evaluate(self, genotypes: Sequence[ToyGenotype]) -> np.ndarray:
        self._count()
        return super().evaluate(genotypes)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> str:
    return described(toy_search(tmp_path_factory.mktemp("whole")))


def test_golden_seeded_search(tmp_path: Path) -> None:
    outcome = toy_search(tmp_path)
    assert [member.genotype.key for member in outcome.front] == ["00200", "03002", "00016", "40104", "40060"]
    assert [record.front_size for record in outcome.history] == [1, 2, 2, 3, 4, 5]


def test_same_seed_same_front_and_another_seed_another(tmp_path: Path, uninterrupted: str) -> None:
    assert described(toy_search(tmp_path / "again")) == uninterrupted
    assert described(toy_search(tmp_path / "other", seed=1)) != uninterrupted


def test_outcome_keeps_to_the_budget_and_to_what_was_evaluated(tmp_path: Path) -> None:
    outcome = toy_search(tmp_path, budget_ms=1.0)
    assert len(outcome.population) == PARAMS.population
    for member in outcome.population:
        assert member.latency().high_ms <= 1.0
        assert member.accuracy == law(size_of(member.genotype), PARAMS.epochs)
        assert member.latency().latency_ms == member.macs / 1000
    assert set(outcome.front) <= set(outcome.population)
    assert (outcome.constraint.limit, outcome.seed) == (1.0, 0)
    assert [record.generation for record in outcome.history] == list(range(1, PARAMS.generations + 1))


def test_no_member_of_the_front_beats_another(tmp_path: Path) -> None:
    front = toy_search(tmp_path).front
    pairs = [(m.accuracy, m.latency().latency_ms) for m in front]
    assert len(pairs) > 1
    assert not any(a != b and a[0] >= b[0] and a[1] <= b[1] for a in pairs for b in pairs)


def test_survivors_are_not_scored_twice_under_the_same_weights(tmp_path: Path) -> None:
    source = LawSource()
    toy_search(tmp_path, source, budget_ms=1e6)
    parents, offspring = PARAMS.population, PARAMS.population
    first = [parents + offspring, parents + offspring]
    assert [len(batch) for batch in source.evaluated] == first + [offspring, parents + offspring] * 5


def test_growth_is_scored_only_for_a_protected_search(tmp_path: Path) -> None:
    source = LawSource()
    toy_search(tmp_path, source, budget_ms=1e6, params=replace(PARAMS, protected=False))
    assert [len(batch) for batch in source.evaluated] == [2 * PARAMS.population] * PARAMS.generations


def test_infeasible_candidates_are_neither_scored_nor_trained(tmp_path: Path) -> None:
    source = LawSource()
    toy_search(tmp_path, source, budget_ms=0.8)

    def high_ms(key: str) -> float:
        return 1.1 * ToySpace().lower(ToyGenotype(tuple(int(width) for width in key))).cost().macs / 1000

    assert max(high_ms(key) for batch in source.evaluated for key in batch) <= 0.8
    assert max(high_ms(key) for draw in source.drawn[PARAMS.warmup_epochs :] for key in draw) <= 0.8


def test_each_network_is_predicted_once(tmp_path: Path) -> None:
    predictor = ToyPredictor()
    toy_search(tmp_path, predictor=predictor)
    asked = [key for batch in predictor.batches for key in batch]
    assert len(asked) == len(set(asked))
    assert len(predictor.batches) <= 1 + 20 + PARAMS.generations


def test_an_infeasible_budget_ends_before_anything_is_trained(tmp_path: Path) -> None:
    source = LawSource()
    with pytest.raises(InfeasibleError, match=r"<= 0\.001 ms\) >= 0\.95; the closest misses it by") as caught:
        toy_search(tmp_path, source, budget_ms=0.001, tries=100)
    assert caught.value.tries == 100
    assert source.drawn == source.evaluated == []
    assert not (tmp_path / CHECKPOINT_NAME).exists()


def test_progress_tells_each_step_and_the_time_left(tmp_path: Path) -> None:
    told: list[SearchProgress] = []
    outcome = toy_search(tmp_path, progress=told.append)
    assert [event.step for event in told] == list(range(1, 9))
    assert {event.steps for event in told} == {8}
    assert [event.generation for event in told] == [None, None, *outcome.history]
    assert all(event.eta_s >= 0 for event in told)
    assert told[-1].eta_s == 0
    assert [event.elapsed_s for event in told] == sorted(event.elapsed_s for event in told)


@given(st.integers(0, 19))
@settings(deadline=None, max_examples=10)
def test_an_interrupt_leaves_a_folder_that_resumes(
    tmp_path_factory: pytest.TempPathFactory, uninterrupted: str, calls: int
) -> None:
    run_dir = tmp_path_factory.mktemp("run")
    source = StoppedSource(calls)
    with pytest.raises(KeyboardInterrupt):
        toy_search(run_dir, source)
    source.calls_left = 1000
    assert described(toy_search(run_dir, source)) == uninterrupted


def test_a_finished_search_is_read_back_without_work(tmp_path: Path, uninterrupted: str) -> None:
    toy_search(tmp_path)
    source = LawSource()
    assert described(toy_search(tmp_path, source)) == uninterrupted
    assert source.drawn == source.evaluated == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"budget_ms": 1.9}, "constraint"),
        ({"params": replace(PARAMS, population=20)}, "algorithm"),
        ({"predictor": ToyPredictor(scale=0.99)}, "predictor"),
        ({"predictor": ToyPredictor(spread=0.05)}, "predictor"),
        ({"source": LawSource(images="others")}, "images"),
    ],
)
def test_a_folder_of_another_search_is_refused(tmp_path: Path, change: dict[str, object], named: str) -> None:
    toy_search(tmp_path)
    with pytest.raises(CheckpointError, match=named):
        toy_search(tmp_path, **change)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with FileLock(tmp_path / "search.lock"), pytest.raises(CheckpointError, match="another search"):
        toy_search(tmp_path)


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be used"):
        toy_search(tmp_path / "file")
