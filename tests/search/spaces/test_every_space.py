"""What every search space must hold to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional

from profiler.kernels import FUSION_RULES, Fuser, Kernel
from search.augmentation import labels_to_torch, to_torch
from search.errors import GenotypeError
from search.space import SearchSpace
from search.supernet import Supernet, SupernetParams
from search.unfolded import UnfoldedNetwork, batch_statistics
from tests.runtimes import run_litert, run_onnxruntime
from tests.search._stripes import stripes_data
from tests.search.spaces.every_space import CLASSES, EVERY_SPACE, IMAGE, Instance

DATA = stripes_data()
SEEDS = st.integers(0, 2**32 - 1)
FUSERS = {runtime: Fuser(FUSION_RULES[runtime]) for runtime in ("litert", "onnxruntime", "ncnn")}

pytestmark = pytest.mark.parametrize("kind", EVERY_SPACE)


def through_json(space: SearchSpace[Any], genotype: Any) -> Any:
    return space.decode(json.loads(json.dumps(space.encode(genotype))))


def every_genotype(instance: Instance) -> list[Any]:
    found = []
    for encoded in instance.encodings():
        try:
            found.append(instance.tiny.decode(encoded))
        except GenotypeError:
            continue
    return found


def unfolded(space: SearchSpace[Any], genotype: Any) -> UnfoldedNetwork:
    return UnfoldedNetwork(space.lower(genotype), space.input_parts(genotype))


def test_it_is_known_by_one_name(kind: str) -> None:
    space, tiny = EVERY_SPACE[kind].space, EVERY_SPACE[kind].tiny
    assert (space.name, tiny.name) == (kind, kind)
    assert space.identity.startswith(kind) and space.identity != tiny.identity
    assert "\n" not in space.identity


def test_size_is_the_number_of_genotypes(kind: str) -> None:
    instance = EVERY_SPACE[kind]
    genotypes = every_genotype(instance)
    assert len(set(genotypes)) == len(genotypes) == instance.tiny.size
    assert sum(1 for _ in instance.encodings()) > instance.tiny.size


def test_sampling_is_uniform(kind: str) -> None:
    instance = EVERY_SPACE[kind]
    tiny, rng = instance.tiny, np.random.default_rng(0)
    drawn = Counter(tiny.sample(rng) for _ in range(30 * tiny.size))
    assert drawn.keys() == set(every_genotype(instance))
    assert stats.chisquare(list(drawn.values())).pvalue > 0.01


def test_mutation_reaches_every_genotype(kind: str) -> None:
    instance = EVERY_SPACE[kind]
    tiny, rng = instance.tiny, np.random.default_rng(1)
    genotype = tiny.sample(rng)
    reached = {genotype}
    for _ in range(40 * tiny.size):
        genotype = tiny.mutate(genotype, rng)
        reached.add(genotype)
    assert reached == set(every_genotype(instance))


@settings(deadline=None, max_examples=40)
@given(SEEDS)
def test_moves_stay_in_the_space_and_depend_on_the_generator_alone(kind: str, seed: int) -> None:
    space = EVERY_SPACE[kind].space

    def moved() -> list[Any]:
        rng = np.random.default_rng(seed)
        first, second = space.sample(rng), space.sample(rng)
        return [first, second, space.mutate(first, rng), space.crossover(first, second, rng)]

    genotypes = moved()
    assert [through_json(space, genotype) for genotype in genotypes] == genotypes == moved()
    assert space.crossover(genotypes[0], genotypes[0], np.random.default_rng(seed)) == genotypes[0]


@pytest.mark.parametrize("encoded", [None, [], {}, 3, "cell", [[]], {"blocks": 3}, {"arch_str": 3}, {"stages": []}])
def test_other_encodings_are_refused(kind: str, encoded: object) -> None:
    with pytest.raises(GenotypeError):
        EVERY_SPACE[kind].space.decode(encoded)


def test_a_damaged_encoding_is_refused(kind: str) -> None:
    space = EVERY_SPACE[kind].space
    good = space.encode(space.sample(np.random.default_rng(2)))
    for key in good:
        for wrong in ({**good, key: None}, {**good, key: [good[key]]}, {**good, f"{key}s": 1}):
            with pytest.raises(GenotypeError):
                space.decode(wrong)


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_lowered_networks_classify_the_images_and_leave_nothing_unread(kind: str, seed: int) -> None:
    space = EVERY_SPACE[kind].space
    network = space.lower(space.sample(np.random.default_rng(seed)))
    assert [spec.shape for spec in network.inputs] == [(1, *IMAGE)]
    assert [network.tensors[name].shape for name in network.outputs] == [(1, CLASSES)]
    read = {name for operator in network.operators for name in operator.inputs} | set(network.outputs)
    assert {name for operator in network.operators for name in operator.outputs} <= read


def test_genotypes_of_one_key_are_one_network(kind: str) -> None:
    instance = EVERY_SPACE[kind]
    by_key: dict[str, set[Hashable]] = {}
    for genotype in every_genotype(instance):
        assert len(genotype.key) == 16 and int(genotype.key, 16) >= 0
        network = instance.tiny.lower(genotype)
        by_key.setdefault(genotype.key, set()).add((network.operators, network.key))
    assert {len(networks) for networks in by_key.values()} == {1}


def test_covering_has_every_weight_at_its_largest(kind: str) -> None:
    instance = EVERY_SPACE[kind]
    covered: dict[str, tuple[int, ...]] = {}
    for genotype in instance.tiny.covering():
        assert through_json(instance.tiny, genotype) == genotype
        for name, shape in unfolded(instance.tiny, genotype).weight_shapes.items():
            covered[name] = tuple(map(max, shape, covered.get(name, shape)))
    needed: dict[str, tuple[int, ...]] = {}
    for genotype in every_genotype(instance):
        for name, shape in unfolded(instance.tiny, genotype).weight_shapes.items():
            needed[name] = tuple(map(max, shape, needed.get(name, shape)))
    assert needed == covered


def test_the_largest_network_has_the_most_to_multiply(kind: str) -> None:
    instance = EVERY_SPACE[kind]
    macs = [instance.tiny.lower(genotype).cost().macs for genotype in every_genotype(instance)]
    assert instance.tiny.lower(instance.tiny.largest()).cost().macs == max(macs) > min(macs)
    space, rng = instance.space, np.random.default_rng(3)
    largest = space.lower(space.largest()).cost().macs
    assert all(space.lower(space.sample(rng)).cost().macs <= largest for _ in range(40))


def test_features_tell_functions_apart(kind: str) -> None:
    instance = EVERY_SPACE[kind]
    genotypes = every_genotype(instance)
    rows = instance.tiny.features(genotypes)
    assert rows.dtype == np.float64 and rows.ndim == 2 and np.isfinite(rows).all()
    assert len(np.unique(rows, axis=0)) >= len({genotype.key for genotype in genotypes})
    assert np.array_equal(rows[::-1], instance.tiny.features(genotypes[::-1]))
    assert instance.tiny.features([]).shape == (0, rows.shape[1])


@settings(deadline=None, max_examples=15)
@given(st.sampled_from(sorted(FUSERS)), SEEDS)
def test_counted_kernels_are_those_of_fused_networks(kind: str, runtime: str, seed: int) -> None:
    space, rng = EVERY_SPACE[kind].space, np.random.default_rng(seed)
    genotypes = [space.sample(rng) for _ in range(4)]
    kernels, counts = space.kernel_counts(genotypes, FUSION_RULES[runtime])
    assert counts.shape == (len(genotypes), len(kernels)) and len(set(kernels)) == len(kernels)
    for genotype, row in zip(genotypes, counts, strict=True):
        counted = Counter[Kernel]({kernel: int(count) for kernel, count in zip(kernels, row, strict=True) if count})
        assert counted == Counter(FUSERS[runtime](space.lower(genotype)))


@pytest.fixture(scope="module")
def supernets() -> dict[str, Supernet[Any]]:
    """Supernets after some steps, so that no batch norm is the identity and no dense layer 0 any more."""
    return {}


def trained(supernets: dict[str, Supernet[Any]], kind: str) -> Supernet[Any]:
    if kind not in supernets:
        space = EVERY_SPACE[kind].space
        supernets[kind] = Supernet(space, DATA, SupernetParams(epochs=2))
        supernets[kind].learn(lambda rng: [space.sample(rng)], epochs=2, rng=np.random.default_rng(0))
    return supernets[kind]


@settings(deadline=None, max_examples=6)
@given(SEEDS)
def test_what_is_exported_is_what_was_scored(kind: str, supernets: dict[str, Supernet[Any]], seed: int) -> None:
    supernet = trained(supernets, kind)
    genotype = supernet.space.sample(np.random.default_rng(seed))
    # A trip through JSON, as a search's checkpoint and result make it.
    network = supernet.inherit(through_json(supernet.space, genotype))
    image = DATA.val_x[seed % len(DATA.val_x)][None]
    scored = supernet.logits(genotype, to_torch(image)).numpy()
    tolerance = 1e-4 * float(np.abs(scored).max())
    for run in (run_litert, run_onnxruntime):
        np.testing.assert_allclose(run(network, [image])[0], scored, rtol=1e-4, atol=tolerance)


def of_its_own(shared: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Take the leading channels and the centre of the window of a shared weight."""
    starts = [0 if axis < 2 else (shared.shape[axis] - size) // 2 for axis, size in enumerate(shape)]
    for axis, (start, size) in enumerate(zip(starts, shape, strict=True)):
        shared = shared.narrow(axis, start, size)
    return shared


@settings(deadline=None, max_examples=8)
@given(SEEDS)
def test_the_supernet_is_each_network_by_itself(kind: str, supernets: dict[str, Supernet[Any]], seed: int) -> None:
    supernet = trained(supernets, kind)
    genotype = supernet.space.sample(np.random.default_rng(seed))
    images, labels = to_torch(DATA.train_x[:32]), labels_to_torch(DATA.train_y[:32])
    alone = unfolded(supernet.space, genotype)
    own = {
        name: of_its_own(supernet.weights[name].detach(), shape).clone().requires_grad_()
        for name, shape in alone.weight_shapes.items()
    }
    loss = functional.cross_entropy(alone.run(own, images, batch_statistics), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    assert supernet.accumulate([genotype], images, labels) == pytest.approx(loss.item(), rel=1e-5)
    for name, weight in supernet.weights.items():
        if name not in own:
            assert weight.grad is None
            continue
        assert weight.grad is not None and own[name].grad is not None
        # The gradient is that of the part that was used, and 0 elsewhere.
        expected = torch.zeros_like(weight)
        of_its_own(expected, alone.weight_shapes[name]).copy_(own[name].grad)
        torch.testing.assert_close(weight.grad, expected, rtol=1e-3, atol=1e-5)
