"""Shared weights that architectures use in part."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from search._slices import part
from search.augmentation import labels_to_torch, to_torch
from search.supernet import Supernet, SupernetParams
from search.training import TrainingParams, train_network
from search.unfolded import UnfoldedNetwork, batch_statistics
from tests.runtimes import run_litert, run_torch
from tests.search._elastic import ALL_ELASTIC, ELASTIC, ElasticGenotype
from tests.search._stripes import stripes_data

DATA = stripes_data()
IMAGES, LABELS = to_torch(DATA.train_x[:32]), labels_to_torch(DATA.train_y[:32])
LARGEST, SMALLEST = ElasticGenotype(5, 6), ElasticGenotype(1, 2)


def elastic_supernet(**params: object) -> Supernet[ElasticGenotype]:
    return Supernet(ELASTIC, DATA, SupernetParams(epochs=10, batch_size=32, **params))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained() -> Supernet[ElasticGenotype]:
    supernet = Supernet(ELASTIC, DATA, SupernetParams(epochs=20, batch_size=16, learning_rate=0.03))
    supernet.learn(lambda rng: [ELASTIC.sample(rng)], epochs=20, rng=np.random.default_rng(0))
    return supernet


def test_weights_are_as_large_as_any_architecture_needs() -> None:
    shapes = {name: tuple(weight.shape) for name, weight in elastic_supernet().weights.items()}
    # No single one of the covering architectures has both.
    assert shapes["depthwise/kernel"] == (6, 1, 5, 5)
    assert shapes["groups/kernel"] == (6, 3, 5, 5)
    assert shapes["excite/kernel"] == (6, 6) and shapes["expand.act/alpha"] == (6,)


def test_an_architecture_s_weights_are_leading_channels_and_centred_windows(
    trained: Supernet[ElasticGenotype],
) -> None:
    own = trained.weights_of(ElasticGenotype(3, 4))
    shared = {name: weight.detach() for name, weight in trained.weights.items()}
    assert torch.equal(own["depthwise/kernel"], shared["depthwise/kernel"][:4, :, 1:4, 1:4])
    assert torch.equal(own["groups/kernel"], shared["groups/kernel"][:4, :2, 1:4, 1:4])
    assert torch.equal(own["excite/kernel"], shared["excite/kernel"][:4, :4])
    assert torch.equal(own["groups/shift"], shared["groups/shift"][:4])
    own["depthwise/kernel"].zero_()
    assert trained.weights["depthwise/kernel"].abs().max() > 0


@pytest.mark.parametrize("genotype", ALL_ELASTIC[::2], ids=lambda genotype: genotype.key)
def test_what_is_exported_is_what_was_scored(trained: Supernet[ElasticGenotype], genotype: ElasticGenotype) -> None:
    scored = trained.logits(genotype, to_torch(DATA.val_x)).numpy()
    network = trained.inherit(genotype)
    assert network.key == ELASTIC.lower(genotype).key
    np.testing.assert_allclose(run_torch(network, [DATA.val_x])[0], scored, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(run_litert(network, [DATA.val_x[:1]])[0], scored[:1], rtol=1e-4, atol=1e-4)
    accuracy = float((scored.argmax(1) == DATA.val_y).mean())
    assert trained.evaluate([genotype])[0] == pytest.approx(accuracy)


@pytest.mark.parametrize(
    "trains", [[SMALLEST], [ElasticGenotype(3, 4)], [ElasticGenotype(5, 2), ElasticGenotype(1, 4)]]
)
def test_what_a_step_does_not_use_of_a_tensor_does_not_move(trains: list[ElasticGenotype]) -> None:
    supernet = elastic_supernet()
    supernet.learn(lambda _: [LARGEST], epochs=1, rng=np.random.default_rng(0))
    before = supernet.state()
    supernet.step(trains, IMAGES, LABELS)
    after = supernet.state()
    for name, weight in supernet.weights.items():
        used = np.zeros(tuple(weight.shape), dtype=bool)
        for genotype in trains:
            shape = tuple(supernet.weights_of(genotype)[name].shape)
            used[part(used.shape, shape)] = True
        for role in ("weight", "exp_avg", "exp_avg_sq", "step"):
            was = np.broadcast_to(before[f"{role}/{name}"], used.shape)
            now = np.broadcast_to(after[f"{role}/{name}"], used.shape)
            assert np.array_equal(now[~used], was[~used]), (role, name)
        assert not np.array_equal(before[f"weight/{name}"][used], after[f"weight/{name}"][used]), name


def test_a_part_learns_as_the_network_by_itself_does() -> None:
    supernet = elastic_supernet()
    genotype = ElasticGenotype(3, 2)
    supernet.accumulate([genotype], IMAGES, LABELS)
    own = supernet.weights_of(genotype)
    for weight in own.values():
        weight.requires_grad_()
    logits = UnfoldedNetwork(ELASTIC.lower(genotype)).run(own, IMAGES, batch_statistics)
    torch.nn.functional.cross_entropy(logits, LABELS).backward()
    for name, weight in own.items():
        shared = supernet.weights[name].grad
        assert shared is not None and weight.grad is not None
        found = shared[part(tuple(shared.shape), tuple(weight.shape))]
        torch.testing.assert_close(found, weight.grad, rtol=1e-4, atol=1e-7)


def test_elastic_weights_learn_for_all_architectures(trained: Supernet[ElasticGenotype]) -> None:
    untrained = elastic_supernet()
    assert trained.evaluate(ALL_ELASTIC).mean() > untrained.evaluate(ALL_ELASTIC).mean() + 0.1


def test_a_network_trains_on_from_its_part_of_the_weights(trained: Supernet[ElasticGenotype]) -> None:
    genotype = ElasticGenotype(3, 4)
    params = TrainingParams(epochs=1, batch_size=32)
    result = train_network(ELASTIC.lower(genotype), DATA, params, initial=trained.weights_of(genotype))
    assert result.network.key == ELASTIC.lower(genotype).key


def test_a_restored_supernet_goes_on_with_counts_for_each_number() -> None:
    draw = lambda rng: [ELASTIC.sample(rng), ELASTIC.sample(rng)]  # noqa: E731 (three uses, one line)
    whole, rng = elastic_supernet(), np.random.default_rng(7)
    whole.learn(draw, epochs=2, rng=rng)
    saved, generator = whole.state(), rng.bit_generator.state
    whole.learn(draw, epochs=1, rng=rng)
    resumed, later = elastic_supernet(), np.random.default_rng()
    resumed.restore(saved)
    later.bit_generator.state = generator
    resumed.learn(draw, epochs=1, rng=later)
    expected, found = whole.state(), resumed.state()
    assert expected["step/depthwise/kernel"].shape == (6, 1, 5, 5)
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_the_largest_teaches_the_others() -> None:
    """One step trains the largest and, on labels that are partly its answers, the one that was drawn."""
    taught, plain = elastic_supernet(distil_from_largest=0.5), elastic_supernet()
    for supernet in (taught, plain):
        supernet.restore(state_of_one_epoch())
    plain.accumulate([LARGEST], IMAGES, LABELS)
    by_largest = gradients(plain)
    logits = plain_logits(plain, LARGEST)
    soft = 0.5 * torch.nn.functional.one_hot(LABELS, 4) + 0.5 * logits.softmax(1)
    plain.accumulate([SMALLEST], IMAGES, soft)
    by_smallest = gradients(plain)
    taught.accumulate([SMALLEST], IMAGES, LABELS)
    for name, gradient in gradients(taught).items():
        torch.testing.assert_close(gradient, (by_largest[name] + by_smallest[name]) / 2, rtol=1e-3, atol=1e-6)


def state_of_one_epoch() -> dict[str, np.ndarray]:
    supernet = elastic_supernet()
    supernet.learn(lambda _: [LARGEST], epochs=1, rng=np.random.default_rng(0))
    return supernet.state()


def gradients(supernet: Supernet[ElasticGenotype]) -> dict[str, torch.Tensor]:
    return {name: weight.grad.clone() for name, weight in supernet.weights.items() if weight.grad is not None}


def plain_logits(supernet: Supernet[ElasticGenotype], genotype: ElasticGenotype) -> torch.Tensor:
    with torch.no_grad():
        return UnfoldedNetwork(ELASTIC.lower(genotype)).run(supernet.weights, IMAGES, batch_statistics)
