"""The next batch: new families first, nothing twice, better than a draw."""

from __future__ import annotations

import numpy as np

from predictor.adaptive import Configurations, KernelBelief, MeasurementCost, Networks, TargetSpace, next_batch
from profiler.kernels import Kernel
from tests.predictor._synthetic import true_ms
from tests.predictor.adaptive._space import belief_on, space_of, targets

COST = MeasurementCost(blocks=6, runs=15, block_s=1.0, kernels_per_pack=64)
NONE = Networks(TargetSpace.of_kernels([]))


def _next(space: TargetSpace, measured: list[Kernel], count: int, **changes: object) -> list[Kernel]:
    options = {"done": frozenset(measured), "further": Configurations.of([]), "rng": np.random.default_rng(0)}
    batch = next_batch(belief_on(measured), space, NONE, COST, count=count, **(options | changes))  # type: ignore[arg-type]
    return list(batch.kernels)


def test_new_families_come_first_and_nothing_comes_twice() -> None:
    space = space_of(targets(20))
    families = {kernel.family for kernel in space.kernels.kernels}
    first = _next(space, [], 8)
    assert {kernel.family for kernel in first} == families
    second = _next(space, first, 8)
    assert not set(first) & set(second)
    assert len(set(second)) == 8


def test_the_same_call_gives_the_same_batch() -> None:
    space = space_of(targets(20))
    assert _next(space, [], 10) == _next(space, [], 10)


def test_networks_that_are_given_are_in_it() -> None:
    space = space_of(targets(20))
    networks = Networks(TargetSpace.of_kernels([]), (4, 2), (7, 9, 11))
    batch = next_batch(
        KernelBelief.before_rows(),
        space,
        networks,
        COST,
        count=6,
        done=frozenset(),
        further=Configurations.of([]),
        rng=np.random.default_rng(0),
    )
    assert {2, 4} <= set(batch.networks) <= {2, 4, 7, 9, 11}
    assert len(batch.kernels) + len(batch.networks) == 8
    assert batch.seconds > 0


def test_nothing_is_left_when_all_is_done() -> None:
    space = space_of(targets(3))
    assert _next(space, list(space.kernels.kernels), 5) == []


def test_chosen_kernels_predict_networks_better_than_drawn_ones() -> None:
    errors = {True: 0.0, False: 0.0}
    for seed in range(3):
        space, held_out = space_of(targets(60, seed=seed)), space_of(targets(60, seed=seed + 100))
        chosen = _next(space, [], 12)
        rng = np.random.default_rng(seed)
        drawn = [space.kernels.kernels[index] for index in rng.permutation(len(space.kernels))[:12]]
        truth_ms = held_out.counts @ [true_ms(kernel) for kernel in held_out.kernels.kernels]
        for kernels in (chosen, drawn):
            predicted_ms = held_out.counts @ belief_on(kernels).latency_ms(held_out.kernels)
            errors[kernels is chosen] += float(np.abs(predicted_ms / truth_ms - 1.0).mean())
    assert errors[True] < 0.8 * errors[False]
